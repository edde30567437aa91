# SPDX-License-Identifier: GPL-3.0-or-later
"""RESTORE in its forms, and SWITCH."""

from __future__ import annotations

import json
import os
import re
import struct
import time
from pathlib import Path
from typing import Any

from oraclelab import archiver, blocks, clock, control, parameters, pieces, redo
from oraclelab.blocks import DataFile
from oraclelab.control import Control
from oraclelab.errors import OracleError, cannot_create, cannot_write, not_found
from oraclelab.rman import repository
from oraclelab.rman.session import Session, Until

Options = dict[str, Any]
NOT_FOUND = "RMAN-06026: some targets not found - aborting restore"
NO_AUTOBACKUP = "RMAN-06172: no AUTOBACKUP found or specified handle is not a valid copy or piece"
AUTOBACKUP_DAYS = 7


def restore(session: Session, options: Options) -> None:
    """The RESTORE command."""
    kind = options["object"]
    if options.get("autobackup") and any(name in options for name in ("validate", "preview", "until")):
        raise OracleError("RMAN-06488: restore from AUTOBACKUP does not allow any other modifiers")
    session.channel()
    with session.section("restore"):
        if kind in ("database", "datafile", "tablespace"):
            _data_files(session, options)
        elif kind == "archivelog":
            _logs(session, options)
        elif kind == "controlfile":
            _control_file(session, options)
        else:
            _spfile(session, options)


def until_of(session: Session, options: Options, content: Control) -> Until:
    """The command's own UNTIL, else that of the RUN block, else none."""
    if "until" in options:
        return session.resolve_until(options["until"], content)
    return session.until or Until()


# Data files


def _data_files(session: Session, options: Options) -> None:
    from oraclelab.rman.backup import chosen_files

    session.db.require("MOUNT", "OPEN")
    content = session.db.control()
    until = until_of(session, options, content)
    chosen, missing = [], []
    for entry in chosen_files(session, options):
        found = repository.level0(content, entry["file"], until, options.get("tag", "").upper())
        if found is None:
            missing.append(entry)
        else:
            chosen.append((entry, *found))
    if missing:
        raise OracleError(
            NOT_FOUND,
            *(f"RMAN-06023: no backup or copy of datafile {entry['file']} found to restore" for entry in reversed(missing)),
        )
    if options.get("preview"):
        _preview(session, content, [(one, found) for _, one, found in chosen], until)
    elif "validate" in options:
        _validate(session, content, [one for _, one, _ in chosen], full=options["validate"] == "full")
    else:
        if session.db.state == "OPEN":
            entry = chosen[0][0]
            raise OracleError(f"ORA-19573: cannot obtain exclusive enqueue for datafile {entry['file']}")
        _write_data_files(session, content, chosen)


def _preview(session: Session, content: Control, chosen: list[tuple[dict[str, Any], dict[str, Any]]], until: Until) -> None:
    """Name the pieces and logs that would be used, and the SCN that recovery has to pass."""
    for one in {one["recid"]: one for one, _ in chosen}.values():
        list_set(session, one)
    position, fuzzy = (
        min(entry["ckp_scn"] for _, entry in chosen),
        max(max(entry["ckp_scn"], entry["fuzzy_scn"]) for _, entry in chosen),
    )
    at = position
    while (log := repository.log_for(content, at)) and log.kind != "online" and until.covers(at, log.header["first_time"]):
        session.say(
            f"archived log thread={log.header['thread']} sequence={log.header['sequence']} SCN {log.header['first_scn']} to {log.header['next_scn']}"
        )
        at = log.end
    session.say(f"recovery will be done up to SCN {until.scn if until.scn is not None else at}")
    session.say(f"Media recovery start SCN is {position}")
    session.say(f"Recovery must be done beyond SCN {fuzzy} to clear datafile fuzziness")


def list_set(session: Session, one: dict[str, Any]) -> None:
    """A set with its pieces."""
    for piece in one["pieces"]:
        status = {"A": "AVAILABLE", "X": "EXPIRED", "U": "UNAVAILABLE"}[piece["status"]]
        session.say(
            f"BP Key: {piece['recid']}   Status: {status}  Compressed: {'YES' if piece.get('compressed') else 'NO'}  Tag: {one['tag']}"
        )
        session.say(f"        Piece Name: {piece['handle']}")


