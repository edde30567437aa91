# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of restores share: the phases of an exchange, and the demand that nothing of it is lost."""

from __future__ import annotations

import secrets
from typing import Any

from faults.running import Running
from faults.scene import Scene

WORKER_DIED = "The worker ended before the job did"
ENTRIES = 40000
ENTRY = "fault-entry-"


def contents(scene: Scene, directory: str) -> dict[str, str]:
    """Return a hash for every file below ``directory``, and a line for everything else, by relative name."""
    script = f"""cd {directory}
    find . -path ./.backstay -prune -o -type f -print0 | xargs -0 -r sha256sum --zero | tr '\\0' '\\n'
    find . -path ./.backstay -prune -o ! -type f -printf '%y  %p\\n'"""
    lines = scene.fleet.shell(scene.host, script).splitlines()
    return {name: mark for mark, _space, name in (line.partition("  ") for line in lines)}


def demand_same(scene: Scene, directory: str, former: dict[str, str], what: str) -> None:
    """Demand that ``directory`` holds what it held when it was looked at; name what does not."""
    found = contents(scene, directory)
    other = sorted(name for name in {*found, *former} if found.get(name) != former.get(name))
    assert not other, f"{what}: {len(other)} of {len(former)} differ: {[(name, name in found) for name in other[:5]]}"


def make_entries(scene: Scene) -> None:
    """Put so many entries into the data directory that an exchange can be hit in its middle."""
    directory = scene.subject.datadir
    scene.fleet.shell(scene.host, f"cd {directory}; seq -f '{ENTRY}%05g' 1 {ENTRIES} | xargs touch")


def some_entry() -> str:
    """Return the name of an entry in the first half, so that much is still to be moved after it."""
    return f"{ENTRY}{1 + secrets.randbelow(ENTRIES // 2):05d}"


def remove_entries(scene: Scene) -> None:
    """Remove what ``make_entries`` made, wherever it lies by now."""
    scene.fleet.shell(scene.host, f"find {scene.subject.datadir} -maxdepth 1 -name '{ENTRY}*' -delete")


def stop_before_exchange(scene: Scene) -> tuple[Running, dict[str, str]]:
    """Start a restore that is held with its server stopped and nothing exchanged; return it and the live data's content."""
    scene.gates.close("stop")
    running = scene.start("restore")
    scene.gates.await_reached("stop")
    return running, contents(scene, scene.subject.datadir)


def demand_return(scene: Scene, record: dict[str, Any], former: dict[str, str]) -> None:
    """Demand that both copies are kept, and that the command in the result brings exactly the former content back."""
    assert "put_back" in record and record["put_back"] in " ".join(record["sentence"].split()), record
    scene.gates.close("start")
    with scene.background(record["put_back"]) as putting_back:
        scene.gates.await_reached("start")
        demand_same(scene, scene.subject.datadir, former, "the former content is not back as it was")
        scene.gates.open("start")
        assert "holds its former content again" in putting_back.wait()
    scene.forget_landed()
