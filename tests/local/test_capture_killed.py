# SPDX-License-Identifier: GPL-3.0-or-later
"""A capture whose processes are killed from outside: the operator reads what died, not what restic made of it."""

from __future__ import annotations

import pytest
from unit.support.sandbox import Sandbox

KILLS_ITS_PARENT = ["sh", "-c", "echo some data; kill -KILL $PPID; exec sleep 60"]


@pytest.mark.parametrize("transport", ["stream", "stage"])
def test_a_killed_meter_is_a_capture_without_proof(sandbox: Sandbox, transport: str) -> None:
    step = {"name": "Take it", "capture": {"artifact": "data", "argv": KILLS_ITS_PARENT, "proof": {"exit": 0}}}
    result = sandbox.run(sandbox.backup([step], transport=transport))
    assert result["error"]["code"] == "capture"
    assert "left no proof of success" in result["error"]["message"]
    assert sandbox.snapshots("part=receipt") == []


def test_a_killed_restic_is_told_by_its_signal(sandbox: Sandbox) -> None:
    sandbox.behave({"command": "backup", "do": "die"})
    step = {"name": "Take it", "capture": {"artifact": "data", "argv": ["echo", "some data"], "proof": {"exit": 0}}}
    result = sandbox.run(sandbox.backup([step]))
    assert result["error"]["code"] == "repository"
    assert "restic was killed by SIGKILL" in result["error"]["message"]
