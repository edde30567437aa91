# SPDX-License-Identifier: GPL-3.0-or-later
"""DUPLICATE DATABASE TO name BACKUP LOCATION: a new database with a new DBID from pieces alone."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from oraclelab import control, pieces
from oraclelab.blocks import DataFile
from oraclelab.database import open_database
from oraclelab.errors import OracleError
from oraclelab.rman import maintenance, recover, restore
from oraclelab.rman.session import Session, Until


def newest_control_piece(location: str, session: Session, wish: dict[str, Any] | None) -> str:
    """The newest piece below a directory with a control file of before the stop; RMAN-06136 without one."""
    best = (-1, "")
    for path in Path(location).rglob("*"):
        try:
            header = pieces.read_header(str(path))
        except (OSError, pieces.NotAPieceError):
            continue
        record = header["record"]["control"]
        limit = session.moment(wish["time"]) if wish and "time" in wish else None
        until = Until(scn=wish.get("scn") if wish else None, time=limit)
        if record and until.covers(record["ckp_scn"], record["ckp_time"]):
            best = max(best, (record["ckp_scn"], str(path)))
    if not best[1]:
        raise OracleError(
            "RMAN-05501: aborting duplication of target database", "RMAN-05579: CONTROLFILE backup not found in " + location
        )
    return best[1]


def duplicate(session: Session, options: dict[str, Any]) -> None:
    """The DUPLICATE command; the instance has to be started NOMOUNT with db_name set to the new name."""
    memory = session.db.require("NOMOUNT", "MOUNT", "OPEN")
    if memory["state"] != "NOMOUNT":
        raise OracleError(
            "RMAN-05501: aborting duplication of target database",
            "RMAN-05500: the auxiliary database must be not mounted when issuing a DUPLICATE command",
        )
    if memory["parameters"]["db_name"] != options["name"]:
        raise OracleError(
            "RMAN-05501: aborting duplication of target database",
            "RMAN-05523: an auxiliary database name conflicts with db_name",
        )
    with session.section("Duplicate Db"):
        restore.restore(
            session,
            {"object": "controlfile", "piece": newest_control_piece(options["location"], session, options.get("until"))},
        )
        paths = session.db.control_paths()
        content = control.read(paths)
        _rename(session, content, options["name"])
        control.write(paths, content)
        session.db.mount()
        maintenance.catalog(session, {"prefix": options["location"], "noprompt": True})
        if "until" in options:
            session.until = session.resolve_until(options["until"], session.db.control())
        restore.restore(session, {"object": "database"})
        recover.recover(session, {"available": "until" not in options})
        _new_identity(session)
        open_database(session.db, resetlogs=True)


def _convert(session: Session, path: str) -> str:
    """A path after db_file_name_convert."""
    words = [word for word in session.db.parameter("db_file_name_convert").split(",") if word]
    for old, new in zip(words[::2], words[1::2]):
        if old in path:
            return path.replace(old, new, 1)
    return path


def _rename(session: Session, content: control.Control, name: str) -> None:
    content["db_name"] = name
    for entry in [*content["datafiles"], *content["tempfiles"]]:
        entry["name"] = _convert(session, entry["name"])
    for group in content["groups"]:
        group["members"] = [_convert(session, member) for member in group["members"]]


def _new_identity(session: Session) -> None:
    """A DBID of its own, and a repository without the source's backups."""
    with session.repository() as content:
        dbid = random.SystemRandom().randrange(1 << 30, 1 << 32)
        content.update(dbid=dbid, sets=[], copies=[], archived=[], jobs=[])
        for entry in content["datafiles"]:
            with DataFile(entry["name"]) as file:
                file.set_header(dbid=dbid, db_name=content["db_name"])
