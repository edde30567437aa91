# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.action.missed_runs import compare
from ansible_collections.backstay.fleet.plugins.plugin_utils import calendar

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
GROUPS = {"all": ["shop-db1"], "app_mysql": ["shop-db1"]}
FULL = {
    "set": "20261110T020003Z-0a1b2c3d",
    "app": "mysql",
    "kind": "full",
    "parent": None,
    "consistent_at": "2026-11-10T02:05:00.000000Z",
}


def compared(**changes: Any) -> dict[str, Any]:
    arguments = {"entries": [{"name": "nightly", "calendar": "*-*-* 02:00:00 UTC"}], "sets": {"shop-db1": [FULL]}}
    return compare({**arguments, **changes}, GROUPS, NOW)


@pytest.mark.parametrize(("days", "count"), [(7, 7), (2, 2)])
def test_due_times_of_the_last_days_are_held_against_the_sets(days: int, count: int) -> None:
    found = compared(days=days)
    assert len(found["missed"]) == count
    (line,) = found["lines"]
    assert line.startswith(f"MISSED: nightly, full of mysql on shop-db1, was due {count} times from")
    assert not found.get("failed")


def test_a_wrong_entry_is_a_failure_that_names_it() -> None:
    found = compared(entries=[{"name": "nightly", "calendar": "every full moon"}])
    assert found["failed"]
    assert found["code"] == "bad-input"
    assert "Schedule entry 'nightly': 'every full moon' is not a calendar" in found["msg"]


def test_without_systemd_analyze_the_line_says_that_nothing_was_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calendar, "PROGRAM", "no-such-systemd-analyze")
    found = compared()
    assert not found.get("failed")
    assert found["lines"][0].startswith("NOT COMPARED with the schedule: this machine has no no-such-systemd-analyze")
