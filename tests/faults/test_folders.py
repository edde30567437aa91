# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders of an application that stands still for a moment: whatever fails, it comes back and no picture is left."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from faults import injection
from faults.exchanges import WORKER_DIED
from faults.kills import kill_at_random_moments, kill_while_held_down
from faults.scene import Scene
from lab_tools import tally
from lab_tools.waiting import wait_until

GOES_ON = "/run/backstay-fault-goes-on"
_HERE = Path(__file__).parent


@pytest.mark.short
def test_worker_killed_at_random_moments(scene: Scene, record_property: Callable[[str, object], None]) -> None:
    kill_at_random_moments(scene, record_property)


def test_worker_killed_while_the_application_is_held_down(scene: Scene) -> None:
    kill_while_held_down(scene)


def test_rebooted_while_the_application_is_held_down(scene: Scene) -> None:
    """Nothing starts in a host that goes down, so the boot has to bring the application back."""
    scene.gates.close("stop")
    running = scene.start("backup")
    scene.gates.await_reached("stop")
    with scene.rebooting():
        scene.await_result(running.run_id)
        scene.gates.open("stop")
    scene.failed(running, "interrupted", WORKER_DIED)
    assert tally.running(scene.fleet)
    tally.start_writing(scene.fleet)  # that it books is a wish that a boot forgets


def test_disk_full_before_anything(scene: Scene) -> None:
    with filled(scene, leave=8):
        refused = scene.start("backup").finish().refused('"code": "preflight"', "a copy of /srv/ext4 needs", "are free")
        assert refused.status == 2


def test_disk_full_while_copying_ahead(scene: Scene) -> None:
    before = scene.fleet.run(scene.host, "systemctl", "show", "--property=MainPID", tally.SERVICE)
    last = "/srv/ext4/late"
    scene.fleet.shell(scene.host, f"head -c 20M /dev/urandom > {last}")
    try:
        with opening(scene, last, "hold") as opened:
            running = scene.start("backup")
            assert opened() == b"opened\n", running.output
            with filled(scene, leave=8):  # the application goes on, so it needs some
                scene.fleet.run(scene.host, "rm", GOES_ON)
                scene.failed(
                    running, "space", "The filesystem of /srv/ext4 would run full while its picture is made", "Make room"
                )
    finally:
        scene.fleet.run(scene.host, "rm", "-f", last)
    assert scene.fleet.run(scene.host, "systemctl", "show", "--property=MainPID", tally.SERVICE) == before, "it was stopped"


@pytest.mark.short
def test_disk_full_while_stopped(scene: Scene) -> None:
    scene.gates.close("stop")
    running = scene.start("backup")
    scene.gates.await_reached("stop")
    late = "/srv/ext4/late"
    scene.fleet.shell(scene.host, f"head -c 20M /dev/urandom > {late}")
    try:
        with filled(scene, leave=2):
            scene.gates.open("stop")
            scene.failed(running, "space", "The filesystem of /srv/ext4 ran full while its picture was made")
    finally:
        scene.fleet.run(scene.host, "rm", "-f", late)


def test_somebody_else_writes_while_it_is_stopped(scene: Scene) -> None:
    strange = "/srv/xfs/tally/strange"
    program = f"while [ -e {GOES_ON} ]; do echo x >> {strange}; done"
    scene.fleet.run(scene.host, "touch", GOES_ON)
    writer = subprocess.Popen(scene.fleet.exec_argv(scene.host, ["sh", "-c", program]), env=scene.fleet.environment)
    try:
        running = scene.start("backup")
        # Whatever names it: a file, or the folder that it lies in.
        scene.failed(
            running, "command", "changed although the application is stopped", "Find what else writes to /srv/xfs/tally"
        )
    finally:
        scene.fleet.run(scene.host, "rm", "-f", GOES_ON)
        writer.wait(60)
        scene.fleet.run(scene.host, "rm", "-f", strange)


