# SPDX-License-Identifier: GPL-3.0-or-later
"""Log switches, archiving and the space of the recovery area."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from oraclelab import clock, parameters, redo
from oraclelab.control import Control, next_recid
from oraclelab.errors import OracleError, cannot_create
from oraclelab.instance import Instance


def destination(db: Instance) -> str:
    """Directory of archived logs, empty for the recovery area."""
    value = db.parameter("log_archive_dest_1")
    location = value.partition("=")[2] if value.upper().startswith("LOCATION=") else value
    return "" if location.upper() in ("", "USE_DB_RECOVERY_FILE_DEST") else location.split()[0]


def standby(db: Instance) -> str:
    """Service name of a standby database that gets every log as well, empty when there is none; nothing is sent there."""
    value = db.parameter("log_archive_dest_2")
    return value.partition("=")[2].split()[0] if value.upper().startswith("SERVICE=") else ""


def archive_name(db: Instance, header: dict[str, Any]) -> str:
    """Path of the archived copy of a log."""
    directory = destination(db)
    if directory:
        name = db.parameter("log_archive_format").replace("%t", "1").replace("%s", str(header["sequence"]))
        return f"{directory}/{name.replace('%r', str(header['resetlogs_time']))}"
    day = time.strftime("%Y_%m_%d")
    name = f"o1_mf_1_{header['sequence']}_{header['resetlogs_time']:x}_.arc"
    return f"{recovery_area(db)}/archivelog/{day}/{name}"


def recovery_area(db: Instance) -> str:
    """The database's own directory in the recovery area; ORA-19801 when none is set."""
    root = db.parameter("db_recovery_file_dest")
    if not root:
        raise OracleError("ORA-19801: initialization parameter DB_RECOVERY_FILE_DEST is not set")
    return f"{root}/{db.parameter('db_unique_name')}"


def area_files(db: Instance, content: Control) -> list[tuple[str, int, bool]]:
    """(path, bytes, reclaimable) of what the repository knows in the recovery area."""
    root = db.parameter("db_recovery_file_dest")
    found = []
    for log in content["archived"]:
        if root and log["status"] == "A" and log["name"].startswith(root + "/"):
            found.append((log["name"], log["bytes"], backup_count(content, log) > 0))
    for one in content["sets"]:
        for piece in one["pieces"]:
            if root and piece["status"] == "A" and piece["handle"].startswith(root + "/"):
                found.append((piece["handle"], piece["bytes"], False))
    return found


def make_directory(db: Instance, path: str) -> None:
    """Make the directory of a file in the recovery area, as Oracle does there and nowhere else; OSError without an area."""
    root = db.parameter("db_recovery_file_dest")
    if root and path.startswith(root + "/"):
        Path(root).stat()
        Path(path).parent.mkdir(parents=True, exist_ok=True)


def backup_count(content: Control, log: dict[str, Any]) -> int:
    """In how many backup sets a log is, by the repository's records."""
    wanted = (log["resetlogs_scn"], log["thread"], log["sequence"])
    return sum(
        1
        for one in content["sets"]
        if all(piece["status"] in "AX" for piece in one["pieces"])
        and any((entry["resetlogs_scn"], entry["thread"], entry["sequence"]) == wanted for entry in one["logs"])
    )


def reserve(db: Instance, content: Control, path: str, size: int) -> None:
    """Refuse a file that does not fit into the recovery area: ORA-19809 and ORA-19804."""
    root = db.parameter("db_recovery_file_dest")
    if not root or not path.startswith(root + "/"):
        return
    limit = parameters.size(db.parameter("db_recovery_file_dest_size"))
    used = sum(bytes_ for _, bytes_, _ in area_files(db, content))
    if used + size > limit:
        raise OracleError(
            "ORA-19809: limit exceeded for recovery files",
            f"ORA-19804: cannot reclaim {size} bytes disk space from {limit} bytes limit",
        )


