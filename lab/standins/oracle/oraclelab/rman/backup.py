# SPDX-License-Identifier: GPL-3.0-or-later
"""BACKUP in its forms. The server reads and writes; the lock is held only for moments, so the database keeps changing meanwhile."""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oraclelab import archiver, blocks, clock, control, parameters, pieces, redo
from oraclelab.blocks import CorruptBlockError, DataFile
from oraclelab.control import Control
from oraclelab.database import new_scn
from oraclelab.errors import OracleError, cannot_create, cannot_write
from oraclelab.rman import repository
from oraclelab.rman.session import Session, Until, stamp_of

Options = dict[str, Any]
DEFAULT_FILES_PER_SET = 64


class SetWriter:
    """Makes one backup set: names its pieces, writes them, and records the set when it is whole."""

    def __init__(
        self, session: Session, options: Options, number: int, *, level: int | None = None, piece_count: int = 1
    ) -> None:
        self.session = session
        self.options = options
        self.channel, self.channel_format = session.channel(number)
        with session.repository() as content:
            content["set_count"] = content.get("set_count", 0) + 1
            self.content = content
        self.started = clock.now()
        self.record: dict[str, Any] = {
            "set": content["set_count"],
            "stamp": stamp_of(self.started),
            "level": level,
            "tag": options["tag"],
            "started": self.started,
            "completed": self.started,
            "piece_count": piece_count,
            "datafiles": [],
            "logs": [],
            "control": None,
            "spfile": None,
            "resetlogs_scn": content["resetlogs_scn"],
        }
        self.done: list[dict[str, Any]] = []

    def key(self) -> bytes:
        """The key for encrypted pieces, empty without encryption; ORA-28365 with a closed keystore."""
        wanted = self.content["configure"].get("ENCRYPTION FOR DATABASE") == "ON"
        return self.session.key() if wanted else b""

    def _path(self, piece: int) -> str:
        form = self.options.get("format") or self.channel_format or self.session.default_format(self.content)
        path = self.session.expand(
            form,
            set_count=self.record["set"],
            piece=piece,
            stamp=self.record["stamp"],
            dbid=self.content["dbid"],
            name=self.content["db_name"],
        )
        if not path.startswith("/"):
            path = f"{self.session.db.home}/dbs/{path}"
        return path

    def piece(self, number: int, fill: Callable[[pieces.Writer], None], *, path: str = "", tagged: bool = True) -> None:
        """Write one piece of the set; what was written is removed when it cannot be finished."""
        say, session = self.session.say, self.session
        path = path or self._path(number)
        say(f"channel {self.channel}: starting piece {number} at {session.shown(clock.now())}")
        try:
            archiver.make_directory(session.db, path)
        except OSError as error:
            raise cannot_create(path, error) from error
        writer = pieces.Writer(path, compressed=self.options["as"] == "compressed", key=self.key(), budget=session.budget)
        try:
            fill(writer)
            header = self._header(number)
            size = writer.close(header)
            with session.db.locked():
                archiver.reserve(session.db, session.db.control(), path, size)
        except BaseException:
            writer.abandon()
            raise
        self.done.append({"path": path, **pieces.read_header(path)})
        say(f"channel {self.channel}: finished piece {number} at {session.shown(clock.now())}")
        say(f"piece handle={path}{' tag=' + self.record['tag'] if tagged else ''} comment=NONE")

    def _header(self, number: int) -> dict[str, Any]:
        now = clock.now()
        self.record["completed"] = now
        whole = {name: self.content[name] for name in ("dbid", "db_name")} | {
            name: self.record[name] for name in ("set", "stamp", "tag", "started")
        }
        return {**whole, "piece": number, "completed": now, "record": self.record}

    def finish(self) -> int:
        """Record the set; returns its size in bytes."""
        elapsed = clock.now() - self.started
        self.session.say(
            f"channel {self.channel}: backup set complete, elapsed time: {time.strftime('%H:%M:%S', time.gmtime(elapsed))}"
        )
        with self.session.repository() as content:
            recorded = [repository.piece_record(content, header, header["path"]) for header in self.done]
            content["sets"].append({**self.record, "recid": control.next_recid(content), "pieces": recorded})
        return sum(piece["bytes"] for piece in recorded)


def read_steady(file: DataFile, number: int) -> tuple[bytes, int]:
    """Bytes and SCN of a block; a block that is just being written is read again. CorruptBlockError when it stays damaged."""
    for attempt in range(20):
        data = file.raw(number)
        try:
            return data, blocks.unpacked(data, number)[0]
        except CorruptBlockError:
            if attempt == 19:
                raise
            time.sleep(0.005)
    raise AssertionError


