# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills of a worker at random moments of a backup: the application runs afterwards, every time."""

from __future__ import annotations

import json
from pathlib import Path

from faults.conftest import MODE, SEED
from faults.exchanges import WORKER_DIED
from faults.scene import Scene, seconds

KILLS = {"short": 5, "full": 30}
_PROGRAM = Path(__file__).with_name("random_kills.py")


def kill_at_random_moments(scene: Scene) -> None:
    """Demand that the application is active after each of many kills; what came too late to hurt is a good set."""
    record = scene.backup().records[-1]
    wanted = {"run": record["run"], "count": KILLS[MODE], "longest": seconds(record), "seed": SEED}
    wanted["service"] = scene.subject.service
    limit = 60 + 60 * KILLS[MODE]
    said = scene.fleet.run(scene.host, "python3", "-", json.dumps(wanted), stdin=_PROGRAM.read_text(), timeout=limit)
    kills = [json.loads(line) for line in said.splitlines()]
    assert len(kills) == KILLS[MODE]
    assert [kill for kill in kills if kill["active"] != "active"] == [], "the application did not come back"
    assert [kill for kill in kills if kill["status"] != "ok"], "no kill came in time"
    # Those whose kill came too late; a worker that dies between commit and result leaves a set that is whole, too.
    whole = {kill["set"] for kill in kills if kill["status"] == "ok" or kill["step"] in ("seal receipt", "end backup")}
    offered = scene.sets()
    done = {kill["set"] for kill in kills if kill["status"] == "ok"}
    assert done <= set(offered) <= whole | set(scene.good)
    scene.good = offered


def kill_while_held_down(scene: Scene) -> None:
    """Kill the worker in the middle of a stop; the release brings the application back."""
    scene.gates.close("stop")
    running = scene.start("backup")
    scene.gates.await_reached("stop")
    scene.hit(running, hit="worker")
    scene.gates.open("stop")
    scene.failed(running, "interrupted", WORKER_DIED)
