# SPDX-License-Identifier: GPL-3.0-or-later
"""The real worker archive as real processes: started, killed, released, attached to, collected.

Under the supervisor, which stands for a unit's ExecStopPost= where there is no systemd.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import layout
from ansible_collections.backstay.fleet.plugins.module_utils.files import read_json
from ansible_collections.backstay.fleet.plugins.module_utils.worker.folder import JobFolder, lock_holder
from ansible_collections.backstay.fleet.plugins.module_utils.yard import yard
from ansible_collections.backstay.fleet.plugins.plugin_utils.job_watch import poll_command, read_poll
from unit.support.sandbox import Sandbox, wait_until
from unit.support.steps import Step, call, good, hold, land, logs, service
from unit.support.trees import look, plant

RUN = "20261121T090000Z-testapp-1"
SET = "20261121T090000Z-aaaaaa01"


def start(sandbox: Sandbox, specification: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Ask the worker to start a job; return its answer, good or bad."""
    return sandbox.ask("start", dict({"specification": specification}, **more))


def start_and_hold(sandbox: Sandbox, steps: list[Step], **changes: Any) -> dict[str, Any]:
    """Start a job and wait until it holds; return its specification."""
    specification = sandbox.backup(steps, **changes)
    answer = start(sandbox, specification)
    assert answer.get("ok", {}).get("state") == "started", answer
    wait_until((sandbox.base / "reached").exists, what="the step that holds")
    return specification


def result_of(sandbox: Sandbox, run: str = RUN) -> dict[str, Any]:
    """Wait for the end of a job and its release; return the result."""
    folder = JobFolder(layout.job(run))
    wait_until(lambda: folder.result() and not lock_holder(folder.path / "alive"), what=f"the end of {run}")
    return dict(folder.result() or {})


def let_go(sandbox: Sandbox) -> None:
    (sandbox.base / "until").touch()


def test_a_job_outlives_the_one_who_started_it(sandbox: Sandbox) -> None:
    sandbox.set_running("mariadb")
    answer = start(sandbox, sandbox.backup([service("stopped"), good(), service("started")]))
    assert answer["ok"]["state"] == "started"
    assert answer["ok"]["unit"] == "supervisor"
    assert answer["ok"]["folder"] == str(layout.job(RUN))
    result = result_of(sandbox)
    assert (result["status"], result["set"]) == ("ok", SET)
    assert sandbox.running() == {"mariadb"}
    collected = sandbox.ask("collect", {"run": RUN})["ok"]
    assert collected["done"]
    assert collected["result"]["events"][0]["event"] == "start backup"
    assert collected["result"]["events"][-1]["event"] == "end backup"


def test_a_killed_worker_leaves_a_running_application_a_result_and_nothing_else(sandbox: Sandbox) -> None:
    sandbox.set_running("mariadb")
    steps = [service("stopped"), hold(sandbox.base), good(), service("started")]
    repository = {"name": "shop-db1", "directory": ""}
    answer = start(sandbox, sandbox.backup(steps, repository=repository), secrets=sandbox.secrets)
    assert "ok" in answer, answer
    wait_until((sandbox.base / "reached").exists, what="the step that holds")
    assert sandbox.running() == set()
    sandbox.kill_worker(RUN)
    result = result_of(sandbox)
    assert (result["status"], result["error"]["code"], result["step"]) == ("failed", "interrupted", "Call hold")
    assert result["release_problems"] == []
    assert sandbox.running() == {"mariadb"}
    folder = JobFolder(layout.job(RUN))
    assert folder.undo_entries() == []
    assert folder.events()[-1]["event"] == "released: service mariadb started"
    wait_until(lambda: not layout.work("shop-db1", "testapp").exists(), what="the end of the clean-up")
    assert not folder.secrets.exists()
    assert lock_holder(layout.resource_lock("testapp:/srv/shop")) is None


def test_the_tools_of_a_killed_worker_die_with_it(sandbox: Sandbox) -> None:
    marker = sandbox.base / "reached"
    script = f"echo $$ > {marker}.pid; mv {marker}.pid {marker}; while :; do echo x; sleep 0.05; done"
    step = {"name": "Take data", "capture": {"artifact": "data", "argv": ["sh", "-c", script], "proof": {}}}
    start_and_hold(sandbox, [step])
    tool = Path("/proc") / marker.read_text().strip()
    assert tool.exists()
    sandbox.kill_worker(RUN)
    assert result_of(sandbox)["error"]["code"] == "interrupted"
    wait_until(lambda: not tool.exists(), what="the end of the tool")
    assert sandbox.snapshots() == []


