# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import fcntl
import os
import shutil
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import files, layout
from ansible_collections.backstay.fleet.plugins.module_utils.errors import Busy
from ansible_collections.backstay.fleet.plugins.module_utils.worker import folder
from ansible_collections.backstay.fleet.plugins.module_utils.worker.folder import JobFolder, Lock, lock_holder, lock_resource
from hypothesis import given
from hypothesis import strategies as st

SPECIFICATION = {"run": "run-00001", "host": "shop-db1", "app": "mysql", "action": "backup", "resource": "mysql:/var/lib/mysql"}


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(layout, "ROOT", tmp_path)
    return tmp_path


def made(run: str = "run-00001", secrets: dict[str, str] | None = None, **changes: Any) -> JobFolder:
    return JobFolder.create(dict(SPECIFICATION, run=run, **changes), secrets or {})


def test_a_new_folder_is_private_and_holds_the_specification() -> None:
    job = made(secrets={"password": "hunter2"})
    assert job.specification()["run"] == "run-00001"
    assert (job.secrets / "password").read_text() == "hunter2"
    for path in (job.path, job.secrets):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in (job.path / "spec.json", job.secrets / "password"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_without_secrets_there_is_no_folder_for_them() -> None:
    assert not made().secrets.exists()


def test_secrets_never_lie_in_a_folder_that_nobody_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(_folder: Path, _secrets: dict[str, str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(folder, "write_secrets", crash)
    with pytest.raises(KeyboardInterrupt):
        made(secrets={"password": "hunter2"})
    assert [job.path.name for job in folder.all_folders()] == ["run-00001"]


def test_the_first_result_stands_and_secrets_go() -> None:
    job = made(secrets={"password": "hunter2"})
    assert job.result() is None
    job.finish({"status": "ok"})
    assert not job.secrets.exists()
    job.finish({"status": "failed"})
    assert job.result() == {"status": "ok"}


def test_a_missing_specification_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        JobFolder(layout.job("never-was")).specification()


def test_events_keep_their_order_and_have_moments() -> None:
    job = made()
    assert job.events() == []
    for name in ("start backup", "freeze", 'a "quoted" ß'):
        job.event(name)
    assert [entry["event"] for entry in job.events()] == ["start backup", "freeze", 'a "quoted" ß']
    moments = [entry["at"] for entry in job.events()]
    assert moments == sorted(moments)


@given(st.data())
def test_a_torn_last_line_costs_only_itself(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """A crash may cut the last line anywhere; what came before it and what comes after it counts."""
    job = JobFolder(tmp_path_factory.mktemp("job"))
    names = data.draw(st.lists(st.text('a}{"ß\n', min_size=1, max_size=8), min_size=1, max_size=3))
    for name in names:
        job.event(name)
    content = (job.path / "events.jsonl").read_bytes()
    last = content.rindex(b"\n", 0, -1) + 1 if b"\n" in content[:-1] else 0
    cut = data.draw(st.integers(last, len(content)))
    (job.path / "events.jsonl").write_bytes(content[:cut])
    whole = names if cut >= len(content) - 1 else names[:-1]
    assert [entry["event"] for entry in job.events()] == whole
    job.event("released")
    assert [entry["event"] for entry in job.events()] == [*whole, "released"]


def test_what_is_to_be_undone_is_remembered_until_it_is() -> None:
    job = made()
    job.push_undo({"service": "mariadb"})
    job.push_undo({"service": "web"})
    assert JobFolder(job.path).undo_entries() == [{"service": "mariadb"}, {"service": "web"}]
    job.drop_undo({"service": "mariadb"})
    job.drop_undo({"service": "mariadb"})
    assert job.undo_entries() == [{"service": "web"}]


def test_folders_are_listed_oldest_first_and_only_with_a_specification() -> None:
    for number, run in enumerate(["run-b", "run-a", "run-c"]):
        job = made(run)
        os.utime(job.path / "spec.json", (number, number))
    (layout.jobs() / "stray").mkdir()
    assert [job.path.name for job in folder.all_folders()] == ["run-b", "run-a", "run-c"]


def test_a_folder_that_goes_meanwhile_keeps_nobody_from_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever collects a job removes old folders of its host, while the start of another host's job looks at all."""
    kept, gone = made("run-00001"), made("run-00002")
    read = folder.read_json

    def removed(path: Path) -> Any:
        if path.parent == gone.path:
            shutil.rmtree(gone.path)
        return read(path)

    monkeypatch.setattr(folder, "read_json", removed)
    assert [job.path for job in folder.jobs_of("shop-db1", "mysql")] == [kept.path]


def test_a_new_folder_outlives_a_power_cut_with_all_above_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the release has to undo lies in it."""
    synced: list[Path] = []
    monkeypatch.setattr(files, "sync_directory", synced.append)
    job = made()
    assert {root, job.path.parent, job.path} <= set(synced)


def test_without_any_job_nothing_is_listed() -> None:
    assert folder.all_folders() == []


def test_only_old_collected_folders_of_the_same_host_and_app_go() -> None:
    kept = folder.KEPT_FOLDERS
    for number in range(kept + 5):
        job = made(f"run-{number:03}")
        os.utime(job.path / "spec.json", (number, number))
        if number != 1:
            (job.path / "collected").touch()
    (layout.job("run-000") / "swap.json").write_text("{}")
    for run, changes in (("run-other-host", {"host": "db2"}), ("run-other-app", {"app": "files"})):
        other = made(run, **changes)
        (other.path / "collected").touch()
        os.utime(other.path / "spec.json", (0, 0))
    folder.prune_collected("shop-db1", "mysql")
    left = {job.path.name for job in folder.all_folders()}
    assert {"run-000", "run-001", "run-other-host", "run-other-app", f"run-{kept + 4:03}"} <= left
    assert {"run-002", "run-003", "run-004"}.isdisjoint(left)
    assert len(left) == kept + 4


def test_a_lock_has_one_holder_and_names_it(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "x.lock"
    assert lock_holder(path) is None
    lock, other = Lock(path), Lock(path)
    assert lock_holder(path) is None
    assert lock.take({"run": "run-00001"})
    assert lock_holder(path) == {"run": "run-00001"}
    assert not other.take({"run": "run-00002"})
    assert lock_holder(path) == {"run": "run-00001"}
    lock.release()
    lock.release()
    assert lock_holder(path) is None
    assert other.take({"run": "run-00002"})
    assert lock_holder(path) == {"run": "run-00002"}
    other.release()


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    lock, other = Lock(tmp_path / "x"), Lock(tmp_path / "x")
    assert lock.take({"run": "a"})
    threading.Timer(0.2, lock.release).start()
    assert other.take({"run": "b"}, wait=20)
    other.release()


def test_a_shorter_name_leaves_nothing_of_a_longer_one(tmp_path: Path) -> None:
    for run in ("a-very-long-name-of-a-run", "b"):
        lock = Lock(tmp_path / "x")
        assert lock.take({"run": run})
        assert lock_holder(tmp_path / "x") == {"run": run}
        lock.release()


def test_a_dead_holder_holds_nothing(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        Lock(tmp_path / "x").take({"run": "dead"})
        os._exit(0)
    os.waitpid(child, 0)
    assert lock_holder(tmp_path / "x") is None


def test_somebody_who_only_looks_does_not_keep_a_worker_from_its_work(tmp_path: Path) -> None:
    """A poll shares the lock for a moment; a worker or a release that comes just then must not give up."""
    lock = Lock(tmp_path / "alive")
    looker = os.open(str(tmp_path / "alive"), os.O_RDWR)
    fcntl.flock(looker, fcntl.LOCK_SH)
    threading.Timer(0.3, lambda: os.close(looker)).start()
    assert lock.take({"run": "run-00001"})
    lock.release()


def test_a_holder_is_told_apart_from_a_looker_at_once(tmp_path: Path) -> None:
    holder, other = Lock(tmp_path / "alive"), Lock(tmp_path / "alive")
    assert holder.take({"run": "run-00001"})
    began = time.monotonic()
    assert not other.take({"run": "run-00002"})
    assert time.monotonic() - began < 1
    holder.release()
    other.release()


def test_a_resource_of_another_machine_is_not_that_of_the_same_name_elsewhere() -> None:
    """Databases are called alike on many hosts, and one backup machine works for all of them at once."""
    far = {"name": "ssh", "address": "erp-db1", "account": "oracle", "access": "/a", "directory": "/b"}
    common = dict(SPECIFICATION, resource="oracle:ORCL")
    held = [lock_resource(common), lock_resource(dict(common, executor=far))]
    held.append(lock_resource(dict(common, executor=dict(far, address="crm-db1"))))
    held.append(lock_resource(dict(common, executor=dict(far, port=2222))))
    with pytest.raises(Busy, match="oracle:ORCL is in use by run run-00001"):
        lock_resource(dict(common, run="run-00002", host="alias", executor=dict(far, port=22)))
    assert len({*held}) == 4
    for lock in held:
        lock.release()


def test_a_resource_in_use_is_refused_naming_the_run() -> None:
    held = lock_resource(dict(SPECIFICATION))
    with pytest.raises(Busy, match=r"mysql:/var/lib/mysql is in use by run run-00001 \(backup of shop-db1\)") as refusal:
        lock_resource(dict(SPECIFICATION, run="run-00002", host="spare1", action="restore"))
    assert "backstay_run=run-00001" in refusal.value.hint
    other = lock_resource(dict(SPECIFICATION, resource="mysql:/srv/other", run="run-00003"))
    held.release()
    again = lock_resource(dict(SPECIFICATION, run="run-00002"))
    other.release()
    again.release()
