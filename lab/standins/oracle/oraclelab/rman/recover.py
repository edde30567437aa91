# SPDX-License-Identifier: GPL-3.0-or-later
"""RECOVER DATABASE: incrementals first, then logs in order, up to the end or to where SET UNTIL stops."""

from __future__ import annotations

import dataclasses
from typing import Any

from oraclelab import clock, redo
from oraclelab.blocks import CorruptBlockError, DataFile
from oraclelab.control import Control
from oraclelab.database import file_line, headers
from oraclelab.errors import OracleError
from oraclelab.recovery import Applier
from oraclelab.rman import repository
from oraclelab.rman.repository import Log
from oraclelab.rman.restore import extract_files, until_of
from oraclelab.rman.restore_logs import restore_log
from oraclelab.rman.session import Session, Until


@dataclasses.dataclass
class Progress:
    """How far recovery came: everything below position is applied."""

    position: int
    moment: int
    sequence: int = 0
    complete: bool = False


def recover(session: Session, options: dict[str, Any]) -> None:
    """The RECOVER DATABASE command."""
    session.db.require("MOUNT", "OPEN")
    if session.db.state == "OPEN":
        raise OracleError(
            "ORA-01124: cannot recover data file 1 - file is in use or recovery",
            file_line(session.db.control()["datafiles"][0]),
        )
    session.channel()
    with session.section("recover"):
        content = session.db.control()
        until = until_of(session, options, content)
        must_be_restored(content, until)
        _incrementals(session, content, until)
        session.say("starting media recovery")
        _logs(session, until, available_redo=bool(options.get("available")))
        session.say(f"media recovery complete, elapsed time: {session.elapsed()}")


def writable(content: Control) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """(entry, header) of the files that take part in recovery; RMAN-06094 for a missing one."""
    for entry in content["datafiles"]:
        try:
            with DataFile(entry["name"], write=False) as file:
                file.header()
        except (OSError, CorruptBlockError) as error:
            raise OracleError(f"RMAN-06094: datafile {entry['file']} must be restored") from error
    return [(entry, header) for entry, header in headers(content) if not entry["read_only"]]


def must_be_restored(content: Control, until: Until) -> None:
    """Refuse data files that are newer than the stop: RMAN-06556 or RMAN-06555."""
    for entry, header in writable(content):
        if until.scn is not None and header["ckp_scn"] > until.scn:
            raise OracleError(f"RMAN-06556: datafile {entry['file']} must be restored from backup older than SCN {until.scn}")
        if until.time is not None and header["ckp_time"] >= until.time:
            raise OracleError(
                f"RMAN-06555: datafile {entry['file']} must be restored from backup created before {clock.local(until.time)}"
            )


def _incrementals(session: Session, content: Control, until: Until) -> None:
    """Apply level 1 sets as long as one brings a file farther."""
    while True:
        wanted: dict[int, tuple[dict[str, Any], dict[int, str]]] = {}
        for entry, header in writable(content):
            found = repository.incremental(content, entry["file"], header["ckp_scn"], until)
            if found and not header["fuzzy"]:
                wanted.setdefault(found[0]["recid"], (found[0], {}))[1][entry["file"]] = entry["name"]
        if not wanted:
            return
        for one, targets in wanted.values():
            name = session.channel()[0]
            session.say(f"channel {name}: starting incremental datafile backup set restore")
            for file, path in targets.items():
                session.say(f"destination for restore of datafile {file:05d}: {path}")
            extract_files(session, content, one, targets, incremental=True)
            session.say(f"channel {name}: restore complete, elapsed time: {session.elapsed()}")


def _logs(session: Session, until: Until, *, available_redo: bool) -> None:
    content = session.db.control()
    found = writable(content)
    start = min(header["ckp_scn"] for _, header in found)
    progress = Progress(start, min(header["ckp_time"] for _, header in found))
    applier = Applier([entry for entry, _ in found])
    missing: OracleError | None = None
    try:
        while until.scn is None or progress.position < until.scn:
            log = repository.log_for(content, progress.position)
            if log is None:
                missing = None if available_redo else _unknown(content, progress)
                break
            if _apply_log(session, log, until, applier, progress):
                break
            content = session.db.control()
    finally:
        applier.flush()
        _note_position(session, progress)
    if missing:
        raise missing


def _unknown(content: Control, progress: Progress) -> OracleError:
    """RMAN-06054 names the log after the last one that was found."""
    sequence = progress.sequence + 1
    if not progress.sequence:
        known = [log.header for log in repository.redo_sources(content) if log.header["first_scn"] <= progress.position]
        sequence = max((log["sequence"] for log in known), default=0) + 1
    which = f"thread 1 with sequence {sequence} and starting SCN of {progress.position}"
    return OracleError(f"RMAN-06054: media recovery requesting unknown archived log for {which}")


def _apply_log(session: Session, log: Log, until: Until, applier: Applier, progress: Progress) -> bool:
    """Apply one log; True when the stop or the end of all redo is reached."""
    content = session.db.control()
    path, sequence = log.where, log.header["sequence"]
    if log.kind == "set":
        path = restore_log(session, log.header, log.where)
    elif log.kind == "archived":
        session.say(f"archived log for thread 1 with sequence {sequence} is already on disk as file {path}")
    session.db.reached(f"recover_log_{sequence}")
    session.say(f"archived log file name={path} thread=1 sequence={sequence}")
    last = progress.position - 1
    for scn, moment, changes in _records(path):
        if scn < progress.position:
            continue
        if scn >= log.left:
            break
        if (until.scn is not None and scn >= until.scn) or (until.time is not None and moment >= until.time):
            progress.position, progress.sequence = scn, sequence
            return True
        applier.apply(scn, changes)
        last, progress.moment = scn, moment
    progress.sequence = sequence
    if log.kind == "online" and not log.header["next_scn"] and _is_current(content, log):
        progress.position = max(last + 1, progress.position, *(header["ckp_scn"] for _, header in writable(content)))
        progress.complete = True
        return True
    progress.position = min(log.end, until.scn) if until.scn is not None else log.end
    progress.moment = max(progress.moment, log.header["next_time"])
    return until.time is not None and log.header["next_time"] >= until.time


def _is_current(content: Control, log: Log) -> bool:
    """Whether an online log is the newest there is: nothing known follows it."""
    newest = max(group["sequence"] for group in content["groups"])
    return log.header["resetlogs_scn"] == content["resetlogs_scn"] and log.header["sequence"] >= newest


def _records(path: str) -> Any:
    try:
        for scn, moment, changes, _ in redo.records(path):
            yield scn, moment, changes
    except (OSError, redo.CorruptLogError) as error:
        raise OracleError("ORA-00354: corrupt redo log block header", f"ORA-00334: archived log: '{path}'") from error


def _note_position(session: Session, progress: Progress) -> None:
    """Write how far the files are into their headers and the control file."""
    with session.repository() as content:
        for entry, header in writable(content):
            if header["ckp_scn"] > progress.position:
                continue
            with DataFile(entry["name"]) as file:
                fuzzy = header["fuzzy"] and not progress.complete
                file.set_header(
                    ckp_scn=progress.position, ckp_time=progress.moment, fuzzy=fuzzy, resetlogs_scn=content["resetlogs_scn"]
                )
                file.sync()
        content["recovered_scn"] = progress.position
        content["incomplete"] = not progress.complete
        if progress.complete and content["type"] == "CURRENT":
            content.update(ckp_scn=progress.position, ckp_time=progress.moment, stop_scn=progress.position)
