#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove the shop's data, or say what is wrong with it: one JSON object on stdout.

Exit status 0 when all invariants hold, 1 when one does not, 2 when the data cannot be read. Everything is read
in one snapshot, so the check may run while the writer writes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys

import pymysql
import pymysql.cursors
import shop_model as model

LEDGER_COLUMNS = "id, from_account, to_account, amount, note, payload, written_at, previous_hash, hash"


class Checker:
    """Collects facts and problems from one snapshot of the data."""

    def __init__(self, connection, database: str):
        self.connection = connection
        self.schema = model.quoted(database)
        self.database = database
        self.problems: list[str] = []
        self.facts: dict = {}

    def rows(self, statement: str, arguments=()) -> list:
        """All rows of a query."""
        with self.connection.cursor() as cursor:
            cursor.execute(statement, arguments)
            return cursor.fetchall()

    def expect(self, what: str, found, wanted) -> None:
        """Note a problem unless found equals wanted."""
        if found != wanted:
            self.problems.append(f"{what}: found {found}, expected {wanted}")

    def check_ledger(self, marks: dict[int, str]) -> None:
        """Walk the chain from the first row; marks are known ids with their hashes ('' for only telling)."""
        previous, number, seen = model.GENESIS, 0, {}
        with self.connection.cursor(pymysql.cursors.SSCursor) as cursor:
            cursor.execute(f"SELECT {LEDGER_COLUMNS} FROM {self.schema}.ledger ORDER BY id")
            for row in cursor:
                number += 1
                written_at = row[6].strftime("%Y-%m-%d %H:%M:%S.%f")
                wanted = model.chain_hash(previous, (*row[:6], written_at))
                if row[0] != number or row[7] != previous or row[8] != wanted:
                    self.problems.append(f"ledger: the chain breaks at row {row[0]} (place {number})")
                    break
                previous = row[8]
                self.facts["last_ledger_written_at"] = written_at
                if number in marks:
                    seen[number] = previous.hex()
        self.facts.update(last_ledger_id=number, last_ledger_hash=previous.hex(), hash_at=seen)
        for mark, wanted in marks.items():
            if mark not in seen:
                self.problems.append(f"ledger: row {mark} is not there")
            elif wanted:
                self.expect(f"ledger: hash of row {mark}", seen[mark], wanted)

    def check_accounts(self) -> None:
        """Money is neither made nor lost, and every balance is what the ledger says."""
        (count, total), *_ = self.rows(f"SELECT COUNT(*), CAST(SUM(balance) AS SIGNED) FROM {self.schema}.accounts")
        self.facts.update(accounts=count, balance_sum=total)
        self.expect("accounts", count, model.ACCOUNTS)
        self.expect("sum of balances", total, model.ACCOUNTS * model.OPENING_BALANCE)
        wrong = self.rows(
            f"SELECT a.id, a.balance, %s + COALESCE(SUM(m.amount), 0) AS wanted FROM {self.schema}.accounts a LEFT JOIN"
            f" (SELECT from_account AS id, -amount AS amount FROM {self.schema}.ledger"
            f" UNION ALL SELECT to_account, amount FROM {self.schema}.ledger) m ON m.id = a.id"
            " GROUP BY a.id, a.balance HAVING a.balance <> wanted LIMIT 5",
            (model.OPENING_BALANCE,),
        )
        for number, balance, wanted in wrong:
            self.problems.append(f"account {number}: balance {balance}, the ledger says {wanted}")
        counted = self.rows(f"SELECT value FROM {self.schema}.counters WHERE name = 'ledger_rows'")
        self.expect("rows counted by the trigger", counted, ((self.facts["last_ledger_id"],),))

    def check_fixed_tables(self) -> None:
        """Tables that nobody writes to still hold their rows, byte for byte."""
        fixed = {
            "attachments": model.attachments(),
            model.UNICODE_TABLE: sorted(model.STOCK_ROWS),
            model.QUOTED_TABLE: model.QUOTED_ROWS,
        }
        for name, wanted in fixed.items():
            found = sorted(self.rows(f"SELECT * FROM {self.schema}.{model.quoted(name)}"))
            if found != wanted:
                self.problems.append(f"table {name}: the rows differ from what was written")

    def check_objects(self) -> None:
        """Nothing of the schema is missing and its code works."""
        information = {
            "tables": "tables WHERE table_type = 'BASE TABLE' AND table_schema = %s",
            "sequences": "tables WHERE table_type = 'SEQUENCE' AND table_schema = %s",
            "views": "views WHERE table_schema = %s",
            "routines": "routines WHERE routine_schema = %s",
            "triggers": "triggers WHERE trigger_schema = %s",
            "events": "events WHERE event_schema = %s",
        }
        counts = {}
        for kind, source in information.items():
            counts[kind] = self.rows(f"SELECT COUNT(*) FROM information_schema.{source}", self.database)[0][0]
        self.facts["objects"] = counts
        with self.connection.cursor() as cursor:
            self.expect("objects", counts, model.product(cursor)["objects"])
        total = model.ACCOUNTS * model.OPENING_BALANCE
        self.expect("function total_balance", self.rows(f"SELECT {self.schema}.total_balance()")[0][0], total)
        overview = self.rows(f"SELECT CAST(total AS SIGNED), rows_written FROM {self.schema}.`Übersicht`")
        self.expect("view Übersicht", overview, ((total, self.facts["last_ledger_id"]),))

    def add_content_digest(self) -> None:
        """SHA-256 of all content but the heartbeat: equal before and after a restore of quiesced data."""
        digest = hashlib.sha256(self.facts["last_ledger_hash"].encode())
        for row in self.rows(f"SELECT id, owner, balance, opened FROM {self.schema}.accounts ORDER BY id"):
            digest.update(repr(row).encode())
        for name in ("attachments", model.UNICODE_TABLE, model.QUOTED_TABLE, "counters"):
            digest.update(repr(sorted(self.rows(f"SELECT * FROM {self.schema}.{model.quoted(name)}"))).encode())
        self.facts["content_sha256"] = digest.hexdigest()

    def check_archive(self) -> None:
        """Seeded bulk data, where there is any, has the sums that the seeding recorded."""
        present = self.rows("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'shop_archive'")
        self.facts["archive_rows"] = 0
        if present[0][0] == 0:
            return
        (rows, total), *_ = self.rows(
            f"SELECT COUNT(*), CAST(COALESCE(SUM({model.ARCHIVE_CHECKSUM}), 0) AS SIGNED) FROM shop_archive.order_lines"
        )
        (wanted_rows, wanted_total), *_ = self.rows(
            "SELECT CAST(COALESCE(SUM(row_count), 0) AS SIGNED), CAST(COALESCE(SUM(crc_sum), 0) AS SIGNED)"
            " FROM shop_archive.seeded"
        )
        self.facts["archive_rows"] = rows
        self.expect("archive rows and checksum", [rows, total], [wanted_rows, wanted_total])


