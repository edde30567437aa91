# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore in place fails at each of its phases: live data is untouched, or lies aside with the command that returns it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from faults import injection
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
from faults.scene import Scene
from lab_tools.waiting import wait_until


def test_worker_killed_while_landing(scene: Scene, offset: float) -> None:
    server = scene.subject.main_process()
    running = scene.start("restore")
    scene.hit(running, step=scene.subject.landing_step, moved=int(scene.bytes * offset / 2), hit="worker")
    scene.failed(running, "interrupted", WORKER_DIED)
    assert scene.subject.main_process() == server, "the server was touched"


def test_restic_killed_while_landing(scene: Scene, offset: float) -> None:
    server = scene.subject.main_process()
    running = scene.start("restore")
    scene.hit(running, step=scene.subject.landing_step, moved=int(scene.bytes * offset / 2), hit="restic")
    scene.failed(running, "repository", "restic was killed by SIGKILL")
    assert scene.subject.main_process() == server, "the server was touched"


def test_unpacking_killed_while_landing(scene: Scene, offset: float) -> None:
    server = scene.subject.main_process()
    running = scene.start("restore")
    scene.hit(running, step=scene.subject.landing_step, moved=int(scene.bytes * offset / 2), hit="unpack")
    scene.failed(running, "command", "was killed by SIGKILL")
    assert scene.subject.main_process() == server, "the server was touched"


def test_disk_full_while_landing(scene: Scene) -> None:
    place, server = "/srv/backstay-fault-small", scene.subject.main_process()
    room = scene.bytes * 3 >> 20
    scene.fleet.shell(scene.host, f"mkdir -p {place}; mount -t tmpfs -o size={room}m none {place}")
    try:
        running = scene.start("restore", backstay_restore_to=f"{place}/side")
        seen = scene.hit(running, step=scene.subject.landing_step, moved=1, hit="unpack", signal="SIGSTOP")
        fill = f"fallocate -l $(( $(df -k --output=avail {place} | tail -n 1) - 1024 ))k {place}/filler"
        scene.fleet.shell(scene.host, fill)
        injection.resume(scene.fleet, scene.host, seen["pid"])
        scene.failed(running, "space", f"The filesystem of {place}/side/data ran full", "Make room")
        assert scene.fleet.shell(scene.host, f"ls -A {place}").split() == ["filler"], "what was landed is still there"
        assert scene.subject.main_process() == server, "the server was touched"
    finally:
        scene.fleet.shell(scene.host, f"umount {place}; rmdir {place}")


def test_worker_killed_between_stop_and_exchange(scene: Scene) -> None:
    running, _former = stop_before_exchange(scene)
    scene.hit(running, hit="worker")
    scene.gates.open("stop")
    record = scene.failed(running, "interrupted", WORKER_DIED)
    assert "put_back" not in record, "nothing was exchanged, so there is nothing to put back"


def test_worker_killed_in_the_exchange(scene: Scene) -> None:
    scene.gates.close("stop")
    running = scene.start("restore")
    scene.gates.await_reached("stop")
    make_entries(scene)
    former = contents(scene, scene.subject.datadir)
    name = some_entry()
    try:
        with scene.hitting(running, exists=f"{scene.subject.yard}/aside-{running.run_id}/{name}", hit="worker"):
            scene.gates.open("stop")
        record = scene.failed(running, "interrupted", WORKER_DIED, "put it back with: sudo")
        aside = contents(scene, record["aside"])
        live = contents(scene, scene.subject.datadir)
        assert f"./{name}" in aside and f"./{ENTRY}{ENTRIES:05d}" in live, "the worker was not hit in the middle"
        assert scene.inactive(), "the server was started on half of its data"
        demand_return(scene, record, former)
    finally:
        remove_entries(scene)


def test_worker_killed_after_the_exchange(scene: Scene) -> None:
    running, former = stop_before_exchange(scene)
    scene.gates.close("start")
    scene.gates.open("stop")
    scene.gates.await_reached("start")
    scene.hit(running, hit="worker")
    record = scene.failed(running, "interrupted", WORKER_DIED, "put it back with: sudo")
    scene.gates.open("start")
    demand_same(scene, record["aside"], former, "the former content is not kept whole")
    demand_return(scene, record, former)


def test_restored_server_does_not_start(scene: Scene) -> None:
    path, content = scene.subject.broken_settings
    running, former = stop_before_exchange(scene)
    with injection.changed_file(scene.fleet, scene.host, path, content):
        scene.gates.open("stop")
        record = scene.failed(running, "application-down", "did not start", "put it back with: sudo")
        demand_same(scene, record["aside"], former, "the former content is not kept whole")
        assert contents(scene, scene.subject.datadir), "the restored data is not kept"
    demand_return(scene, record, former)


def test_server_that_systemd_starts_no_more(scene: Scene) -> None:
    """It failed too often, as one that lost its data does; the restore and the put-back start it all the same."""
    path, content = scene.subject.broken_settings
    with few_starts(scene):
        with injection.changed_file(scene.fleet, scene.host, path, content):
            scene.fleet.run(scene.host, "systemctl", "stop", scene.subject.service)
            wait_until(lambda: refused_by_systemd(scene), "systemd starts it no more")
        former = contents(scene, scene.subject.datadir)
        scene.gates.close("start")
        running = scene.start("restore")
        scene.gates.await_reached("start")
        scene.hit(running, hit="worker")
        record = scene.failed(running, "interrupted", WORKER_DIED, "put it back with: sudo")
        scene.gates.open("start")
        demand_return(scene, record, former)


@contextmanager
def few_starts(scene: Scene) -> Iterator[None]:
    """Have systemd start the service twice an hour at most while the block runs."""
    path = f"/etc/systemd/system/{scene.subject.service}.d/95-backstay-fault-limit.conf"
    try:
        with injection.changed_file(scene.fleet, scene.host, path, "[Unit]\nStartLimitIntervalSec=3600\nStartLimitBurst=2\n"):
            scene.fleet.run(scene.host, "systemctl", "daemon-reload")
            yield
    finally:
        scene.fleet.run(scene.host, "systemctl", "daemon-reload")


def refused_by_systemd(scene: Scene) -> bool:
    """Try to start the service; return whether systemd refuses to, for it failed too often."""
    scene.fleet.ask(scene.host, ["systemctl", "start", scene.subject.service])
    said = scene.fleet.run(scene.host, "journalctl", "--output=cat", "--lines=3", "--unit", scene.subject.service)
    return "Start request repeated too quickly" in said
