# SPDX-License-Identifier: GPL-3.0-or-later
"""LIST, SHOW and REPORT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oraclelab.errors import OracleError
from oraclelab.rman import repository
from oraclelab.rman.session import Session

Options = dict[str, Any]


def tagged(content: Any, tag: str) -> list[dict[str, Any]]:
    """Sets of a tag, all without one; RMAN-20215 when no set has it."""
    chosen = [one for one in content["sets"] if not tag or one["tag"] == tag.upper()]
    if tag and not chosen:
        raise OracleError("RMAN-20215: backup set not found", f"tag: {tag.upper()}")
    return chosen


def configured_line(name: str, value: str) -> str:
    """A setting as SHOW prints it."""
    if name.endswith("DEVICE TYPE"):
        return f"CONFIGURE {name} DISK TO '{value}';"
    return f"CONFIGURE {name} {value};"


def list_objects(session: Session, options: Options) -> None:
    """LIST BACKUP, INCARNATION and ARCHIVELOG."""
    content = session.db.control() if session.db.require("MOUNT", "OPEN") else {}
    if options["object"] == "incarnation":
        session.say("DB Key  Inc Key DB Name  DB ID            STATUS  Reset SCN  Reset Time")
        session.say("------- ------- -------- ---------------- ------- ---------- ----------")
        for one in content["incarnations"]:
            database = f"1       {one['number']:<7} {content['db_name']:<8} {content['dbid']:<16}"
            session.say(f"{database} {one['status']:<7} {one['scn']:<10} {session.shown(one['time'])}")
    elif options["object"] == "archivelog":
        session.say("Key     Thrd Seq     S Low Time")
        for log in repository.in_range(content, options["range"], session):
            session.say(
                f"{log['recid']:<7} {log['thread']:<4} {log['sequence']:<7} {log['status']} {session.shown(log['first_time'])}"
            )
            session.say(f"        Name: {log['name']}")
    else:
        _list_backup(session, content, options)
    session.say()


def _type(one: dict[str, Any]) -> str:
    return "Full" if one["level"] is None else f"Incr {one['level']}"


def _list_backup(session: Session, content: Any, options: Options) -> None:
    parts = {"database": "datafiles", "archivelog": "logs", "controlfile": "control", "spfile": "spfile"}
    chosen = [one for one in tagged(content, options["tag"]) if "of" not in options or one[parts[options["of"]]]]
    if not chosen:
        session.say("specification does not match any backup in the repository")
    for one in chosen:
        session.say(f"BS Key  {one['recid']}  Type {_type(one)}  Completion Time {session.shown(one['completed'])}")
        for piece in one["pieces"]:
            status = {"A": "AVAILABLE", "X": "EXPIRED", "U": "UNAVAILABLE"}[piece["status"]]
            session.say(f"        BP Key: {piece['recid']}   Status: {status}  Tag: {one['tag']}")
            session.say(f"        Piece Name: {piece['handle']}")
        if options.get("summary"):
            continue
        for entry in one["datafiles"]:
            session.say(
                f"  File {entry['file']} LV {one['level']} Ckp SCN {entry['ckp_scn']}"
                f" Ckp Time {session.shown(entry['ckp_time'])} Abs Fuz SCN {entry['fuzzy_scn'] or ''}"
            )
        if one["logs"]:
            session.say("  Thrd Seq     Low SCN    Low Time             Next SCN   Next Time")
        for log in one["logs"]:
            first = f"{log['first_scn']:<10} {session.shown(log['first_time']):<20}"
            session.say(
                f"  {log['thread']:<4} {log['sequence']:<7} {first} {log['next_scn']:<10} {session.shown(log['next_time'])}"
            )


def show(session: Session, options: Options) -> None:
    """SHOW: the settings, defaults included."""
    content = session.db.control() if session.db.require("MOUNT", "OPEN") else {}
    defaults = {
        "RETENTION POLICY": "TO REDUNDANCY 1",
        "BACKUP OPTIMIZATION": "OFF",
        "CONTROLFILE AUTOBACKUP": "ON" if content["cdb"] else "OFF",
        "CONTROLFILE AUTOBACKUP FORMAT FOR DEVICE TYPE": "%F",
        "ENCRYPTION FOR DATABASE": "OFF",
        "ARCHIVELOG DELETION POLICY": "TO NONE",
    }
    session.say(f"RMAN configuration parameters for database with db_unique_name {session.db.parameter('db_unique_name')} are:")
    for name, default in defaults.items():
        if options["name"] in ("", name):
            value = content["configure"].get(name)
            session.say(configured_line(name, value or default) + ("" if value else " # default"))
    session.say()


def report(session: Session, options: Options) -> None:
    """REPORT SCHEMA and REPORT UNRECOVERABLE."""
    content = session.db.control() if session.db.require("MOUNT", "OPEN") else {}
    if options["what"] == "unrecoverable":
        session.say("Report of files that need backup due to unrecoverable operations")
        session.say("File Type of Backup Required Name")
        session.say("---- ----------------------- -----------------------------------")
        return
    session.say(f"Report of database schema for database with db_unique_name {session.db.parameter('db_unique_name')}")
    session.say("List of Permanent Datafiles")
    for entry in content["datafiles"]:
        size = Path(entry["name"]).stat().st_size >> 20 if Path(entry["name"]).exists() else 0
        session.say(f"{entry['file']:<4} {size:<8} {entry['tablespace']:<20} {entry['name']}")
    session.say("List of Temporary Files")
    for entry in content["tempfiles"]:
        session.say(f"{entry['file']:<4} {entry['tablespace']:<20} {entry['name']}")