def parse_mark(text: str) -> tuple[int, str]:
    """Read ID or ID:HASH."""
    number, _, digest = text.partition(":")
    return int(number), digest.lower()


def check(options: argparse.Namespace) -> tuple[int, dict]:
    """Run all checks; returns exit status and the JSON object."""
    try:
        connection = model.connect(options.socket, options.user)
        checker = Checker(connection, options.database)
        checker.rows("SELECT 1")
        with connection.cursor() as cursor:
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        checker.check_ledger(dict(options.at_id))
        checker.check_accounts()
        checker.check_fixed_tables()
        checker.check_objects()
        checker.add_content_digest()
        if options.archive:
            checker.check_archive()
    except (pymysql.Error, OSError) as error:
        return 2, {"ok": False, "problems": [f"the data cannot be read: {error}"]}
    return (1 if checker.problems else 0), {"ok": not checker.problems, "problems": checker.problems, **checker.facts}


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--socket", default=model.SOCKET)
    parser.add_argument("--user", default="root")
    parser.add_argument("--database", default="shop")
    parser.add_argument(
        "--at-id",
        type=parse_mark,
        action="append",
        default=[],
        metavar="ID[:HASH]",
        help="tell the hash of this ledger row; with a hash, fail unless it is this one",
    )
    parser.add_argument("--archive", action="store_true", help="check the seeded bulk data too")
    status, answer = check(parser.parse_args())
    print(json.dumps(answer, ensure_ascii=False))
    return status


if __name__ == "__main__":
    sys.exit(main())
