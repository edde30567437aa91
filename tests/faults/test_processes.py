# SPDX-License-Identifier: GPL-3.0-or-later
"""A process of a running backup dies: no set, one sentence, nothing left, the application untouched."""

from __future__ import annotations

import pytest
from faults.scene import Scene


@pytest.mark.every_offset
def test_tool_killed(scene: Scene, offset: float) -> None:
    running = scene.start("backup")
    scene.hit_capture(running, "tool", offset)
    scene.failed(running, "capture", "was killed by SIGKILL")


@pytest.mark.every_offset
def test_meter_killed(scene: Scene, offset: float) -> None:
    running = scene.start("backup")
    scene.hit_capture(running, "meter", offset)
    scene.failed(running, "capture", "left no proof")


@pytest.mark.every_offset
def test_restic_killed(scene: Scene, offset: float) -> None:
    running = scene.start("backup")
    scene.hit_capture(running, "restic", offset)
    scene.failed(running, "repository", "restic was killed by SIGKILL")


@pytest.mark.every_offset
def test_worker_killed(scene: Scene, offset: float) -> None:
    running = scene.start("backup")
    scene.hit_capture(running, "worker", offset)
    scene.failed(running, "interrupted", "The worker ended before the job did", "run again")


def test_worker_killed_while_committing(scene: Scene) -> None:
    running = scene.start("backup")
    scene.hit(running, step="commit", hit="worker")
    scene.failed(running, "interrupted", "The worker ended before the job did", "run again")
    scene.accept_only(running.run_id)


def test_whole_unit_killed(scene: Scene, offset: float) -> None:
    running = scene.start("backup")
    scene.hold_capture(running, offset)
    unit = f"backstay-{running.run_id}.service"
    scene.fleet.run(scene.host, "systemctl", "kill", "--signal=SIGKILL", "--kill-whom=all", unit)
    scene.failed(running, "interrupted", "The worker ended before the job did", "run again")


def test_staged_capture_killed(scene: Scene, offset: float) -> None:
    running = scene.start("backup", backstay_transport="stage")
    scene.hit_capture(running, "worker", offset)
    scene.failed(running, "interrupted", "The worker ended before the job did")
    scene.backup()  # a capture that was staged in part is swept by the next run, and by nothing else: it might be salvage
