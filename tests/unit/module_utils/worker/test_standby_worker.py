# SPDX-License-Identifier: GPL-3.0-or-later
"""Standby on a worker: the state in its file, the application and the jobs as they really are (PS-14)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import layout
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput, Refused
from ansible_collections.backstay.fleet.plugins.module_utils.worker import standby
from ansible_collections.backstay.fleet.plugins.module_utils.worker.folder import Lock
from ansible_collections.backstay.fleet.plugins.module_utils.worker.job import Job
from unit.support.sandbox import Sandbox
from unit.support.steps import good

ABOUT: dict[str, Any] = {"system": "campus", "member": "catalog1", "service": {"name": "catalog"}}


def ask(question: str, lease: str = "l1", **more: Any) -> dict[str, Any]:
    return standby.answer({**ABOUT, "ask": question, "lease": lease, **more})


def kept() -> dict[str, Any]:
    return dict(json.loads(layout.standby("campus", "catalog1").read_text()))


def job(sandbox: Sandbox, run: str = "20261121T090000Z-testapp-1") -> Job:
    return Job(sandbox.create(sandbox.backup([good()], run=run)))


@pytest.fixture(autouse=True)
def running(sandbox: Sandbox) -> Sandbox:
    sandbox.set_running("catalog")
    return sandbox


def test_a_stop_from_the_plan_to_the_end(sandbox: Sandbox) -> None:
    assert ask("plan")["granted"]
    assert not ask("grant", "l2", holder="catalog2")["granted"], "who is to be stopped promises nothing"
    standby.claim_stop(job(sandbox), {**ABOUT, "lease": "l1"})
    assert kept()["stop"]["phase"] == "begun"
    sandbox.set_running()
    assert not ask("settle")["granted"]
    sandbox.set_running("catalog")
    standby.end_stop(job(sandbox, "20261121T090000Z-testapp-2"), {**ABOUT, "lease": "l1"})
    assert ask("settle")["granted"]
    assert kept() == {"leases": {}, "stop": None}


def test_a_promise_keeps_the_job_from_stopping(sandbox: Sandbox) -> None:
    assert ask("grant", "l2", holder="catalog2")["granted"]
    refused = ask("plan")
    assert not refused["granted"]
    assert refused["leases"]["l2"]["holder"] == "catalog2"
    with pytest.raises(Refused, match="catalog1 is not stopped: the lease of this run was given up"):
        standby.claim_stop(job(sandbox), {**ABOUT, "lease": "l1"})
    assert ask("give_back", "l2")["granted"]
    assert ask("plan")["granted"]


def test_whether_a_run_is_at_work_is_seen_not_believed(sandbox: Sandbox) -> None:
    working = job(sandbox)
    ask("plan")
    standby.claim_stop(working, {**ABOUT, "lease": "l1"})
    alive = Lock(working.folder.path / "alive")
    assert alive.take({"run": "r"})
    try:
        assert "still at work" in ask("settle")["reason"]
    finally:
        alive.release()
    assert ask("settle")["granted"], "its worker is gone and the server runs"


def test_a_server_that_is_down_promises_nothing(sandbox: Sandbox) -> None:
    sandbox.set_running()
    assert "not running" in ask("grant", holder="catalog2")["reason"]


def test_a_run_that_is_attached_to_keeps_its_own_lease(sandbox: Sandbox) -> None:
    claim = {"name": "Claim", "app": {"call": "claim_stop", "arguments": {**ABOUT, "lease": "old"}}}
    sandbox.create(sandbox.backup([claim, good()]))
    assert ask("plan", "new", run="20261121T090000Z-testapp-1")["attached"] == "old"
    sandbox.create(sandbox.backup([good()], run="20261121T090000Z-testapp-2"))
    assert ask("plan", "new", run="20261121T090000Z-testapp-2")["attached"] == ""
    assert "attached" not in ask("plan", "new", run="20261121T090000Z-testapp-3")


def test_an_unknown_question_is_refused() -> None:
    with pytest.raises(BadInput, match="nobody can ask 'steal'"):
        ask("steal")
