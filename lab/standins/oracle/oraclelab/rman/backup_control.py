# SPDX-License-Identifier: GPL-3.0-or-later
"""BACKUP CURRENT CONTROLFILE, BACKUP SPFILE and the autobackup of both."""

from __future__ import annotations

import time
from pathlib import Path

from oraclelab import archiver, clock, control, parameters, pieces
from oraclelab.control import Control
from oraclelab.database import new_scn
from oraclelab.errors import OracleError
from oraclelab.rman.session import Session
from oraclelab.rman.writing import Options, SetWriter


def control_snapshot(session: Session) -> bytes:
    """The control file of this moment."""
    with session.db.locked():
        content = session.db.control()
        if session.db.sga().get("open_mode") == "READ WRITE":
            content.update(snapshot_scn=new_scn(session.db), snapshot_time=clock.now())
        else:
            content.update(snapshot_scn=content["ckp_scn"], snapshot_time=clock.now())
        return control.packed(content)


def control_file(session: Session, options: Options) -> int:
    """BACKUP CURRENT CONTROLFILE."""
    session.channel()
    with session.section("backup"):
        writer = SetWriter(session, options, 0, level=options["level"])
        session.say(f"channel {writer.channel}: starting full datafile backup set")
        session.say(f"channel {writer.channel}: specifying datafile(s) in backup set")
        session.say("including current control file in backup set")
        writer.piece(1, lambda piece: _control_frame(session, writer, piece))
        return writer.finish()


def _control_frame(session: Session, writer: SetWriter, piece: pieces.Writer, *, automatic: bool = False) -> None:
    data = control_snapshot(session)
    content = control.unpacked(data)
    piece.frame(b"C", data)
    session.db.reached("backup_controlfile")
    writer.record["control"] = {
        "ckp_scn": content["snapshot_scn"],
        "ckp_time": content["snapshot_time"],
        "autobackup": automatic,
    }


def spfile(session: Session, options: Options) -> int:
    """BACKUP SPFILE; ORA-19598 when the instance was started with a pfile."""
    session.channel()
    with session.section("backup"):
        if not session.db.sga()["spfile"]:
            raise OracleError(
                "ORA-19598: can not backup SPFILE because the instance was not started with SPFILE",
                channel=session.channel()[0],
            )
        writer = SetWriter(session, options, 0)
        session.say(f"channel {writer.channel}: starting full datafile backup set")
        session.say("including current SPFILE in backup set")
        writer.piece(1, lambda piece: _spfile_frame(session, writer, piece))
        return writer.finish()


def _spfile_frame(session: Session, writer: SetWriter, piece: pieces.Writer) -> None:
    path = session.db.sga()["spfile"]
    piece.frame(b"P", parameters.as_spfile(parameters.read_spfile(path)))
    session.db.reached("backup_spfile")
    writer.record["spfile"] = {
        "time": int(Path(path).stat().st_mtime),
        "db_unique_name": session.db.parameter("db_unique_name"),
    }


def autobackup(session: Session, options: Options) -> int:
    """What follows a BACKUP: with AUTOBACKUP ON a piece of its own; with OFF control file and spfile ride with data file 1."""
    content = session.db.control()
    automatic = content["configure"].get("CONTROLFILE AUTOBACKUP", "ON" if content["cdb"] else "OFF") == "ON"
    if options.get("validate"):
        return 0
    if not automatic:
        return _ride_along(session, options) if options["object"] == "database" else 0
    form = session.run_autobackup_format or session.autobackup_format
    form = form or content["configure"].get("CONTROLFILE AUTOBACKUP FORMAT FOR DEVICE TYPE") or ""
    with session.section("Control File and SPFILE Autobackup"):
        path = _autobackup_path(session, content, form)
        writer = SetWriter(session, {**options, "as": "backupset", "format": ""}, 0)
        quiet, session.say = session.say, lambda line="": None  # type: ignore[method-assign]
        try:
            writer.piece(1, lambda piece: _both_frames(session, writer, piece, automatic=True), path=path, tagged=False)
            size = writer.finish()
        finally:
            session.say = quiet  # type: ignore[method-assign]
        session.say(f"piece handle={path} comment=NONE")
    return size


def _both_frames(session: Session, writer: SetWriter, piece: pieces.Writer, *, automatic: bool) -> None:
    _control_frame(session, writer, piece, automatic=automatic)
    if session.db.sga()["spfile"]:
        _spfile_frame(session, writer, piece)


def _ride_along(session: Session, options: Options) -> int:
    writer = SetWriter(
        session, {**options, "as": "compressed" if options["as"] == "compressed" else "backupset"}, 0, level=options["level"]
    )
    session.say(f"channel {writer.channel}: starting full datafile backup set")
    session.say("including current control file in backup set")
    if session.db.sga()["spfile"]:
        session.say("including current SPFILE in backup set")
    writer.piece(1, lambda piece: _both_frames(session, writer, piece, automatic=False))
    return writer.finish()


def _autobackup_path(session: Session, content: Control, form: str) -> str:
    """The first free name of c-DBID-YYYYMMDD-NN."""
    if not form and session.db.parameter("db_recovery_file_dest"):
        form = f"{archiver.recovery_area(session.db)}/autobackup/{time.strftime('%Y_%m_%d')}/%F"
    form = form or f"{session.db.home}/dbs/%F"
    for number in range(256):
        path = form.replace("%F", f"c-{content['dbid']}-{time.strftime('%Y%m%d')}-{number:02x}")
        known = any(piece["handle"] == path for one in content["sets"] for piece in one["pieces"])
        if not Path(path).exists() and not known:
            return path
    raise OracleError("RMAN-06497: WARNING: control file is not current, control file AUTOBACKUP skipped")
