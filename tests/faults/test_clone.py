# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens while MySQL clones itself: the server makes one clone at a time, and goes on when nobody waits for it."""

from __future__ import annotations

from faults.exchanges import WORKER_DIED
from faults.scene import Scene


def test_worker_killed_while_the_server_clones(scene: Scene) -> None:
    running = scene.start("backup")
    scene.hit(running, exists=scene.subject.clone(running), hit="worker")
    scene.failed(running, "interrupted", WORKER_DIED)
    scene.backup()  # not refused for a clone that still is being made


def test_client_killed_while_the_server_clones(scene: Scene) -> None:
    running = scene.start("backup")
    scene.hit(running, exists=scene.subject.clone(running), hit="client")
    scene.failed(running, "capture", "CLONE was killed by SIGKILL")
    scene.backup()


def test_disk_full_while_the_server_clones(scene: Scene) -> None:
    place, server = "/srv/backstay-fault-small", scene.subject.main_process()
    scene.fleet.shell(scene.host, f"mkdir -m 0711 {place}; mount -t tmpfs -o size=512m,mode=0711 none {place}")
    try:
        running = scene.start("backup", app_mysql_clone_directory=place)
        begun = f"{place}/clone-{running.run_id}/data/ibdata1"  # the server has looked for room by then, and found it
        held = scene.hit(running, exists=begun, hit=server, signal="SIGSTOP")["pid"]
        fill = f"fallocate -l $(( $(df -k --output=avail {place} | tail -n 1) - 1024 ))k {place}/filler"
        try:
            scene.fleet.shell(scene.host, fill)
        finally:
            scene.release_held(held)
        scene.failed(running, "capture", "CLONE ended with exit status 1: ERROR")
        assert scene.fleet.shell(scene.host, f"ls -A {place}").split() == ["filler"], "a part of the clone is still there"
    finally:
        scene.fleet.shell(scene.host, f"umount {place}; rmdir {place}")
