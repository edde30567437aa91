# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.errors import (
    ApplicationDown,
    BackstayError,
    BadInput,
    CommandFailed,
    Refused,
)
from ansible_collections.backstay.fleet.plugins.module_utils.executors import Command
from ansible_collections.backstay.fleet.plugins.module_utils.files import write_json
from ansible_collections.backstay.fleet.plugins.module_utils.worker import services
from ansible_collections.backstay.fleet.plugins.module_utils.worker.job import Job
from ansible_collections.backstay.fleet.plugins.module_utils.worker.steps import perform
from unit.support.sandbox import Sandbox
from unit.support.steps import call, good, service


@pytest.fixture
def job(sandbox: Sandbox) -> Job:
    made = Job(sandbox.create(sandbox.backup([good()])))
    made.prepare_work()
    return made


def command(script: str, **more: Any) -> dict[str, Any]:
    return {"name": "Do it", "command": dict({"argv": ["sh", "-c", script]}, **more)}


def remembered(job: Job) -> list[str]:
    return [entry["service"] for entry in job.folder.undo_entries()]


def test_a_command_does_its_work(job: Job, tmp_path: Path) -> None:
    perform(job, command(f"touch {tmp_path}/done"))
    assert (tmp_path / "done").exists()


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (command("echo no >&2; exit 3"), "sh ended with exit status 3: no"),
        (command("exit 0", proof={"exit": 1}), "sh ended with exit status 0"),
        (command("echo fine", proof={"stdout_end": "done"}), "without 'done' at the end of its stdout: fine"),
        (command("echo ORA-1 >&2; seq 1 20000 >&2", proof={"stderr_refuse": ["ORA-"]}), "exited 0 but said: ORA-1"),
        (command("sleep 30", timeout=1), "did not end within 1 s"),
        ({"name": "x", "command": {"argv": ["no-such-tool"]}}, "cannot start no-such-tool"),
    ],
)
def test_a_command_without_its_proof_fails(job: Job, step: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CommandFailed, match=sentence):
        perform(job, step)


def test_every_step_is_an_event_and_the_state_before_it_is_done(job: Job) -> None:
    with pytest.raises(CommandFailed):
        perform(job, command("exit 1"))
    assert [event["event"] for event in job.folder.events()] == ["Do it"]


def test_a_stop_is_remembered_before_it_is_done(job: Job, sandbox: Sandbox) -> None:
    sandbox.set_running("mariadb")
    sandbox.refuse("mariadb", "stop")
    with pytest.raises(CommandFailed, match="did not stop"):
        perform(job, service("stopped"))
    assert remembered(job) == ["mariadb"]


