# SPDX-License-Identifier: GPL-3.0-or-later
"""What brings the application back; with real processes in test_life_of_a_job.py."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import layout
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError, BadInput, Busy, CommandFailed
from ansible_collections.backstay.fleet.plugins.module_utils.executors import LocalExecutor
from ansible_collections.backstay.fleet.plugins.module_utils.process import Finished
from ansible_collections.backstay.fleet.plugins.module_utils.worker import cli, release, services, swap
from ansible_collections.backstay.fleet.plugins.module_utils.worker.folder import JobFolder, Lock, lock_resource
from unit.support.backups import next_run
from unit.support.sandbox import Sandbox
from unit.support.steps import good
from unit.support.trees import look, plant


@pytest.fixture
def folder(sandbox: Sandbox) -> JobFolder:
    """Return the folder of a job that nobody works on any more."""
    return sandbox.create(sandbox.backup([good()]), {"password": "hunter2"})


def test_services_come_back_in_reverse_order(sandbox: Sandbox, folder: JobFolder) -> None:
    for name in ("web", "mariadb"):
        folder.push_undo({"service": name})
    release.release(folder)
    assert sandbox.service_calls() == ["start mariadb", "start web"]
    assert folder.undo_entries() == []
    result = folder.result() or {}
    assert (result["error"]["code"], result["release_problems"]) == ("interrupted", [])


def test_one_service_that_stays_down_does_not_keep_the_others_down(sandbox: Sandbox, folder: JobFolder) -> None:
    for name in ("web", "mariadb"):
        folder.push_undo({"service": name})
    sandbox.refuse("mariadb", "start")
    release.release(folder)
    assert sandbox.running() == {"web"}
    assert folder.undo_entries() == [{"service": "mariadb"}]
    assert len((folder.result() or {})["release_problems"]) == 1


def test_a_full_disk_keeps_no_application_down(sandbox: Sandbox, folder: JobFolder) -> None:
    """Its worker may have died of that, and nothing can be noted: not even who holds the lock."""
    folder.push_undo({"service": "mariadb"})

    def full(*_arguments: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.MonkeyPatch.context() as disk, pytest.raises(OSError, match="No space left on device"):
        disk.setattr(os, "write", full)
        disk.setattr(os, "pwrite", full)
        release.release(folder)
    assert sandbox.running() == {"mariadb"}
    release.release(folder)
    assert folder.undo_entries() == []
    assert (folder.result() or {})["error"]["code"] == "interrupted"


@pytest.mark.parametrize("command", ["put-back", "keep-restored"])
def test_what_the_operating_system_refuses_a_person_is_a_sentence(
    sandbox: Sandbox, folder: JobFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    def full(_folder: JobFolder) -> str:
        raise OSError(errno.ENOSPC, "No space left on device", "/var/lib/backstay/jobs/x/swap.json.new")

    monkeypatch.setattr(release, command.replace("-", "_"), full)
    monkeypatch.setattr(sys, "argv", ["worker.pyz", command, str(folder.path)])
    assert cli.main() == 1
    said = "No space left on device: /var/lib/backstay/jobs/x/swap.json.new. Mend that, then give the same command again"
    assert said in capsys.readouterr().err


def test_what_is_left_to_undo_waits_while_another_job_works_on_the_same_thing(sandbox: Sandbox, folder: JobFolder) -> None:
    folder.push_undo({"service": "mariadb"})
    folder.finish({"status": "failed"})
    lock = lock_resource(folder.specification())
    assert release.release_abandoned({}) == 0
    assert sandbox.service_calls() == []
    lock.release()
    assert release.release_abandoned({}) == 1
    assert sandbox.running() == {"mariadb"}


def test_a_job_that_cannot_be_released_does_not_keep_the_applications_of_others_down(
    sandbox: Sandbox, folder: JobFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = sandbox.create(sandbox.backup([good()], host="shop-db2", source="shop-db2", resource="testapp:2", **next_run(1)))
    other.push_undo({"service": "mariadb"})
    at_work = release.Job

    def job(of: JobFolder) -> Any:
        if of.path == folder.path:
            raise OSError(errno.ENOSPC, "No space left on device")
        return at_work(of)

    monkeypatch.setattr(release, "Job", job)
    problems: dict[str, str] = {}
    assert release.release_abandoned(problems) == 1
    assert sandbox.running() == {"mariadb"}
    assert problems == {folder.path.name: "[Errno 28] No space left on device"}
    monkeypatch.setattr(sys, "argv", ["worker.pyz", "release-abandoned"])
    assert cli.main() == 1
    assert f"{folder.path.name} could not be released: [Errno 28] No space left on device" in capsys.readouterr().err


def test_a_plan_that_a_long_restore_still_follows_is_kept(sandbox: Sandbox) -> None:
    plans = plant(layout.ROOT / "plans", {f"{number:02}.json": b"{}" for number in range(80)})
    for number in range(80):
        age = 8 * 86400 if number < 20 else 60
        os.utime(plans / f"{number:02}.json", (time.time() - age + number,) * 2)
    release.prune_plans()
    assert sorted(look(plans)) == [f"{number:02}.json" for number in range(20, 80)]


def test_a_plan_that_goes_away_meanwhile_keeps_nobody_from_starting(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan is written under another name first, and the lock of starts does not keep others from planning."""
    plans = plant(layout.ROOT / "plans", {"a.json.new": b"{}", "b.json": b"{}"})
    listed = list(plans.iterdir())
    (plans / "a.json.new").rename(plans / "a.json")
    monkeypatch.setattr(Path, "iterdir", lambda _path: iter(listed))
    release.prune_plans()
    assert (plans / "a.json").exists() and (plans / "b.json").exists()


