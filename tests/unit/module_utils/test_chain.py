# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.chain import (
    around,
    data_chains,
    landable,
    plan,
    plan_hash,
    windows,
)
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput, IntegrityError, PlanRefused
from ansible_collections.backstay.fleet.plugins.module_utils.moment import format_moment, parse_moment
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from unit.support.receipts import summary

START = datetime(2026, 11, 1, tzinfo=UTC)
NOW = START + timedelta(hours=100)
Summary = dict[str, Any]


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def text(hours: float) -> str:
    return format_moment(at(hours))


def place(hours: int) -> str:
    """Return the position at which the servers of these tests are after so many hours."""
    return f"{hours:04d}"


def data(name: str, kind: str, parent: str | None, hours: int, stream: str = "s") -> Summary:
    return summary(name, kind, parent, text(hours), stream=stream, first=place(hours), last=place(hours))


def log(name: str, begin: int, end: int, stream: str = "s") -> Summary:
    return summary(name, "log", None, text(end), stream=stream, first=place(begin), last=place(end))


@st.composite
def histories(draw: st.DrawFn, logs: bool = True) -> list[Summary]:
    """Return the sets of a server in any order: some lost, some with parents that never were, streams that break."""
    made: list[Summary] = []
    hour, stream = 0, 0
    kinds = ["full", "incremental", "differential", *(["log", "log", "log"] if logs else [])]
    for number in range(draw(st.integers(1, 12))):
        hour += draw(st.integers(0 if number else 1, 3))
        stream += draw(st.integers(0, 9)) == 0
        kind, name = (draw(st.sampled_from(kinds)) if number else "full"), f"set{number:02d}"
        if kind == "log":
            begin = max(0, hour - draw(st.integers(1, 5)))
            made.append(log(name, begin, hour, f"s{stream}"))
        else:
            parents = [*[item["set"] for item in made if item["kind"] != "log"][-3:], "never-was"]
            parent = None if kind == "full" else draw(st.sampled_from(parents))
            made.append(data(name, kind, parent, hour, f"s{stream}"))
    for item in draw(st.lists(st.sampled_from(made), max_size=2)):
        if item["kind"] in ("incremental", "differential"):
            item["parent"] = draw(st.sampled_from(["never-was", *(other["set"] for other in made)]))
    lost = draw(st.sets(st.sampled_from([item["set"] for item in made]), max_size=2))
    return draw(st.permutations([item for item in made if item["set"] not in lost]))


def lines(sets: list[Summary]) -> Iterator[tuple[list[str], Summary]]:
    """Yield, written down differently than in the engine, the ids of every whole data chain, and its last set."""
    known = {item["set"]: item for item in sets if item["kind"] != "log"}
    for item in known.values():
        line, current = [item["set"]], item
        while current["parent"] in known and current["parent"] not in line:
            current = known[current["parent"]]
            line.append(current["set"])
        if current["kind"] == "full" and current["parent"] is None:
            yield line[::-1], item


def covered(sets: list[Summary], stream: str, hour: int) -> bool:
    """Whether some log set holds what the server did between ``hour`` and the next."""
    return any(
        item["kind"] == "log" and item["stream"] == stream and int(item["first"]) <= hour and int(item["last"]) >= hour + 1
        for item in sets
    )


def reachable(sets: list[Summary], moment: datetime) -> bool:
    """Whether some data set and the hours after it lead to ``moment``."""
    hours = (moment - START) / timedelta(hours=1)
    for _line, last in lines(sets):
        begin = int(last["last"])
        if begin <= hours and all(covered(sets, last["stream"], hour) for hour in range(begin, math.ceil(hours))):
            return True
    return False


moments = st.integers(-4, 60).map(lambda half_hours: at(half_hours / 2))


