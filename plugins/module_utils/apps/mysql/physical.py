# SPDX-License-Identifier: GPL-3.0-or-later
"""Physical backups by mariadb-backup: what its own notes say, and the preparation of a restored copy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict

from ...errors import CaptureFailed, CommandFailed
from ...process import last_line, run, spell_status
from .client import object_counts

if TYPE_CHECKING:
    from ...worker.job import Job

# Since 11.1 the notes are called mariadb_backup_*, before xtrabackup_*.
FAMILIES = ("mariadb_backup_", "xtrabackup_")
_POSITION = re.compile(
    r"filename '(?P<file>[^']*)', position '(?P<position>\d+)'(?:, GTID of the last change '(?P<gtid>[^']*)')?"
)


def consumes(kind: str) -> bool:
    """Return whether a capture of ``kind`` takes something from the server: copying never does here."""
    return False


def read_note(directory: Path, name: str) -> Dict[str, str]:
    """Return the ``key = value`` lines of the tool's note ``name`` (``checkpoints``, ``info``) in ``directory``."""
    for family in FAMILIES:
        path = directory / (family + name)
        if path.exists():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            return {
                key.strip(): value.strip() for key, _equals, value in (line.partition("=") for line in lines) if key.strip()
            }
    raise CaptureFailed(f"mariadb-backup left no {name} in {directory}")


def position(checkpoints: Dict[str, str], info: Dict[str, str], server_id: str) -> Dict[str, Any]:
    """Return the position of a full backup in the server's own terms; ``exact`` when the binary log gave one."""
    match = _POSITION.search(info.get("binlog_pos", ""))
    place: Dict[str, Any] = {"server_id": server_id, "lsn": checkpoints["to_lsn"], "last_lsn": checkpoints["last_lsn"]}
    if match:
        place.update(file=match.group("file"), position=int(match.group("position")), gtid=match.group("gtid") or "")
    return {"not_before": place, "not_after": place, "exact": bool(match)}


def seal(job: Job) -> Dict[str, Any]:
    """Return position, checks, tools and facts of the full backup that was just captured."""
    facts = job.specification["facts"]
    notes = job.work / "notes"
    checkpoints, info = read_note(notes, "checkpoints"), read_note(notes, "info")
    if checkpoints.get("backup_type") != "full-backuped":
        raise CaptureFailed(f"mariadb-backup says the backup is '{checkpoints.get('backup_type')}', not full")
    options = {"socket": facts["socket"], "defaults_extra_file": facts.get("defaults_extra_file")}
    after = object_counts(options)
    kept = {name: facts[name] for name in ("product", "version", "datadir", "server_id")}
    return {
        "position": position(checkpoints, info, facts["server_id"]),
        "checks": [{"name": "completed OK!", "status": "ok", "detail": f"uuid {info.get('uuid', '?')}"}],
        "tools": {"mariadb-backup": info.get("tool_version", facts["tool_version"]), "server": facts["version"]},
        "facts": dict(kept, counts_before=facts["counts"], counts_after=after, uuid=info.get("uuid", "")),
    }


def prepare(job: Job, arguments: Dict[str, Any]) -> None:
    """Make a landed copy consistent: roll its redo forward and back.

    ``arguments``: directory, account (the tool obeys files in the copy, so it never runs as root), memory (bytes, optional),
    timeout (s, default twelve hours).
    """
    directory = Path(arguments["directory"])
    argv = ["mariadb-backup", "--prepare", f"--target-dir={directory}"]
    if arguments.get("memory"):
        argv.append(f"--use-memory={int(arguments['memory'])}")
    done = run(argv, float(arguments.get("timeout", 43200)), account=arguments["account"])
    if done.status != 0 or "completed OK!" not in last_line(done.stderr):
        raise CommandFailed(f"mariadb-backup --prepare {spell_status(done.status)}: {last_line(done.stderr)}")
    kind = read_note(directory, "checkpoints").get("backup_type")
    if kind != "log-applied":
        # --copy-back would accept an unprepared copy, and the server would start on it.
        raise CommandFailed(f"mariadb-backup left {directory} as '{kind}' instead of 'log-applied'")
