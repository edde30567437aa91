# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.backstay.fleet.plugins.plugin_utils.schedule_report import report

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DUES = [datetime(2026, 11, day, 2, tzinfo=UTC) for day in (18, 19, 20)]
GROUPS = {
    "all": ["shop-db1", "crm-db1", "vault1"],
    "app_mysql": ["shop-db1", "crm-db1"],
    "app_files": ["crm-db1"],
    "offsite": ["vault1"],
    "north": ["shop-db1", "vault1"],
}
NIGHTLY: dict[str, Any] = {"name": "nightly", "calendar": "daily"}


def full(due: datetime, app: str = "mysql") -> dict[str, Any]:
    at = due + timedelta(minutes=5)
    return {
        "set": f"{due:%Y%m%dT%H%M%SZ}-0a1b2c3d",
        "app": app,
        "kind": "full",
        "parent": None,
        "consistent_at": f"{at:%Y-%m-%dT%H:%M:%S.%fZ}",
    }


def reported(listed: dict[str, list[dict[str, Any]]], **changes: Any) -> list[tuple[str, str, str]]:
    found = report([NIGHTLY | changes], GROUPS, listed, lambda _calendar: DUES, NOW)
    return [(item["host"], item["app"], item["due"]) for item in found["missed"]]


def test_each_app_of_each_host_is_held_against_the_entry() -> None:
    listed = {"shop-db1": [full(due) for due in DUES], "crm-db1": [full(due) for due in DUES[:2]]}
    assert reported(listed) == [
        ("crm-db1", "files", "2026-11-20T02:00:00Z"),
        ("crm-db1", "mysql", "2026-11-20T02:00:00Z"),
    ]
    lines = report([NIGHTLY], GROUPS, listed, lambda _calendar: DUES, NOW)["lines"]
    assert lines == [
        "MISSED: nightly, full of files on crm-db1, was due 2026-11-20T02:00:00Z, there is no full",
        "MISSED: nightly, full of mysql on crm-db1, was due 2026-11-20T02:00:00Z,"
        " newest full is of 2026-11-19T02:05:00.000000Z",
    ]


@pytest.mark.parametrize(
    ("changes", "hosts"),
    [
        ({}, {"shop-db1", "crm-db1"}),
        ({"limit": "north"}, {"shop-db1"}),
        ({"limit": "app_mysql:!north"}, {"crm-db1"}),
        ({"limit": "shop-*"}, {"shop-db1"}),
        ({"limit": "vault1"}, set()),
        ({"variables": {"backstay_only_app": "files"}}, {"crm-db1"}),
        ({"playbook": "verify"}, set()),
    ],
)
def test_an_entry_speaks_for_its_hosts_and_apps(changes: dict[str, Any], hosts: set[str]) -> None:
    assert {host for host, _app, _due in reported({"shop-db1": [], "crm-db1": []}, **changes)} == hosts


def test_a_host_that_was_not_listed_is_not_judged() -> None:
    assert {host for host, _app, _due in reported({"crm-db1": []})} == {"crm-db1"}


def test_a_wrong_entry_is_refused_by_name() -> None:
    with pytest.raises(BadInput, match="schedule entry 'nightly': jitter is -1"):
        reported({}, jitter=-1)

    def refuse(calendar: str) -> list[datetime]:
        raise BadInput(f"'{calendar}' is not a calendar")

    with pytest.raises(BadInput, match="schedule entry 'nightly': 'daily' is not a calendar"):
        report([NIGHTLY], GROUPS, {}, refuse, NOW)
