# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.chain import chains, confirm, plan, plan_hash, reach
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput, IntegrityError, PlanRefused
from ansible_collections.backstay.fleet.plugins.module_utils.moment import format_moment, parse_moment
from ansible_collections.backstay.fleet.plugins.module_utils.receipt import carried_chain
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from unit.support.receipts import make_receipt, summary

START = datetime(2026, 11, 1, tzinfo=UTC)
NOW = START + timedelta(hours=100)
Summary = dict[str, Any]


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def text(hours: float) -> str:
    return format_moment(at(hours))


@st.composite
def histories(draw: st.DrawFn, kinds: tuple[str, ...] = ("full", "incremental", "differential", "log")) -> list[Summary]:
    """Return the sets of a server: in order of time, some lost, some with parents that never were, or in a circle."""
    made: list[Summary] = []
    hour = 0
    for number in range(draw(st.integers(1, 9))):
        hour += draw(st.integers(0, 4))
        kind = draw(st.sampled_from(kinds)) if number else "full"
        parent = None if kind == "full" else draw(st.sampled_from([item["set"] for item in made[-3:]]))
        made.append(summary(f"set{number}", kind, parent, text(hour)))
    for item in draw(st.lists(st.sampled_from(made), max_size=2)):
        if item["kind"] != "full":
            item["parent"] = draw(st.sampled_from(["never-was", *(other["set"] for other in made)]))
    lost = draw(st.sets(st.sampled_from([item["set"] for item in made]), max_size=2))
    return draw(st.permutations([item for item in made if item["set"] not in lost]))


def restorable(sets: list[Summary]) -> dict[str, tuple[list[str], datetime, datetime]]:
    """Return, written down differently than in the engine, the chain and the reachable span of every usable set."""
    known = {item["set"]: item for item in sets}
    found = {}
    for item in sets:
        line, current = [item["set"]], item
        while current["parent"] in known and current["parent"] not in line:
            current = known[current["parent"]]
            line.append(current["set"])
        if current["kind"] == "full" and current["parent"] is None:
            data = [known[name] for name in line if known[name]["kind"] != "log"]
            end = parse_moment(item["consistent_at"])
            begin = parse_moment(data[0]["consistent_at"]) if item["kind"] == "log" else end
            found[item["set"]] = (line[::-1], begin, end)
    return found


moments = st.integers(-4, 60).map(lambda half_hours: at(half_hours / 2))


@given(histories(), moments)
def test_a_plan_is_a_whole_chain_that_never_reaches_past_the_moment(sets: list[Summary], moment: datetime) -> None:
    try:
        made = plan(sets, NOW, moment)
    except PlanRefused:
        return
    line, begin, end = restorable(sets)[made["sets"][-1]]
    assert made["sets"] == line
    assert parse_moment(made["target"]) <= moment
    if made["stop_at"] is None:
        assert parse_moment(made["target"]) == end <= moment
    else:
        assert made["stop_at"] == made["target"] == format_moment(moment)
        assert begin <= moment < end


@settings(max_examples=150)
@given(histories(), moments)
def test_a_plan_is_the_closest_possible_and_a_refusal_means_there_is_none(sets: list[Summary], moment: datetime) -> None:
    spans = restorable(sets)
    logs = any(item["kind"] == "log" for item in sets if item["set"] in spans)
    reached = [min(end, moment) for _line, begin, end in spans.values() if begin <= moment and (end >= moment or not logs)]
    try:
        made = plan(sets, NOW, moment)
    except PlanRefused:
        assert not reached
    else:
        target = parse_moment(made["target"])
        assert target == max(reached)
        assert target == moment or not logs
        same = [len(line) for line, begin, end in spans.values() if begin <= target <= end and (end == target or logs)]
        assert len(made["sets"]) == min(same)


@given(histories(("full", "log")), moments)
def test_the_moments_that_a_refusal_names_can_be_restored_and_nothing_lies_between(
    sets: list[Summary], moment: datetime
) -> None:
    try:
        plan(sets, NOW, moment)
    except PlanRefused as refusal:
        spans = restorable(sets)
        assume(spans)
        named = re.findall(r"nearest (earlier|later): (\S+Z)", refusal.hint)
        for _side, nearest in named:
            assert plan(sets, NOW, parse_moment(nearest))["target"] == nearest
        named_moments = {side: parse_moment(nearest) for side, nearest in named}
        low, high = named_moments.get("earlier"), named_moments.get("later")
        assert low is None or low < moment
        assert high is None or high > moment
        for _line, begin, end in spans.values():
            assert (low is not None and end <= low) or (high is not None and begin >= high)


@given(histories())
def test_without_a_moment_the_latest_is_chosen(sets: list[Summary]) -> None:
    spans = restorable(sets)
    if not spans:
        with pytest.raises(PlanRefused, match="no set to restore"):
            plan(sets, NOW)
        return
    made = plan(sets, NOW)
    assert made["stop_at"] is None
    assert parse_moment(made["target"]) == max(end for _line, _begin, end in spans.values())


@given(histories())
def test_only_whole_chains_are_offered(sets: list[Summary]) -> None:
    offered = {name: [item["set"] for item in line] for name, line in chains(sets).items()}
    assert offered == {name: line for name, (line, _begin, _end) in restorable(sets).items()}


