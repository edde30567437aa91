# SPDX-License-Identifier: GPL-3.0-or-later
"""A receipt against the plan that its tags promised."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.chain import confirm, require_plannable
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


# What could never be planned is not committed


def _log(**changes: Any) -> dict[str, Any]:
    stream = {"id": "a", "first": "0001", "last": "0002"}
    return make_receipt(**dict({"set": "l", "kind": "log", "parent": "a", "stream": stream}, **changes))


def test_sets_that_a_planner_can_choose_are_plannable() -> None:
    for receipt in [*_line(), _log()]:
        require_plannable(receipt)


@pytest.mark.parametrize(
    "changes",
    [
        {"stream": None},
        {"stream": {"id": "", "first": "0001", "last": "0002"}},
        {"stream": {"id": "a", "first": "0003", "last": "0002"}},
    ],
)
def test_a_log_set_without_a_stretch_of_a_history_is_not_plannable(changes: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match="which stretch of which history"):
        require_plannable(_log(**changes))


def test_a_data_set_that_does_not_stand_on_a_full_one_is_not_plannable() -> None:
    second, third = _line()[1:]
    with pytest.raises(IntegrityError, match="does not stand on a full set"):
        require_plannable(dict(second, chain=[]))
    with pytest.raises(IntegrityError, match="does not stand on a full set"):
        require_plannable(dict(third, chain=third["chain"][1:]))
    with pytest.raises(IntegrityError, match="does not continue"):
        require_plannable(dict(third, chain=third["chain"][:1]))
    with pytest.raises(IntegrityError, match="does not stand on a full set"):
        require_plannable(dict(_line()[0], parent="z"))
