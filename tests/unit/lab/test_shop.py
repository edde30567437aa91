# SPDX-License-Identifier: GPL-3.0-or-later
"""The pure parts of the shop's data: chain and bulk rows."""

import zlib

import shop_model
import shop_seed

ROW = (1, 2, 3, 40, "Überweisung", b"\x00\xff", "2026-11-21 12:00:00.000001")


def test_the_chain_hash_is_the_documented_one():
    text = f"{'00' * 32}|1|2|3|40|Überweisung|00ff|2026-11-21 12:00:00.000001"
    assert shop_model.chain_hash(shop_model.GENESIS, ROW) == shop_model.hashlib.sha256(text.encode()).digest()


def test_every_field_and_the_predecessor_change_the_chain_hash():
    changed = [(2, 9, 9, 9, "x", b"", "2026-11-21 12:00:00.000002")[n] for n in range(7)]
    variants = [(*ROW[:n], changed[n], *ROW[n + 1 :]) for n in range(7)]
    hashes = {shop_model.chain_hash(shop_model.GENESIS, row) for row in [ROW, *variants]}
    hashes.add(shop_model.chain_hash(b"\x01" * 32, ROW))
    assert len(hashes) == 9


def test_bulk_rows_are_the_same_for_the_same_ids_and_load_as_seven_fields():
    rows = shop_seed.make_rows(1, 50)
    assert rows == shop_seed.make_rows(1, 50)
    assert rows[0] != shop_seed.make_rows(2, 1)[0]
    assert {row.count(b"|") for row in rows} == {6}
    assert not any(b"\n" in row for row in rows)


def test_bulk_rows_compress_like_business_data():
    text = b"\n".join(shop_seed.make_rows(1, 5000))
    assert 2.0 < len(text) / len(zlib.compress(text, 6)) < 3.0


def test_quoting_of_identifiers():
    assert shop_model.quoted("a`b") == "`a``b`"
