# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps of a job on another machine, and what that machine does by itself when the worker is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import process
from ansible_collections.backstay.fleet.plugins.module_utils.worker import release
from ansible_collections.backstay.fleet.plugins.module_utils.worker.job import Job
from ansible_collections.backstay.fleet.plugins.module_utils.worker.steps import perform
from unit.support.sandbox import Sandbox, wait_until
from unit.support.sshd import HOLDER, ME, Server, way
from unit.support.steps import good


@pytest.fixture
def job(sandbox: Sandbox, server: Server, access: Path, place: Path) -> Iterator[Job]:
    """Return a job that works through SSH and holds its host."""
    made = Job(sandbox.create(sandbox.backup([good()], executor=way(server, access, place))))
    made.executor.hold("testapp:X", ME, HOLDER)
    yield made
    made.executor.end()


def switched(place: Path, name: str, state: str) -> dict[str, Any]:
    """Return the step for a server that runs while its file is there."""
    path = place / name
    control = {"start": ["touch", str(path)], "stop": ["rm", str(path)], "status": ["sh", "-c", f"[ -e {path} ] || exit 3"]}
    return {"name": f"{name} {state}", "service": {"name": name, "state": state, "timeout": 10, "control": control}}


@pytest.mark.parametrize("back", [[], ["mail"], ["web"]])
def test_a_lost_worker_leaves_no_service_down_that_it_stopped(job: Job, server: Server, place: Path, back: list[str]) -> None:
    for name in ("mail", "web"):
        (place / name).touch()
        perform(job, switched(place, name, "stopped"))
    for name in back:
        perform(job, switched(place, name, "resumed"))
        (place / name).unlink()  # somebody else stopped it by now
    server.cut()
    wait_until(lambda: not (place.parent / "ours" / "shop-db1+testapp").exists(), 30, "the host releases itself")
    assert {path.name for path in place.iterdir()} == {"mail", "web"} - set(back)


def frozen(place: Path) -> dict[str, Any]:
    """Return the step that makes a file with its environment, and whose undo removes it there."""
    undo = ["sh", "-c", f'rm {place}/"$WHICH"']
    argv = ["sh", "-c", f'echo $$ > {place}/"$WHICH"']
    return {"name": "Freeze", "command": {"argv": argv, "undo": undo, "account": ME, "environment": {"WHICH": "frozen"}}}


def test_a_command_of_a_job_runs_on_its_host_and_so_does_its_undo(
    job: Job, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "spawn", lambda *_words, **_options: pytest.fail("it ran on the worker"))
    perform(job, frozen(place))
    assert (place / "frozen").exists()
    assert release.undo(job.folder) == []
    assert not (place / "frozen").exists() and job.folder.undo_entries() == []


@pytest.mark.parametrize("settled", [False, True])
def test_a_lost_worker_leaves_nothing_frozen(job: Job, server: Server, place: Path, settled: bool) -> None:
    step = frozen(place)
    perform(job, step)
    if settled:
        more = {name: step["command"][name] for name in ("account", "environment")}
        perform(job, {"name": "Thaw", "command": {"argv": step["command"]["undo"], **more}})
        (place / "frozen").touch()  # by somebody else
    server.cut()
    wait_until(lambda: not (place.parent / "ours" / "shop-db1+testapp").exists(), 30, "the host releases itself")
    assert (place / "frozen").exists() is settled
