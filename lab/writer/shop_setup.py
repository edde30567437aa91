#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the schema `shop` with its first rows, unless it is already complete. Runs as root on the database host."""

from __future__ import annotations

import subprocess
from pathlib import Path

import shop_model as model


def is_complete(cursor) -> bool:
    """Whether an earlier run finished: the counter is the last row it writes."""
    cursor.execute("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'shop'")
    if cursor.fetchone()[0] == 0:
        return False
    cursor.execute("SELECT COUNT(*) FROM shop.counters WHERE name = 'ledger_rows'")
    return cursor.fetchone()[0] == 1


def fill(cursor) -> None:
    """Write the first rows."""
    accounts = [(n, f"Customer {n:04d}", model.OPENING_BALANCE, "2024-01-01 00:00:00") for n in range(model.ACCOUNTS)]
    cursor.executemany("INSERT INTO shop.accounts (id, owner, balance, opened) VALUES (%s, %s, %s, %s)", accounts)
    cursor.executemany("INSERT INTO shop.attachments VALUES (%s, %s, _binary %s)", model.attachments())
    for name, rows in ((model.UNICODE_TABLE, model.STOCK_ROWS), (model.QUOTED_TABLE, model.QUOTED_ROWS)):
        cursor.executemany(f"INSERT INTO shop.{model.quoted(name)} VALUES (%s, %s, %s)", rows)
    cursor.execute("INSERT INTO shop.counters VALUES ('ledger_rows', 0)")


def main() -> None:
    """Make what is missing."""
    connection = model.connect(model.SOCKET, "root")
    cursor = connection.cursor()
    if is_complete(cursor):
        return
    cursor.execute("DROP DATABASE IF EXISTS shop")
    schema = model.product(cursor)["schema"] + (Path(__file__).parent / "shop_schema.sql").read_text(encoding="utf-8")
    subprocess.run(["mysql", "--default-character-set=utf8mb4"], input=schema.encode(), check=True)
    fill(cursor)
    connection.commit()


if __name__ == "__main__":
    main()
