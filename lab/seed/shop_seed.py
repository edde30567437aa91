#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put bulk data into the schema shop_archive: deterministic, and about as compressible as business data.

Every call with --mib appends; --change rewrites a share of the rows in place, for measuring later backups.
Checksums are kept beside the data, `shop_check.py --archive` compares them.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "writer"))
import shop_model as model

NOTE_BYTES = 400
BATCH_ROWS = 20_000
# 256 random byte values onto letters with a skew: about 3 bits of information in a letter, so zstd packs it 2-3 times.
SKEWED = {" ": 64, "e": 52, "a": 36, "n": 28, "r": 22, "i": 18, "t": 14, "s": 10, "o": 6, "l": 4, "d": 2}
ALPHABET = "".join(letter * count for letter, count in SKEWED.items()).encode()

SCHEMA = """
CREATE DATABASE IF NOT EXISTS shop_archive CHARACTER SET utf8mb4;
CREATE TABLE IF NOT EXISTS shop_archive.order_lines (
  id BIGINT PRIMARY KEY, customer INT NOT NULL, sku CHAR(12) NOT NULL, quantity INT NOT NULL,
  price DECIMAL(10, 2) NOT NULL, note VARCHAR(500) NOT NULL, stamp BINARY(16) NOT NULL
) ENGINE = InnoDB;
CREATE TABLE IF NOT EXISTS shop_archive.seeded (
  first_id BIGINT PRIMARY KEY, row_count BIGINT NOT NULL, crc_sum BIGINT NOT NULL
) ENGINE = InnoDB;
"""

LOAD = """
LOAD DATA LOCAL INFILE %s INTO TABLE shop_archive.order_lines CHARACTER SET utf8mb4
FIELDS TERMINATED BY '|' ESCAPED BY '' LINES TERMINATED BY '\\n'
(id, customer, sku, quantity, price, note, @stamp) SET stamp = UNHEX(@stamp)
"""


def make_rows(first_id: int, count: int) -> list[bytes]:
    """Rows as the text that the checksum is taken of, fields joined by '|'; the same ids always give the same rows."""
    chance = random.Random(first_id)
    notes = chance.randbytes(count * NOTE_BYTES).translate(ALPHABET)
    noise = chance.randbytes(count * 16)
    rows = []
    for n in range(count):
        stamp = noise[16 * n : 16 * n + 16]
        quantity, cents = stamp[0] % 20 + 1, int.from_bytes(stamp[1:4], "big") % 100_000
        head = f"{first_id + n}|{first_id % 997 + stamp[4]}|SKU-{int.from_bytes(stamp[5:8], 'big'):08d}|{quantity}"
        price = f"{cents // 100}.{cents % 100:02d}"
        note = notes[NOTE_BYTES * n : NOTE_BYTES * (n + 1)]
        rows.append(b"|".join((head.encode(), price.encode(), note, stamp.hex().upper().encode())))
    return rows


def load_batch(cursor, first_id: int, count: int) -> None:
    """Insert one batch and record its checksum; the caller commits."""
    rows = make_rows(first_id, count)
    with tempfile.NamedTemporaryFile(prefix="shop-seed-") as handle:
        handle.write(b"\n".join(rows) + b"\n")
        handle.flush()
        loaded = cursor.execute(LOAD, (handle.name,))
    if loaded != count:
        raise SystemExit(f"loaded {loaded} rows of {count}")
    total = sum(zlib.crc32(row) for row in rows)
    cursor.execute("INSERT INTO shop_archive.seeded VALUES (%s, %s, %s)", (first_id, count, total))


def seed(connection, mib: int) -> int:
    """Append mib MiB of rows in batches of one transaction each; returns the number of rows."""
    cursor = connection.cursor()
    cursor.execute("SELECT COALESCE(MAX(id), 0) + 1 FROM shop_archive.order_lines")
    first = cursor.fetchone()[0]
    wanted = max(1, (mib << 20) // model.ARCHIVE_ROW_BYTES)
    for start in range(0, wanted, BATCH_ROWS):
        load_batch(cursor, first + start, min(BATCH_ROWS, wanted - start))
        connection.commit()
    return wanted


def change(connection, percent: float, scattered: bool) -> int:
    """Rewrite a share of the rows, one run of ids or every n-th; returns the number of rows."""
    cursor = connection.cursor()
    cursor.execute("SELECT COALESCE(MIN(id), 0), COUNT(*) FROM shop_archive.order_lines")
    low, count = cursor.fetchone()
    wanted = round(count * percent / 100)
    if wanted == 0:
        return 0
    chosen = f"id MOD {round(100 / percent)} = 0" if scattered else f"id BETWEEN {low} AND {low + wanted - 1}"
    checksum = f"SELECT COALESCE(SUM({model.ARCHIVE_CHECKSUM}), 0) FROM shop_archive.order_lines WHERE {chosen}"
    cursor.execute(checksum)
    before = cursor.fetchone()[0]
    rotated = "CONCAT(SUBSTRING(note, 38), LEFT(note, 37))"
    update = f"UPDATE shop_archive.order_lines SET note = {rotated}, quantity = quantity + 1 WHERE {chosen}"
    changed = cursor.execute(update)
    cursor.execute(checksum)
    difference = cursor.fetchone()[0] - before
    cursor.execute(
        "INSERT INTO shop_archive.seeded SELECT LEAST(0, MIN(first_id)) - 1, 0, %s FROM shop_archive.seeded", (difference,)
    )
    connection.commit()
    return changed


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--socket", default=model.SOCKET)
    parser.add_argument("--mib", type=int, default=0, help="append this many MiB")
    parser.add_argument("--change", type=float, default=0, metavar="PERCENT", help="rewrite this share of the rows")
    parser.add_argument("--scattered", action="store_true", help="spread the changed rows over the table")
    parser.add_argument("--no-binlog", action="store_true", help="faster; a replay of binary logs cannot cross this point")
    options = parser.parse_args()
    started = time.monotonic()
    connection = model.connect(options.socket, "root", local_infile=True)
    cursor = connection.cursor()
    if options.no_binlog:
        cursor.execute("SET SESSION sql_log_bin = 0")
    for statement in filter(str.strip, SCHEMA.split(";")):
        cursor.execute(statement)
    added = seed(connection, options.mib) if options.mib else 0
    changed = change(connection, options.change, options.scattered) if options.change else 0
    print(f"added {added} rows, changed {changed} rows in {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    main()