def start_of_file(session: Session, entry: dict[str, Any]) -> dict[str, Any]:
    """Checkpoint a data file when the database writes to it; returns its header."""
    from oraclelab.database import header_of

    with session.db.locked():
        header = header_of(session.db.control(), entry)
        if session.db.sga().get("open_mode") == "READ WRITE" and not entry["read_only"]:
            with DataFile(entry["name"]) as file:
                header = file.set_header(ckp_scn=new_scn(session.db), ckp_time=clock.now())
        return header


def copy_blocks(
    session: Session, entry: dict[str, Any], wanted: range, from_scn: int, put: Callable[[int, bytes], None]
) -> tuple[int, int]:
    """Hand over the used blocks of a range not older than an SCN; returns (highest SCN seen, blocks handed over)."""
    newest, count = 0, 0
    with DataFile(entry["name"], write=False) as file:
        for number in wanted:
            try:
                data, scn = read_steady(file, number)
            except CorruptBlockError as error:
                note_corruption(session, entry, number)
                raise OracleError(f"ORA-19566: exceeded limit of 0 corrupt blocks for file {entry['name']}") from error
            if data and data != blocks.ZERO and scn >= from_scn:
                put(number, data)
                newest, count = max(newest, scn), count + 1
            session.db.paced(number)
            if number == wanted.start + 1:
                session.db.reached(f"backup_datafile_{entry['file']}")
    return newest, count


def note_corruption(session: Session, entry: dict[str, Any], number: int) -> None:
    """Remember a damaged block for v$database_block_corruption."""
    with session.repository() as content:
        found = {"file": entry["file"], "block": number}
        if found not in content["corruption"]:
            content["corruption"].append(found)


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


def chosen_files(session: Session, options: Options) -> list[dict[str, Any]]:
    """Control file entries of the data files a command names; RMAN-20201 or RMAN-20202 for an unknown one."""
    entries = session.db.control()["datafiles"]
    if options["object"] == "datafile":
        known = {entry["file"]: entry for entry in entries}
        for number in options["files"]:
            if number not in known:
                raise OracleError(f"RMAN-20201: datafile not found in the recovery catalog: {number}")
        return [known[number] for number in options["files"]]
    if options["object"] == "tablespace":
        chosen = [entry for entry in entries if entry["tablespace"] in options["names"]]
        if not chosen:
            raise OracleError(f"RMAN-20202: Tablespace not found in the recovery catalog: {', '.join(options['names'])}")
        return chosen
    return list(entries)


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
    start = repository.level0(content, entry["file"], Until())
    if start is None or start[0]["level"] != 0:
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
                _file_frames(session, writer, piece, entry, whole, starts[entry["file"]], first=index == 1)

        writer.piece(index, fill)
    return writer.finish()


def _sections(entry: dict[str, Any], blocks_per_section: int) -> list[range]:
    """Block ranges of the pieces of a set."""
    if not blocks_per_section:
        return [range(1)]
    end = Path(entry["name"]).stat().st_size // blocks.SIZE
    return [range(start, min(start + blocks_per_section, end)) for start in range(1, end, blocks_per_section)]


def _file_frames(
    session: Session,
    writer: SetWriter,
    piece: pieces.Writer,
    entry: dict[str, Any],
    wanted: range,
    from_scn: int,
    *,
    first: bool,
) -> None:
    """One data file, or a section of it, as frames of a piece."""
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
    session.say(f"channel {name}: datafile copy complete, elapsed time: 00:00:01")
    return size * blocks.SIZE


def _switch_first(session: Session, wish: dict[str, Any]) -> None:
    """Archive the current log before a backup that has no upper end."""
    if session.db.sga().get("open_mode") != "READ WRITE" or any(name.startswith("until") for name in wish):
        return
    if session.db.knob("standby_unreachable").exists():
        session.warned = True
        session.say("RMAN-06820: warning: failed to archive current log at primary database")
        session.say("cannot connect to remote database")
    archiver.switch_and_archive(session.db)
    session.say("current log archived")