def test_a_file_that_not_even_root_may_open(scene: Scene) -> None:
    secret = "/srv/xfs/tally/closed"
    scene.fleet.shell(scene.host, f"echo hidden > {secret}; chown operator {secret}")
    try:
        with opening(scene, secret, "deny"):
            running = scene.start("backup")
            scene.failed(running, "command", f"Cannot copy {secret}: Operation not permitted", "leave it out on purpose")
    finally:
        scene.fleet.run(scene.host, "rm", "-f", secret)


def test_the_application_will_not_stop(scene: Scene) -> None:
    scene.gates.close("stop")
    running = scene.start("backup", app_files_stop_timeout=3)
    scene.gates.await_reached("stop")
    asked = ["pgrep", "-f", f"systemctl start -- {tally.SERVICE.partition('.')[0]}"]
    wait_until(lambda: scene.fleet.ask(scene.host, asked).status == 0, "the stop is given up and undone", 60)
    scene.gates.open("stop")
    scene.failed(running, "command", "did not end within 3 s")


def test_the_service_manager_kills_the_application(scene: Scene) -> None:
    """What it had not written yet is lost, so there is no set, unless that is wished."""
    directory = f"/etc/systemd/system/{tally.SERVICE}.d"
    with injection.changed_file(scene.fleet, scene.host, f"{directory}/95-fault.conf", "[Service]\nTimeoutStopSec=2\n"):
        scene.fleet.run(scene.host, "systemctl", "daemon-reload")
        scene.gates.close("stop")
        running = scene.start("backup")
        scene.failed(running, "command", "did not end by itself when it was stopped: systemd says 'timeout'")
    scene.fleet.run(scene.host, "systemctl", "daemon-reload")


def test_power_cut_while_the_application_is_stopped(scene: Scene) -> None:
    """The boot starts it, whoever else does, and removes the pictures, without any control node."""
    scene.gates.close("stop")
    running = scene.start("backup")
    scene.gates.await_reached("stop")
    running.kill()
    scene.power_cut()
    assert scene.await_result(running.run_id)["error"]["code"] == "interrupted", "the boot did not release the job"


def test_the_application_does_not_start_again(scene: Scene) -> None:
    scene.gates.close("stop")
    running = scene.start("backup")
    scene.gates.await_reached("stop")
    with injection.changed_file(scene.fleet, scene.host, "/etc/default/tally", "TALLY_FOLDERS=/nowhere\n"):
        scene.gates.open("stop")
        record = scene.failed(running, "application-down", "service 'tally' did not start")
        assert any("did not start" in problem for problem in record["release_problems"])
    scene.backup()  # the next job first brings back what an earlier one could not


@contextmanager
def opening(scene: Scene, path: str, way: str) -> Iterator[Callable[[], bytes]]:
    """Refuse (``deny``) or ``hold`` whoever opens ``path`` while the block runs, or until GOES_ON is removed.

    Gives a function that returns when it was opened.
    """
    scene.fleet.run(scene.host, "touch", GOES_ON)
    argv = scene.fleet.exec_argv(scene.host, ["python3", "-", path, GOES_ON, way])
    watching = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=scene.fleet.environment)
    assert watching.stdin is not None and watching.stdout is not None
    watching.stdin.write((_HERE / "openings.py").read_bytes())
    watching.stdin.close()
    try:
        assert watching.stdout.readline() == b"ready\n"
        yield watching.stdout.readline
    finally:
        scene.fleet.run(scene.host, "rm", "-f", GOES_ON)
        watching.wait(60)


@contextmanager
def filled(scene: Scene, leave: int) -> Iterator[None]:
    """Fill the filesystem of the last folder but for ``leave`` MiB while the block runs."""
    yard = scene.subject.yard  # it is no content of the folder
    place = f"{yard}/filler"
    size = f"$(( $(df -k --output=avail /srv/ext4 | tail -n 1) - {leave} * 1024 ))"
    scene.fleet.shell(scene.host, f'mkdir -p "{yard}"; fallocate -l "{size}k" "{place}"')
    try:
        yield
    finally:
        scene.fleet.shell(scene.host, f'rm -f "{place}"; rmdir --ignore-fail-on-non-empty "{yard}"')
