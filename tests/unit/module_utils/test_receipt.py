# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import receipt
from ansible_collections.backstay.fleet.plugins.module_utils.errors import IntegrityError
from hypothesis import given
from hypothesis import strategies as st
from unit.support.receipts import make_receipt


def test_a_receipt_comes_back_from_its_bytes() -> None:
    one = make_receipt()
    raw = receipt.encode(one)
    assert receipt.decode(raw, receipt.digest(raw)) == one


def test_the_spelling_does_not_depend_on_the_order_of_keys() -> None:
    one = make_receipt(facts={"z": 1, "a": "ß"})
    other = dict(reversed(list(one.items())))
    assert receipt.encode(one) == receipt.encode(other)
    assert receipt.encode(one).isascii()


@given(st.data())
def test_any_changed_byte_is_noticed(data: st.DataObject) -> None:
    raw = bytearray(receipt.encode(make_receipt()))
    promised = receipt.digest(bytes(raw))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(IntegrityError, match="its snapshot promises"):
        receipt.decode(bytes(raw), promised)


@pytest.mark.parametrize("cut", [0, 1, 100])
def test_a_truncated_receipt_is_noticed(cut: int) -> None:
    raw = receipt.encode(make_receipt())
    with pytest.raises(IntegrityError):
        receipt.decode(raw[:cut], receipt.digest(raw))


@pytest.mark.parametrize("name", receipt.RECEIPT_SCHEMA["required"])
def test_a_receipt_without_any_of_its_parts_is_not_written(name: str) -> None:
    broken = make_receipt()
    del broken[name]
    with pytest.raises(IntegrityError, match=name):
        receipt.encode(broken)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"artifacts": []}, "artifacts"),
        ({"artifacts": [dict(make_receipt()["artifacts"][0], bytes=0)]}, "bytes is 0"),
        ({"artifacts": [dict(make_receipt()["artifacts"][0], snapshot="")]}, "snapshot"),
        ({"artifacts": [dict(make_receipt()["artifacts"][0], sha256="ABC")]}, "sha256"),
        ({"checks": [{"name": "end", "status": "failed"}]}, "status is 'failed'"),
        ({"position": {"not_before": {}, "not_after": {}}}, "position.exact is missing"),
        ({"events": [{"at": "2026-11-21T09:00:00.000000Z", "event": "start backup"}]}, "at least 2"),
        (
            {"events": [{"at": "2026-11-21T09:00:00.000000Z", "event": name} for name in ("start backup", "upload")]},
            "from 'start backup' to 'end backup'",
        ),
        (
            {"events": [{"at": "2026-11-21T09:00:00.000000Z", "event": name} for name in ("upload", "end backup")]},
            "from 'start backup' to 'end backup'",
        ),
        ({"consistent_at": "2026-11-21T09:00:00Z"}, "consistent_at"),
    ],
)
def test_a_receipt_that_proves_nothing_is_not_written(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(IntegrityError, match=sentence):
        receipt.encode(make_receipt(**changes))


def test_a_receipt_that_is_no_receipt_is_not_read() -> None:
    raw = json.dumps({"set": "x"}).encode()
    with pytest.raises(IntegrityError, match="not valid"):
        receipt.decode(raw, receipt.digest(raw))


def test_a_child_carries_every_receipt_before_it_once() -> None:
    first = make_receipt(set="a")
    second = make_receipt(set="b", kind="log", parent="a", chain=receipt.carried_chain(first))
    third = receipt.carried_chain(second)
    assert [item["set"] for item in third] == ["a", "b"]
    assert all(item["chain"] == [] for item in third)
    assert second["chain"][0]["artifacts"] == first["artifacts"]
