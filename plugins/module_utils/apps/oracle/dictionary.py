# SPDX-License-Identifier: GPL-3.0-or-later
"""What the dictionary views say: the questions, and their answers as plain data. LIST output is never read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from ...errors import CommandFailed
from .client import Instance, Rows, ask
from .text import quoted

DATABASE = """SELECT dbid, name, db_unique_name, cdb, database_role, open_mode, log_mode, force_logging, controlfile_type,
 current_scn, resetlogs_change# FROM v$database"""
_DATABASE_FIELDS = (
    "dbid", "name", "unique_name", "cdb", "role", "open_mode", "log_mode", "force_logging", "control_file", "scn", "resetlogs",
)  # fmt: skip
_NUMBERS = ("dbid", "scn", "resetlogs")
CLOCK = "SELECT TO_CHAR(SYSDATE, 'YYYY-MM-DD HH24:MI:SS') FROM dual"
VERSION = "SELECT version FROM v$instance"
PARAMETERS = "SELECT name, value FROM v$parameter"
ONLINE = "SELECT thread#, sequence#, first_change# FROM v$log WHERE status = 'CURRENT'"
# Rows of a standby have the name of its service in the place of a path: what lies there cannot be backed up here.
ARCHIVED = """SELECT thread#, sequence#, first_change#, next_change#, status, deleted, name, blocks * block_size
 FROM v$archived_log WHERE archived = 'YES' AND standby_dest = 'NO'
 AND resetlogs_change# = (SELECT resetlogs_change# FROM v$database)
 ORDER BY thread#, sequence#"""
DATA_FILES = "SELECT file#, name, bytes FROM v$datafile ORDER BY file#"
TEMP_FILES = "SELECT file#, name FROM v$tempfile ORDER BY file#"
ONLINE_LOGS = "SELECT group#, member FROM v$logfile ORDER BY group#, member"
# Files that are written to; those of a container that is closed or only read (PDB$SEED) need no redo since they were.
WRITABLE = """SELECT d.file# FROM v$datafile d LEFT JOIN v$pdbs p ON p.con_id = d.con_id
 WHERE d.enabled = 'READ WRITE' AND (p.open_mode IS NULL OR p.open_mode NOT IN ('MOUNTED', 'READ ONLY'))"""
PLUGGABLE = "SELECT name, open_mode FROM v$pdbs ORDER BY con_id"
# The newest base of each file on which RMAN would build its next level 1, whoever made it. Level 1 sets count as parents of
# differential ones only.
BASES = """SELECT file#, MAX(checkpoint_change#) FROM v$backup_datafile WHERE file# > 0 AND incremental_level <= {level}
 AND resetlogs_change# = (SELECT resetlogs_change# FROM v$database) GROUP BY file#"""


class Log(NamedTuple):
    """One archived log: redo from ``first`` to ``next`` (not in it). ``available``: its file can be backed up."""

    thread: str
    sequence: int
    first: int
    next: int
    available: bool
    name: str
    bytes: int


class State(NamedTuple):
    """The redo of an open database: identity, archived logs by thread and sequence, the open log of each thread."""

    database: Dict[str, Any]
    archived: Dict[str, Dict[int, Log]]
    current: Dict[str, Dict[str, int]]  # {thread: {sequence, first}}


def database_row(rows: Rows) -> Dict[str, Any]:
    """Return the one row of DATABASE as ``{dbid, name, ...}``. Raise CommandFailed when there is none."""
    if len(rows) != 1 or len(rows[0]) != len(_DATABASE_FIELDS):
        raise CommandFailed("the control file says nothing about the database", "is it mounted?")
    found: Dict[str, Any] = dict(zip(_DATABASE_FIELDS, rows[0]))
    for field in _NUMBERS:
        found[field] = whole(found[field])
    return found


def whole(text: str) -> int:
    """Return a number of the dictionary; empty is 0. Raise CommandFailed for one that is not whole."""
    if text.strip() == "":
        return 0
    try:
        return int(text)
    except ValueError:
        raise CommandFailed(f"the dictionary shows {text!r} where a whole number is expected") from None


