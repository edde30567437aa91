# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup costs beside its data: control-node CPU, remote executions, the worker's start."""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rig.fleet import DATABASE_HOST, Fleet
from rig.lab import inside, put, timed
from rig.moments import slope

_RESTIC, _RESTIC_LOG = "/usr/local/bin/restic", "/run/bench-restic.log"
# Stands in for ssh or restic: writes the call down in one line, then becomes the real one.
_COUNTER = """#!/bin/bash
printf '%s\\n' "${*//$'\\n'/ }" >> @LOG@
exec @PROGRAM@ "$@"
"""


def aliases(count: int) -> dict[str, str]:
    """Return ``count`` inventory names that all mean the lab's database host, each with a repository of its own."""
    return {f"bench-host-{number}": DATABASE_HOST for number in range(1, count + 1)}


def cpu(fleet: Fleet, names: list[str], rounds: int) -> dict[str, Any]:
    """Return the control node's CPU seconds of a warm backup of 1, half and all ``names``, and the line through them.

    The names are one server, which only one job may touch at once: forks are limited to one.
    """
    points: dict[str, list[float]] = {str(count): [] for count in sorted({1, len(names) // 2, len(names)})}
    for _round in range(rounds):
        for count, values in points.items():
            values.append(fleet.backup(",".join(names[: int(count)]), "-f", "1")["cpu_seconds"])
    increment, base = slope([(float(count), value) for count, values in points.items() for value in values])
    return {"points": points, "increment_seconds": round(increment, 3), "base_seconds": round(base, 3)}


def executions(fleet: Fleet, alias: str, folder: Path) -> dict[str, int]:
    """Count the remote executions of one warm backup, and restic's calls on the host, in stand-ins for ssh and restic."""
    log, counter = folder / "ssh.log", folder / "ssh"
    counter.write_text(_stand_in(str(log), str(shutil.which("ssh"))), encoding="utf-8")
    counter.chmod(0o700)
    fleet.extra_environment = {"ANSIBLE_SSH_EXECUTABLE": str(counter)}
    with _restic_log() as called:
        fleet.backup(alias)
    fleet.extra_environment = {}
    return dict(classify(log.read_text(encoding="utf-8").splitlines()), restic_calls=len(called))


def _stand_in(log: str, program: str) -> str:
    return _COUNTER.replace("@LOG@", shlex.quote(log)).replace("@PROGRAM@", shlex.quote(program))


def classify(lines: list[str]) -> dict[str, int]:
    """Return how many of the ssh command ``lines`` ran a module, polled a job, did something else remotely."""
    remote = [line for line in lines if "/bin/sh -c" in line]
    polls = sum("state.json" in line for line in remote)
    modules = sum(bool(re.search(r"/usr/bin/python3(\s|'|\"|$)", line)) and "state.json" not in line for line in remote)
    return {"modules": modules, "polls": polls, "other": len(remote) - polls - modules}


@contextlib.contextmanager
def _restic_log() -> Iterator[list[str]]:
    """Stand in for restic on the database host; afterwards the list holds the calls that opened the repository."""
    called: list[str] = []
    put(DATABASE_HOST, _RESTIC, _stand_in(_RESTIC_LOG, "/usr/bin/restic"), "0755")
    try:
        yield called
        lines = inside(DATABASE_HOST, f"cat {_RESTIC_LOG}").splitlines()
        called += [line for line in lines if line.strip() != "version"]
    finally:
        inside(DATABASE_HOST, f"rm -f {_RESTIC} {_RESTIC_LOG}")


def worker_start(rounds: int) -> list[dict[str, Any]]:
    """Return the times the worker needs on the host to start, import everything and say how it is used."""
    archive = inside(DATABASE_HOST, "ls -t /var/lib/backstay/worker/*.pyz").splitlines()[0]
    command = f"python3 {archive} 2>/dev/null || test $? -eq 2"
    return [timed(DATABASE_HOST, command) for _round in range(rounds)]


def phases(fleet: Fleet, alias: str) -> dict[str, float]:
    """Return the seconds of one warm backup before, in and after the job's steps; lab and control node share a clock."""
    started = datetime.now(UTC)
    fleet.backup(alias)
    ended = datetime.now(UTC)
    events = {item["event"]: datetime.fromisoformat(item["at"]) for item in fleet.newest_record(alias)["events"]}
    first, last = events["start backup"], events["end backup"]
    parts = {"before": first - started, "steps": last - first, "after": ended - last}
    return {name: round(part.total_seconds(), 3) for name, part in parts.items()}