def archive_group(db: Instance, content: Control, group: dict[str, Any]) -> None:
    """Write the archived log of a filled group and record it."""
    online = next(path for path in group["members"] if Path(path).exists())
    data = redo.archived_bytes(online, group["next_scn"], group["next_time"])
    path = archive_name(db, redo.read_header(online))
    reserve(db, content, path, len(data))
    try:
        make_directory(db, path)
        fresh = Path(path + ".tmp")
        with fresh.open("wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        fresh.rename(path)
    except OSError as error:
        raise cannot_create(path, error) from error
    content["archived"].append(log_record(content, path, data))
    group["archived"] = True


def log_record(content: Control, path: str, data: bytes) -> dict[str, Any]:
    """The repository's record of an archived log."""
    header = redo.read_header(path)
    keys = ("thread", "sequence", "resetlogs_scn", "resetlogs_time", "first_scn", "first_time", "next_scn", "next_time")
    record: dict[str, Any] = {key: header[key] for key in keys}
    return {**record, "recid": next_recid(content), "name": path, "bytes": len(data), "status": "A", "completed": clock.now()}


def archive_what_waits(db: Instance, content: Control) -> None:
    """Archive filled groups, oldest first; the first refusal is remembered and raised as ORA-16038."""
    if content["log_mode"] != "ARCHIVELOG":
        return
    waiting = [
        group for group in content["groups"] if group["sequence"] and group["status"] != "CURRENT" and not group["archived"]
    ]
    for group in sorted(waiting, key=lambda one: one["sequence"]):
        try:
            archive_group(db, content, group)
        except OracleError as error:
            db.update_sga(archiver_error=error.lines[0])
            refusal = f"ORA-16038: log {group['group']} sequence# {group['sequence']} cannot be archived"
            raise OracleError(
                refusal, *error.lines, f"ORA-00312: online log {group['group']} thread 1: '{group['members'][0]}'"
            ) from error
    db.update_sga(archiver_error="")


def current_group(content: Control) -> dict[str, Any]:
    """The group that is being written."""
    return next(group for group in content["groups"] if group["status"] == "CURRENT")


def next_group(db: Instance, content: Control) -> dict[str, Any]:
    """The group to write next; ORA-00257 when it still waits for the archiver."""
    now = current_group(content)
    ring = sorted(content["groups"], key=lambda one: one["group"])
    following = ring[(ring.index(now) + 1) % len(ring)]
    if content["log_mode"] == "ARCHIVELOG" and following["sequence"] and not following["archived"]:
        reason = db.sga().get("archiver_error") or "archiver is stuck"
        raise OracleError("ORA-00257: Archiver error. Connect AS SYSDBA only until resolved.", reason)
    return following


def switch(db: Instance, content: Control) -> None:
    """Finish the current log and begin the next group; the caller archives and saves the control file."""
    now, following = current_group(content), next_group(db, content)
    memory = db.sga()
    boundary, moment = memory["scn"] + 1, clock.now()
    now.update(status="INACTIVE", next_scn=boundary, next_time=moment, archived=content["log_mode"] != "ARCHIVELOG")
    following.update(
        status="CURRENT",
        sequence=now["sequence"] + 1,
        first_scn=boundary,
        first_time=moment,
        next_scn=0,
        next_time=0,
        archived=False,
    )
    for member in now["members"]:
        redo.close_online(member, boundary, moment)
    for member in following["members"]:
        redo.format_online(member, online_header(content, following), following["bytes"])
    # In this order: a process killed in between leaves a control file from which the rest can be found.
    db.save_control(content)
    db.save_sga({**memory, "scn": boundary, "redo_offset": redo.HEADER_SIZE, "redo_sequence": following["sequence"]})


def online_header(content: Control, group: dict[str, Any]) -> dict[str, Any]:
    """The header of an online log."""
    keys = ("dbid", "resetlogs_scn", "resetlogs_time")
    return {
        **{key: content[key] for key in keys},
        "thread": 1,
        **{key: group[key] for key in ("sequence", "first_scn", "first_time", "next_scn", "next_time")},
    }


def switch_and_archive(db: Instance) -> None:
    """ALTER SYSTEM ARCHIVE LOG CURRENT: switch, checkpoint, archive what waits."""
    from oraclelab.database import checkpoint

    with db.locked():
        db.require("OPEN")
        content = db.control()
        try:
            archive_what_waits(db, content)
            switch(db, content)
            checkpoint(db, content)
            archive_what_waits(db, content)
        finally:
            db.save_control(content)