@pytest.mark.parametrize("allowed", [False, True])
def test_of_a_killed_service_nothing_is_backed_up_unless_it_may_be(
    job: Job, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    def killed(name: str, _control: Any) -> None:
        raise CommandFailed(f"{name} was killed")

    monkeypatch.setattr(services, "require_own_end", killed)
    step = service("stopped")
    step["service"]["may_be_killed"] = allowed
    sandbox.set_running("mariadb")
    if allowed:
        perform(job, step)
    else:
        with pytest.raises(CommandFailed, match="mariadb was killed"):
            perform(job, step)
    assert remembered(job) == ["mariadb"], "the release starts it again"
    job.specification["action"] = "restore"
    sandbox.set_running("mariadb")
    perform(job, step)  # its data goes anyway


def test_a_start_settles_the_stop_and_counts_the_outage(job: Job, sandbox: Sandbox) -> None:
    sandbox.set_running("mariadb")
    began = time.monotonic()
    perform(job, service("stopped"))
    perform(job, command("sleep 0.3"))
    perform(job, service("started"))
    assert job.folder.undo_entries() == []
    assert sandbox.running() == {"mariadb"}
    assert 0.3 <= job.seen["outage_seconds"] <= time.monotonic() - began


def test_the_outage_of_two_services_lasts_until_the_last_is_back(job: Job, sandbox: Sandbox) -> None:
    sandbox.set_running("web", "mariadb")
    began = time.monotonic()
    for step in (service("stopped", "web"), command("sleep 0.2"), service("stopped")):
        perform(job, step)
    for step in (service("started"), command("sleep 0.2"), service("started", "web")):
        perform(job, step)
    assert 0.4 <= job.seen["outage_seconds"] <= time.monotonic() - began


def test_two_outages_add_up(job: Job, sandbox: Sandbox) -> None:
    sandbox.set_running("mariadb")
    for _ in range(2):
        for step in (service("stopped"), command("sleep 0.2"), service("started")):
            perform(job, step)
    assert job.seen["outage_seconds"] >= 0.4


def test_a_service_that_did_not_run_is_not_started_by_the_release(job: Job, sandbox: Sandbox) -> None:
    perform(job, service("stopped"))
    assert job.folder.undo_entries() == []
    assert sandbox.service_calls() == []


def take_picture(job: Job, folder: Path) -> None:
    perform(job, {"name": "Picture", "picture": {"folder": str(folder), "method": "copy"}})


@pytest.mark.parametrize("running", [False, True])
def test_a_service_that_somebody_starts_under_the_picture_is_noticed_whoever_stopped_it(
    job: Job, sandbox: Sandbox, running: bool
) -> None:
    folder = sandbox.base / "srv" / "ledger"
    folder.mkdir(parents=True)
    sandbox.set_running(*(["mariadb"] if running else []))
    perform(job, service("stopped"))
    sandbox.set_running("mariadb")
    with pytest.raises(CommandFailed, match="service 'mariadb' was started while the picture was made"):
        take_picture(job, folder)


@pytest.mark.parametrize("state", ["resumed", "started"])
def test_a_picture_does_not_mind_a_service_whose_turn_is_over(job: Job, sandbox: Sandbox, state: str) -> None:
    """One machine, two servers: the first one is up again when the picture of the second is made."""
    folder = sandbox.base / "srv" / "ledger"
    folder.mkdir(parents=True)
    sandbox.set_running()
    perform(job, service("stopped"))
    perform(job, service(state))
    sandbox.set_running("mariadb")
    take_picture(job, folder)


def test_a_service_that_does_not_come_back_stays_remembered(job: Job, sandbox: Sandbox) -> None:
    sandbox.set_running("mariadb")
    perform(job, service("stopped"))
    sandbox.refuse("mariadb", "start")
    with pytest.raises(ApplicationDown):
        perform(job, service("started"))
    assert remembered(job) == ["mariadb"]
    assert job.seen["outage_seconds"] == 0


def test_only_what_the_job_made_is_discarded(job: Job, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (job.work / "scratch").mkdir()
    for path in (precious, job.work.parent, Path("/")):
        with pytest.raises(Refused, match="was not made by this job"):
            perform(job, {"name": "x", "discard": {"path": str(path)}})
    assert precious.exists()
    perform(job, {"name": "x", "discard": {"path": str(job.work / "scratch")}})
    assert not (job.work / "scratch").exists()


def test_discard_is_not_fooled_by_a_path_that_climbs(job: Job, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    climbing = f"{job.work}/../../../../precious"
    assert Path(climbing).resolve() == tmp_path / "precious"
    with pytest.raises(Refused, match="was not made by this job"):
        perform(job, {"name": "x", "discard": {"path": climbing}})
    assert (tmp_path / "precious").exists()


def test_the_app_is_called_by_name(job: Job) -> None:
    perform(job, call("note", name="seen"))
    assert job.seen["checks"] == [{"name": "seen", "status": "ok", "detail": ""}]
    with pytest.raises(BadInput, match=r"testapp has no call 'sing' \(known: crash, fail, hold, note, occupy\)"):
        perform(job, call("sing"))
    with pytest.raises(BackstayError, match="because"):
        perform(job, call("fail", message="because"))


def test_services_of_one_name_under_different_control_are_two(job: Job, tmp_path: Path) -> None:
    own = [quick(tmp_path / name) for name in ("mail", "catalog")]
    for control in own:
        perform(job, under("stopped", control))
    assert [entry["control"] for entry in job.folder.undo_entries()] == own
    perform(job, under("resumed", own[0]))
    assert [entry["control"] for entry in job.folder.undo_entries()] == own[1:]
    assert job.seen["outage_seconds"] == 0, "the other one is still down"
    perform(job, under("resumed", own[1]))
    assert job.folder.undo_entries() == []
    assert job.seen["outage_seconds"] > 0


def quick(state: Path) -> dict[str, Any]:
    """Return the commands of a server that runs while the file ``state`` is there; it is."""
    state.touch()
    return {"start": ["touch", str(state)], "stop": ["rm", str(state)], "status": ["sh", "-c", f"[ -e {state} ] || exit 3"]}


def under(state: str, control: dict[str, Any]) -> dict[str, Any]:
    return {"name": state, "service": {"name": "PowerShare", "state": state, "timeout": 5, "control": control}}


def test_a_host_that_loses_its_worker_starts_nothing_on_exchanged_data(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[Any] = []
    monkeypatch.setattr(job.executor, "on_loss", left.append)
    perform(job, under("stopped", quick(tmp_path / "mail")))
    write_json(job.folder.path / "swap.json", {"state": "done"})
    perform(job, under("stopped", quick(tmp_path / "catalog")))
    assert left == [[Command(["touch", str(tmp_path / "mail")])], []]


def test_what_undoes_a_command_is_remembered_with_its_account_and_environment(job: Job) -> None:
    perform(job, command("exit 0", undo=["true"], account="root", environment={"WHERE": "here"}))
    assert job.folder.undo_entries() == [{"command": ["true"], "account": "root", "environment": {"WHERE": "here"}}]
    perform(job, {"name": "Undo it", "command": {"argv": ["true"]}})
    assert job.folder.undo_entries() == [], "whoever ran it"
