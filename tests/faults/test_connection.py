# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection or the control node goes away during a backup: the job goes on by itself, and somebody collects it."""

from __future__ import annotations

import pytest
from faults import injection
from faults.scene import Scene, warned

LOST = "connection lost, the job goes on without it"


def test_session_killed(scene: Scene, offset: float) -> None:
    running = scene.start("backup")
    tool = scene.hold_capture(running, offset)
    injection.kill_sessions(scene.fleet, scene.host)
    running.await_words(LOST)
    scene.release_held(tool)
    scene.succeeded(running)


@pytest.mark.short
def test_sshd_stopped_and_started(scene: Scene, offset: float) -> None:
    running = scene.start("backup")
    tool = scene.hold_capture(running, offset)
    scene.fleet.shell(scene.host, "systemctl stop ssh.socket ssh.service 2>/dev/null || systemctl stop ssh.service")
    try:
        injection.kill_sessions(scene.fleet, scene.host)
        running.await_words(LOST)
        scene.release_held(tool)
        assert scene.await_result(running.run_id)["status"] == "ok", "the job did not go on by itself"
    finally:
        scene.fleet.run(scene.host, "systemctl", "start", "ssh.service")
    scene.succeeded(running)


def test_network_cut(scene: Scene, offset: float) -> None:
    running = scene.start("backup")
    tool = scene.hold_capture(running, offset)
    with injection.network_cut(scene.fleet, scene.host):
        scene.release_held(tool)
        running.await_words(LOST)
    scene.succeeded(running)


def test_control_node_killed_before_the_job(scene: Scene) -> None:
    running = scene.start("backup")
    running.await_words("TASK [backstay.fleet.run : Look at host, repository and application]")
    running.kill()
    assert scene.result(running.run_id) is None
    scene.backup()


def test_control_node_killed_and_next_run_collects(scene: Scene, offset: float) -> None:
    running = scene.start("backup")
    tool = scene.hold_capture(running, offset)
    running.kill()
    scene.release_held(tool)
    ended = scene.await_result(running.run_id)
    assert ended["status"] == "ok", ended
    scene.good.append(ended["set"])
    following = scene.backup()
    assert warned(following, f"run {running.run_id} ended ok uncollected"), following.output
    assert scene.record(running.run_id)["set"] == ended["set"]


@pytest.mark.short
def test_control_node_killed_and_attached_to(scene: Scene, offset: float) -> None:
    running = scene.start("backup")
    tool = scene.hold_capture(running, offset)
    running.kill()
    attached = scene.start("backup", run_id=running.run_id)
    attached.await_words(f"backup: {scene.subject.capture_step}")
    scene.release_held(tool)
    record = scene.succeeded(attached)
    assert record["run"] == running.run_id


def test_control_node_killed_while_committing(scene: Scene) -> None:
    running = scene.start("backup")
    restic = scene.hit(running, step="commit", hit="restic", signal="SIGSTOP")["pid"]
    running.kill()
    scene.release_held(restic)
    assert scene.await_result(running.run_id)["status"] == "ok"
    attached = scene.start("backup", run_id=running.run_id)
    scene.succeeded(attached)


@pytest.mark.short
def test_two_backups_at_once(scene: Scene, offset: float) -> None:
    first = scene.start("backup")
    tool = scene.hold_capture(first, offset)
    second = scene.start("backup")
    refused = second.finish().refused(f"Run {first.run_id} is still at work", '"code": "busy"', f"backstay_run={first.run_id}")
    assert refused.status == 2
    assert scene.result(first.run_id) is None, "the second run ended the first"
    scene.release_held(tool)
    scene.succeeded(first)
