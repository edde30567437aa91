# SPDX-License-Identifier: GPL-3.0-or-later
"""The running job: stall watch, progress, repository access, clean-ups."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import errors, process
from ansible_collections.backstay.fleet.plugins.module_utils.files import read_json
from ansible_collections.backstay.fleet.plugins.module_utils.worker import job as module
from ansible_collections.backstay.fleet.plugins.module_utils.worker.job import Job, find_restic, open_access
from unit.support.sandbox import Sandbox

STEPS = [{"name": "x", "capture": {"artifact": "data", "argv": ["true"], "proof": {}}}]


def make_job(sandbox: Sandbox, **changes: Any) -> Job:
    return Job(sandbox.create(sandbox.backup(STEPS, **changes)))


def stubborn(tmp_path: Path) -> subprocess.Popen[bytes]:
    """Return a process that ignores SIGTERM and has a child that does, too."""
    child = process.spawn(["sh", "-c", "trap '' TERM; (trap '' TERM; echo up; sleep 60) & sleep 60"], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"up\n"
    return child


def test_a_process_that_moves_nothing_is_killed_even_if_it_ignores_sigterm(sandbox: Sandbox, tmp_path: Path) -> None:
    job = make_job(sandbox, stall_timeout=0.5)
    job.begin_step("upload")
    child = stubborn(tmp_path)
    began = time.monotonic()
    with pytest.raises(errors.Stalled, match=r"no byte moved for 0\.5 s in step 'upload', 7 bytes"):
        job.watch([child], lambda: 7)
    assert 0.5 <= time.monotonic() - began < 8
    assert child.returncode == -signal.SIGKILL
    assert child.stdout is not None
    assert child.stdout.read() == b""  # its children are gone, too


def test_every_process_of_a_stalled_step_ends(sandbox: Sandbox, tmp_path: Path) -> None:
    job = make_job(sandbox, stall_timeout=0.5)
    children = [stubborn(tmp_path), stubborn(tmp_path)]
    with pytest.raises(errors.Stalled):
        job.watch(children, lambda: 0)
    assert [child.returncode for child in children] == [-signal.SIGKILL] * 2


def test_slow_but_moving_is_no_stall(sandbox: Sandbox) -> None:
    job = make_job(sandbox, stall_timeout=0.5)
    began = time.monotonic()
    job.watch([process.spawn(["sleep", "1.2"])], lambda: int((time.monotonic() - began) * 10))
    assert time.monotonic() - began >= 1.2


def test_all_processes_are_waited_for(sandbox: Sandbox) -> None:
    job = make_job(sandbox)
    children = [process.spawn(["sleep", "0.1"]), process.spawn(["sleep", "0.5"])]
    job.watch(children, lambda: 0)
    assert [child.returncode for child in children] == [0, 0]


def test_a_hanging_restic_is_a_stall(sandbox: Sandbox) -> None:
    sandbox.behave({"command": "snapshots", "do": "hang"})
    job = make_job(sandbox, stall_timeout=0.5)
    with pytest.raises(errors.Stalled, match="no byte moved"):
        job.require_restic([*module.restic.snapshots_argv(job.access, "shop-db1")], lambda: 0)


def test_restic_gets_its_environment_and_no_secret_in_its_arguments(sandbox: Sandbox) -> None:
    (sandbox.access / "environment").write_text("AWS_SECRET_ACCESS_KEY=abc=def\n\nnonsense\n")
    (sandbox.access / "ca.pem").write_text("x")
    job = make_job(sandbox)
    assert json.loads(job.require_restic(module.restic.snapshots_argv(job.access, "shop-db1"))) == []
    (call,) = sandbox.restic_calls()
    assert call["environment"]["AWS_SECRET_ACCESS_KEY"] == "abc=def"
    assert call["environment"]["RESTIC_PROGRESS_FPS"] == "1"
    assert "nonsense" not in call["environment"]
    assert str(sandbox.access / "ca.pem") in call["argv"]
    for secret in (sandbox.secrets["password"].strip(), "abc=def"):
        assert not any(secret in word for word in call["argv"])


@pytest.mark.parametrize(("status", "kind"), [(1, errors.RepositoryError), (11, errors.RepositoryLocked)])
def test_a_failing_restic_is_its_own_error(sandbox: Sandbox, status: int, kind: type[errors.BackstayError]) -> None:
    sandbox.behave({"command": "snapshots", "do": status})
    job = make_job(sandbox)
    with pytest.raises(kind, match=r"Fatal: unable to"):
        job.require_restic(module.restic.snapshots_argv(job.access, "shop-db1"))


def test_access_that_came_with_the_job_is_used_when_no_directory_is_named(sandbox: Sandbox) -> None:
    specification = sandbox.backup(STEPS, repository={"name": "other", "directory": ""})
    job = Job(sandbox.create(specification, sandbox.secrets))
    assert Path(job.access.password_file).parent == job.folder.secrets


@pytest.mark.parametrize("missing", ["url", "password"])
def test_incomplete_access_is_refused(sandbox: Sandbox, missing: str) -> None:
    (sandbox.access / missing).unlink()
    with pytest.raises(errors.Refused, match="no access to a repository"):
        open_access(sandbox.access)


def test_the_pinned_restic_comes_before_the_distributions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    programs = [tmp_path / "pinned", tmp_path / "other"]
    monkeypatch.setattr(module, "_RESTIC_PROGRAMS", tuple(map(str, programs)))
    with pytest.raises(errors.CommandFailed, match="restic is not installed"):
        find_restic()
    programs[1].touch()
    assert find_restic() == str(programs[1])
    programs[0].touch()
    assert find_restic() == str(programs[0])


def test_the_state_tells_step_bytes_and_rate(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    job = make_job(sandbox)
    path = job.folder.path / "state.json"
    job.begin_step("take", 1000)
    assert read_json(path) == {"seq": 1, "step": "take", "bytes": 0, "total": 1000, "rate": 0, "done": False}
    clock[0] += 0.1
    job.tell(50)
    assert (read_json(path) or {})["seq"] == 1, "at most twice a second"
    clock[0] += 1.9
    job.tell(400)
    assert read_json(path) == {"seq": 2, "step": "take", "bytes": 400, "total": 1000, "rate": 200, "done": False}
    job.end()
    assert (read_json(path) or {})["done"] is True


def test_restics_own_progress_counts() -> None:
    lines = [json.dumps({"message_type": "status", "bytes_done": number}).encode() for number in (5, 70)]
    assert module._bytes_done(b"\n".join(lines)) == 70
    assert module._bytes_done(b"\n".join(lines) + b'\n{"message_type":"status","bytes_d') == 70
    assert module._bytes_done(b"") == 0


def test_clean_ups_run_in_reverse_and_the_scratch_folder_goes(sandbox: Sandbox) -> None:
    job = make_job(sandbox)
    job.work.mkdir(parents=True)
    (job.work / "of an interrupted job").touch()
    job.prepare_work()
    assert list(job.work.iterdir()) == []
    seen: list[int] = []
    for number in (1, 2):
        job.cleanups.append(lambda number=number: seen.append(number))  # type: ignore[misc]
    job.clear_work()
    assert seen == [2, 1]
    assert not job.work.exists()
