# SPDX-License-Identifier: GPL-3.0-or-later
"""RESTORE ARCHIVELOG."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from oraclelab import archiver, pieces, redo
from oraclelab.control import Control
from oraclelab.errors import OracleError, cannot_create
from oraclelab.rman import repository
from oraclelab.rman.proving import NOT_FOUND, list_set, validate_sets
from oraclelab.rman.session import Session
from oraclelab.rman.writing import Options


def restore_logs(session: Session, options: Options) -> None:
    """RESTORE ARCHIVELOG. Prints what it does; brings one log back."""
    session.db.require("MOUNT", "OPEN")
    content = session.db.control()
    wanted = _recorded_logs(content, options["range"], session)
    if not wanted:
        raise OracleError("RMAN-20242: specification does not match any archived log in the repository")
    sources, missing = [], []
    for log in wanted:
        one = _set_of(content, log)
        if one is None:
            missing.append(log)
        elif one not in sources:
            sources.append(one)
    if missing:
        lines = [
            f"RMAN-06025: no backup of archived log for thread 1 with sequence {log['sequence']}"
            f" and starting SCN of {log['first_scn']} found to restore"
            for log in missing
        ]
        raise OracleError(NOT_FOUND, *lines)
    if "validate" in options:
        validate_sets(session, content, sources, full=options["validate"] == "full")
    elif options.get("preview"):
        for one in sources:
            list_set(session, one)
    else:
        for log in wanted:
            restore_log(session, log, _set_of(content, log) or {})


def _recorded_logs(content: Control, wish: dict[str, Any], session: Session) -> list[dict[str, Any]]:
    """Logs of a range from records of files and of sets, also those deleted on disk, when any backup or file is recorded."""
    logs = [log for log in content["archived"] if log["status"] in "AX"]
    logs += [{**log, "status": "A"} for one in content["sets"] for log in one["logs"]]
    shadow = {**content, "archived": [{**log, "status": "A"} for log in logs]}
    return repository.in_range(shadow, wish, session)


def _set_of(content: Control, log: dict[str, Any]) -> dict[str, Any] | None:
    """The newest available set with a log."""
    wanted = (log["resetlogs_scn"], log["sequence"])
    for one in reversed(content["sets"]):
        if repository.available(one) and any((entry["resetlogs_scn"], entry["sequence"]) == wanted for entry in one["logs"]):
            return dict(one)
    return None


def restore_log(session: Session, log: dict[str, Any], one: dict[str, Any]) -> str:
    """Bring one log back from a set to where archived logs are; returns its path."""
    name = session.channel()[0]
    content = session.db.control()
    session.say(f"channel {name}: starting archived log restore to default destination")
    session.say(f"channel {name}: restoring archived log")
    session.say(f"archived log thread={log['thread']} sequence={log['sequence']}")
    for path, header in repository.verified(one, content):
        session.say(f"channel {name}: reading from backup piece {path}")
        data = _log_bytes(pieces.frames(path, header, session.key), log)
        session.say(f"channel {name}: piece handle={path} tag={header['tag']}")
        session.say(f"channel {name}: restored backup piece {header['piece']}")
    target = archiver.archive_name(session.db, log)
    with session.repository() as now:
        archiver.reserve(session.db, now, target, len(data))
        try:
            archiver.make_directory(session.db, target)
            Path(target).write_bytes(data)
        except OSError as error:
            raise cannot_create(target, error) from error
        now["archived"] = [known for known in now["archived"] if known["name"] != target]
        now["archived"].append(archiver.log_record(now, target, data))
    session.say(f"channel {name}: restore complete, elapsed time: {session.elapsed()}")
    return target


def _log_bytes(frames: Any, log: dict[str, Any]) -> bytes:
    """The bytes of one log among the frames of a piece."""
    found, taking = b"", False
    for kind, data in frames:
        if kind == b"L":
            if taking:
                break
            taking, found = True, b""
        elif kind == b"D" and taking:
            if not found and not _is_header_of(data, log):
                taking = False
                continue
            found += data
    return found


def _is_header_of(data: bytes, log: dict[str, Any]) -> bool:
    length = struct.unpack_from("<I", data, len(redo.MAGIC))[0]
    header = json.loads(data[len(redo.MAGIC) + 8 : len(redo.MAGIC) + 8 + length])
    return (header["resetlogs_scn"], header["sequence"]) == (log["resetlogs_scn"], log["sequence"])
