# SPDX-License-Identifier: GPL-3.0-or-later
"""Physical full backups of MySQL by CLONE: the server copies its InnoDB files into a folder, from which they are taken.

Measured on 9.7: the folder must not exist; tables of other engines come back empty or are missing, without a word; the exact
position can be read only from a server that was started on the clone (``replay``). A clone needs no preparation.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List

from ...errors import BackstayError, CaptureFailed, CommandFailed, Refused
from ...files import tree_bytes
from ...moment import format_moment, now
from ...process import Tail, last_line, spawn, spell_status
from ...yard import open_yard, yard
from .client import Options, client_program, connection_argv, object_counts, options_of, query, value
from .logs import next_stream, warn_of_history
from .products import SYSTEM_SCHEMAS, product_named

if TYPE_CHECKING:
    from ...worker.job import Job


PLACE_HINT = "set app_mysql_clone_directory to a directory of root's, or to one that does not exist yet"
_FOREIGN_TABLES = """
SELECT CONCAT(table_schema, '.', table_name, ' (', engine, ')') FROM information_schema.tables
WHERE table_type = 'BASE TABLE' AND engine <> 'InnoDB' AND table_schema NOT IN {system} ORDER BY 1
""".replace("{system}", str(SYSTEM_SCHEMAS))
_AT_WORK = "SELECT pid FROM performance_schema.clone_status WHERE state = 'In Progress' AND destination LIKE {target}"
_END_SECONDS = 60
_SERVER_DOWN = "ERROR 2002 "  # nobody listens at the socket


def foreign_tables(options: Options) -> List[str]:
    """Return the tables that CLONE would not take: those of other engines than InnoDB; the server's own do not count."""
    return [row[0] for row in query(options, _FOREIGN_TABLES)]


def quoted(text: str) -> str:
    """Return ``text`` as a literal of SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def place_now(options: Options, facts: Dict[str, Any]) -> Dict[str, Any]:
    """Return where the binary log ends at this moment; only the server's id when it is off."""
    product, place = product_named(facts["product"]), {"server_id": facts["server_id"]}
    rows = query(options, product.status) if facts["binary_log"] else []
    if rows:
        # Read after the position, so it may hold more; ``next_stream`` replaces it by what the log itself says there.
        place.update(file=rows[0][0], position=int(rows[0][1]), gtid=value(options, product.logged_gtids))
    return place


def clone(job: Job, arguments: Dict[str, Any]) -> None:
    """Have the server clone itself; ``arguments``: account of the server. The clone goes with the job."""
    from ...worker.land import give

    options, facts = options_of(job), job.specification["facts"]
    directory = Path(facts["clone_directory"]) / f"clone-{job.specification['run']}"
    job.folder.note_made("directory", str(directory))
    open_place(directory.parent, Path(facts["datadir"]))
    directory.mkdir(mode=0o700)  # the server may make the clone in here, and nobody else may look into it
    give(directory, arguments["account"])
    job.cleanups.append(lambda: shutil.rmtree(str(directory), ignore_errors=True))
    target = directory / "data"
    # The server goes on when its client dies. It can do one clone at a time.
    end = {"command": [sys.executable, sys.argv[0], "tool", "mysql", "end-clone", json.dumps(options), str(target)]}
    job.folder.push_undo(end)
    job.begin_step("clone", int(facts.get("data_bytes", 0)))
    before = place_now(options, facts)
    _run_clone(job, options, target)
    after, ended = place_now(options, facts), format_moment(now())
    take_back(directory)
    job.seen["clone"] = {"before": before, "after": after, "consistent_at": ended, "data": str(target)}
    job.folder.drop_undo(end)


def place_problem(place: Path, datadir: Path) -> str:
    """Return why nothing is cloned into the folder ``place``; empty when it may be, or when there is no such folder yet.

    What is cloned there is root's to archive and remove: nobody else may exchange it. The yard of ``datadir`` is Backstay's.
    """
    if place.is_symlink():
        return "is a link"
    if not place.exists():
        return ""
    status = place.stat()
    if not stat.S_ISDIR(status.st_mode):
        return "is no directory"
    if status.st_uid != os.geteuid():
        return "does not belong to root"
    if status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX:
        return "may be written by others than root"
    return "" if status.st_mode & 0o011 or place == yard(datadir) else "cannot be passed through by the server (chmod 0711)"


