#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shop's application: commits transfers without end and keeps its own record of what was committed.

SHOP_RATE is the number of transactions per second. The record, one line per event, is fsynced after the server
reported the commit and before the next transaction starts:

    2026-11-21T12:00:00.123456Z commit ID HASH GTID the server said that this ledger row is durable
    2026-11-21T12:00:00.123456Z resume ID HASH      connected again; this is the newest row found

A row may be in the database without a line (the connection ended during the commit), never a line without a
row, unless the database lost a committed transaction or was restored to an earlier moment.
"""

from __future__ import annotations

import datetime
import os
import random
import signal
import sys
import time
from pathlib import Path

import pymysql
import shop_model as model

LONGEST_PAUSE = 2.0


class Record:
    """The append-only file of committed transactions."""

    def __init__(self, path: Path):
        self.handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, event: str, number: int, digest: bytes, *more: str) -> None:
        """Append a line and return when it is on the disk."""
        line = " ".join([f"{utc_now().isoformat(timespec='microseconds')}Z", event, str(number), digest.hex(), *more]) + "\n"
        os.write(self.handle, line.encode())
        os.fsync(self.handle)


def utc_now() -> datetime.datetime:
    """Now in UTC, without a zone, as the database stores it."""
    return datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)


class Writer:
    """One connection that extends the chain."""

    def __init__(self, record: Record, socket: str, user: str):
        self.record = record
        self.connection = model.connect(socket, user, "shop", read_timeout=30, write_timeout=30)
        self.cursor = self.connection.cursor()
        self.gtid = model.product(self.cursor)["gtid"]
        self.cursor.execute("SELECT id, hash FROM ledger ORDER BY id DESC LIMIT 1")
        self.number, self.digest = self.cursor.fetchone() or (0, model.GENESIS)
        self.connection.rollback()
        record.write("resume", self.number, self.digest)

    def transfer(self) -> None:
        """Move money between two accounts and extend the ledger, in one transaction."""
        source, target = random.sample(range(model.ACCOUNTS), 2)
        amount = random.randint(1, 100)
        take = "UPDATE accounts SET balance = balance - %s WHERE id = %s AND balance >= %s"
        if self.cursor.execute(take, (amount, source, amount)) == 0:
            self.connection.rollback()
            return
        self.cursor.execute("UPDATE accounts SET balance = balance + %s WHERE id = %s", (amount, target))
        number, digest = self.append_row(source, target, amount)
        self.connection.commit()
        self.number, self.digest = number, digest
        self.cursor.execute(self.gtid)
        self.record.write("commit", number, digest, self.cursor.fetchone()[0])
        self.connection.rollback()

    def append_row(self, source: int, target: int, amount: int) -> tuple[int, bytes]:
        """Insert the next ledger row; returns its id and hash."""
        number = self.number + 1
        payload = random.randbytes(random.randint(0, 64))
        note = f"Überweisung #{number}: 100% 'ok'"
        written_at = utc_now().strftime("%Y-%m-%d %H:%M:%S.%f")
        digest = model.chain_hash(self.digest, (number, source, target, amount, note, payload, written_at))
        self.cursor.execute(
            "INSERT INTO ledger (id, from_account, to_account, amount, note, payload, written_at, previous_hash, hash)"
            " VALUES (%s, %s, %s, %s, %s, _binary %s, %s, _binary %s, _binary %s)",
            (number, source, target, amount, note, payload, written_at, self.digest, digest),
        )
        return number, digest

    def run(self, interval: float) -> None:
        """Commit one transaction per interval (seconds) until the server fails; no bursts after a stall."""
        due = time.monotonic()
        while True:
            self.transfer()
            due = max(due + interval, time.monotonic() - interval)
            time.sleep(max(0.0, due - time.monotonic()))


def main() -> None:
    """Write for ever; a failing server is tried again."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    interval = 1 / float(os.environ.get("SHOP_RATE", "20"))
    socket = os.environ.get("SHOP_SOCKET", model.SOCKET)
    state = Path(os.environ.get("STATE_DIRECTORY", "/var/lib/shop-writer"))
    record = Record(state / "committed.log")
    pause = 0.1
    while True:
        writer = None
        try:
            writer = Writer(record, socket, os.environ.get("SHOP_USER", "shop"))
            pause = 0.1
            writer.run(interval)
        except (pymysql.Error, OSError) as error:
            print(f"server lost, trying again: {error}", file=sys.stderr, flush=True)
        finally:
            if writer and writer.connection.open:
                writer.connection._force_close()
        time.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


if __name__ == "__main__":
    main()
