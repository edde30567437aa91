# SPDX-License-Identifier: GPL-3.0-or-later
"""RESTORE CONTROLFILE and RESTORE SPFILE."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from oraclelab import archiver, clock, control, parameters, pieces
from oraclelab.errors import OracleError, cannot_create
from oraclelab.rman import repository
from oraclelab.rman.proving import NOT_FOUND
from oraclelab.rman.session import Session
from oraclelab.rman.writing import Options

NO_AUTOBACKUP = "RMAN-06172: no AUTOBACKUP found or specified handle is not a valid copy or piece"

AUTOBACKUP_DAYS = 7


def _frame_of(session: Session, path: str, kind: bytes) -> tuple[bytes, dict[str, Any]]:
    """The control file or spfile in a piece, with the piece's header; RMAN-06172 when there is none in it."""
    try:
        header = pieces.read_header(path)
    except (OSError, pieces.NotAPieceError) as error:
        if Path(path).exists() and Path(path).stat().st_size:
            raise OracleError(
                f"ORA-19870: error while restoring backup piece {path}", f"ORA-19608: {path} is not a backup piece"
            ) from error
        raise OracleError(NO_AUTOBACKUP) from error
    header = pieces.verified_header(path)
    for found, data in pieces.frames(path, header, session.key):
        if found == kind:
            return data, header
    raise OracleError(NO_AUTOBACKUP)


def autobackup_path(session: Session, options: Options) -> str:
    """The newest autobackup by its name; RMAN-06495 without a DBID, RMAN-06172 when there is none."""
    dbid = session.dbid
    if session.db.state in ("MOUNT", "OPEN"):
        dbid = session.db.control()["dbid"]
    if dbid is None:
        raise OracleError("RMAN-06495: must explicitly specify DBID with SET DBID command")
    form = session.run_autobackup_format or session.autobackup_format
    days = options.get("maxdays", AUTOBACKUP_DAYS)
    for day in range(days):
        date = time.localtime(clock.now() - day * 86400)
        for number in range(min(options.get("maxseq", 256), 255), -1, -1):
            name = f"c-{dbid}-{time.strftime('%Y%m%d', date)}-{number:02x}"
            default = f"{session.db.home}/dbs/%F"
            if not form and session.db.parameter("db_recovery_file_dest"):
                default = f"{archiver.recovery_area(session.db)}/autobackup/{time.strftime('%Y_%m_%d', date)}/%F"
            path = (form or default).replace("%F", name)
            if Path(path).exists():
                session.say(f"channel {session.channel()[0]}: AUTOBACKUP found: {path}")
                return path
    raise OracleError(NO_AUTOBACKUP)


def _source(session: Session, options: Options, what: str) -> str:
    """Path of the piece to take control file or spfile from."""
    if options.get("autobackup"):
        return autobackup_path(session, options)
    if options.get("piece"):
        return str(options["piece"])
    if session.db.state in ("MOUNT", "OPEN"):
        content = session.db.control()
        tag = options.get("tag", "").upper()
        for one in reversed(content["sets"]):
            if one[what] and repository.available(one) and (not tag or one["tag"] == tag):
                return str(repository.handles(one)[0]["handle"])
        name = "control file" if what == "control" else "SPFILE"
        code = "RMAN-06024" if what == "control" else "RMAN-06729"
        raise OracleError(NOT_FOUND, f"{code}: no backup or copy of the {name} found to restore")
    raise OracleError("RMAN-06563: control file or SPFILE must be restored using FROM AUTOBACKUP")


def restore_control_file(session: Session, options: Options) -> None:
    """RESTORE CONTROLFILE; RMAN-06496 when the database is mounted."""
    if "validate" in options or options.get("preview"):
        _frame_of(session, _source(session, options, "control"), b"C")
        session.say(f"channel {session.channel()[0]}: validation complete, elapsed time: {session.elapsed()}")
        return
    if session.db.state in ("MOUNT", "OPEN") and not options.get("to"):
        raise OracleError("RMAN-06496: must use the TO clause when the database is mounted or open")
    path = _source(session, options, "control")
    session.say(f"channel {session.channel()[0]}: restoring control file")
    data, _ = _frame_of(session, path, b"C")
    content = control.unpacked(data)
    if session.dbid is not None and content["dbid"] != session.dbid:
        raise OracleError(NO_AUTOBACKUP)
    # What the file knew about being open or recovered is history.
    content.update(type="BACKUP", incomplete=False, recovered_scn=0, stop_scn=None, sequence=0)
    targets = [options["to"]] if options.get("to") else session.db.control_paths()
    for target in targets:
        if not os.access(Path(target).parent, os.W_OK):
            error = OSError(2 if not Path(target).parent.is_dir() else 13, "")
            raise cannot_create(target, error)
    control.write(targets, content)
    session.say(f"channel {session.channel()[0]}: restore complete, elapsed time: {session.elapsed()}")
    for target in targets:
        session.say(f"output file name={target}")


def restore_spfile(session: Session, options: Options) -> None:
    """RESTORE SPFILE; RMAN-06564 when the instance was started with one."""
    memory = session.db.require("NOMOUNT", "MOUNT", "OPEN")
    if "validate" in options:
        _frame_of(session, _source(session, options, "spfile"), b"P")
        session.say(f"channel {session.channel()[0]}: validation complete, elapsed time: {session.elapsed()}")
        return
    if memory["spfile"] and not options.get("to"):
        raise OracleError("RMAN-06564: must use the TO clause when the instance is started with SPFILE")
    path = _source(session, options, "spfile")
    session.say(f"channel {session.channel()[0]}: restoring spfile from AUTOBACKUP {path}")
    data, _ = _frame_of(session, path, b"P")
    target = options.get("to") or session.db.spfile
    try:
        Path(target).write_bytes(parameters.as_text(parameters.from_spfile(data)).encode() if options.get("to_pfile") else data)
    except OSError as error:
        raise cannot_create(target, error) from error
    session.say(f"channel {session.channel()[0]}: SPFILE restore from AUTOBACKUP complete")