def open_place(place: Path, datadir: Path) -> None:
    """Make the folder in which the server makes its clone; one that is there stays as it is. Raise Refused for a wrong one."""
    problem = place_problem(place, datadir)
    if problem:
        raise Refused(f"{place} {problem}; nothing is cloned there", PLACE_HINT)
    if place == yard(datadir):
        open_yard(datadir)
    elif not place.exists():
        place.mkdir()
        place.chmod(0o711)  # the server passes through, and nobody lists it


def take_back(directory: Path) -> None:
    """Shut the server out of the folder of its clone, which root archives. Raise CaptureFailed for a link in its place."""
    from ...worker.land import give

    give(directory, pwd.getpwuid(os.geteuid()).pw_name)
    if (directory / "data").is_symlink():
        raise CaptureFailed(f"{directory}/data is a link instead of the clone", "find out who made it")


def clone_argv(job: Job, _arguments: Dict[str, Any]) -> List[str]:
    """Return the command line that takes the clone as one archive, in an order that never changes."""
    return ["tar", "--create", "--file=-", "--sort=name", "--numeric-owner", f"--directory={job.seen['clone']['data']}", "."]


def end_clone(options: Options, target: Path) -> None:
    """Return when the server makes no clone into ``target`` any more; end the one that it makes.

    It removes itself what it wrote, and nobody may do so before. Raise CommandFailed when it goes on, or nobody can tell.
    """
    deadline, at_work = time.monotonic() + _END_SECONDS, _AT_WORK.replace("{target}", quoted(str(target) + "%"))
    try:
        while True:
            found = query(options, at_work)
            if not found:
                return
            if time.monotonic() > deadline:
                raise CommandFailed(f"the server still clones into {target}", f"KILL {found[0][0]}, then remove that folder")
            with contextlib.suppress(CommandFailed):  # it ended meanwhile
                query(options, f"KILL {int(found[0][0])}")
            time.sleep(0.1)
    except CommandFailed as error:
        if not error.message.startswith(_SERVER_DOWN):
            raise


def end_clone_main(arguments: List[str]) -> int:
    """Run as a tool that undoes the begin of a clone: ``OPTIONS TARGET``, the former as JSON."""
    try:
        end_clone(json.loads(arguments[0]), Path(arguments[1]))
    except CommandFailed as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


def _run_clone(job: Job, options: Options, target: Path) -> None:
    argv = [client_program(), *connection_argv(options), "--batch", "-e"]
    statement = f"CLONE LOCAL DATA DIRECTORY = {quoted(str(target))}"
    process = spawn([*argv, statement], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    errors = Tail(process.stderr)
    try:
        job.watch([process], lambda: tree_bytes(target) if target.exists() else 0)
        if process.returncode != 0:
            raise CaptureFailed(f"CLONE {spell_status(process.returncode)}: {last_line(errors.text())}")
    except BackstayError:
        with contextlib.suppress(CommandFailed):  # the undo tries again, and tells
            end_clone(options, target)
        raise


def seal(job: Job) -> Dict[str, Any]:
    """Return what the receipt says of the clone. Raise CaptureFailed when tables of other engines came meanwhile."""
    options, facts, seen = options_of(job), job.specification["facts"], job.seen["clone"]
    foreign = foreign_tables(options)
    if foreign:
        raise CaptureFailed(f"the clone lacks {', '.join(foreign[:5])}", "set app_mysql_method: logical, or use InnoDB")
    sealed: Dict[str, Any] = {
        "position": {"not_before": seen["before"], "not_after": seen["after"], "exact": False},
        "consistent_at": seen["consistent_at"],
        "checks": [{"name": "clone", "status": "ok", "detail": "completed, all tables are of InnoDB"}],
        "tools": {"server": facts["version"]},
        "facts": {"counts_before": facts["counts"], "counts_after": object_counts(options)},
    }
    if facts["continuable"]:
        first, _reason = next_stream(job, seen["before"])
        stream, reason = next_stream(job, seen["after"])
        if first and stream:
            sealed["stream"] = dict(stream, first=first["first"])
        warn_of_history(facts, sealed, reason)
    return sealed
