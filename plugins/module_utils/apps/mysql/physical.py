# SPDX-License-Identifier: GPL-3.0-or-later
"""Physical backups by mariadb-backup: what its own notes say, and the preparation of a restored copy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List

from ...errors import CaptureFailed, CommandFailed
from ...files import read_plain, write_atomic
from ...process import acting_as, last_line, run, spell_status
from ...receipt import carried_chain
from ...worker.newest import newest_of
from .client import object_counts, options_of
from .logs import next_stream, warn_of_history

if TYPE_CHECKING:
    from ...worker.job import Job

# Since 11.1 the notes are called mariadb_backup_*, before xtrabackup_*.
FAMILIES = ("mariadb_backup_", "xtrabackup_")
# What mariadb-upgrade notes in the data directory; the second name is that of older releases.
_UPGRADE_NOTES = ("mariadb_upgrade_info", "mysql_upgrade_info")
_VERSION = re.compile(r"^[0-9]+\.[0-9]+[A-Za-z0-9.+:~-]{0,80}\Z")
_POSITION = re.compile(
    r"filename '(?P<file>[^']*)', position '(?P<position>\d+)'(?:, GTID of the last change '(?P<gtid>[^']*)')?"
)


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


def upgrade_notes(datadir: Path) -> Dict[str, str]:
    """Return by file name for which version the system tables in ``datadir`` were upgraded last, where it was noted.

    The server's account may put anything there, and what is returned is kept in the receipt: only a version is taken.
    """
    found = {name: read_plain(datadir / name).strip() for name in _UPGRADE_NOTES}
    return {name: text for name, text in found.items() if _VERSION.match(text)}


def keep_upgrade_notes(directory: Path, notes: Dict[str, str], account: str) -> None:
    """Write the notes of the source into a copy, by the rights of ``account``: mariadb-backup leaves them out.

    Without them Debian upgrades the system tables behind the back of every restored server, and its ALTER TABLE of mysql.event
    and a running event scheduler were seen to block each other for good (11.8). Another version is upgraded all the same.
    """
    with acting_as(account):
        for name in _UPGRADE_NOTES:
            if notes.get(name):
                write_atomic(directory / name, notes[name].encode())


_TYPES = {"full": "full-backuped", "incremental": "incremental"}


def seal(job: Job) -> Dict[str, Any]:
    """Return what the receipt says of the full or incremental set that was just captured."""
    facts, kind = job.specification["facts"], job.specification["kind"]
    notes = job.work / "notes"
    checkpoints, info = read_note(notes, "checkpoints"), read_note(notes, "info")
    if checkpoints.get("backup_type") != _TYPES[kind]:
        raise CaptureFailed(f"mariadb-backup says the backup is '{checkpoints.get('backup_type')}', not {_TYPES[kind]}")
    after = object_counts(options_of(job))
    place = position(checkpoints, info, facts["server_id"])
    sealed: Dict[str, Any] = {
        "position": place,
        "checks": [{"name": "completed OK!", "status": "ok", "detail": f"uuid {info.get('uuid', '?')}"}],
        "tools": {"mariadb-backup": info.get("tool_version", facts["tool_version"]), "server": facts["version"]},
        "facts": {
            "counts_before": facts["counts"],
            "counts_after": after,
            "uuid": info.get("uuid", ""),
            "upgrade_notes": upgrade_notes(Path(facts["datadir"])),
        },
    }
    reason = ""
    if place["exact"]:
        stream, reason = next_stream(job, place["not_after"])
        if stream:
            sealed["stream"] = stream
    warn_of_history(facts, sealed, reason)
    return dict(sealed, **_after_parent(job, sealed, checkpoints)) if kind == "incremental" else sealed


def _after_parent(job: Job, sealed: Dict[str, Any], checkpoints: Dict[str, str]) -> Dict[str, Any]:
    """Return parent, chain and position of an incremental set. Raise CaptureFailed unless it builds on the newest data set.

    With no checkpoint in between several sets share their LSN, so the parent is told by its id, and its history by the
    binary log: the LSN alone would also fit a server that was restored meanwhile.
    """
    parent = (newest_of(job) or {}).get("data")
    if parent is None or parent["set"] != job.specification["facts"]["parent"]:
        raise CaptureFailed("another data set was made since this incremental backup was planned", "run it again")
    before = parent["position"]["not_after"]
    if checkpoints["from_lsn"] != before["lsn"] or sealed.get("stream", {}).get("id") != parent["stream"]["id"]:
        raise CaptureFailed(
            f"the incremental backup begins at LSN {checkpoints['from_lsn']} of stream"
            f" {sealed.get('stream', {}).get('id')}, its parent {parent['set']} ended at {before['lsn']} of"
            f" {parent['stream']['id']}",
            "the server was changed meanwhile; make a full backup",
        )
    place = dict(sealed["position"], not_before=before)
    return {"parent": parent["set"], "chain": carried_chain(parent), "position": place}


def prepare(job: Job, arguments: Dict[str, Any]) -> None:
    """Make a landed copy consistent: apply every incremental set to it in order, roll its redo forward and back.

    ``arguments``: directory, account (the tool obeys files in the copy, so it never runs as root), memory (bytes, optional),
    incrementals (folder that holds each landed incremental set by its id, optional), timeout (s, default twelve hours).
    """
    from ...worker.land import planned

    directory = Path(arguments["directory"])
    full, *others = planned(job.specification)["receipts"]
    _prepare(directory, arguments, [])
    for receipt in [item for item in others if item["kind"] == "incremental"]:
        # Told by the id of the set, never by its LSN: the tool accepts another one with the same (measured).
        _prepare(directory, arguments, [f"--incremental-dir={arguments['incrementals']}/{receipt['set']}"])
        with acting_as(arguments["account"]):
            reached = read_note(directory, "checkpoints").get("to_lsn")
        promised = receipt["position"]["not_after"]["lsn"]
        if reached != promised:
            raise CommandFailed(f"after set {receipt['set']} the copy is at LSN {reached} instead of {promised}")
    keep_upgrade_notes(directory, full["facts"].get("upgrade_notes", {}), arguments["account"])


def _prepare(directory: Path, arguments: Dict[str, Any], more: List[str]) -> None:
    argv = ["mariadb-backup", "--prepare", f"--target-dir={directory}", *more]
    if arguments.get("memory"):
        argv.append(f"--use-memory={int(arguments['memory'])}")
    done = run(argv, float(arguments.get("timeout", 43200)), account=arguments["account"])
    if done.status != 0 or "completed OK!" not in last_line(done.stderr):
        raise CommandFailed(f"mariadb-backup --prepare {spell_status(done.status)}: {last_line(done.stderr)}")
    with acting_as(arguments["account"]):  # it owns the copy, and could lead root elsewhere
        kind = read_note(directory, "checkpoints").get("backup_type")
    if kind != "log-applied":
        # --copy-back would accept an unprepared copy, and the server would start on it.
        raise CommandFailed(f"mariadb-backup left {directory} as '{kind}' instead of 'log-applied'")