@given(histories(), moments)
def test_a_plan_is_whole_without_a_gap_and_never_reaches_past_the_moment(sets: list[Summary], moment: datetime) -> None:
    try:
        made = plan(sets, NOW, moment)
    except PlanRefused:
        return
    known = {item["set"]: item for item in sets}
    chosen = [known[name] for name in made["sets"]]
    base = [item["set"] for item in chosen if item["kind"] != "log"]
    logs = [item for item in chosen if item["kind"] == "log"]
    assert chosen[: len(base)] == [known[name] for name in base]
    assert base in [line for line, _last in lines(sets)]
    begin = known[base[-1]]
    assert begin["consistent_at"] <= format_moment(moment)
    cursor = begin["last"]
    for item in logs:
        assert item["stream"] == begin["stream"] and item["first"] <= cursor < item["last"]
        cursor = item["last"]
    if logs:
        assert made["stop_at"] == made["target"] == format_moment(moment)
        assert logs[-1]["consistent_at"] >= made["stop_at"]
        assert all(item["consistent_at"] < made["stop_at"] for item in logs[:-1]), "a log set too many"
    else:
        assert made["stop_at"] is None and made["target"] == begin["consistent_at"]


@settings(max_examples=100)
@given(histories(), moments)
def test_a_refusal_means_that_there_is_no_way(sets: list[Summary], moment: datetime) -> None:
    logs = any(item["kind"] == "log" for item in sets)
    try:
        made = plan(sets, NOW, moment)
    except PlanRefused:
        assert not reachable(sets, moment) or not list(lines(sets))
        return
    if logs:
        assert reachable(sets, moment) and made["target"] == format_moment(moment)
    else:
        ends = [last["consistent_at"] for _line, last in lines(sets) if last["consistent_at"] <= format_moment(moment)]
        assert made["target"] == max(ends)


@given(histories(), moments)
def test_the_moments_that_a_refusal_names_can_be_restored_and_nothing_lies_between(
    sets: list[Summary], moment: datetime
) -> None:
    try:
        plan(sets, NOW, moment)
    except PlanRefused as refusal:
        assume(list(lines(sets)))
        named = {side: parse_moment(found) for side, found in re.findall(r"nearest (earlier|later): (\S+Z)", refusal.hint)}
        for nearest in named.values():
            assert plan(sets, NOW, nearest)["target"] == format_moment(nearest)
        low, high = named.get("earlier", at(-9)), named.get("later", at(60))
        assert low < moment < high
        step = low + timedelta(minutes=30)
        while step < high:
            assert not reachable(sets, step), f"{step} lies nearer"
            step += timedelta(minutes=30)


@given(histories())
def test_without_a_goal_the_latest_moment_is_chosen(sets: list[Summary]) -> None:
    if not list(lines(sets)):
        with pytest.raises(PlanRefused, match="no set to restore"):
            plan(sets, NOW)
        return
    made = plan(sets, NOW)
    assert made["stop_at"] is None
    target = parse_moment(made["target"])
    assert reachable(sets, target)
    later = [item["consistent_at"] for item in sets if item["consistent_at"] > made["target"]]
    assert not any(reachable(sets, parse_moment(end)) for end in later)


@given(histories())
def test_only_whole_chains_are_offered(sets: list[Summary]) -> None:
    offered = {name: [item["set"] for item in line] for name, line in data_chains(sets).items()}
    assert offered == {last["set"]: line for line, last in lines(sets)}


@given(histories(), st.data())
def test_a_wanted_data_set_is_landed_with_its_chain_or_refused(sets: list[Summary], draw: st.DataObject) -> None:
    wanted = draw.draw(st.sampled_from([item["set"] for item in sets if item["kind"] != "log"] or ["none"]))
    spans = {last["set"]: line for line, last in lines(sets)}
    if wanted in spans:
        assert plan(sets, NOW, wanted_set=wanted)["sets"] == spans[wanted]
    elif spans:
        with pytest.raises(BadInput if wanted == "none" else PlanRefused, match=wanted):
            plan(sets, NOW, wanted_set=wanted)


