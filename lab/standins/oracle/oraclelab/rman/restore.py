# SPDX-License-Identifier: GPL-3.0-or-later
"""RESTORE of data files, and SWITCH."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

from oraclelab import blocks, pieces
from oraclelab.blocks import DataFile
from oraclelab.control import Control
from oraclelab.errors import OracleError, cannot_create, cannot_write
from oraclelab.rman import repository
from oraclelab.rman.proving import NOT_FOUND, preview, validate_sets, verify_copy
from oraclelab.rman.restore_control import restore_control_file, restore_spfile
from oraclelab.rman.restore_logs import restore_logs
from oraclelab.rman.session import Session, Until
from oraclelab.rman.writing import Options, chosen_files


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
            restore_logs(session, options)
        elif kind == "controlfile":
            restore_control_file(session, options)
        else:
            restore_spfile(session, options)


def until_of(session: Session, options: Options, content: Control) -> Until:
    """The command's own UNTIL, else that of the RUN block, else none."""
    if "until" in options:
        return session.resolve_until(options["until"], content)
    return session.until or Until()


def _data_files(session: Session, options: Options) -> None:
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
        preview(session, content, [(one, found) for _, one, found in chosen], until)
    elif "validate" in options:
        validate_sets(session, content, [one for _, one, _ in chosen], full=options["validate"] == "full")
    else:
        if session.db.state == "OPEN":
            entry = chosen[0][0]
            raise OracleError(f"ORA-19573: cannot obtain exclusive enqueue for datafile {entry['file']}")
        _write_data_files(session, content, chosen)


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
        session.say(f"channel {name}: restore complete, elapsed time: {session.elapsed()}")
    renamed = {entry["file"]: targets[entry["file"]] for entry, _, _ in chosen if targets[entry["file"]] != entry["name"]}
    session.restored["datafile"].update(renamed)
    for temp in content["tempfiles"]:
        path = new_name(session, temp, "tempfile", content)
        if path:
            session.restored["tempfile"][temp["file"]] = path


def _restore_copy(one: dict[str, Any], targets: dict[int, str]) -> None:
    verify_copy(one)
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