def test_an_application_that_does_not_come_back_is_said_and_tried_again(sandbox: Sandbox) -> None:
    sandbox.set_running("mariadb")
    start_and_hold(sandbox, [service("stopped"), hold(sandbox.base), good()])
    sandbox.refuse("mariadb", "start")
    sandbox.kill_worker(RUN)
    result = result_of(sandbox)
    assert "cannot start" in result["release_problems"][0]
    (entry,) = JobFolder(layout.job(RUN)).undo_entries()
    assert entry["service"] == "mariadb"
    sandbox.allow("mariadb", "start")
    assert "1 abandoned job(s) released" in sandbox.call("release-abandoned").stdout
    assert sandbox.running() == {"mariadb"}
    assert "0 abandoned job(s) released" in sandbox.call("release-abandoned").stdout


def test_a_job_that_nobody_released_is_released_at_boot_and_before_the_next_job(sandbox: Sandbox) -> None:
    """The power went: neither worker nor release lived to do anything."""
    folder = sandbox.create(sandbox.backup([good()]), sandbox.secrets)
    folder.push_undo({"service": "mariadb"})
    later = sandbox.backup([good()], run="20261121T110000Z-testapp-2", set="20261121T110000Z-bbbbbb01")
    answer = start(sandbox, later)["ok"]
    assert [item["error"]["code"] for item in answer["uncollected"]] == ["interrupted"]
    assert sandbox.running() == {"mariadb"}
    assert not folder.secrets.exists()
    assert result_of(sandbox, later["run"])["status"] == "ok"


def test_the_release_leaves_a_living_job_alone(sandbox: Sandbox) -> None:
    sandbox.set_running("mariadb")
    start_and_hold(sandbox, [service("stopped"), hold(sandbox.base), good(), service("started")])
    assert sandbox.call("release", str(layout.job(RUN))).returncode == 0
    assert sandbox.running() == set()
    assert sandbox.ask("collect", {"run": RUN})["ok"] == {"done": False, "result": None}
    assert sandbox.running() == set()
    let_go(sandbox)
    assert result_of(sandbox)["status"] == "ok"


def test_the_same_run_is_attached_to_and_another_is_refused_naming_it(sandbox: Sandbox) -> None:
    specification = start_and_hold(sandbox, [hold(sandbox.base), good()])
    assert start(sandbox, specification)["ok"] == {"state": "attached", "folder": str(layout.job(RUN)), "uncollected": []}
    other = sandbox.backup([good()], run="20261121T110000Z-testapp-2")
    refusal = start(sandbox, other)["error"]
    assert refusal["code"] == "busy"
    assert RUN in refusal["message"]
    assert f"backstay_run={RUN}" in refusal["hint"]
    assert not layout.job(other["run"]).exists()
    let_go(sandbox)
    assert result_of(sandbox)["status"] == "ok"
    assert start(sandbox, specification)["ok"]["state"] == "attached"
    assert len(sandbox.snapshots("part=receipt")) == 1, "attaching does nothing again"


def test_another_job_is_never_taken_for_this_one(sandbox: Sandbox) -> None:
    specification = sandbox.backup([good()])
    sandbox.run(specification)
    assert start(sandbox, dict(specification, host="shop-db2", source="shop-db2"))["error"]["code"] == "bad-input"
    assert sandbox.ask("collect", {"run": RUN})["ok"]["done"]
    assert start(sandbox, specification)["error"]["code"] == "refused"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"plan": "1" * 64}, "is the restore by another plan"),
        ({"resource": "testapp:/elsewhere"}, "works on testapp:/srv/shop, not on testapp:/elsewhere"),
    ],
)
def test_a_restore_of_something_else_is_never_taken_for_this_one(sandbox: Sandbox, changes: dict[str, Any], said: str) -> None:
    specification = sandbox.recovery("0" * 64, [call("note", name="x")])
    sandbox.create(specification)
    refusal = start(sandbox, dict(specification, **changes))["error"]
    assert refusal["code"] == "bad-input" and said in refusal["message"]


def test_a_log_backup_is_never_taken_for_a_full_one(sandbox: Sandbox) -> None:
    specification = sandbox.backup([logs()], kind="log", transport="stage")
    sandbox.create(specification)
    refusal = start(sandbox, dict(specification, kind="full"))["error"]
    assert "is a log backup, not a full one" in refusal["message"]
    sandbox.create(dict(specification, kind="full", run="20261121T110000Z-testapp-2"))
    assert start(sandbox, dict(specification, run="20261121T110000Z-testapp-2"))["ok"]["state"] == "attached"


def test_two_hosts_that_share_a_resource_do_not_work_on_it_at_once(sandbox: Sandbox) -> None:
    start_and_hold(sandbox, [hold(sandbox.base), good()])
    sandbox.set_running("mariadb")
    other = sandbox.backup([service("stopped"), good()], host="alias", source="alias", run="20261121T110000Z-testapp-2")
    assert start(sandbox, other)["ok"]["state"] == "started"
    result = result_of(sandbox, other["run"])
    assert (result["error"]["code"], sandbox.service_calls()) == ("busy", [])
    assert f"testapp:/srv/shop is in use by run {RUN}" in result["error"]["message"]
    let_go(sandbox)
    assert result_of(sandbox)["status"] == "ok"


