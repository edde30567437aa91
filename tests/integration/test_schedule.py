# SPDX-License-Identifier: GPL-3.0-or-later
"""Schedules on a control node of the rehearsal fleet: a timer fires, a missed run is caught up and shown, nothing is left."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.results import RESULTS_SCHEMA
from lab_tools import jobs, repository, shop
from lab_tools.controlnode import PLACE, SSH_KEY_FILE, VAULT_PASSWORD, VAULT_PASSWORD_FILE, ControlNode
from lab_tools.fleet import Fleet
from lab_tools.waiting import wait_until

pytestmark = pytest.mark.lab

HOST = shop.HOST
OFTEN: dict[str, Any] = {
    "name": "often",
    "calendar": "*-*-* *:*:0/30 UTC",
    "limit": HOST,
    "variables": {"backstay_kind": "full"},
}
NIGHTLY: dict[str, Any] = {"name": "nightly", "calendar": "*-*-* 02:00:00 UTC", "cron": "0 2 * * *", "jitter": 5}

# What one entry consists of: what it runs, its variables, service, timer, the link that enables it, the stamp of its last run.
FILES = ("json", "variables.json", "service", "timer", "wants/timer", "stamp")


@pytest.fixture(scope="module")
def control(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlNode]:
    """The spare host as control node."""
    node = ControlNode(fleet, tmp_path_factory.mktemp("control"))
    node.prepare()
    shop.start_writer(fleet)
    yield node
    node.schedule([]).demand()


def good_case(node: ControlNode, name: str) -> dict[str, Any] | None:
    """Return the only case of an entry's last run, None while it runs; a failed run fails the test, with what it said."""
    last, results = node.last(name), node.results(name)
    if not last.get("ended_at"):
        return None
    said = node.fleet.ask(node.host, ["journalctl", "--no-pager", "-n", "60", "-u", f"backstay-schedule-{name}.service"]).stdout
    assert last["exit"] == 0, f"{last}\n{said}"
    if not results.get("complete"):
        return None  # the next run has just begun
    jsonschema.validate(results, RESULTS_SCHEMA)
    (case,) = results["cases"]
    assert (case["host"], case["app"], case["status"]) == (HOST, "mysql", "ok")
    return dict(case)


def idle(node: ControlNode, name: str) -> bool:
    state = node.fleet.ask(
        node.host, ["systemctl", "show", "-p", "ActiveState", "--value", f"backstay-schedule-{name}.service"]
    )
    return state.stdout.strip() in ("inactive", "failed")


def remove_all(node: ControlNode, name: str) -> None:
    node.schedule([]).demand()
    wait_until(lambda: idle(node, name), "the last run has ended", deadline=120)


def test_a_timer_fires_and_the_run_brings_a_set_offsite(control: ControlNode, fleet: Fleet) -> None:
    before = repository.receipts(fleet, HOST)
    control.schedule([OFTEN]).demand()
    what = "the timer has fired and its run is over"
    case = wait_until(lambda: good_case(control, "often"), what, deadline=300)
    remove_all(control, "often")
    assert case["set"] in set(repository.receipts(fleet, HOST)) - set(before)


