# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to a dump while it is made. The server and its tools are the real ones, so is error 1412."""

from __future__ import annotations

from faults.running import Running
from faults.scene import Scene
from lab_tools import shop

# Behind the small tables, within the seeded one, which is longer than any pipe; another table comes after it.
IN_THE_MIDDLE = 3 << 20


def start(scene: Scene, hit: str, signal: str) -> tuple[Running, int]:
    """Start a backup by a dump and hit a process in the middle of it; return both."""
    running = scene.start("backup", app_mysql_method="logical")
    seen = scene.hit(running, step=scene.subject.capture_step, moved=IN_THE_MIDDLE, hit=hit, signal=signal)
    return running, int(seen["pid"])


def test_a_table_is_rebuilt_while_the_dump_runs(scene: Scene) -> None:
    running, tool = start(scene, "tool", "SIGSTOP")
    shop.sql(scene.fleet, "ALTER TABLE shop_archive.seeded FORCE, ALGORITHM = COPY", scene.host)
    scene.release_held(tool)
    record = scene.succeeded(running)
    events = [event["event"] for event in record["events"]]
    assert [event for event in events if event.startswith("attempt 1 to capture data failed") and "1412" in event], events
    scene.prove_newest()


def test_dump_tool_killed(scene: Scene) -> None:
    running, _tool = start(scene, "dump", "SIGKILL")
    scene.failed(running, "capture", "ended with exit status 137")


def test_server_killed_while_the_dump_runs(scene: Scene) -> None:
    running, tool = start(scene, "tool", "SIGSTOP")
    scene.fleet.run(scene.host, "kill", "-KILL", scene.subject.main_process())
    scene.release_held(tool)
    scene.failed(running, "capture", "ended with exit status")
