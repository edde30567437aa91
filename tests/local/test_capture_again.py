# SPDX-License-Identifier: GPL-3.0-or-later
"""A capture that fails by a matter of the moment runs again as a whole; any other failure ends it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.errors import CaptureFailed
from ansible_collections.backstay.fleet.plugins.module_utils.worker import capture
from ansible_collections.backstay.fleet.plugins.module_utils.worker.job import Job
from ansible_collections.backstay.fleet.plugins.module_utils.worker.steps import perform
from unit.support.sandbox import Sandbox
from unit.support.steps import good

MOVED = "Error 1412: Table definition has changed, please retry transaction"


def capturing(sandbox: Sandbox, script: str) -> tuple[Job, dict[str, Any]]:
    step = {
        "name": "Take it",
        "capture": {"artifact": "data", "argv": ["sh", "-c", script], "proof": {"exit": 0}, "again_on": ["1412"]},
    }
    job = Job(sandbox.create(dict(sandbox.backup([good()]), transport="stage")))
    job.prepare_work()
    return job, step


@pytest.mark.parametrize("failures", [0, 1, 2])
def test_the_whole_is_taken_again(sandbox: Sandbox, tmp_path: Path, failures: int) -> None:
    count = f"echo x >> {tmp_path}/runs; echo part; test $(wc -l < {tmp_path}/runs) -gt {failures}"
    job, step = capturing(sandbox, f"{count} || {{ echo '{MOVED}' >&2; exit 3; }}; echo whole")
    perform(job, step)
    (artifact,) = job.seen["artifacts"]
    assert Path(artifact["path"]).read_text() == "part\nwhole\n", "nothing of an attempt before is left"
    assert sum("attempt" in event["event"] for event in job.folder.events()) == failures


def test_three_attempts_are_enough(sandbox: Sandbox, tmp_path: Path) -> None:
    job, step = capturing(sandbox, f"echo x >> {tmp_path}/runs; echo part; echo '{MOVED}' >&2; exit 3")
    with pytest.raises(CaptureFailed, match="1412"):
        perform(job, step)
    assert (tmp_path / "runs").read_text() == "x\n" * 3


def test_another_failure_is_no_matter_of_the_moment(sandbox: Sandbox, tmp_path: Path) -> None:
    job, step = capturing(sandbox, f"echo x >> {tmp_path}/runs; echo part; echo 'Error 1045: Access denied' >&2; exit 2")
    with pytest.raises(CaptureFailed, match="Access denied"):
        perform(job, step)
    assert (tmp_path / "runs").read_text() == "x\n"


def test_each_attempt_asks_the_app_anew(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it told the first attempt, such as a list of databases, may be hours old."""
    job, step = capturing(sandbox, "unused")
    asked: list[str] = []

    def argv(_job: Job, _arguments: dict[str, Any]) -> list[str]:
        asked.append("x")
        return ["sh", "-c", f"echo {len(asked)}; test {len(asked)} -gt 1 || {{ echo '{MOVED}' >&2; exit 3; }}"]

    del step["capture"]["argv"]
    step["capture"]["argv_from"] = "told"
    monkeypatch.setattr(capture, "load_app", lambda _name: SimpleNamespace(CALLS={"told": argv}))
    perform(job, step)
    (artifact,) = job.seen["artifacts"]
    assert Path(artifact["path"]).read_text() == "2\n"
