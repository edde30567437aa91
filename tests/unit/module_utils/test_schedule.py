# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.schedule import (
    DEFAULTS,
    ENTRY_SCHEMA,
    entry_problems,
    judge,
    kind_of,
    read_elapses,
    spell,
    tell,
    whole,
)
from hypothesis import given
from hypothesis import strategies as st

DAY = timedelta(days=1)
FIRST = datetime(2026, 11, 16, 2, tzinfo=UTC)
DUES = [FIRST + number * DAY for number in range(5)]  # 16 to 20 November, 02:00
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
NIGHTLY = whole({"name": "nightly", "calendar": "*-*-* 02:00:00 UTC"})


def made(begun: datetime, kind: str = "full", minutes: float = 10, app: str = "mysql") -> dict[str, Any]:
    """Return the summary of a set begun at ``begun`` that holds data of ``minutes`` later."""
    consistent = begun + timedelta(minutes=minutes)
    name = f"{begun:%Y%m%dT%H%M%SZ}-0a1b2c3d"
    return {"set": name, "kind": kind, "parent": None, "app": app, "consistent_at": f"{consistent:%Y-%m-%dT%H:%M:%S.%fZ}"}


def states(sets: list[dict[str, Any]], entry: dict[str, Any] = NIGHTLY, now: datetime = NOW) -> list[str]:
    return [outcome.state for outcome in judge(entry, DUES, sets, now)]


# Entries


def test_a_good_list_has_no_problem() -> None:
    entries = [
        {"name": "nightly", "calendar": "daily"},
        {"name": "logs", "calendar": "*:0/5", "variables": {"backstay_kind": "log"}, "cron": "*/5 * * * *", "limit": None},
    ]
    assert entry_problems(entries) == []
    assert kind_of(whole(entries[0])) == "full"
    assert kind_of(whole(entries[1])) == "log"
    assert whole(entries[1])["limit"] == "all"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"calendar": "daily"}, "schedule entry number 2: name is missing"),
        ({"name": "x"}, "schedule entry 'x': calendar is missing"),
        ({"name": "first", "calendar": "daily"}, "schedule entry 'first': there are two entries of this name"),
        ({"name": "Bad/Name", "calendar": "daily"}, "schedule entry 'Bad/Name': name is 'Bad/Name'"),
        ({"name": "x.y", "calendar": "daily"}, "schedule entry 'x.y': name is"),
        ({"name": "x", "calendar": "daily\nExec=evil"}, "schedule entry 'x': calendar is"),
        ({"name": "x", "calendar": "daily", "cron": "* * * * * root evil"}, "schedule entry 'x': cron is"),
        ({"name": "x", "calendar": "daily", "cron": "@daily"}, "schedule entry 'x': cron is"),
        ({"name": "x", "calendar": "daily", "jitter": -1}, "schedule entry 'x': jitter is -1"),
        ({"name": "x", "calendar": "daily", "playbook": "../evil"}, "schedule entry 'x': playbook is"),
        ({"name": "x", "calendar": "daily", "kind": "log"}, "schedule entry 'x': kind is not known here"),
        ("nightly", "schedule entry number 2: the document must be object"),
    ],
)
def test_each_problem_is_told_and_names_its_entry(entry: Any, said: str) -> None:
    (problem,) = entry_problems([{"name": "first", "calendar": "daily"}, entry])
    assert problem.startswith(said)


def test_defaults_are_entries() -> None:
    assert set(DEFAULTS) < set(ENTRY_SCHEMA["properties"])
    assert entry_problems([NIGHTLY]) == []


# What systemd-analyze says (252 and 257 spell it differently; the second time zone is Berlin's around the end of summer time)

OLD = """  Original form: 02:30
Normalized form: *-*-* 02:30:00
    Next elapse: Sun 2026-10-25 02:30:00 CEST
       (in UTC): Sun 2026-10-25 00:30:00 UTC
       From now: 3 weeks 6 days ago
       Iter. #2: Mon 2026-10-26 02:30:00 CET
       (in UTC): Mon 2026-10-26 01:30:00 UTC
       From now: 3 weeks 5 days ago
"""
NEW = """  Original form: 02:30 UTC
Normalized form: *-*-* 02:30:00 UTC
    Next elapse: Sun 2026-10-25 02:30:00 UTC
       From now: 3 weeks 6 days ago
   Iteration #2: Mon 2026-10-26 02:30:00 UTC
       From now: 3 weeks 5 days ago
"""


@pytest.mark.parametrize(
    ("text", "moments"),
    [
        (OLD, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]),
        (NEW, ["2026-10-25T02:30:00Z", "2026-10-26T02:30:00Z"]),
        ("Normalized form: 2026-11-21 02:30:00\n    Next elapse: never\n", []),
    ],
)
def test_due_times_are_read_in_utc(text: str, moments: list[str]) -> None:
    assert [spell(moment) for moment in read_elapses(text)] == moments


# Outcomes


def test_every_night_in_time_is_met() -> None:
    assert states([made(due + timedelta(seconds=3)) for due in DUES]) == ["met"] * 5


def test_a_night_without_a_set_is_missed_also_when_the_next_one_came() -> None:
    assert states([made(due) for due in DUES if due != DUES[2]]) == ["met", "met", "missed", "met", "met"]


