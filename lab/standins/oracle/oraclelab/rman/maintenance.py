# SPDX-License-Identifier: GPL-3.0-or-later
"""CROSSCHECK, CATALOG, CHANGE, DELETE, CONFIGURE, RESET DATABASE: what keeps the repository and reality together."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from oraclelab import archiver, clock, pieces
from oraclelab.errors import OracleError
from oraclelab.rman import repository
from oraclelab.rman.listing import configured_line, tagged
from oraclelab.rman.session import Session, stamp_of

Options = dict[str, Any]


def _pieces(content: Any, options: Options) -> list[dict[str, Any]]:
    """Pieces a command names, by tag, set number or handle."""
    if options["object"] == "backup":
        return [piece for one in tagged(content, options.get("tag", "")) for piece in one["pieces"]]
    if options["object"] == "backupset":
        known = {one["recid"]: one for one in content["sets"]}
        for number in options["sets"]:
            if number not in known:
                raise OracleError(f"RMAN-20215: backup set not found: {number}")
        return [piece for number in options["sets"] for piece in known[number]["pieces"]]
    found = [piece for one in content["sets"] for piece in one["pieces"] if piece["handle"] in options["names"]]
    if len(found) < len(options["names"]):
        raise OracleError("RMAN-20260: backup piece not found in the repository")
    return found


def _genuine(path: str) -> bool:
    try:
        pieces.read_header(path)
    except (OSError, pieces.NotAPieceError):
        return False
    return True


def crosscheck(session: Session, options: Options) -> None:
    """Look whether files are still there and correct the records."""
    session.channel()
    with session.repository() as content:
        if options["object"] == "archivelog":
            logs = repository.in_range(content, options["range"], session)
            for log in logs:
                log["status"] = "A" if Path(log["name"]).exists() else "X"
                session.say(f"validation {'succeeded' if log['status'] == 'A' else 'failed'} for archived log")
                session.say(f"archived log file name={log['name']} RECID={log['recid']} STAMP={stamp_of(log['completed'])}")
            session.say(f"Crosschecked {len(logs)} objects")
        else:
            chosen = (
                [piece for one in content["copies"] for piece in one["pieces"]]
                if options["object"] == "copy"
                else _pieces(content, options)
            )
            for piece in chosen:
                there = Path(piece["handle"]).exists() if options["object"] == "copy" else _genuine(piece["handle"])
                piece["status"] = "A" if there else "X"
                session.say(f"crosschecked backup piece: found to be '{'AVAILABLE' if there else 'EXPIRED'}'")
                session.say(f"backup piece handle={piece['handle']} RECID={piece['recid']} STAMP={stamp_of(clock.now())}")
            session.say(f"Crosschecked {len(chosen)} objects")
    session.say()


def agreed(session: Session, options: Options, question: str) -> bool:
    """Ask as RMAN does unless NOPROMPT was said: on the terminal or stdin, whose end means NO."""
    if options["noprompt"]:
        return True
    session.say()
    session.say(f"{question} (enter YES or NO)? ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().upper() in ("YES", "Y")


def catalog(session: Session, options: Options) -> None:
    """Bring files into the repository; those that are no backups are listed, which is no error."""
    with session.db.locked():
        session.db.require("MOUNT", "OPEN")
        content = session.db.control()
        names = options.get("names") or _unknown_files(session, content, options["prefix"])
    if "prefix" in options:
        session.say(f"searching for all files that match the pattern {options['prefix']}")
        if not names:
            session.say("no files found to be unknown to the database")
            return
        session.say()
        session.say("List of Files Unknown to the Database")
        session.say("=====================================")
        for path in names:
            session.say(f"File Name: {path}")
        if not agreed(session, options, "Do you really want to catalog the above files"):
            return
    session.say("cataloging files...")
    refused = []
    with session.repository() as content:
        for path in names:
            reason = repository.catalog_file(content, path)
            if reason:
                refused.append((path, reason))
    session.say("cataloging done")
    _catalog_lists(session, [path for path in names if path not in dict(refused)], refused)
    if refused and "names" in options:
        path = refused[0][0]
        raise OracleError(f"ORA-19870: error while restoring backup piece {path}", f"ORA-19608: {path} is not a backup piece")


def _unknown_files(session: Session, content: Any, prefix: str) -> list[str]:
    """Files whose path begins with the prefix and that no available record names."""
    known = {
        piece["handle"] for one in [*content["sets"], *content["copies"]] for piece in one["pieces"] if piece["status"] == "A"
    }
    known |= {log["name"] for log in content["archived"] if log["status"] == "A"} | {
        entry["name"] for entry in content["datafiles"]
    }
    root = Path(prefix) if Path(prefix).is_dir() else Path(prefix).parent
    if not root.is_dir():
        return []
    return sorted(
        str(path) for path in root.rglob("*") if path.is_file() and str(path).startswith(prefix) and str(path) not in known
    )


def _catalog_lists(session: Session, done: list[str], refused: list[tuple[str, str]]) -> None:
    if done:
        session.say()
        session.say("List of Cataloged Files")
        session.say("=======================")
        for path in done:
            session.say(f"File Name: {path}")
    if refused:
        session.say()
        session.say("List of Files Which Were Not Cataloged")
        session.say("=======================================")
        for path, reason in refused:
            session.say(f"File Name: {path}")
            session.say(f"  {reason}")
    session.say()


def change(session: Session, options: Options) -> None:
    """CHANGE ... UNCATALOG, AVAILABLE or UNAVAILABLE."""
    with session.repository() as content:
        if options["object"] == "archivelog":
            chosen = repository.in_range(content, options["range"], session)
            if options["to"] == "uncatalog":
                content["archived"] = [log for log in content["archived"] if log not in chosen]
        else:
            chosen = _pieces(content, options)
            if options["to"] == "uncatalog":
                _forget(content, chosen)
        for record in chosen:
            record["status"] = {"unavailable": "U"}.get(options["to"], "A")
            what = "uncataloged" if options["to"] == "uncatalog" else "changed"
            session.say(f"{what} {'archived log' if 'name' in record else 'backup piece'}")
        session.say(f"{options['to'].capitalize()}ed {len(chosen)} objects")


def _forget(content: Any, chosen: list[dict[str, Any]]) -> None:
    for one in content["sets"]:
        one["pieces"] = [piece for piece in one["pieces"] if piece not in chosen]
    content["sets"] = [one for one in content["sets"] if one["pieces"]]


def delete(session: Session, options: Options) -> None:
    """DELETE of logs, pieces or expired records."""
    if options["object"] == "archivelog":
        _delete_logs_of(session, options)
        return
    with session.db.locked():
        content = session.db.control()
        chosen = _pieces(content, options)
        if options["expired"]:
            chosen = [piece for piece in chosen if piece["status"] == "X"]
    if not chosen:
        session.say("specification does not match any backup in the repository")
        return
    for piece in chosen:
        session.say(f"{piece['recid']} {piece['handle']}")
    if not agreed(session, options, "Do you really want to delete the above objects"):
        return
    with session.repository() as content:
        recids = {piece["recid"] for piece in chosen}
        current = [piece for one in content["sets"] for piece in one["pieces"] if piece["recid"] in recids]
        for piece in current:
            if not options["expired"]:
                Path(piece["handle"]).unlink(missing_ok=True)
            session.say("deleted backup piece")
            session.say(f"backup piece handle={piece['handle']} RECID={piece['recid']} STAMP={stamp_of(clock.now())}")
        _forget(content, current)
    session.say(f"Deleted {len(chosen)} objects")


def _delete_logs_of(session: Session, options: Options) -> None:
    with session.db.locked():
        content = session.db.control()
        logs = repository.in_range(content, options["range"], session)
        if options["expired"]:
            logs = [log for log in logs if log["status"] == "X"]
        if "times" in options:
            logs = [log for log in logs if archiver.backup_count(content, log) >= options["times"]]
        if "before" in options:
            limit = session.moment(options["before"])
            logs = [log for log in logs if log["completed"] < limit]
    if not logs:
        session.say("specification does not match any archived log in the repository")
        return
    for log in logs:
        session.say(f"{log['recid']} thread {log['thread']} sequence {log['sequence']} {log['name']}")
    if not agreed(session, options, "Do you really want to delete the above objects"):
        return
    delete_logs(session, logs)


def delete_logs(session: Session, logs: list[dict[str, Any]]) -> None:
    """Remove logs from disk and mark their records; a standby that still needs them keeps them, with the warning RMAN-08137."""
    if session.db.knob("standby_needs_logs").exists():
        session.warned = True
        for log in logs:
            session.say("RMAN-08137: warning: archived log not deleted, needed for standby or upstream capture process")
            session.say(f"archived log file name={log['name']} thread={log['thread']} sequence={log['sequence']}")
        return
    with session.repository() as content:
        recids = {log["recid"] for log in logs}
        for log in content["archived"]:
            if log["recid"] in recids:
                Path(log["name"]).unlink(missing_ok=True)
                log["status"] = "D"
                session.say("deleted archived log")
                session.say(f"archived log file name={log['name']} RECID={log['recid']} STAMP={stamp_of(log['completed'])}")
    session.say(f"Deleted {len(logs)} objects")
    session.say()


def configure(session: Session, options: Options) -> None:
    """CONFIGURE keeps a setting in the control file."""
    name, value = options["name"], options["value"]
    if name.endswith("DEVICE TYPE") and value is not None and "%F" not in value:
        raise OracleError("RMAN-06492: controlfile autobackup format must include %F")
    with session.repository() as content:
        if value is None:
            content["configure"].pop(name, None)
            session.say("RMAN configuration parameters are successfully reset to default value")
            return
        content["configure"][name] = value
    session.say("new RMAN configuration parameters:")
    session.say(f"{configured_line(name, value)}")
    session.say("new RMAN configuration parameters are successfully stored")
    session.say()


def reset_database(session: Session, options: Options) -> None:
    """RESET DATABASE TO INCARNATION; needs the database mounted and not open."""
    session.db.require("MOUNT", "OPEN")
    if session.db.state == "OPEN":
        raise OracleError(
            "ORA-19910: can not change recovery target incarnation in control file",
            "ORA-01126: database must be mounted in this instance and not open in any instance",
        )
    with session.repository() as content:
        by_number = {one["number"]: one for one in content["incarnations"]}
        target = by_number.get(options["incarnation"])
        if target is None:
            raise OracleError("RMAN-20010: database incarnation not found")
        parents, one = set(), target
        while one["parent"]:
            parents.add(one["parent"])
            one = by_number[one["parent"]]
        for number, one in by_number.items():
            one["status"] = "CURRENT" if one is target else ("PARENT" if number in parents else "ORPHAN")
        content.update(resetlogs_scn=target["scn"], resetlogs_time=target["time"])
    session.say(f"database reset to incarnation {options['incarnation']}")


def validate(session: Session, options: Options) -> None:
    """VALIDATE DATABASE, DATAFILE, BACKUPSET and ARCHIVELOG."""
    from oraclelab.rman.backup import validate_files
    from oraclelab.rman.backup_logs import read_log
    from oraclelab.rman.proving import validate_sets
    from oraclelab.rman.writing import chosen_files

    session.db.require("MOUNT", "OPEN")
    session.channel()
    with session.section("validate"):
        content = session.db.control()
        if options["object"] == "backupset":
            wanted = _pieces(content, options)
            sets = [one for one in content["sets"] if any(piece in one["pieces"] for piece in wanted)]
            validate_sets(session, content, sets, full=True)
        elif options["object"] == "archivelog":
            for log in repository.in_range(content, options["range"], session):
                read_log(log)
                session.say(
                    f"archived log thread={log['thread']} sequence={log['sequence']} status OK at {time.strftime('%H:%M:%S')}"
                )
        else:
            validate_files(session, chosen_files(session, options))