@given(histories(), st.data())
def test_a_wanted_set_is_landed_with_its_chain_or_refused(sets: list[Summary], data: st.DataObject) -> None:
    assume(sets)
    wanted = data.draw(st.sampled_from([item["set"] for item in sets]))
    spans = restorable(sets)
    if wanted in spans:
        assert plan(sets, NOW, wanted_set=wanted)["sets"] == spans[wanted][0]
    elif spans:
        with pytest.raises(BadInput, match=f"there is no set '{wanted}'"):
            plan(sets, NOW, wanted_set=wanted)


@given(histories(), moments)
def test_the_order_of_the_listing_does_not_matter(sets: list[Summary], moment: datetime) -> None:
    def outcome(listing: list[Summary]) -> Any:
        try:
            return plan(listing, NOW, moment)
        except PlanRefused as refusal:
            return refusal.as_dict()

    assert outcome(sets) == outcome(sorted(sets, key=lambda item: item["set"]))


def test_a_circle_of_parents_is_never_offered() -> None:
    sets = [summary("a", "log", "b", text(1)), summary("b", "log", "a", text(2)), summary("c", "incremental", "c", text(3))]
    assert chains(sets) == {}
    with pytest.raises(PlanRefused, match="no set to restore from"):
        plan(sets, NOW)


def test_a_full_set_that_claims_a_parent_is_never_offered() -> None:
    assert chains([summary("a", "full", None, text(1)), summary("b", "full", "a", text(2))]).keys() == {"a"}


HISTORY = [
    summary("full1", "full", None, text(0)),
    summary("log1", "log", "full1", text(4)),
    summary("full2", "full", None, text(10)),
    summary("log2", "log", "full2", text(12)),
    summary("log3", "log", "log2", text(14)),
]


@pytest.mark.parametrize(
    ("hours", "sets", "stop"),
    [
        (0, ["full1"], False),
        (2, ["full1", "log1"], True),
        (4, ["full1", "log1"], False),
        (10, ["full2"], False),
        (11, ["full2", "log2"], True),
        (12, ["full2", "log2"], False),
        (13, ["full2", "log2", "log3"], True),
        (14, ["full2", "log2", "log3"], False),
    ],
)
def test_moments_between_logs(hours: float, sets: list[str], stop: bool) -> None:
    made = plan(HISTORY, NOW, at(hours))
    assert (made["sets"], made["target"]) == (sets, text(hours))
    assert made["stop_at"] == (text(hours) if stop else None)


@pytest.mark.parametrize(
    ("hours", "hint"),
    [
        (7, f"nearest earlier: {text(4)}; nearest later: {text(10)}"),
        (-1, f"there is nothing earlier; nearest later: {text(0)}"),
        (15, f"nearest earlier: {text(14)}; there is nothing later"),
    ],
)
def test_a_moment_in_a_gap_is_refused_with_the_nearest(hours: float, hint: str) -> None:
    with pytest.raises(PlanRefused, match="cannot be restored") as refusal:
        plan(HISTORY, NOW, at(hours))
    assert refusal.value.hint == hint


def test_the_future_is_refused() -> None:
    with pytest.raises(PlanRefused, match="lies in the future") as refusal:
        plan(HISTORY, at(14), at(14.5))
    assert refusal.value.hint == f"nearest earlier: {text(14)}; there is nothing later"


def test_a_server_without_logs_gets_the_newest_set_before_the_moment_and_is_told_which() -> None:
    sets = [
        summary("a", "full", None, text(0)),
        summary("b", "differential", "a", text(5)),
        summary("c", "full", None, text(9)),
    ]
    made = plan(sets, NOW, at(7))
    assert (made["sets"], made["target"], made["stop_at"]) == (["a", "b"], text(5), None)


def test_reach_of_a_chain_with_logs_begins_at_its_last_data() -> None:
    line = [
        summary("f", "full", None, text(0)),
        summary("i", "incremental", "f", text(3)),
        summary("l", "log", "i", text(5)),
    ]
    assert reach(line) == (at(3), at(5))
    assert reach(line[:2]) == (at(3), at(3))


@given(
    st.fixed_dictionaries(
        {"target": st.text(max_size=3), "stop_at": st.none() | st.text(max_size=3), "sets": st.lists(st.text(max_size=3))}
    ),
    st.fixed_dictionaries(
        {"target": st.text(max_size=3), "stop_at": st.none() | st.text(max_size=3), "sets": st.lists(st.text(max_size=3))}
    ),
)
def test_two_plans_share_a_hash_only_when_they_say_the_same(one: Summary, other: Summary) -> None:
    assert (plan_hash(one) == plan_hash(other)) == (one == other)


@given(histories(), moments)
def test_a_plan_carries_its_own_hash(sets: list[Summary], moment: datetime) -> None:
    try:
        made = plan(sets, NOW, moment)
    except PlanRefused:
        return
    assert made["hash"] == plan_hash(made)
    for change in (
        {"target": made["target"] + "x"},
        {"stop_at": "x"},
        {"sets": made["sets"][:-1]},
        {"sets": [*made["sets"], "x"]},
    ):
        assert plan_hash(dict(made, **change)) != made["hash"]


def _line() -> list[Summary]:
    """Return three receipts that continue each other, the last with its chain."""
    first = make_receipt(set="a", position={"not_before": {"lsn": 0}, "not_after": {"lsn": 5}, "exact": True})
    second = make_receipt(
        set="b",
        kind="log",
        parent="a",
        position={"not_before": {"lsn": 5}, "not_after": {"lsn": 9}, "exact": True},
        chain=carried_chain(first),
    )
    third = make_receipt(
        set="c",
        kind="log",
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