def test_a_job_that_ended_leaves_the_scratch_folder_to_the_next_one(sandbox: Sandbox, folder: JobFolder) -> None:
    folder.push_undo({"service": "mariadb"})
    folder.finish({"status": "failed"})
    work = layout.work("shop-db1", "testapp")
    plant(work, {"landing": b"of the next job"})
    release.release(folder)
    assert (work / "landing").exists()


def test_a_release_done_twice_changes_nothing(sandbox: Sandbox, folder: JobFolder) -> None:
    folder.push_undo({"service": "mariadb"})
    release.release(folder)
    before = folder.result()
    release.release(folder)
    assert folder.result() == before
    assert sandbox.service_calls() == ["start mariadb"]


def test_what_the_job_made_goes_and_what_others_put_there_stays(sandbox: Sandbox, folder: JobFolder) -> None:
    yard = sandbox.base / "yard"
    plant(yard / "landing", {"ibdata1": b"1"})
    plant(sandbox.base / "shared" / "mine", {})
    plant(sandbox.base / "shared", {"of somebody else": b"1"})
    for kind, path in (
        ("parent", yard),
        ("directory", yard / "landing"),
        ("parent", sandbox.base / "shared"),
        ("directory", sandbox.base / "shared" / "mine"),
        ("directory", sandbox.base / "never-made"),
    ):
        folder.note_made(kind, str(path))
    release.release(folder)
    assert not yard.exists()
    assert look(sandbox.base / "shared") == {"of somebody else": b"1"}


def exchange(sandbox: Sandbox, folder: JobFolder) -> Path:
    """Exchange data for the job; return its live directory."""
    target = plant(sandbox.base / "mysql", {"ibdata1": b"live"})
    landing = plant(sandbox.base / ".backstay-mysql" / "landing", {"ibdata1": b"restored"})
    folder.note_made("directory", str(landing))
    swap.exchange(folder.path, folder.path.name, {"target": str(target), "landing": str(landing)})
    return target


def test_nothing_is_started_or_removed_while_live_data_lies_aside(sandbox: Sandbox, folder: JobFolder) -> None:
    folder.push_undo({"service": "mariadb"})
    target = exchange(sandbox, folder)
    release.release(folder)
    assert sandbox.service_calls() == []
    assert look(target) == {"ibdata1": b"restored"}
    result = folder.result() or {}
    assert look(Path(result["aside"])) == {"ibdata1": b"live"}
    assert result["put_back"].endswith(f"put-back {folder.path}")