def state_of(answers: Dict[str, Rows], exists: Any) -> State:
    """Return the state that the answers to DATABASE, ARCHIVED and ONLINE show; ``exists(path)`` looks at the disk.

    A log has one row for each place that it was archived to; it is available when one of its files is.
    """
    archived: Dict[str, Dict[int, Log]] = {}
    for thread, sequence, first, following, status, deleted, name, size in answers["archived"]:
        kept = archived.setdefault(thread, {})
        usable = status == "A" and deleted == "NO" and bool(name) and exists(name)
        log = Log(thread, whole(sequence), whole(first), whole(following), usable, name, whole(size))
        former = kept.get(log.sequence)
        if former is None or (log.available and not former.available):
            kept[log.sequence] = log
    current = {row[0]: {"sequence": whole(row[1]), "first": whole(row[2])} for row in answers["online"]}
    return State(database_row(answers["database"]), archived, current)


def read_state(server: Instance) -> State:
    """Return the redo state of the open database of ``server``."""
    return state_of(ask(server, {"database": DATABASE, "archived": ARCHIVED, "online": ONLINE}), file_exists(server))


def file_exists(server: Instance) -> Callable[[str], bool]:
    """Return what tells whether a log is on the disk of its host; what a volume manager keeps (+DISKGROUP) is believed.

    Any other name is no place on this host.
    """
    return lambda name: name.startswith("+") or (name.startswith("/") and server.executor.exists(Path(name)))


def bases(server: Instance, level: int) -> Dict[str, int]:
    """Return for each file number the SCN of the newest base that RMAN knows, of at most ``level``."""
    rows = ask(server, {"bases": BASES.format(level=int(level))})["bases"]
    return {row[0]: whole(row[1]) for row in rows}


_WRITTEN = {
    "pieces": "SELECT p.handle, p.bytes FROM v$backup_piece p WHERE {place}",
    "files": """SELECT DISTINCT b.file#, b.incremental_level, b.incremental_change#, b.checkpoint_change#
 FROM v$backup_datafile b JOIN v$backup_piece p ON p.set_stamp = b.set_stamp AND p.set_count = b.set_count
 WHERE b.file# > 0 AND {place}""",
    "logs": """SELECT DISTINCT b.thread#, b.sequence#, b.first_change#, b.next_change#
 FROM v$backup_redolog b JOIN v$backup_piece p ON p.set_stamp = b.set_stamp AND p.set_count = b.set_count
 WHERE {place} ORDER BY b.thread#, b.sequence#""",
    "sets": """SELECT DISTINCT b.recid
 FROM v$backup_set b JOIN v$backup_piece p ON p.set_stamp = b.set_stamp AND p.set_count = b.set_count
 WHERE p.status = 'A' AND {place} ORDER BY b.recid""",
}


def within(folder: str) -> str:
    """Return the condition that a piece lies in ``folder`` or below."""
    prefix = folder.rstrip("/") + "/"
    return f"SUBSTR(p.handle, 1, {len(prefix)}) = {quoted(prefix)}"


def usable_sets(server: Instance, folder: str) -> List[int]:
    """Return the keys of the backup sets that have a usable piece below ``folder``."""
    return [whole(row[0]) for row in ask(server, {"sets": _WRITTEN["sets"].replace("{place}", within(folder))})["sets"]]


def written(server: Instance, folder: str) -> Dict[str, Any]:
    """Return what RMAN's repository says of the pieces in ``folder``: ``{pieces, files, logs}``.

    pieces: ``{path: bytes}``; files: ``{number: {level, from, scn}}`` (from: the SCN since which changes are in it);
    logs: every archived log in them.
    """
    place = within(folder)
    found = ask(server, {name: _WRITTEN[name].replace("{place}", place) for name in ("pieces", "files", "logs")})
    logs = [Log(row[0], whole(row[1]), whole(row[2]), whole(row[3]), True, "", 0) for row in found["logs"]]
    files = {row[0]: {"level": row[1], "from": whole(row[2]), "scn": whole(row[3])} for row in found["files"]}
    return {"pieces": {row[0]: whole(row[1]) for row in found["pieces"]}, "files": files, "logs": logs}


def parameters(rows: Rows) -> Dict[str, str]:
    """Return the parameters of an instance by name; one that is not set is an empty text."""
    return {row[0]: row[1] if len(row) > 1 else "" for row in rows}


def listed(value: Optional[str]) -> List[str]:
    """Return the entries of a parameter that is a list, such as control_files."""
    return [part.strip().strip("'\"") for part in (value or "").split(",") if part.strip()]