def archived_logs(session: Session, options: Options) -> int:
    """Archived logs of a range, in sets or as copies."""
    session.channel()
    with session.section("backup"):
        _switch_first(session, options["range"])
        content = session.db.control()
        logs = repository.in_range(content, options["range"], session)
        logs = _not_backed_up(session, content, logs, _times(content, options))
        if not logs:
            if not repository.in_range(content, options["range"], session):
                session.say("specification does not match any archived log in the repository")
            session.say("backup cancelled because there are no files to backup")
            return 0
        for log in logs:
            if log["status"] == "X" or not Path(log["name"]).exists():
                raise repository.is_missing(log)
        limit = options.get("filesperset") or DEFAULT_FILES_PER_SET
        size = 0
        for number, at in enumerate(range(0, len(logs), limit)):
            group = logs[at : at + limit]
            make = _log_copies if options["as"] == "copy" else _log_set
            size += make(session, options, number, group)
        if options.get("delete"):
            from oraclelab.rman.maintenance import delete_logs

            delete_logs(session, logs)
    return size


def _times(content: Control, options: Options) -> int:
    if options.get("force"):
        return 0
    optimised = content["configure"].get("BACKUP OPTIMIZATION") == "ON" or bool(options.get("after"))
    return options.get("times") or (1 if optimised else 0)


def _not_backed_up(session: Session, content: Control, logs: list[dict[str, Any]], times: int) -> list[dict[str, Any]]:
    """Leave out, with a word, what the records say was backed up often enough."""
    if not times:
        return logs
    left = [log for log in logs if archiver.backup_count(content, log) < times]
    skipped = [log["sequence"] for log in logs if log not in left]
    runs: list[list[int]] = []
    for sequence in skipped:
        if runs and sequence == runs[-1][1] + 1:
            runs[-1][1] = sequence
        else:
            runs.append([sequence, sequence])
    for first, last in runs:
        which = f"sequence {first}" if first == last else f"from sequence {first} to {last}"
        session.say(f"skipping archived logs of thread 1 {which}; already backed up")
    return left


def _log_set(session: Session, options: Options, number: int, logs: list[dict[str, Any]]) -> int:
    writer = SetWriter(session, options, number)
    session.say(f"channel {writer.channel}: starting archived log backup set")
    session.say(f"channel {writer.channel}: specifying archived log(s) in backup set")
    for log in logs:
        session.say(
            f"input archived log thread={log['thread']} sequence={log['sequence']} RECID={log['recid']} STAMP={stamp_of(log['completed'])}"
        )
        writer.record["logs"].append({key: log[key] for key in (*repository.LOG_KEYS, "bytes")})

    def fill(piece: pieces.Writer) -> None:
        for log in logs:
            data = read_log(log)
            piece.frame(b"L", json.dumps({"name": log["name"], "bytes": len(data)}).encode())
            for at in range(0, len(data), 1 << 16):
                piece.frame(b"D", data[at : at + (1 << 16)])
            session.db.paced(0)
            session.db.reached("backup_archivelog")

    writer.piece(1, fill)
    return writer.finish()


def read_log(log: dict[str, Any]) -> bytes:
    """Bytes of an archived log after its checksum was compared: ORA-00354 when it is damaged, RMAN-06059 when it is gone."""
    try:
        for _ in redo.records(log["name"]):
            pass
        return Path(log["name"]).read_bytes()
    except FileNotFoundError as error:
        raise repository.is_missing(log) from error
    except (OSError, redo.CorruptLogError) as error:
        raise OracleError("ORA-00354: corrupt redo log block header", f"ORA-00334: archived log: '{log['name']}'") from error


def _log_copies(session: Session, options: Options, number: int, logs: list[dict[str, Any]]) -> int:
    name, form = session.channel(number)
    content, size = session.db.control(), 0
    form = options.get("format") or form or session.default_format(content)
    for log in logs:
        session.say(f"channel {name}: starting archived log copy")
        session.say(
            f"input archived log thread={log['thread']} sequence={log['sequence']} RECID={log['recid']} STAMP={stamp_of(log['completed'])}"
        )
        unique = f"arch_D-{content['db_name']}_id-{content['dbid']}_S-{log['sequence']}_T-{log['thread']}_A-{log['resetlogs_time']}_%u"
        path = session.expand(
            form.replace("%U", unique),
            set_count=log["sequence"],
            piece=1,
            stamp=stamp_of(clock.now()),
            dbid=content["dbid"],
            name=content["db_name"],
        )
        data = read_log(log)
        try:
            session.budget.take(len(data))
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        except OSError as error:
            raise cannot_create(path, error) from error
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(data)
        with session.repository() as now:
            record = archiver.log_record(now, path, data)
            now["archived"].append(record)
        session.say(f"output file name={path} RECID={record['recid']} STAMP={stamp_of(clock.now())}")
        session.say(f"channel {name}: archived log copy complete, elapsed time: 00:00:01")
        size += len(data)
    return size


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
