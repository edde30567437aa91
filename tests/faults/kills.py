# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills of a worker at random moments of a backup: the application runs afterwards, every time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faults.conftest import MODE, SEED
from faults.exchanges import WORKER_DIED
from faults.scene import Scene, seconds

KILLS = {"short": 5, "full": 30}
_PROGRAM = Path(__file__).with_name("random_kills.py")


def kill_at_random_moments(scene: Scene, tell: Callable[[str, object], None], **variables: object) -> None:
    """Demand that the application is active after each of many kills; what came too late to hurt is a good set.

    ``tell`` (pytest's ``record_property``) gets where the kills fell, for the summary of the run.
    """
    record = scene.backup(**variables).records[-1]
    wanted = {"run": record["run"], "count": KILLS[MODE], "longest": seconds(record), "seed": SEED}
    wanted["service"] = scene.subject.service
    limit = 60 + 60 * KILLS[MODE]
    said = scene.fleet.run(scene.host, "python3", "-", json.dumps(wanted), stdin=_PROGRAM.read_text(), timeout=limit)
    kills = [json.loads(line) for line in said.splitlines()]
    assert len(kills) == KILLS[MODE]
    tell(f"{len(kills)} kills", told(kills))
    down = [kill for kill in kills if kill["active"] != "active"]
    assert not down, f"the application did not come back: {down}"
    assert [kill for kill in kills if kill["status"] != "ok"], "no kill came in time"
    # Those whose kill came too late; a worker that dies between commit and result leaves a set that is whole, too, and what
    # was staged whole is salvaged by the run after it.
    late = ("seal receipt", "end backup", *(("upload", "commit") if scene.subject.staging_waits else ()))
    whole = {kill["set"] for kill in kills if kill["status"] == "ok" or kill["step"] in late}
    offered = scene.sets()
    done = {kill["set"] for kill in kills if kill["status"] == "ok"}
    assert done <= set(offered) <= whole | set(scene.good)
    scene.good = offered


def told(kills: list[dict[str, Any]]) -> str:
    """Return in which steps the kills fell, and how many while the application was down."""
    fell = Counter(kill["step"] if kill["status"] != "ok" else "too late" for kill in kills)
    steps = ", ".join(f"{count} in '{step}'" for step, count in fell.most_common())
    return f"{steps}; {sum(kill['down'] for kill in kills)} while the application was down"


def kill_while_held_down(scene: Scene, **variables: object) -> None:
    """Kill the worker in the middle of a stop; the release brings the application back."""
    scene.gates.close("stop")
    running = scene.start("backup", **variables)
    scene.gates.await_reached("stop")
    scene.hit(running, hit="worker")
    scene.gates.open("stop")
    scene.failed(running, "interrupted", WORKER_DIED)


def kill_while_laid_down(scene: Scene) -> None:
    """Kill the worker of a restore before the start: nothing starts on half of a set, one command puts the former data back."""
    scene.gates.close("start")
    running = scene.start("restore")
    scene.gates.await_reached("start")
    scene.hit(running, hit="worker")
    record = scene.failed(running, "interrupted", WORKER_DIED)
    scene.gates.open("start")
    scene.fleet.shell(scene.host, record["put_back"])
    scene.forget_landed()
