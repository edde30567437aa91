# SPDX-License-Identifier: GPL-3.0-or-later
"""Standby on a worker: the state in its file, the application and the jobs as they really are (PS-14)."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import layout
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput, Refused
from ansible_collections.backstay.fleet.plugins.module_utils.standby import PLANNED_SECONDS
from ansible_collections.backstay.fleet.plugins.module_utils.worker import requests, standby
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


def start(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, lease: str = "l1") -> str:
    """Start a job that is to take up ``lease``, without a worker; return its run."""
    monkeypatch.setattr(requests.launch, "launch", lambda folder: "backstay-test.service")
    claim = {"name": "Claim", "app": {"call": "claim_stop", "arguments": {**ABOUT, "lease": lease}}}
    specification = sandbox.backup([good(), claim])
    requests.start({"specification": specification, "secrets": sandbox.secrets})
    return str(specification["run"])


def test_a_planned_stop_is_not_forgotten_while_its_job_is_at_work(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a job copies ahead, or lands, may take hours."""
    ask("plan")
    run = start(sandbox, monkeypatch)
    assert (kept()["stop"]["phase"], kept()["stop"]["run"]) == ("planned", run)
    later = time.time() + 10 * PLANNED_SECONDS
    monkeypatch.setattr(standby.time, "time", lambda: later)
    alive = Lock(layout.job(run) / "alive")
    assert alive.take({"run": run})
    try:
        assert ask("settle")["reason"] == f"run {run} is about to stop it"
        assert not ask("plan", "l2")["granted"]
        assert not ask("grant", "l2", holder="catalog2")["granted"]
    finally:
        alive.release()
    assert ask("settle")["granted"], "its worker is gone"


def test_a_job_whose_lease_was_given_up_does_not_even_start(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="catalog1 is not stopped: the lease of this run was given up"):
        start(sandbox, monkeypatch)
    assert not list(layout.jobs().glob("*/spec.json"))
    assert start(sandbox, monkeypatch, lease=""), "a server that was down has no lease"


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
