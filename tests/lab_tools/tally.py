# SPDX-License-Identifier: GPL-3.0-or-later
"""The tally: an application whose folders change all the time and can be proved; see lab/standins/tally."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from lab_tools.fleet import Fleet
from lab_tools.waiting import wait_until

HOST = "files1"
SERVICE = "tally.service"
FOLDERS = ("/srv/btrfs/tally", "/srv/xfs/tally", "/srv/ext4")
ARTIFACTS = ("srv-btrfs-tally", "srv-xfs-tally", "srv-ext4")
YARDS = ("/srv/btrfs/.backstay-tally", "/srv/xfs/.backstay-tally", "/srv/ext4/#sql-backstay")
_CHECK = ("python3", "-B", "/opt/tally/tally_check.py")


class Transaction(NamedTuple):
    """A transaction that the application has booked: its number and its hash."""

    number: int
    digest: str


def ask_check(
    fleet: Fleet, host: str = HOST, folders: tuple[str, ...] = FOLDERS, known: Transaction | None = None, stopped: bool = False
) -> dict[str, Any]:
    """Return what the application's own check says of ``folders``, good or bad; ``stopped``: a copy, of nothing that runs."""
    argv = [*_CHECK, *(["--stopped"] if stopped else [])]
    argv += ["--at", f"{known.number}:{known.digest}"] if known else []
    return dict(json.loads(fleet.ask(host, [*argv, *folders]).stdout))


def check(fleet: Fleet, *given: Any, **more: Any) -> dict[str, Any]:
    """Return the facts of ``folders``; see ``ask_check``. Raise AssertionError with what is broken."""
    answer = ask_check(fleet, *given, **more)
    assert answer["ok"], f"the tally is broken: {answer['problem']}"
    return answer


def committed(fleet: Fleet) -> Transaction:
    """Return the last transaction that the application has booked."""
    number, digest = fleet.run(HOST, "cat", "/run/tally/committed").split()
    return Transaction(int(number), digest)


def running(fleet: Fleet) -> bool:
    """Whether the application runs."""
    return fleet.ask(HOST, ["systemctl", "is-active", "--quiet", SERVICE]).status == 0


def start_writing(fleet: Fleet) -> Transaction:
    """Have the application book transactions and return the first one since."""
    fleet.run(HOST, "systemctl", "start", SERVICE)
    before = committed(fleet)
    fleet.run(HOST, "touch", "/run/tally/writing")

    def moved_on() -> Transaction | None:
        now = committed(fleet)
        return now if now != before else None

    return wait_until(moved_on, "the tally books transactions")


def stop_writing(fleet: Fleet) -> dict[str, Any]:
    """Have the application, which goes on running, stand still; return the facts of its folders."""
    fleet.run(HOST, "rm", "-f", "/run/tally/writing")
    return check(fleet)


def seed(fleet: Fleet, mib: int, folders: tuple[str, ...] = FOLDERS) -> None:
    """Add ``mib`` MiB that do not compress, in files of 1 MiB, spread over the folders."""
    program = (
        "import hashlib, os, sys\n"
        "from pathlib import Path\n"
        "for number in range(int(sys.argv[1])):\n"
        "    folder = Path(sys.argv[2 + number % (len(sys.argv) - 2)]) / 'archive'\n"
        "    block = os.urandom(1 << 20)\n"
        "    (folder / hashlib.sha256(block).hexdigest()).write_bytes(block)\n"
    )
    fleet.run(HOST, "python3", "-c", program, str(mib), *folders)


def destroy(fleet: Fleet) -> str:
    """Kill the application, delete what its folders hold (and where that can be, the folders), prove the loss."""
    fleet.shell(
        HOST,
        f"systemctl kill --signal=KILL {SERVICE} || true; systemctl stop {SERVICE}; systemctl reset-failed {SERVICE} || true;"
        " find /srv/ext4 -mindepth 1 -delete; rm -rf /srv/btrfs/tally; find /srv/xfs/tally -mindepth 1 -delete",
    )
    answer = ask_check(fleet)
    assert not answer["ok"], f"the tally survived its destruction: {answer}"
    return str(answer["problem"])


def repair(fleet: Fleet) -> None:
    """Make sure that the application runs on good folders, whatever an earlier test did."""
    if running(fleet) and ask_check(fleet)["ok"]:
        return
    fleet.shell(
        HOST,
        f"systemctl stop {SERVICE}; systemctl reset-failed {SERVICE} || true;"
        " for folder in /srv/btrfs /srv/xfs /srv/ext4; do find $folder -mindepth 1 -delete; done;"
        " install -d -o operator -g operator -m 0750 /srv/btrfs/tally /srv/xfs/tally;"
        f" chown operator:operator /srv/ext4; rm -f /run/tally/*; systemctl start {SERVICE}",
    )
    check(fleet)