def test_the_result_of_a_backup_machine_says_where_its_command_is_one(sandbox: Sandbox) -> None:
    """On the protected host, where somebody looks first, that command is not found."""
    far = {"name": "ssh", "address": "erp-db1", "account": "oracle", "access": "/a", "directory": "/b", "staging": "pull"}
    found = release.failure(sandbox.create(sandbox.backup([good()], executor=far)), BackstayError("it broke"), [])
    assert found["worker"] == socket.gethostname()
    assert "worker" not in release.failure(sandbox.create(sandbox.backup([good()], run="run-2")), BackstayError("it broke"), [])


def test_put_back_stops_exchanges_and_starts(sandbox: Sandbox, folder: JobFolder) -> None:
    folder.push_undo({"service": "mariadb"})
    target = exchange(sandbox, folder)
    sandbox.set_running("mariadb")
    assert release.put_back(folder).endswith("started: mariadb")
    assert sandbox.service_calls() == ["stop mariadb", "start mariadb"]
    assert look(target) == {"ibdata1": b"live"}
    assert folder.undo_entries() == []
    assert "already holds" in release.put_back(folder)
    assert sandbox.service_calls()[2:] == [], "a second time nothing is stopped"


def test_a_server_that_still_quits_is_started_when_it_is_gone(sandbox: Sandbox, folder: JobFolder, tmp_path: Path) -> None:
    """PS-18: until then it counts as up, and a start would be in vain."""
    state = tmp_path / "state"
    state.write_text("up\n")
    control = {"start": ["sh", "-c", f"echo up >> {state}"], "stop": ["true"]}
    control["status"] = ["sh", "-c", f"tail -n 1 {state} | grep -q up || exit 3"]
    folder.push_undo({"service": "mail", "control": control, "timeout": 10, "stop_timeout": 20})
    quitting = subprocess.Popen(["sh", "-c", f"sleep 1; echo down >> {state}"])
    release.release(folder)
    quitting.wait()
    assert state.read_text().split() == ["up", "down", "up"]
    assert folder.undo_entries() == []


