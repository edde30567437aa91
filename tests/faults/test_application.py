# SPDX-License-Identifier: GPL-3.0-or-later
"""The server itself goes away in the middle of its backup."""

from __future__ import annotations

import pytest
from faults.scene import Scene


def test_server_stopped(scene: Scene, offset: float) -> None:
    running = scene.start("backup")
    held = scene.subject.hold_needing_server(scene, running, offset)
    scene.fleet.run(scene.host, "systemctl", "stop", scene.subject.service)
    try:
        scene.release_held(held)
        scene.failed(running, "capture", "ended with exit status")
        refused = scene.start("backup").finish().refused('"code": "preflight"', "is the server up")
        assert refused.status == 2
    finally:
        scene.fleet.run(scene.host, "systemctl", "start", scene.subject.service)


@pytest.mark.short
def test_server_killed(scene: Scene, offset: float) -> None:
    running = scene.start("backup")
    held = scene.subject.hold_needing_server(scene, running, offset)
    scene.fleet.run(scene.host, "kill", "-KILL", scene.subject.main_process())
    scene.release_held(held)
    scene.failed(running, "capture", "ended with exit status")
