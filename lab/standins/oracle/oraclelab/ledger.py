# SPDX-License-Identifier: GPL-3.0-or-later
"""The application's data: a hash-chained ledger and account balances, spread over several data files."""

from __future__ import annotations

import datetime
import hashlib
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

from oraclelab import archiver, clock, redo
from oraclelab.blocks import DataFile
from oraclelab.control import Control
from oraclelab.database import checkpoint
from oraclelab.errors import OracleError
from oraclelab.instance import Instance
from oraclelab.recovery import write_changes

ACCOUNTS = 96
OPENING_BALANCE = 10_000
ACCOUNTS_PER_BLOCK = 16
ROWS_PER_BLOCK = 24
GENESIS = "0" * 64
COUNTER_BLOCK = 2
UNDO_SLOTS = 16


def row_hash(previous: str, number: int, row: list[Any]) -> str:
    """SHA-256 that ties a ledger row to the one before it; row begins with account, other, amount, note, written_at."""
    text = "|".join(str(part) for part in (previous, number, *row[:5]))
    return hashlib.sha256(text.encode()).hexdigest()


def places(content: Control) -> dict[str, dict[str, Any]]:
    """Data files by what they hold: ledger, accounts, undo, counter."""
    return {entry["holds"]: entry for entry in content["datafiles"] if entry["holds"]}


def opening_rows() -> dict[int, dict[str, Any]]:
    """Blocks of the accounts as they begin: block number to rows."""
    found: dict[int, dict[str, Any]] = {}
    for account in range(ACCOUNTS):
        found.setdefault(1 + account // ACCOUNTS_PER_BLOCK, {})[str(account)] = OPENING_BALANCE
    return found


def require_open(db: Instance, content: Control, *, write: bool) -> None:
    """The container with the application's data is open: ORA-01109 or ORA-16000 otherwise."""
    memory = db.require("OPEN")
    mode = memory["open_mode"]
    if content["cdb"]:
        mode = memory["pdbs"].get(str(places(content)["ledger"]["con_id"]), "MOUNTED")
    if mode == "MOUNTED":
        raise OracleError("ORA-01109: database not open")
    if write and mode != "READ WRITE":
        raise OracleError("ORA-16000: database or pluggable database open for read-only access")


def _row(files: dict[str, dict[str, Any]], holder: str, block: int, key: str, default: Any) -> Any:
    with DataFile(files[holder]["name"], write=False) as file:
        return file.read(block)[1].get(key, default)


def transaction(files: dict[str, dict[str, Any]], scn: int) -> tuple[list[Any], dict[str, Any]]:
    """(changes, what is known about it) of the next transfer."""
    last, previous = _row(files, "counter", COUNTER_BLOCK, "ledger", [0, GENESIS])
    number, (source, target) = last + 1, random.sample(range(ACCOUNTS), 2)
    amount = random.randint(1, 500)
    written = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")
    row = [source, target, amount, f"transfer {number} Überweisung", written]
    digest = row_hash(previous, number, row)
    changes: list[Any] = [[files["ledger"]["file"], 1 + number // ROWS_PER_BLOCK, str(number), [*row, scn, previous, digest]]]
    for account, change in ((source, -amount), (target, amount)):
        block = 1 + account // ACCOUNTS_PER_BLOCK
        balance = _row(files, "accounts", block, str(account), OPENING_BALANCE)
        changes.append([files["accounts"]["file"], block, str(account), balance + change])
    changes.append([files["undo"]["file"], 1 + number % UNDO_SLOTS, "slot", [number, digest]])
    changes.append([files["counter"]["file"], COUNTER_BLOCK, "ledger", [number, digest]])
    return changes, {"id": number, "hash": digest, "scn": scn, "written_at": written}


def _make_room(db: Instance, content: Control, size: int) -> None:
    """Switch when the current log is full; ORA-00257 while the ring waits for the archiver."""
    memory, group = _redo_position(db)
    if memory["redo_offset"] + size + redo.FRAME.size <= group["bytes"]:
        return
    try:
        try:
            archiver.archive_what_waits(db, content)
        except OracleError:
            archiver.next_group(db, content)  # Only a full ring stops the writers.
        archiver.switch(db, content)
        checkpoint(db, content)
        try:
            archiver.archive_what_waits(db, content)
        except OracleError as error:
            db.update_sga(archiver_error=error.lines[1])
    finally:
        db.save_control(content)


def commit(db: Instance) -> dict[str, Any]:
    """Commit one transfer durably; returns id, hash, scn and written_at."""
    with db.locked():
        db.require("OPEN")
        content = db.control()
        require_open(db, content, write=True)
        files = places(content)
        _make_room(db, content, 4096)
        memory, group = _redo_position(db)
        scn = memory["scn"] + 1
        changes, known = transaction(files, scn)
        record = redo.packed_record(group["sequence"], scn, clock.now(), changes)
        for member in group["members"]:
            redo.append(member, memory["redo_offset"], record)
        names = {entry["file"]: entry["name"] for entry in content["datafiles"]}
        placed = [[names[number], *rest] for number, *rest in changes]
        memory.update(scn=scn, redo_offset=memory["redo_offset"] + len(record))
        db.save_sga({**memory, "pending": [scn, placed]})
        try:
            write_changes(scn, placed)
        except OSError as error:
            # What is not in the data files is in the redo; an instance that cannot write them ends, as Oracle's does.
            db.abort()
            raise OracleError("ORA-03113: end-of-file on communication channel") from error
        db.save_sga({**memory, "pending": None})
        return known


def _redo_position(db: Instance) -> tuple[dict[str, Any], dict[str, Any]]:
    """(memory, current group); the memory is corrected when a switch was killed half-way."""
    memory, group = db.sga(), archiver.current_group(db.control())
    if memory["redo_sequence"] != group["sequence"]:
        offset, last = redo.end_of(group["members"][0])
        memory.update(redo_offset=offset, redo_sequence=group["sequence"], scn=max(memory["scn"], last, group["first_scn"]))
    return memory, group


def write_forever(db: Instance, log: Path, rate: float) -> None:
    """Commit until killed; every durable commit gets a synced line in the log. Who asks it to end waits for the commit."""
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    said = ""
    while True:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            known = commit(db)
            moment = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            os.write(descriptor, f"{moment} commit {known['id']} {known['hash']} {known['scn']}\n".encode())
            os.fdatasync(descriptor)
            pause = 1 / rate
        except (OracleError, OSError) as error:
            reason = str(error).splitlines()[0]
            if reason != said:
                print(f"waiting: {reason}", flush=True)
            said, pause = reason, 0.5
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        time.sleep(pause)


def read_rows(content: Control) -> tuple[dict[int, list[Any]], dict[int, int], list[Any]]:
    """(ledger by id, balances by account, counter) from the data files."""
    files = places(content)
    ledger: dict[int, list[Any]] = {}
    balances: dict[int, int] = {}
    for holder, target in (("ledger", ledger), ("accounts", balances)):
        with DataFile(files[holder]["name"], write=False) as file:
            for block in range(1, file.blocks):
                target.update({int(key): row for key, row in file.read(block)[1].items()})
    return ledger, balances, _row(files, "counter", COUNTER_BLOCK, "ledger", [0, GENESIS])