@pytest.mark.long
def test_the_role_tells_then_does_then_changes_nothing_and_shows_no_secret(control: ControlNode, fleet: Fleet) -> None:
    looked = control.schedule([NIGHTLY], "--check").demand()
    assert "changed=0" not in looked.output.rpartition("PLAY RECAP")[2]
    assert control.owned() == []
    control.schedule([NIGHTLY]).demand()
    assert len(control.owned()) == len(FILES), control.owned()
    again = control.schedule([NIGHTLY]).demand()
    assert "changed=0" in again.output.rpartition("PLAY RECAP")[2], again.output
    timers = fleet.run(control.host, "systemctl", "list-timers", "--no-legend", "backstay-schedule-*")
    assert "backstay-schedule-nightly.timer" in timers

    unit = fleet.run(control.host, "systemctl", "cat", "backstay-schedule-nightly.service")
    assert f"LoadCredential=vault-password:{VAULT_PASSWORD_FILE}" in unit and f"LoadCredential=ssh-key:{SSH_KEY_FILE}" in unit
    holders = fleet.shell(control.host, f"grep -rlF '{VAULT_PASSWORD}' /etc /var/lib {PLACE} || true").splitlines()
    assert holders == [VAULT_PASSWORD_FILE]
    exposure = fleet.run(control.host, "systemd-analyze", "security", "--no-pager", "backstay-schedule-nightly.service")
    overall = float(exposure.rpartition("exposure level for")[2].split(":")[1].split()[0])
    assert overall < 3, exposure.rpartition("\n→")[2]


@pytest.mark.long
def test_removing_an_entry_removes_its_timer(control: ControlNode, fleet: Fleet) -> None:
    control.schedule([NIGHTLY, dict(OFTEN, calendar="monthly")]).demand()
    control.schedule([NIGHTLY]).demand()
    assert [path for path in control.owned() if "often" in path] == []
    assert len(control.owned()) == len(FILES)
    control.schedule([]).demand()
    assert control.owned() == []
    assert fleet.run(control.host, "systemctl", "list-units", "--all", "--no-legend", "backstay-schedule-*").strip() == ""


@pytest.mark.long
def test_a_missed_run_is_shown_then_caught_up_and_shown(control: ControlNode, fleet: Fleet) -> None:
    assert repository.receipts(fleet, HOST), "a schedule counts from the first set on"
    due = (datetime.now(UTC) + timedelta(seconds=60)).replace(microsecond=0)
    entry = dict(NIGHTLY, name="once", calendar=f"{due:%Y-%m-%d %H:%M:%S} UTC", jitter=0, grace=0, limit=HOST)
    control.schedule([entry]).demand()
    container = f"{fleet.name}-{control.host}"
    assert datetime.now(UTC) < due, "the role took too long for this test"
    subprocess.run(["podman", "stop", "--time", "20", container], check=True, capture_output=True, env=fleet.environment)
    try:
        wait_until(lambda: datetime.now(UTC) > due + timedelta(seconds=1), "the run is due", deadline=90)
        said = control.sets([entry])
        assert f"MISSED: once, full of mysql on {HOST}, was due {due:%Y-%m-%dT%H:%M:%SZ}, newest full is of" in said
    finally:
        fleet.up()
    case = wait_until(lambda: good_case(control, "once"), "the missed run is caught up", deadline=180)
    said = control.sets([entry])
    assert "MISSED" not in said
    assert f"CAUGHT UP: once, full of mysql on {HOST}, was due {due:%Y-%m-%dT%H:%M:%SZ}, set {case['set']} came" in said
    remove_all(control, "once")


@pytest.mark.long
def test_where_there_is_no_systemd_cron_runs_the_same(control: ControlNode, fleet: Fleet) -> None:
    entry = dict(NIGHTLY, limit=HOST, jitter=1, cron="* * * * *")
    control.schedule([NIGHTLY]).demand()
    fleet.run(control.host, "rm", "-f", "/var/lib/backstay-schedule/nightly/last.json")
    control.schedule([entry], schedule_manager="cron").demand()
    assert control.owned() == [
        "/etc/backstay-schedule/nightly.json",
        "/etc/backstay-schedule/nightly.variables.json",
        "/etc/cron.d/backstay-schedule-nightly",
    ]
    case = wait_until(lambda: good_case(control, "nightly"), "cron has started the run and it is over", deadline=180)
    assert case["set"] in repository.receipts(fleet, HOST)
    control.schedule([], schedule_manager="cron").demand()
    assert control.owned() == []
    # A run that cron began meanwhile goes on to its end.
    wait_until(lambda: not jobs.living_units(fleet, HOST), "no job is at work", deadline=120)
