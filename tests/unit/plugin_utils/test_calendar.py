# SPDX-License-Identifier: GPL-3.0-or-later
"""Due times by the real systemd-analyze."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.backstay.fleet.plugins.module_utils.schedule import spell
from ansible_collections.backstay.fleet.plugins.plugin_utils import calendar


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_due_times_lie_after_the_first_and_up_to_the_last_moment() -> None:
    found = calendar.due_times("*-*-* 02:00:00 UTC", moment("2026-11-18 02:00:00"), moment("2026-11-20 02:00:00"))
    assert [spell(item) for item in found] == ["2026-11-19T02:00:00Z", "2026-11-20T02:00:00Z"]


def test_more_due_times_than_one_call_gives() -> None:
    until = moment("2026-11-20 00:00:00")
    found = calendar.due_times("*-*-* *:*:00 UTC", until - timedelta(days=2), until)
    assert len(found) == 2880 == len(set(found))
    assert found[-1] == until


def test_summer_time_is_systemds_business() -> None:
    found = calendar.due_times("02:30 Europe/Berlin", moment("2026-10-24 12:00:00"), moment("2026-10-26 12:00:00"))
    assert [spell(item) for item in found] == ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]


def test_a_calendar_without_a_zone_is_of_this_machines_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    found = calendar.due_times("02:30", moment("2026-11-19 12:00:00"), moment("2026-11-20 12:00:00"))
    assert [spell(item) for item in found] == ["2026-11-20T01:30:00Z"]


def test_a_calendar_that_is_over_has_no_due_time() -> None:
    assert calendar.due_times("2020-01-01 00:00:00 UTC", moment("2026-11-19 12:00:00"), moment("2026-11-20 12:00:00")) == []


def test_what_systemd_does_not_understand_is_bad_input() -> None:
    with pytest.raises(BadInput, match="'every full moon' is not a calendar"):
        calendar.due_times("every full moon", moment("2026-11-19 12:00:00"), moment("2026-11-20 12:00:00"))


def test_an_option_is_a_calendar_too() -> None:
    with pytest.raises(BadInput, match="'--version' is not a calendar"):
        calendar.due_times("--version", moment("2026-11-19 12:00:00"), moment("2026-11-20 12:00:00"))


def test_a_machine_without_systemd_analyze_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calendar, "PROGRAM", "no-such-systemd-analyze")
    with pytest.raises(calendar.NoCalendars, match="has no no-such-systemd-analyze"):
        calendar.due_times("daily", moment("2026-11-19 12:00:00"), moment("2026-11-20 12:00:00"))
