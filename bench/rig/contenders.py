# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured: each contender backs the same database up once and says how long it took."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from rig import borg
from rig.fleet import DATABASE_HOST, OFFSITE_HOST, Fleet, restic
from rig.lab import PROJECT, inside, timed
from rig.moments import seconds_between

_SCRATCH = "/var/tmp/bench-scratch"
# One copying thread: with more, their blocks come in another order every time, and restic recognises hardly anything.
THREADS = 1
STREAM = f"mariadb-backup --backup --stream=mbstream --parallel={THREADS} --target-dir={_SCRATCH}"
HANDWRITTEN = PROJECT / "bench" / "contenders" / "handwritten.yml"


class Contender(NamedTuple):
    """``run`` takes the round's number and returns at least ``{seconds}``; ``prepare`` is not measured."""

    key: str
    run: Callable[[int], dict[str, Any]]
    prepare: Callable[[int], None]
    repository: Callable[[int], str] | None  # its folder on the offsite server
    slow: bool = False  # runs in fewer rounds, so that the benchmark ends the same day


def aliases(rounds: int) -> dict[str, str]:
    """Return the inventory names the contenders need, one repository a round."""
    numbers = range(1, rounds + 1)
    return {f"bench-{kind}-{number}": DATABASE_HOST for kind in ("backstay", "pipe", "script") for number in numbers}


def stored_bytes(folder: str) -> int:
    """Return what a repository occupies on the offsite server, in bytes."""
    return int(inside(OFFSITE_HOST, f"du -sb {folder}").split()[0])


def _rest_folder(kind: str) -> Callable[[int], str]:
    return lambda number: f"/srv/backstay/repositories/bench-{kind}-{number}"


def _borg_folder(kind: str) -> Callable[[int], str]:
    return lambda number: f"{borg.REPOSITORIES}/{kind}-{number}"


def _nothing(_number: int) -> None:
    """Prepare nothing: playbooks/offsite.yml has made the repositories of all rounds."""


def backstay(fleet: Fleet) -> Contender:
    """(a) The product, as an operator calls it."""

    def run(number: int) -> dict[str, Any]:
        alias = f"bench-backstay-{number}"
        played = fleet.backup(alias, "-e", f"app_mysql_parallel={THREADS}")
        record = fleet.newest_record(alias)
        data = seconds_between(record["events"], "Take the data files", "seal receipt")
        return {
            "seconds": played["seconds"],
            "data_seconds": data,
            "control_cpu_seconds": played["cpu_seconds"],
            "bytes": record["bytes"],
            "restic_data_added": record["data_added"],
        }

    return Contender("backstay", run, _nothing, _rest_folder("backstay"))


def pipe() -> Contender:
    """(b) The bare pipe."""

    def run(number: int) -> dict[str, Any]:
        store = f"{restic(f'bench-pipe-{number}')} --cleanup-cache backup --quiet --host pipe --stdin --stdin-filename data"
        inside(DATABASE_HOST, f"rm -rf {_SCRATCH}; mkdir {_SCRATCH}")
        return timed(DATABASE_HOST, f"{STREAM} 2>/dev/null | {store}")

    return Contender("pipe", run, _nothing, _rest_folder("pipe"))


def borgmatic(kind: str) -> Contender:
    """(c), (d) borgmatic with its own hook or with the physical command."""

    def run(number: int) -> dict[str, Any]:
        return timed(DATABASE_HOST, borg.create_command(kind, number))

    def prepare(number: int) -> None:
        borg.new_repository(kind, number)

    return Contender(f"borgmatic_{kind}", run, prepare, _borg_folder(kind), slow=kind == "hook")


def handwritten(fleet: Fleet) -> Contender:
    """(e) The playbook people write."""

    def run(number: int) -> dict[str, Any]:
        played = fleet.play(HANDWRITTEN, "-e", f"access=/etc/backstay/repositories/bench-script-{number}")
        found = re.search(r"dump_bytes=([0-9]+)", played["output"])
        assert found is not None
        return {"seconds": played["seconds"], "control_cpu_seconds": played["cpu_seconds"], "dump_bytes": int(found[1])}

    return Contender("handwritten", run, _nothing, _rest_folder("script"), slow=True)


def limit() -> Contender:
    """(f) What the machine can do at all: the same stream compressed, encrypted and hashed in one pipe, to nowhere."""

    def run(_number: int) -> dict[str, Any]:
        inside(DATABASE_HOST, f"rm -rf {_SCRATCH}; mkdir {_SCRATCH}")
        # A key of noughts: nothing is kept, only the work counts.
        cipher = f"openssl enc -aes-256-ctr -K {'0' * 64} -iv {'0' * 32}"
        return timed(
            DATABASE_HOST, f"{STREAM} 2>/dev/null | tee >(sha256sum >/dev/null) | zstd -q -1 -T0 -c | {cipher} >/dev/null"
        )

    return Contender("limit", run, _nothing, None)


def all_contenders(fleet: Fleet) -> list[Contender]:
    """Return (a) to (f) in this order."""
    return [
        backstay(fleet),
        pipe(),
        borgmatic("hook"),
        borgmatic("physical"),
        handwritten(fleet),
        limit(),
    ]
