# SPDX-License-Identifier: GPL-3.0-or-later
"""The check of a restored server: what is a loss, and what a server drops by itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import errors
from ansible_collections.backstay.fleet.plugins.module_utils.apps.mysql import calls, client
from ansible_collections.backstay.fleet.plugins.module_utils.process import Finished
from ansible_collections.backstay.fleet.plugins.module_utils.worker import land

COUNTED = {"tables": 2, "events": 2}


@pytest.mark.parametrize(
    ("found", "missing", "expired", "more"),
    [
        ({"tables": 2, "events": 2}, [], [], []),
        ({"tables": 2, "events": 1}, [], ["1 events instead of 2"], []),
        ({"tables": 1}, ["1 tables instead of 2"], ["0 events instead of 2"], []),
        ({"tables": 2, "events": 3}, [], [], ["3 events instead of 2"]),
    ],
)
def test_an_event_whose_time_is_over_is_no_loss(
    found: dict[str, int], missing: list[str], expired: list[str], more: list[str]
) -> None:
    """A server drops it when it starts."""
    assert client.restored_differences({"counts_before": COUNTED, "counts_after": COUNTED}, found) == (missing, expired, more)


def test_a_restored_server_without_its_old_events_passes_its_check(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {"product": "mariadb", "counts_before": COUNTED, "counts_after": COUNTED}
    monkeypatch.setattr(land, "planned", lambda _specification: {"receipts": [{"kind": "full", "facts": facts}]})
    monkeypatch.setattr(calls, "await_server", lambda *_arguments: None)
    monkeypatch.setattr(calls, "run", lambda *_arguments: Finished(0, "shop.orders  OK", ""))
    monkeypatch.setattr(calls, "object_counts", lambda _options: {"tables": 2, "events": 1})
    job: Any = SimpleNamespace(specification={}, seen={"checks": []})
    calls.check(job, {"socket": "/s"})
    assert {item["name"]: item["status"] for item in job.seen["checks"]} == {
        "mariadb-check": "ok",
        "events": "warning",
        "object counts": "ok",
    }
    monkeypatch.setattr(calls, "object_counts", lambda _options: {"tables": 1, "events": 2})
    with pytest.raises(errors.IntegrityError, match="1 tables instead of 2"):
        calls.check(job, {"socket": "/s"})
