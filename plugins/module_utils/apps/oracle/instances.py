# SPDX-License-Identifier: GPL-3.0-or-later
"""Start and stop instances for the time of a job.

What is started here lives in the unit of the job and ends with it, whatever happens; the instance that stays is started by its
service.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import List, Tuple

from ...errors import BackstayError, CommandFailed, Refused
from ...executors import Command
from ...files import write_atomic
from .client import ORATAB, Instance, ask, sqlplus
from .text import quoted

_START_SECONDS = 1800
_DOWN = ("ORA-01034", "ORA-27101")


def status(server: Instance) -> str:
    """Return the status of the instance (STARTED, MOUNTED, OPEN), empty when it is down."""
    try:
        return ask(server, {"status": "SELECT status FROM v$instance"})["status"][0][0]
    except BackstayError as error:
        if any(code in error.message for code in _DOWN):
            return ""
        raise


def start(server: Instance, parameter_file: str = "") -> None:
    """Start the instance without a database, from ``parameter_file`` or its own."""
    pfile = f" PFILE={quoted(parameter_file)}" if parameter_file else ""
    sqlplus(server, f"STARTUP NOMOUNT{pfile}", _START_SECONDS)
    if status(server) != "STARTED":
        raise CommandFailed(f"the instance {server.sid} did not start")


def stop(server: Instance) -> None:
    """Shut an open database down in order."""
    sqlplus(server, "SHUTDOWN IMMEDIATE", _START_SECONDS)


def abort(server: Instance) -> None:
    """End the instance at once; its files stay as they are. One that is down is left alone."""
    if status(server):
        sqlplus(server, "SHUTDOWN ABORT", _START_SECONDS)


def abort_by_host(server: Instance) -> Command:
    """Return what ends the instance where no worker is left to ask SQL*Plus."""
    return Command(server.sqlplus_argv(), server.environment(), "SHUTDOWN ABORT\nEXIT\n")


def sweep(server: Instance) -> None:
    """Remove what a scratch instance leaves in the home of the software."""
    for name in (f"lk{server.sid.upper()}", f"hc_{server.sid}.dat"):
        server.executor.remove(Path(server.home) / "dbs" / name)


def give_directories(server: Instance, folders: List[str]) -> None:
    """Make every one of ``folders`` that is missing, with what is missing above it, by the rights of the server's account.

    Their names come with a set. Raise Refused where the account may not: then nobody meant them to be its own.
    """
    for folder in dict.fromkeys(name for name in folders if name.startswith("/")):
        try:
            server.executor.give_directory(Path(folder), server.account)
        except OSError as error:
            hint = f"make it for the account {server.account}, or restore to other paths with app_oracle_directory"
            raise Refused(f"{folder} cannot be made by {server.account}: {error.strerror}", hint) from error


def give_directory(server: Instance, folder: Path) -> None:
    """Make ``folder``, which the operator names, for the server's account; as root, if the worker is root there.

    Raise Refused where it cannot be made, or is no longer what was made.
    """
    if server.executor.remote:
        give_directories(server, [str(folder)])
        return
    missing = [path.name for path in [folder, *folder.parents] if not path.exists()]
    if not missing:
        return
    try:
        _make_below(folder.parents[len(missing) - 1], missing[::-1], server.executor.ids(server.account))
    except OSError as error:
        raise Refused(f"{folder} cannot be made: {error.strerror}", f"make it for the account {server.account}") from error


def _make_below(parent: Path, names: List[str], owner: Tuple[int, int]) -> None:
    """Make directories below each other in ``parent``, the last one for ``owner`` (user and group number).

    Whoever owns what is above may put a link in the place of one that was just made: none is followed.
    """
    descriptor = os.open(str(parent), os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name in names:
            os.mkdir(name, 0o755, dir_fd=descriptor)
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        os.fchown(descriptor, *owner)
    finally:
        os.close(descriptor)


def give_file(server: Instance, path: Path, content: bytes) -> None:
    """Write ``path`` by the rights of the server's account, for it only."""
    server.executor.write(path, content, server.account)


def known_home(server: Instance) -> str:
    """Return the home with which the host's start scripts know the instance, empty when they do not know it.

    Raise Refused when it is not the one that is used.
    """
    text = server.executor.read(ORATAB).decode("utf-8", "replace") if server.executor.exists(ORATAB) else ""
    match = re.search(rf"^{re.escape(server.sid)}:([^:\n]*):", text, re.MULTILINE)
    if match and match.group(1).rstrip("/") != server.home:
        raise Refused(f"{ORATAB} has {server.sid} with the home {match.group(1)}, not {server.home}", "set app_oracle_home")
    return server.home if match else ""


def enter_into_oratab(server: Instance) -> str:
    """Make sure that the host's start scripts know the instance; return what somebody else has to do for that, if anything."""
    if known_home(server):
        return ""
    if server.executor.remote:
        return f"{ORATAB} has no line for {server.sid}: add {server.sid}:{server.home}:Y"
    text = ORATAB.read_text(encoding="utf-8", errors="replace") if ORATAB.exists() else ""
    kept = ORATAB.stat() if ORATAB.exists() else None
    separator = "" if not text or text.endswith("\n") else "\n"
    write_atomic(ORATAB, f"{text}{separator}{server.sid}:{server.home}:Y\n".encode())
    ORATAB.chmod(kept.st_mode & 0o777 if kept else 0o664)
    os.chown(str(ORATAB), kept.st_uid if kept else 0, kept.st_gid if kept else 0)
    return ""
