#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run one schedule entry: the same way from a systemd timer, from cron and by hand.

usage: run_schedule.py ENTRY.json

Never asks anything, never runs twice at once, and keeps how the last run went in STATE/last.json:

    {"schema": "backstay.schedule/1", "name": ..., "started_at": ..., "ended_at": ... or null, "exit": ... or null, "pid": ...}

``ended_at`` is null while it runs; and for ever when the machine died meanwhile. The exit status is that of ansible-playbook,
128 + n when signal n ended it, 75 when the run before is still at work, 78 when ENTRY.json or a credential cannot be read.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

STILL_RUNNING = 75  # EX_TEMPFAIL
NOT_CONFIGURED = 78  # EX_CONFIG


def credential(name: str, path: str) -> str:
    """Return where to read the credential ``name``: where systemd has loaded it, else (cron) the file itself."""
    loaded = os.environ.get("CREDENTIALS_DIRECTORY")
    return str(Path(loaded) / name) if loaded else path


def command(entry: dict[str, Any]) -> list[str]:
    """Return the command line of ``entry``. Secrets are in it by the names of their files only."""
    argv = list(entry["argv"])
    for name, option in (("vault-password", "--vault-password-file"), ("ssh-key", "--private-key")):
        path = entry["credentials"].get(name)
        if path:
            argv += [option, credential(name, path)]
    return argv


def delay(entry: dict[str, Any]) -> int:
    """Return the seconds to wait before the run, always the same for a machine and entry (0 for systemd, whose timers wait)."""
    return zlib.crc32(f"{os.uname().nodename}/{entry['name']}".encode()) % (entry["jitter"] + 1)


def moment() -> str:
    """Return now, in UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def keep(path: Path, record: dict[str, Any]) -> None:
    """Replace the record of the last run, whole or not at all."""
    temporary = path.with_name(path.name + ".new")
    with temporary.open("w", encoding="ascii") as file:
        json.dump(record, file)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def run(entry: dict[str, Any]) -> int:
    """Run the playbook of ``entry`` and return the exit status; a request to end goes on to it."""
    asked: list[int] = []
    children: list[Any] = []

    def pass_on(number: int, _frame: object) -> None:
        asked.append(number)
        for child in children:
            child.terminate()

    # Before the playbook begins: a request that came in between would end this program and leave the playbook to nobody.
    signal.signal(signal.SIGTERM, pass_on)
    children.append(
        subprocess.Popen(
            command(entry), stdin=subprocess.DEVNULL, cwd=entry["directory"], env={**os.environ, **entry["environment"]}
        )
    )
    if asked:
        children[0].terminate()
    status = children[0].wait()
    return 128 - status if status < 0 else status


def run_alone(entry: dict[str, Any]) -> int:
    """Run ``entry`` unless it is running, and keep how it went."""
    state = Path(entry["state"])
    with (state / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"The run of {entry['name']} before this one is still at work, so this one was left out.", file=sys.stderr)
            return STILL_RUNNING
        time.sleep(delay(entry))
        record = {"schema": "backstay.schedule/1", "name": entry["name"], "pid": os.getpid()}
        record.update(started_at=moment(), ended_at=None, exit=None)
        keep(state / "last.json", record)
        with contextlib.suppress(FileNotFoundError):  # a run that does not even begin must not leave those of the one before
            (state / "results.json").unlink()
        record["exit"] = run(entry)
        record["ended_at"] = moment()
        keep(state / "last.json", record)
    return int(record["exit"])


def main(arguments: list[str]) -> int:
    """Run the entry that the only argument describes; exit status 64 for wrong use."""
    if len(arguments) != 1:
        print("usage: run_schedule.py ENTRY.json", file=sys.stderr)
        return 64
    os.umask(0o077)
    try:
        entry = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
        for name, path in entry["credentials"].items():
            Path(credential(name, path)).open("rb").close()
    except (OSError, ValueError, KeyError) as error:
        print(f"{arguments[0]} cannot be run: {error}", file=sys.stderr)
        return NOT_CONFIGURED
    return run_alone(entry)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
