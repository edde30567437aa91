# SPDX-License-Identifier: GPL-3.0-or-later
"""A receipt against the plan that its tags promised."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.chain import confirm
from ansible_collections.backstay.fleet.plugins.module_utils.errors import IntegrityError
from ansible_collections.backstay.fleet.plugins.module_utils.receipt import carried_chain
from unit.support.receipts import make_receipt


def _line() -> list[dict[str, Any]]:
    """Return three receipts that continue each other, the last with its chain."""
    first = make_receipt(set="a", position={"not_before": {"lsn": 0}, "not_after": {"lsn": 5}, "exact": True})
    second = make_receipt(
        set="b",
        kind="incremental",
        parent="a",
        position={"not_before": {"lsn": 5}, "not_after": {"lsn": 9}, "exact": True},
        chain=carried_chain(first),
    )
    third = make_receipt(
        set="c",
        kind="incremental",
        parent="b",
        position={"not_before": {"lsn": 9}, "not_after": {"lsn": 12}, "exact": True},
        chain=carried_chain(second),
    )
    return [first, second, third]


def test_a_receipt_confirms_the_plan_by_positions() -> None:
    assert [item["set"] for item in confirm({"sets": ["a", "b", "c"]}, _line()[2], "shop-db1", "mysql")] == ["a", "b", "c"]


@pytest.mark.parametrize("planned", [["a", "c"], ["a", "b"], ["c"], ["a", "b", "x", "c"], []])
def test_another_chain_than_planned_is_refused(planned: list[str]) -> None:
    with pytest.raises(IntegrityError, match="carries another chain"):
        confirm({"sets": planned}, _line()[2], "shop-db1", "mysql")


@pytest.mark.parametrize(("which", "lsn"), [(0, 6), (0, 4), (1, 8)])
def test_a_gap_or_overlap_of_positions_is_refused(which: int, lsn: int) -> None:
    third = _line()[2]
    third["chain"][which]["position"]["not_after"]["lsn"] = lsn
    with pytest.raises(IntegrityError, match="does not continue set"):
        confirm({"sets": ["a", "b", "c"]}, third, "shop-db1", "mysql")


def test_a_wrong_parent_inside_the_chain_is_refused() -> None:
    third = _line()[2]
    third["chain"][1]["parent"] = "elsewhere"
    with pytest.raises(IntegrityError, match="set b does not continue set a"):
        confirm({"sets": ["a", "b", "c"]}, third, "shop-db1", "mysql")


@pytest.mark.parametrize(("host", "app"), [("shop-db2", "mysql"), ("shop-db1", "files")])
@pytest.mark.parametrize("which", [0, 2])
def test_a_receipt_of_another_host_or_app_is_refused(host: str, app: str, which: int) -> None:
    third = _line()[2]
    [*third["chain"], third][which].update(host=host, app=app)
    with pytest.raises(IntegrityError, match=f"is of {app} on {host}"):
        confirm({"sets": ["a", "b", "c"]}, third, "shop-db1", "mysql")