def _validate(session: Session, content: Control, sets: list[dict[str, Any]], *, full: bool) -> None:
    """Read the pieces without writing anything; with HEADER only the headers."""
    name = session.channel()[0]
    for one in {one["recid"]: one for one in sets}.values():
        if one.get("copy"):
            _verify_copy(one)
            session.say(f"channel {name}: scanning datafile copy {one['pieces'][0]['handle']}")
            continue
        for piece in repository.handles(one):
            session.say(f"channel {name}: reading from backup piece {piece['handle']}")
            if not full and Path(piece["handle"]).exists():
                try:
                    pieces.read_header(piece["handle"])
                except pieces.NotAPieceError as error:
                    wrapper = f"ORA-19870: error while restoring backup piece {piece['handle']}"
                    raise OracleError(wrapper, f"ORA-19608: {piece['handle']} is not a backup piece") from error
        if full:
            for path, header in repository.verified(one, content):
                for _ in pieces.frames(path, header, session.key):
                    pass
                session.say(f"channel {name}: piece handle={path} tag={header['tag']}")
                session.say(f"channel {name}: restored backup piece {header['piece']}")
        session.say(f"channel {name}: validation complete, elapsed time: 00:00:01")


def _verify_copy(one: dict[str, Any]) -> None:
    path = one["pieces"][0]["handle"]
    try:
        with DataFile(path, write=False) as file:
            for number in range(file.blocks):
                file.read(number)
    except OSError as error:
        raise OracleError(f'ORA-19505: failed to identify file "{path}"', *not_found(path)) from error
    except blocks.CorruptBlockError as error:
        raise OracleError(f"ORA-19566: exceeded limit of 0 corrupt blocks for file {path}") from error


def new_name(session: Session, entry: dict[str, Any], kind: str, content: Control) -> str:
    """Where SET NEWNAME sends a file; empty when it stays. The most specific form wins."""
    best = ""
    for order in ("database", "tablespace", kind):
        for wish in session.newnames:
            fits = wish["for"] == order and wish["which"] in (None, entry["file"] if order == kind else entry["tablespace"])
            if fits:
                best = wish["value"]
    values = {
        "f": str(entry["file"]),
        "b": Path(entry["name"]).name,
        "N": entry["tablespace"],
        "d": content["db_name"],
        "I": str(content["dbid"]),
        "U": f"data_D-{content['db_name']}_TS-{entry['tablespace']}_FNO-{entry['file']}",
    }
    return re.sub(r"%(.)", lambda match: values.get(match[1], match[0]), best)


def _write_data_files(
    session: Session, content: Control, chosen: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]
) -> None:
    targets = {entry["file"]: new_name(session, entry, "datafile", content) or entry["name"] for entry, _, _ in chosen}
    for file, path in targets.items():
        if list(targets.values()).count(path) > 1:
            raise OracleError(
                f"ORA-19563: datafile header validation failed for file {path}", f"ORA-01110: data file {file}: '{path}'"
            )
    by_set: dict[int, tuple[dict[str, Any], dict[int, dict[str, Any]]]] = {}
    for entry, one, found in chosen:
        by_set.setdefault(one["recid"], (one, {}))[1][entry["file"]] = found
    for one, wanted in by_set.values():
        name = session.channel()[0]
        session.say(f"channel {name}: starting datafile backup set restore")
        session.say(f"channel {name}: specifying datafile(s) to restore from backup set")
        for file in wanted:
            session.say(f"channel {name}: restoring datafile {file:05d} to {targets[file]}")
        if one.get("copy"):
            _restore_copy(one, targets)
        else:
            extract_files(session, content, one, {file: targets[file] for file in wanted}, incremental=False)
        session.say(f"channel {name}: restore complete, elapsed time: 00:00:01")
    renamed = {entry["file"]: targets[entry["file"]] for entry, _, _ in chosen if targets[entry["file"]] != entry["name"]}
    session.restored["datafile"].update(renamed)
    for temp in content["tempfiles"]:
        path = new_name(session, temp, "tempfile", content)
        if path:
            session.restored["tempfile"][temp["file"]] = path


def _restore_copy(one: dict[str, Any], targets: dict[int, str]) -> None:
    _verify_copy(one)
    path = targets[one["datafiles"][0]["file"]]
    try:
        Path(path).write_bytes(Path(one["pieces"][0]["handle"]).read_bytes())
    except OSError as error:
        raise cannot_create(path, error) from error


