# SPDX-License-Identifier: GPL-3.0-or-later
"""The protected host loses its power, or reboots: what comes back at boot is right, without any control node."""

from __future__ import annotations

from faults.exchanges import (
    ENTRIES,
    ENTRY,
    WORKER_DIED,
    contents,
    demand_return,
    demand_same,
    make_entries,
    remove_entries,
    some_entry,
    stop_before_exchange,
)
from faults.scene import Scene, warned


def test_power_cut_while_capturing(scene: Scene, offset: float) -> None:
    running = scene.start("backup")
    scene.hold_capture(running, offset)
    scene.power_cut()
    scene.failed(running, "interrupted", WORKER_DIED, "run again")


def test_power_cut_without_control_node(scene: Scene, offset: float) -> None:
    running = scene.start("backup")
    scene.hold_capture(running, offset)
    running.kill()
    scene.power_cut()
    assert scene.await_result(running.run_id)["error"]["code"] == "interrupted", "the boot did not release the job"
    following = scene.backup()
    assert warned(following, f"run {running.run_id} ended failed uncollected"), following.output


def test_rebooted_while_capturing(scene: Scene, offset: float) -> None:
    running = scene.start("backup")
    scene.hold_capture(running, offset)
    with scene.rebooting():
        pass
    scene.failed(running, "interrupted", WORKER_DIED, "run again")


def test_power_cut_between_stop_and_exchange(scene: Scene) -> None:
    running, _former = stop_before_exchange(scene)
    scene.power_cut()
    record = scene.failed(running, "interrupted", WORKER_DIED)
    assert "put_back" not in record, "nothing was exchanged, so there is nothing to put back"


def test_power_cut_in_the_exchange(scene: Scene) -> None:
    scene.gates.close("stop")
    running = scene.start("restore")
    scene.gates.await_reached("stop")
    make_entries(scene)
    former = contents(scene, scene.subject.datadir)
    path = f"{scene.subject.yard}/aside-{running.run_id}/{some_entry()}"
    try:
        with scene.hitting(running, exists=path, hit="worker", signal="SIGSTOP"):
            scene.gates.open("stop")
        scene.power_cut()
        record = scene.failed(running, "interrupted", WORKER_DIED, "put it back with: sudo")
        assert f"./{ENTRY}{ENTRIES:05d}" in contents(scene, scene.subject.datadir), "the cut was not in the middle"
        assert scene.inactive(), "the server was started on half of its data"
        demand_return(scene, record, former)
    finally:
        remove_entries(scene)


def test_power_cut_after_the_exchange(scene: Scene) -> None:
    running, former = stop_before_exchange(scene)
    scene.gates.close("start")
    scene.gates.open("stop")
    scene.gates.await_reached("start")
    scene.power_cut()
    # The worker may live long enough to see that systemd is gone.
    record = scene.failed(running, "interrupted application-down", "put it back with: sudo")
    assert scene.inactive(), "the server was started on restored data that nobody has proved"
    demand_same(scene, record["aside"], former, "the former content is not kept whole")
    demand_return(scene, record, former)
