# SPDX-License-Identifier: GPL-3.0-or-later
"""BACKUP ARCHIVELOG."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from oraclelab import archiver, clock, pieces, redo
from oraclelab.control import Control
from oraclelab.errors import OracleError, cannot_create
from oraclelab.rman import repository
from oraclelab.rman.session import Session, stamp_of
from oraclelab.rman.writing import DEFAULT_FILES_PER_SET, Options, SetWriter


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


def _input_line(log: dict[str, Any]) -> str:
    number = f"thread={log['thread']} sequence={log['sequence']}"
    return f"input archived log {number} RECID={log['recid']} STAMP={stamp_of(log['completed'])}"


def _log_set(session: Session, options: Options, number: int, logs: list[dict[str, Any]]) -> int:
    writer = SetWriter(session, options, number)
    session.say(f"channel {writer.channel}: starting archived log backup set")
    session.say(f"channel {writer.channel}: specifying archived log(s) in backup set")
    for log in logs:
        session.say(_input_line(log))
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
        session.say(_input_line(log))
        place = f"S-{log['sequence']}_T-{log['thread']}_A-{log['resetlogs_time']}"
        unique = f"arch_D-{content['db_name']}_id-{content['dbid']}_{place}_%u"
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
        session.say(f"channel {name}: archived log copy complete, elapsed time: {session.elapsed()}")
        size += len(data)
    return size