def extract_files(
    session: Session, content: Control, one: dict[str, Any], targets: dict[int, str], *, incremental: bool
) -> None:
    """Write the data files of a set; an incremental goes over what is there."""
    name = session.channel()[0]
    entries = {entry["file"]: entry for entry in one["datafiles"]}
    for path, header in repository.verified(one, content):
        session.say(f"channel {name}: reading from backup piece {path}")
        _extract_piece(
            session, pieces.frames(path, header, session.key), targets, entries, fresh=not incremental and header["piece"] == 1
        )
        session.say(f"channel {name}: piece handle={path} tag={header['tag']}")
        session.say(f"channel {name}: restored backup piece {header['piece']}")
    for file, target in targets.items():
        entry = entries[file]
        with DataFile(target) as data:
            before = data.header()["fuzzy_scn"] if incremental else 0
            keys = ("ckp_scn", "ckp_time", "resetlogs_scn", "resetlogs_time")
            data.set_header(**{key: entry[key] for key in keys}, fuzzy=False, fuzzy_scn=max(entry["fuzzy_scn"], before))
            data.sync()


def _extract_piece(
    session: Session, frames: Any, targets: dict[int, str], entries: dict[int, dict[str, Any]], *, fresh: bool
) -> None:
    current: DataFile | None = None
    count = 0
    try:
        for kind, data in frames:
            if kind == b"F":
                if current:
                    current.__exit__()
                current = _begin_file(json.loads(data), targets, fresh=fresh)
                count = 0
            elif kind == b"B" and current:
                (number,) = struct.unpack_from("<I", data)
                try:
                    current.put_raw(number, data[4:])
                except OSError as error:
                    raise cannot_write(current.path, number, error) from error
                count += 1
                session.db.paced(number)
                if count == 2:
                    session.db.reached(
                        f"restore_datafile_{next(file for file, path in targets.items() if path == current.path)}"
                    )
    finally:
        if current:
            current.__exit__()


def _begin_file(item: dict[str, Any], targets: dict[int, str], *, fresh: bool) -> DataFile | None:
    """Open the target of a file of the set; None when this file is not wanted."""
    path = targets.get(item["file"])
    if path is None:
        return None
    if not fresh:
        return DataFile(path)
    try:
        Path(path).unlink(missing_ok=True)
        blocks.create(path, {**item["header"], "fuzzy": True}, item["blocks"])
    except OSError as error:
        raise cannot_create(path, error) from error
    return DataFile(path)


def switch(session: Session, options: Options) -> None:
    """SWITCH: the control file points at the files restored in this RUN block."""
    kind = options["kind"]
    with session.repository() as content:
        for entry in content[f"{kind}s"]:
            path = (
                session.restored[kind].get(entry["file"]) if not options["files"] or entry["file"] in options["files"] else None
            )
            if kind == "tempfile" and path is None:
                path = new_name(session, entry, "tempfile", content) or None
            if path:
                entry["name"] = path
                if kind == "datafile":
                    session.say(f"datafile {entry['file']} switched to datafile copy")
                    session.say(f"input datafile copy RECID={entry['file']} STAMP=0 file name={path}")
                else:
                    session.say(f"renamed tempfile {entry['file']} to {path} in control file")
    session.say()


# Archived logs


def _logs(session: Session, options: Options) -> None:
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
            f"RMAN-06025: no backup of archived log for thread 1 with sequence {log['sequence']} and starting SCN of {log['first_scn']} found to restore"
            for log in missing
        ]
        raise OracleError(NOT_FOUND, *lines)
    if "validate" in options:
        _validate(session, content, sources, full=options["validate"] == "full")
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
    session.say(f"channel {name}: restore complete, elapsed time: 00:00:01")
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


# Control file and spfile


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


def _control_file(session: Session, options: Options) -> None:
    if "validate" in options or options.get("preview"):
        _frame_of(session, _source(session, options, "control"), b"C")
        session.say(f"channel {session.channel()[0]}: validation complete, elapsed time: 00:00:01")
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
    session.say(f"channel {session.channel()[0]}: restore complete, elapsed time: 00:00:01")
    for target in targets:
        session.say(f"output file name={target}")


def _spfile(session: Session, options: Options) -> None:
    memory = session.db.require("NOMOUNT", "MOUNT", "OPEN")
    if "validate" in options:
        _frame_of(session, _source(session, options, "spfile"), b"P")
        session.say(f"channel {session.channel()[0]}: validation complete, elapsed time: 00:00:01")
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
