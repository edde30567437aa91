# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of the stopped server: proofs that it ended by itself and stayed down while its picture was taken.

The start script's stop kills what does not end in time and then returns 1; a server that was killed is not a clean source. Its
``pid.nbf`` stays behind then.
"""

from __future__ import annotations

import os
import pwd
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List

from ...errors import CaptureFailed
from ...moment import format_moment, now

if TYPE_CHECKING:
    from ...worker.job import Job

PID_FILE = "pid.nbf"
# The server and the tasks that it starts (ServerTasks of NOTES.INI), by the names of their programs.
PROCESSES = (
    *("server", "logasio", "adminp", "amgr", "calconn", "collect", "event", "http", "imap", "ldap", "pop3", "replica"),
    *("router", "sched", "smtp", "update", "updall", "fixup", "compact", "backup", "restore"),
)
_GONE_SECONDS = 30


def processes(account: str, names: Any = PROCESSES) -> List[str]:
    """Return the processes of a server that run as ``account``, as ``name (pid)``."""
    owner, found = pwd.getpwnam(account).pw_uid, []
    for place in Path("/proc").iterdir():
        if not place.name.isdigit():
            continue
        try:
            name = (place / "comm").read_text(encoding="utf-8", errors="replace").strip()
            zombie = (place / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0] in "ZX"
            mine = place.stat().st_uid == owner
        except (OSError, IndexError):
            continue
        if mine and name in names and not zombie:
            found.append(f"{name} ({place.name})")
    return found


def _await_end(account: str) -> List[str]:
    deadline = time.monotonic() + _GONE_SECONDS
    while True:
        left = processes(account)
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.2)


def confirm_down(job: Job, arguments: Dict[str, Any]) -> None:
    """Demand that the server ended, all of it, and by itself; ``arguments``: account, data, clean (false: its end may have been
    a crash, for a restore that replaces its data). Raise CaptureFailed."""
    left = _await_end(arguments["account"])
    if left:
        raise CaptureFailed(
            f"the server was stopped, and {', '.join(left[:3])} still run as {arguments['account']}",
            "end them with the server's own means (nsd), start the server once, and run again",
        )
    if arguments.get("clean", True) and os.path.lexists(os.path.join(arguments["data"], PID_FILE)):
        raise CaptureFailed(
            f"the server left {PID_FILE} behind: it was killed or crashed, and its data is no clean source",
            "start it, let it recover, and run again",
        )


def confirm_quit(job: Job, arguments: Dict[str, Any]) -> None:
    """Demand that the server still is down now that its picture was taken; ``arguments``: account, data."""
    if processes(arguments["account"]) or os.path.lexists(os.path.join(arguments["data"], PID_FILE)):
        raise CaptureFailed(
            "the server was started while its picture was taken: it is not of one moment",
            "nothing was stored; keep it from being started by others and run again",
        )
    job.seen["quit"] = format_moment(now())
