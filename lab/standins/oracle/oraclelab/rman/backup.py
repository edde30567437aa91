# SPDX-License-Identifier: GPL-3.0-or-later
"""BACKUP. The server reads and writes; the lock is held only for moments, so the database keeps changing meanwhile."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oraclelab import archiver, blocks, clock, pieces
from oraclelab.blocks import CorruptBlockError, DataFile
from oraclelab.errors import OracleError, cannot_create, cannot_write
from oraclelab.rman import repository
from oraclelab.rman.backup_control import autobackup, control_file, spfile
from oraclelab.rman.backup_logs import archived_logs
from oraclelab.rman.session import Session, Until, stamp_of
from oraclelab.rman.writing import (
    DEFAULT_FILES_PER_SET,
    Options,
    SetWriter,
    chosen_files,
    copy_blocks,
    read_steady,
    start_of_file,
)


def backup(session: Session, options: Options) -> None:
    """The BACKUP command."""
    session.db.require("MOUNT", "OPEN")
    options = {**options, "tag": options.get("tag", "").upper() or time.strftime("TAG%Y%m%dT%H%M%S")}
    must_make_sense(session, options)
    size = 0
    kinds = {
        "database": "DB FULL" if options["level"] is None else "DB INCR",
        "archivelog": "ARCHIVELOG",
        "controlfile": "CONTROLFILE",
        "spfile": "SPFILE",
    }
    kind = kinds.get(options["object"], "DATAFILE FULL")
    session.record_job(kind, 0, "RUNNING")
    try:
        if options.get("plus"):
            size += archived_logs(session, {**options, "range": {}, "times": None})
        size += OBJECTS[options["object"]](session, options)
        if options.get("plus"):
            size += archived_logs(session, {**options, "range": {}, "times": None, "after": True})
        size += autobackup(session, options)
    except BaseException:
        session.record_job(kind, size, "FAILED")
        raise
    session.record_job(kind, size, "COMPLETED")


def must_make_sense(session: Session, options: Options) -> None:
    """Refuse combinations that RMAN refuses."""
    if options.get("plus") and options["object"] not in ("database", "datafile", "tablespace"):
        raise OracleError("RMAN-06042: PLUS ARCHIVELOG option is not supported with non-datafile backups")
    content = session.db.control()
    if (
        content["log_mode"] != "ARCHIVELOG"
        and session.db.sga().get("open_mode") == "READ WRITE"
        and options["object"] in ("database", "datafile", "tablespace")
    ):
        raise OracleError("RMAN-06149: cannot BACKUP DATABASE in NOARCHIVELOG mode")
    if options["level"] not in (None, 0, 1):
        raise OracleError("RMAN-06500: incremental level must be 0 or 1")


def datafiles(session: Session, options: Options) -> int:
    """Data files, in sets or as image copies."""
    session.channel()
    with session.section("backup"):
        if options.get("validate"):
            validate_files(session, chosen_files(session, options))
            return 0
        entries = chosen_files(session, options)
        if options["as"] == "copy":
            return sum(_image_copy(session, options, number, entry) for number, entry in enumerate(entries))
        size = 0
        if options.get("section"):
            groups = [[entry] for entry in entries]
        else:
            limit = options.get("filesperset") or DEFAULT_FILES_PER_SET
            groups = [entries[at : at + limit] for at in range(0, len(entries), limit)]
        for number, group in enumerate(groups):
            size += _datafile_set(session, options, number, group)
    return size


def _parent(session: Session, options: Options, entry: dict[str, Any]) -> int:
    """SCN from which an incremental has to take blocks; 0, with a word about it, without a parent."""
    if options["level"] != 1:
        return 0
    content = session.db.control()
    start = repository.level0(content, entry["file"], Until(), parent=True)
    if start is None:
        session.say(f"no parent backup or copy of datafile {entry['file']} found")
        return 0
    scn = int(start[1]["ckp_scn"])
    while not options.get("cumulative"):
        further = repository.incremental(content, entry["file"], scn, Until())
        if further is None:
            break
        scn = further[1]["ckp_scn"]
    return scn


def _datafile_set(session: Session, options: Options, number: int, group: list[dict[str, Any]]) -> int:
    starts = {entry["file"]: _parent(session, options, entry) for entry in group}
    level = options["level"]
    if level == 1 and not all(starts.values()):
        level = 0
        starts = dict.fromkeys(starts, 0)
    blocks_per_section = max(1, options["section"] // blocks.SIZE) if options.get("section") else 0
    sections = _sections(group[0], blocks_per_section)
    writer = SetWriter(session, options, number, level=level, piece_count=len(sections))
    kind = f"incremental level {level}" if level is not None else "full"
    session.say(f"channel {writer.channel}: starting {kind} datafile backup set")
    session.say(f"channel {writer.channel}: specifying datafile(s) in backup set")
    for entry in group:
        session.say(f"input datafile file number={entry['file']:05d} name={entry['name']}")
    for index, section in enumerate(sections, 1):
        if blocks_per_section:
            session.say(f"backing up blocks {section.start} through {section.stop - 1}")

        def fill(piece: pieces.Writer, section: range = section, index: int = index) -> None:
            for entry in group:
                whole = section if blocks_per_section else range(1, Path(entry["name"]).stat().st_size // blocks.SIZE)
                _file_frames(writer, piece, entry, whole, starts[entry["file"]], first=index == 1)

        writer.piece(index, fill)
    return writer.finish()


def _sections(entry: dict[str, Any], blocks_per_section: int) -> list[range]:
    """Block ranges of the pieces of a set."""
    if not blocks_per_section:
        return [range(1)]
    end = Path(entry["name"]).stat().st_size // blocks.SIZE
    return [range(start, min(start + blocks_per_section, end)) for start in range(1, end, blocks_per_section)]


def _file_frames(
    writer: SetWriter,
    piece: pieces.Writer,
    entry: dict[str, Any],
    wanted: range,
    from_scn: int,
    *,
    first: bool,
) -> None:
    """One data file, or a section of it, as frames of a piece."""
    session = writer.session
    if first:
        header = start_of_file(session, entry)
        keys = ("file", "ckp_scn", "ckp_time", "resetlogs_scn", "resetlogs_time")
        blocks_now = Path(entry["name"]).stat().st_size // blocks.SIZE
        known = {
            **{key: header[key] for key in keys},
            "fuzzy_scn": 0,
            "from_scn": from_scn,
            "blocks": blocks_now,
            "used": 0,
            "level": writer.record["level"],
        }
        writer.record["datafiles"].append({**known, "header": header})
    known = next(one for one in writer.record["datafiles"] if one["file"] == entry["file"])
    piece.frame(b"F", json.dumps({"file": entry["file"], "header": known["header"], "blocks": known["blocks"]}).encode())
    newest, count = copy_blocks(
        session, entry, wanted, from_scn, lambda number, data: piece.frame(b"B", struct.pack("<I", number) + data)
    )
    known["fuzzy_scn"] = max(known["fuzzy_scn"], newest if newest >= known["ckp_scn"] else 0)
    known["used"] += count


def _image_copy(session: Session, options: Options, number: int, entry: dict[str, Any]) -> int:
    name, form = session.channel(number)
    content = session.db.control()
    form = options.get("format") or form or session.default_format(content)
    unique = f"data_D-{content['db_name']}_I-{content['dbid']}_TS-{entry['tablespace']}_FNO-{entry['file']}_%u"
    path = session.expand(
        form.replace("%U", unique),
        set_count=entry["file"],
        piece=1,
        stamp=stamp_of(clock.now()),
        dbid=content["dbid"],
        name=content["db_name"],
    )
    session.say(f"channel {name}: starting datafile copy")
    session.say(f"input datafile file number={entry['file']:05d} name={entry['name']}")
    header = start_of_file(session, entry)
    size = Path(entry["name"]).stat().st_size // blocks.SIZE
    try:
        archiver.make_directory(session.db, path)
        blocks.create(path, header, size)
    except OSError as error:
        raise cannot_create(path, error) from error
    with DataFile(path) as target:

        def put(block: int, data: bytes) -> None:
            try:
                session.budget.take(len(data))
                target.put_raw(block, data)
            except OSError as error:
                raise cannot_write(path, block, error) from error

        try:
            newest, _ = copy_blocks(session, entry, range(1, size), 0, put)
        except BaseException:
            Path(path).unlink()
            raise
        header = target.set_header(fuzzy=False, fuzzy_scn=newest if newest >= header["ckp_scn"] else 0)
        target.sync()
    with session.repository() as content:
        record = repository.copy_record(content, path, header, tag=options["tag"], level=options["level"])
        record["completed"] = clock.now()
        content["copies"].append(record)
    session.say(f"output file name={path} tag={options['tag']} RECID={record['recid']} STAMP={stamp_of(clock.now())}")
    session.say(f"channel {name}: datafile copy complete, elapsed time: {session.elapsed()}")
    return size * blocks.SIZE


def validate_files(session: Session, entries: list[dict[str, Any]]) -> None:
    """Read every block; damaged ones are listed and remembered, which is no error."""
    session.say("List of Datafiles")
    session.say("=================")
    for entry in entries:
        bad, used, newest = [], 0, 0
        with DataFile(entry["name"], write=False) as file:
            for number in range(1, file.blocks):
                try:
                    data, scn = read_steady(file, number)
                    used, newest = used + (data != blocks.ZERO), max(newest, scn)
                except CorruptBlockError:
                    bad.append(number)
            total = file.blocks
        with session.repository() as content:
            content["corruption"] = [one for one in content["corruption"] if one["file"] != entry["file"]]
            content["corruption"] += [{"file": entry["file"], "block": number} for number in bad]
        session.say("File Status Marked Corrupt Empty Blocks Blocks Examined High SCN")
        session.say("---- ------ -------------- ------------ --------------- ----------")
        session.say(f"{entry['file']:<4} {'FAILED' if bad else 'OK':<6} {len(bad):<14} {total - used:<12} {total:<15} {newest}")
        session.say(f"  File Name: {entry['name']}")
        session.say()


OBJECTS: dict[str, Callable[[Session, Options], int]] = {
    "database": datafiles,
    "datafile": datafiles,
    "tablespace": datafiles,
    "archivelog": archived_logs,
    "controlfile": control_file,
    "spfile": spfile,
}