@given(histories(), st.data())
def test_a_wanted_log_set_is_the_end_of_the_line(sets: list[Summary], draw: st.DataObject) -> None:
    logs = [item for item in sets if item["kind"] == "log"]
    assume(logs and list(lines(sets)))
    wanted = draw.draw(st.sampled_from(logs))
    try:
        made = plan(sets, NOW, wanted_set=wanted["set"])
    except PlanRefused:
        return
    assert made["sets"][-1] == wanted["set"] and made["stop_at"] is None


@given(histories(), st.integers(0, 40))
def test_a_position_is_reached_from_data_before_it(sets: list[Summary], hour: int) -> None:
    assume(list(lines(sets)))
    try:
        made = plan(sets, NOW, position=("p", lambda item: item.get("last", "") >= place(hour)))
    except PlanRefused:
        return
    known = {item["set"]: item for item in sets}
    assert made["position"] == "p"
    assert known[made["sets"][-1]]["last"] >= place(hour)
    assert all(known[name]["last"] < place(hour) for name in made["sets"][:-1])


@given(histories(), moments)
def test_the_order_of_the_listing_does_not_matter(sets: list[Summary], moment: datetime) -> None:
    def outcome(listing: list[Summary]) -> Any:
        try:
            return plan(listing, NOW, moment)
        except PlanRefused as refusal:
            return refusal.as_dict()

    assert outcome(sets) == outcome(sorted(sets, key=lambda item: item["set"]))


def test_two_goals_are_refused() -> None:
    with pytest.raises(BadInput, match="one goal"):
        plan(HISTORY, NOW, at(1), wanted_set="full1")


def test_a_circle_of_parents_is_never_offered() -> None:
    sets = [data("a", "differential", "b", 1), data("b", "incremental", "a", 2), data("c", "incremental", "c", 3)]
    assert data_chains(sets) == {}
    with pytest.raises(PlanRefused, match="no set to restore from"):
        plan(sets, NOW)


def test_a_full_set_that_claims_a_parent_is_never_offered() -> None:
    assert data_chains([data("a", "full", None, 1), data("b", "full", "a", 2)]).keys() == {"a"}


# A server whose history broke after eight hours.
HISTORY = [
    data("full1", "full", None, 1),
    log("log1", 0, 4),
    log("log2", 4, 6),
    data("full2", "full", None, 5),
    data("full3", "full", None, 10, "t"),
    log("log3", 10, 12, "t"),
    log("log4", 12, 14, "t"),
]


@pytest.mark.parametrize(
    ("hours", "sets", "stop"),
    [
        (1, ["full1"], False),
        (2, ["full1", "log1"], True),
        (4, ["full1", "log1"], True),
        (4.5, ["full1", "log1", "log2"], True),
        (5, ["full2"], False),
        (5.5, ["full2", "log2"], True),
        (6, ["full2", "log2"], True),
        (10, ["full3"], False),
        (13, ["full3", "log3", "log4"], True),
        (14, ["full3", "log3", "log4"], True),
    ],
)
def test_moments_between_logs(hours: float, sets: list[str], stop: bool) -> None:
    made = plan(HISTORY, NOW, at(hours))
    assert (made["sets"], made["target"]) == (sets, text(hours))
    assert made["stop_at"] == (text(hours) if stop else None)


@pytest.mark.parametrize(
    ("hours", "hint"),
    [
        (7, f"nearest earlier: {text(6)}; nearest later: {text(10)}"),
        (0.5, f"there is nothing earlier; nearest later: {text(1)}"),
        (15, f"nearest earlier: {text(14)}; there is nothing later"),
    ],
)
def test_a_moment_in_a_gap_is_refused_with_the_nearest(hours: float, hint: str) -> None:
    with pytest.raises(PlanRefused, match="cannot be restored") as refusal:
        plan(HISTORY, NOW, at(hours))
    assert refusal.value.hint == hint