def test_release_and_put_back_wait_as_long_as_the_role_does(
    sandbox: Sandbox, folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(services, "start", lambda *words: asked.append(("start", *words)))
    monkeypatch.setattr(services, "stop", lambda *words: asked.append(("stop", *words)))
    folder.push_undo({"service": "mariadb", "timeout": 900.0, "stop_timeout": 700.0})
    exchange(sandbox, folder)
    release.put_back(folder)
    folder.push_undo({"service": "mariadb", "timeout": 900.0, "stop_timeout": 700.0})
    folder.finish({"status": "failed"})
    release.release(folder)
    assert asked == [("stop", "mariadb", 700.0, None, None), *[("start", "mariadb", 900.0, None, None)] * 2]


def test_services_of_one_name_under_different_control_all_come_back(sandbox: Sandbox, tmp_path: Path) -> None:
    own = []
    for name in ("mail", "catalog"):
        state = tmp_path / name
        control = {"start": ["touch", str(state)], "stop": ["rm", str(state)]}
        own.append({"service": "PowerShare", "control": dict(control, status=["sh", "-c", f"[ -e {state} ] || exit 3"])})
    folder = sandbox.create(sandbox.backup([good()], facts={"services": own}))
    folder.push_undo(own[0])
    exchange(sandbox, folder)
    assert release.put_back(folder).endswith("; started: PowerShare, PowerShare")
    assert {"mail", "catalog"} <= {path.name for path in tmp_path.iterdir()}


def test_what_undoes_a_command_runs_as_its_account_and_in_its_environment(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(LocalExecutor, "require", lambda _self, argv, limit, **options: asked.append((argv, limit, options)))
    folder.push_undo({"command": ["end", "backup"], "account": "operator", "environment": {"WHERE": "here"}})
    folder.push_undo({"command": ["thaw"]})
    release.release(folder)
    assert asked == [
        (["thaw"], 3600, {"account": None, "environment": None}),
        (["end", "backup"], 3600, {"account": "operator", "environment": {"WHERE": "here"}}),
    ]
    assert folder.undo_entries() == []


def test_put_back_waits_for_every_job_of_the_same_application(sandbox: Sandbox, folder: JobFolder) -> None:
    """Another job may work on another resource of the same application: a verification, or other folders."""
    target = exchange(sandbox, folder)
    other = sandbox.create(sandbox.backup([good()], run="20261121T093000Z-testapp-9", resource="testapp:/elsewhere"))
    alive = Lock(other.path / "alive")
    assert alive.take({"run": other.path.name})
    for way in (release.put_back, release.keep_restored):
        with pytest.raises(Busy, match="run 20261121T093000Z-testapp-9 is at work for testapp on shop-db1"):
            way(folder)
    assert look(target) == {"ibdata1": b"restored"}
    alive.release()
    release.put_back(folder)
    assert look(target) == {"ibdata1": b"live"}


def test_put_back_waits_for_nobody_who_works_on_the_same_data(sandbox: Sandbox, folder: JobFolder) -> None:
    target = exchange(sandbox, folder)
    other = lock_resource(dict(folder.specification(), run="another-run"))
    with pytest.raises(Busy, match="another-run"):
        release.put_back(folder)
    assert look(target) == {"ibdata1": b"restored"}
    other.release()


def test_restored_data_can_be_settled_for(sandbox: Sandbox, folder: JobFolder) -> None:
    folder.push_undo({"service": "mariadb"})
    target = exchange(sandbox, folder)
    sentence = release.keep_restored(folder)
    assert "keeps the restored data" in sentence
    assert sandbox.running() == {"mariadb"}
    assert look(target) == {"ibdata1": b"restored"}
    assert folder.undo_entries() == []
    assert swap.exchanged(folder.path) == []
    with pytest.raises(BadInput):
        release.keep_restored(folder)


def test_a_half_done_exchange_cannot_be_settled_for(sandbox: Sandbox, folder: JobFolder) -> None:
    with pytest.raises(BadInput, match="no wholly exchanged data"):
        release.keep_restored(folder)


@pytest.mark.parametrize("error", [CommandFailed("daemon-reload failed"), PermissionError(13, "Permission denied")])
def test_a_hold_that_cannot_be_lifted_keeps_no_application_down(
    sandbox: Sandbox, folder: JobFolder, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(_name: str) -> None:
        raise error

    monkeypatch.setattr(services, "unhold", fail)
    folder.push_undo({"service": "mariadb"})
    folder.note_made("hold", "mariadb")
    release.release(folder)
    assert sandbox.running() == {"mariadb"}
    assert "mariadb is still held" in (folder.result() or {})["release_problems"][0]


def test_a_held_service_starts_again_after_the_release(
    sandbox: Sandbox, folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def require(argv: list[str], _timeout: float) -> str:
        asked.append(argv)
        return ""

    def run(argv: list[str], _timeout: float) -> Finished:
        return Finished(0, "LoadState=loaded\nActiveState=active\n", "")

    monkeypatch.setattr(services, "has_systemd", lambda: True)
    monkeypatch.setattr(services, "_UNITS", sandbox.base / "units")
    monkeypatch.setattr(services, "_ALLOWED", sandbox.base / "allowed")
    monkeypatch.setattr(services, "require", require)
    monkeypatch.setattr(services, "run", run)
    (sandbox.base / "units").mkdir()
    folder.note_made("hold", "mariadb")
    services.hold("mariadb", "run-1")
    (held,) = (sandbox.base / "units").rglob("*.conf")
    assert held.parent.name == "mariadb.service.d"
    assert f"AssertPathExists={sandbox.base}/allowed/mariadb" in held.read_text()
    assert "run-1" in held.read_text()
    assert not (sandbox.base / "allowed" / "mariadb").exists()
    services.allow("mariadb")
    assert (sandbox.base / "allowed" / "mariadb").exists()
    release.release(folder)
    assert list((sandbox.base / "units").rglob("*")) == []
    assert asked.count(["systemctl", "daemon-reload"]) == 2


def test_only_the_newest_plans_are_kept(sandbox: Sandbox) -> None:
    plans = layout.ROOT / "plans"
    plans.mkdir(parents=True)
    for number in range(53):
        (plans / f"{number}.json").touch()
        os.utime(plans / f"{number}.json", (number, number))
    release.prune_plans()
    left: Any = {path.name for path in plans.iterdir()}
    assert len(left) == 50
    assert "2.json" not in left
