# SPDX-License-Identifier: GPL-3.0-or-later
"""An app for tests: its log captures consume, its calls do what the test says. Joins the real apps of module_utils."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ..errors import CaptureFailed, CommandFailed

KINDS = ("full", "incremental", "log")


def preflight(options: dict[str, Any], action: str) -> dict[str, Any]:
    """Return the checks that the request asks for."""
    facts = {"action": action, "services": options.get("services", []), "replaces": options.get("replaces", ["/srv/testapp"])}
    return {"checks": options.get("checks", []), "facts": facts}


def consumes(kind: str) -> bool:
    """Return whether the kind is a log: like servers that forget a log once it was backed up."""
    return kind == "log"


def seal(job: Any) -> dict[str, Any]:
    """Return what the test put into the job's facts."""
    facts = job.specification["facts"]
    if facts.get("fail_seal"):
        raise CaptureFailed("the server forgot where it was")
    place = facts.get("position", {"lsn": 1})
    more = {key: facts[key] for key in ("stream", "consistent_at") if key in facts}
    if job.specification["kind"] == "log":
        more.setdefault("stream", {"id": "20261121T000000Z-000000", "first": "0001", "last": "0002"})
    return {
        **more,
        "position": {"not_before": facts.get("not_before", place), "not_after": place, "exact": True},
        "parent": facts.get("parent"),
        "chain": facts.get("chain", []),
        "checks": [{"name": "end marker", "status": "ok", "detail": "seen"}],
        "tools": {"testapp": "1.0"},
        "facts": {"of": "testapp"},
    }


def _note(job: Any, arguments: dict[str, Any]) -> None:
    job.seen["checks"].append({"name": arguments["name"], "status": "ok", "detail": ""})


def _fail(job: Any, arguments: dict[str, Any]) -> None:
    raise CommandFailed(arguments["message"])


def _crash(job: Any, arguments: dict[str, Any]) -> None:
    raise ZeroDivisionError(arguments["message"])


def _hold(job: Any, arguments: dict[str, Any]) -> None:
    """Say that the step is reached, then wait for the test to let go (or kill the worker)."""
    Path(arguments["reached"]).touch()
    deadline = time.monotonic() + 30
    while not Path(arguments["until"]).exists():
        if time.monotonic() > deadline:
            raise CommandFailed("the test never let go")
        time.sleep(0.01)


def _occupy(job: Any, arguments: dict[str, Any]) -> None:
    """Do as if the job ran an instance: at its end, note which of ``watched`` are there; then ``fail``, if it says why."""

    def end() -> None:
        there = [path for path in arguments["watched"] if Path(path).exists()]
        Path(arguments["noted"]).write_text("\n".join(there))
        if arguments.get("fail"):
            raise CommandFailed(arguments["fail"])

    job.cleanups.append(end)


CALLS = {"note": _note, "fail": _fail, "crash": _crash, "hold": _hold, "occupy": _occupy}
