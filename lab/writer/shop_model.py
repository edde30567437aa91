# SPDX-License-Identifier: GPL-3.0-or-later
"""What the shop's data must look like: shared by set-up, writer and checker."""

from __future__ import annotations

import hashlib
from typing import Any

ACCOUNTS = 1000
OPENING_BALANCE = 10_000
GENESIS = bytes(32)
SOCKET = "/run/mysqld/mysqld.sock"

# Objects of the schema by kind, as information_schema counts them; MySQL has no sequences.
OBJECTS = {"tables": 7, "sequences": 0, "views": 3, "routines": 2, "triggers": 1, "events": 1}
# What the two products say differently, before the schema itself; and the GTID of the session's last commit.
MARIADB = {
    "objects": dict(OBJECTS, sequences=1),
    "schema": """
CREATE DATABASE shop CHARACTER SET utf8mb4 COLLATE utf8mb4_uca1400_ai_ci;
CREATE SEQUENCE shop.invoice_numbers START WITH 1000 INCREMENT BY 10;
CREATE USER IF NOT EXISTS shop@localhost IDENTIFIED VIA unix_socket;
""",
    "gtid": "SELECT @@last_gtid",
}
MYSQL = {
    "objects": OBJECTS,
    "schema": """
CREATE DATABASE shop CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci;
CREATE USER IF NOT EXISTS shop@localhost IDENTIFIED WITH auth_socket;
""",
    # Of all commits of this server: an event may have committed since, but no other ledger row.
    "gtid": "SELECT CONCAT(@@server_uuid, ':', REGEXP_SUBSTR(REGEXP_SUBSTR(REPLACE(@@gtid_executed, '\\n', ''),"
    " CONCAT(@@server_uuid, '[-:0-9]+')), '[0-9]+$'))",
}

# Bulk data: what a row takes in the table, and its checksum as the server computes it.
ARCHIVE_ROW_BYTES = 480
ARCHIVE_CHECKSUM = "CRC32(CONCAT_WS('|', id, customer, sku, quantity, price, note, HEX(stamp)))"

# Names that break careless quoting, as identifiers.
UNICODE_TABLE = "Lagerbestände 店舗"
QUOTED_TABLE = 'it\'s a "quoted" table; -- `x`'

STOCK_ROWS = [
    ("Äpfel", 12, "Straße 1, Köln"),
    ("りんご", 7, "東京"),
    ("яблоко", 0, "emoji \U0001f34e and combining e\u0301"),
    ("", -3, "line one\nline two\ttab \\ backslash"),
]
QUOTED_ROWS = [
    (1, 'O\'Brien said "no"', None),
    (2, "percent % underscore _ semicolon ; -- comment", "NULL"),
    (3, "dollar $HOME `tick` $(sub)", ""),
]


def product(cursor: Any) -> dict[str, Any]:
    """What the server behind the cursor says differently from the other product."""
    cursor.execute("SELECT VERSION()")
    return MARIADB if "MariaDB" in cursor.fetchone()[0] else MYSQL


def quoted(identifier: str) -> str:
    """The identifier in back quotes."""
    return "`" + identifier.replace("`", "``") + "`"


def attachments() -> list[tuple[int, str, bytes]]:
    """Rows of the table attachments: every byte value, a zero-length value, and 64 KiB that do not compress."""
    noise = b"".join(hashlib.sha256(str(n).encode()).digest() for n in range(2048))
    return [(1, "all-bytes.bin", bytes(range(256))), (2, "empty.bin", b""), (3, "noise.bin", noise)]


def chain_hash(previous: bytes, row: tuple[int, int, int, int, str, bytes, str]) -> bytes:
    """SHA-256 that ties a ledger row to the one before it.

    row is (id, from_account, to_account, amount, note, payload, written_at); written_at is the text
    'YYYY-MM-DD HH:MM:SS.ffffff' in UTC.
    """
    number, source, target, amount, note, payload, written_at = row
    text = f"{previous.hex()}|{number}|{source}|{target}|{amount}|{note}|{payload.hex()}|{written_at}"
    return hashlib.sha256(text.encode()).digest()


def connect(socket: str, user: str, database: str | None = None, **options: Any) -> Any:
    """A connection as the operating system user of that name, in UTC, outside autocommit."""
    import pymysql  # Here, so that the rest of this module works without a database client.

    return pymysql.connect(
        unix_socket=socket,
        user=user,
        database=database,
        charset="utf8mb4",
        autocommit=False,
        connect_timeout=5,
        init_command="SET time_zone = '+00:00'",
        **options,
    )