def test_without_a_damaged_log_set_the_nearest_moments_are_named() -> None:
    assert around(HISTORY, "log4") == f"nearest earlier: {text(12)}; there is nothing later"
    assert around(HISTORY, "log1") == f"nearest earlier: {text(1)}; nearest later: {text(5)}"


def test_the_future_is_refused() -> None:
    with pytest.raises(PlanRefused, match="lies in the future") as refusal:
        plan(HISTORY, at(14), at(14.5))
    assert refusal.value.hint == f"nearest earlier: {text(14)}; there is nothing later"


def test_a_server_without_logs_gets_the_newest_set_before_the_moment_and_is_told_which() -> None:
    sets = [data("a", "full", None, 0), data("b", "differential", "a", 5), data("c", "full", None, 9)]
    made = plan(sets, NOW, at(7))
    assert (made["sets"], made["target"], made["stop_at"]) == (["a", "b"], text(5), None)


def test_sets_without_a_stream_are_no_base_for_logs() -> None:
    sets = [summary("a", "full", None, text(0)), log("l", 0, 4)]
    assert [window[:2] for window in windows(sets)] == [(at(0), at(0))]


def test_a_thousand_log_sets_are_planned_at_once() -> None:
    sets = [data("full", "full", None, 0), *(log(f"log{hour:04d}", hour, hour + 1) for hour in range(1000))]
    assert len(plan(sets, at(2000), at(999.5))["sets"]) == 1001


def test_a_log_set_says_in_its_tags_what_to_land() -> None:
    item = dict(log("l", 0, 4), data="ab" * 32, sha256="cd" * 32, stored=7, **{"from": "/staging/logs"})
    assert landable(item)["artifacts"] == [
        {"name": "logs", "snapshot": "ab" * 32, "path": "/staging/logs", "sha256": "cd" * 32, "bytes": 7}
    ]
    assert landable(item)["stream"] == {"id": item["stream"], "first": item["first"], "last": item["last"]}, "as in a receipt"
    assert landable(dict(item, mark="0-7-26"))["stream"]["mark"] == "0-7-26"
    del item["sha256"]
    with pytest.raises(IntegrityError, match=r"do not say what to land \(sha256\)"):
        landable(item)


_PLANS = st.fixed_dictionaries(
    {
        "target": st.text(max_size=3),
        "stop_at": st.none() | st.text(max_size=3),
        "position": st.none() | st.text(max_size=3),
        "sets": st.lists(st.text(max_size=3)),
    }
)


@given(_PLANS, _PLANS)
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
        {"position": "x"},
        {"sets": made["sets"][:-1]},
        {"sets": [*made["sets"], "x"]},
    ):
        assert plan_hash(dict(made, **change)) != made["hash"]


def stretched(first: int, last: int) -> Summary:
    """Return a data set whose place is known to lie between two only."""
    return dict(data("clone", "full", None, last), first=place(first))


def test_logs_lead_from_the_earliest_place_of_inexact_data() -> None:
    """A log set was made while the data was cloned: it is needed, because the clone may stand before its end."""
    sets = [stretched(2, 4), log("before", 1, 2), log("between", 2, 3), log("after", 3, 6)]
    assert plan(sets, NOW, at(5))["sets"] == ["clone", "between", "after"]
    assert plan([sets[0], *sets[2:]], NOW)["sets"] == ["clone", "between", "after"]


def test_logs_that_do_not_pass_the_latest_place_of_inexact_data_are_of_no_use() -> None:
    sets = [data("full", "full", None, 1), stretched(2, 4), log("first", 1, 3)]
    assert plan(sets, NOW)["sets"] == ["clone"]
    assert plan(sets, NOW, wanted_set="first")["sets"] == ["full", "first"]
    with pytest.raises(PlanRefused):
        plan([stretched(2, 4), log("late", 3, 6)], NOW, at(5))