def test_a_run_that_came_before_the_next_due_time_is_caught_up() -> None:
    late = made(DUES[2] + timedelta(hours=7))
    sets = [made(due) for due in DUES if due != DUES[2]] + [late]
    outcomes = judge(NIGHTLY, DUES, sets, NOW)
    assert [outcome.state for outcome in outcomes] == ["met", "met", "late", "met", "met"]
    assert outcomes[2].came == late
    (line,) = tell(NIGHTLY, "mysql on shop-db1", outcomes, sets)
    assert line == (
        "CAUGHT UP: nightly, full of mysql on shop-db1, was due 2026-11-18T02:00:00Z,"
        " set 20261118T090000Z-0a1b2c3d came 7:00:00 later"
    )


def test_missed_nights_in_a_row_are_one_line_that_names_the_newest_set() -> None:
    sets = [made(DUES[0]), made(DUES[1] + timedelta(hours=3), kind="log")]
    (line,) = tell(NIGHTLY, "mysql on shop-db1", judge(NIGHTLY, DUES, sets, NOW), sets)
    assert line == (
        "MISSED: nightly, full of mysql on shop-db1, was due 4 times from 2026-11-17T02:00:00Z to 2026-11-20T02:00:00Z,"
        " newest full is of 2026-11-16T02:10:00.000000Z"
    )


def test_a_row_is_broken_by_a_met_due_time() -> None:
    sets = [made(DUES[0]), made(DUES[2])]
    lines = tell(NIGHTLY, "mysql on shop-db1", judge(NIGHTLY, DUES, sets, NOW), sets)
    assert [line.count("was due") for line in lines] == [1, 1]
    assert "was due 2026-11-17T02:00:00Z, newest" in lines[0]
    assert "was due 2 times from 2026-11-19" in lines[1]


def test_within_jitter_and_grace_nothing_is_missed_yet() -> None:
    entry = dict(NIGHTLY, jitter=600, grace=60)
    sets = [made(due) for due in DUES[:-1]]
    assert states(sets, entry, DUES[-1] + timedelta(seconds=660))[-1] == "pending"
    assert states(sets, entry, DUES[-1] + timedelta(seconds=661))[-1] == "missed"
    in_time, too_late = (made(DUES[-1] + timedelta(seconds=number)) for number in (660, 661))
    assert states([*sets, in_time], entry)[-1] == "met"
    assert states([*sets, too_late], entry)[-1] == "late"


def test_a_backup_that_takes_longer_than_the_grace_is_in_time() -> None:
    assert states([made(due, minutes=300) for due in DUES]) == ["met"] * 5


def test_a_backup_that_was_at_work_at_the_due_time_counts() -> None:
    sets = [made(DUES[0]), *(made(due - timedelta(minutes=10), minutes=20) for due in DUES[1:])]
    assert states(sets) == ["met"] * 5


def test_data_from_before_the_due_time_does_not_count() -> None:
    sets = [made(DUES[0]), made(DUES[1] - timedelta(minutes=10), minutes=5)]
    assert states(sets)[1] == "missed"


def test_a_slow_clock_of_the_server_makes_no_set_older_than_its_begin() -> None:
    assert states([made(due, minutes=-90) for due in DUES]) == ["met"] * 5


@pytest.mark.parametrize(
    ("wanted", "came", "state"),
    [
        ("log", "log", "met"),
        ("log", "full", "met"),
        ("log", "incremental", "met"),
        ("incremental", "full", "met"),
        ("incremental", "log", "missed"),
        ("full", "incremental", "missed"),
        ("full", "log", "missed"),
    ],
)
def test_a_stronger_kind_meets_a_weaker_schedule_and_never_the_other_way(wanted: str, came: str, state: str) -> None:
    entry = dict(NIGHTLY, variables={"backstay_kind": wanted})
    assert states([made(DUES[0]), made(DUES[1], kind=came)], entry)[1] == state


def test_a_schedule_counts_from_the_first_set_on() -> None:
    assert states([made(DUES[3])]) == ["met", "missed"]


def test_without_any_set_the_newest_due_time_speaks() -> None:
    (outcome,) = judge(NIGHTLY, DUES, [], NOW)
    assert (outcome.due, outcome.state, outcome.came) == (DUES[-1], "missed", None)
    (line,) = tell(NIGHTLY, "mysql on shop-db1", [outcome], [])
    assert line.endswith("was due 2026-11-20T02:00:00Z, there is no full")
    assert judge(NIGHTLY, DUES, [], DUES[0]) == []


moments = st.integers(-600, 6000).map(lambda minutes: FIRST + timedelta(minutes=minutes))


@given(begins=st.lists(moments, max_size=8), extra=moments)
def test_one_more_set_never_turns_met_into_missed(begins: list[datetime], extra: datetime) -> None:
    def by_due(sets: list[dict[str, Any]]) -> dict[datetime, str]:
        return {outcome.due: outcome.state for outcome in judge(NIGHTLY, DUES, sets, NOW)}

    before = by_due([made(begin) for begin in begins])
    after = by_due([made(begin) for begin in (*begins, extra)])
    assert {due for due, state in before.items() if state == "met"} <= {due for due, state in after.items() if state == "met"}


@given(begins=st.lists(moments, max_size=8))
def test_a_due_time_is_met_exactly_when_a_set_fits(begins: list[datetime]) -> None:
    sets = [made(begin) for begin in begins]
    for outcome in judge(NIGHTLY, DUES, sets, NOW):
        fits = any(
            begin <= outcome.due + timedelta(hours=1) and begin + timedelta(minutes=10) >= outcome.due for begin in begins
        )
        assert (outcome.state == "met") == fits