def test_a_result_that_nobody_collected_is_told_until_somebody_acknowledges_it(sandbox: Sandbox) -> None:
    sandbox.run(sandbox.backup([good()]))
    second = sandbox.backup([good()], run="20261121T110000Z-testapp-2", set="20261121T110000Z-bbbbbb01")
    answer = start(sandbox, second)["ok"]
    assert [item["run"] for item in answer["uncollected"]] == [RUN]
    result_of(sandbox, second["run"])
    assert sandbox.ask("collect", {"run": second["run"], "acknowledged": [RUN]})["ok"]["done"]
    third = sandbox.backup([good()], run="20261121T120000Z-testapp-3", set="20261121T120000Z-bbbbbb02")
    assert start(sandbox, third)["ok"]["uncollected"] == []
    result_of(sandbox, third["run"])


def test_a_bad_job_is_refused_before_it_has_a_folder(sandbox: Sandbox) -> None:
    answer = start(sandbox, sandbox.backup([{"name": "x", "sing": {}}]))
    assert answer["error"]["code"] == "bad-input"
    assert not layout.jobs().exists()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_worker_killed_around_the_exchange_never_starts_a_server_on_unproved_data(sandbox: Sandbox, moment: str) -> None:
    assert sandbox.run(sandbox.backup([good("restored")]))["status"] == "ok"
    sandbox.set_running("mariadb")
    live = {"ibdata1": b"live"}
    target = plant(sandbox.base / "mysql", live)
    landing = str(yard(target) / "landing-1")
    stored = sandbox.ask("plan", {"host": "shop-db1", "app": "testapp", "directory": str(sandbox.access)})["ok"]
    exchange: Step = {"name": "Exchange", "swap": {"target": str(target), "landing": landing}}
    holding = [hold(sandbox.base), exchange] if moment == "before" else [exchange, hold(sandbox.base)]
    steps = [land(landing), service("stopped"), *holding, service("started")]
    specification = sandbox.recovery(stored["hash"], steps)
    assert "ok" in start(sandbox, specification)
    wait_until((sandbox.base / "reached").exists, what="the step that holds")
    sandbox.kill_worker(specification["run"])
    result = result_of(sandbox, specification["run"])
    assert result["error"]["code"] == "interrupted"
    if moment == "before":
        assert "put_back" not in result
        assert sandbox.running() == {"mariadb"}
        assert not yard(target).exists(), "what a killed job landed does not stay"
    else:
        assert sandbox.running() == set()
        assert look(target) == {"content": b"restored"}
        command = result["put_back"].removeprefix("sudo ").split(" ")
        assert command[0] == sys.executable
        done = subprocess.run(command, capture_output=True, check=False, env=sandbox.environment(), text=True)
        assert done.returncode == 0, done.stderr
        assert "holds its former content again" in done.stdout
        assert sandbox.running() == {"mariadb"}
    assert look(target) == live


def test_put_back_of_a_job_that_exchanged_nothing_says_so(sandbox: Sandbox) -> None:
    sandbox.run(sandbox.backup([good()]))
    done = sandbox.call("put-back", str(layout.job(RUN)))
    assert (done.returncode, "exchanged no data" in done.stderr) == (1, True)


def poll(folder: Path) -> tuple[dict[str, Any], str]:
    """Poll a job as the control node does, through a real shell."""
    done = subprocess.run(["sh", "-c", poll_command(str(folder), 1)], capture_output=True, check=False, text=True)
    return read_poll(done.stdout)


def test_a_poll_sees_a_job_alive_and_then_its_result(sandbox: Sandbox) -> None:
    start_and_hold(sandbox, [hold(sandbox.base), good()])
    state, verdict = poll(layout.job(RUN))
    assert (state["step"], verdict) == ("Call hold", "ALIVE")
    let_go(sandbox)
    result_of(sandbox)
    state, verdict = poll(layout.job(RUN))
    assert (state["done"], verdict) == (True, "RESULT")


def test_polls_at_the_moment_of_death_do_not_keep_the_release_away(sandbox: Sandbox) -> None:
    """A waiting poll gets the lock the instant a worker dies, just when the release wants it."""
    sandbox.set_running("mariadb")
    start_and_hold(sandbox, [service("stopped"), hold(sandbox.base), good()])
    alive = layout.job(RUN) / "alive"
    pollers = [subprocess.Popen(["flock", "-s", str(alive), "sleep", "1"]) for _ in range(2)]
    sandbox.kill_worker(RUN)
    assert result_of(sandbox)["release_problems"] == []
    assert sandbox.running() == {"mariadb"}
    assert [poller.wait(10) for poller in pollers] == [0, 0]


def test_a_worker_that_comes_late_does_nothing_to_a_job_that_ended(sandbox: Sandbox) -> None:
    sandbox.run(sandbox.backup([good()]))
    before = read_json(layout.job(RUN) / "result.json")
    assert sandbox.call("run", str(layout.job(RUN))).returncode == 3
    assert read_json(layout.job(RUN) / "result.json") == before
    assert len(sandbox.snapshots("part=receipt")) == 1
