# SPDX-License-Identifier: GPL-3.0-or-later
"""Standby on a worker: the state of a member in a file, changed under its lock; ``module_utils/standby.py`` decides."""

from __future__ import annotations

import contextlib
import time
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from .. import layout, standby
from ..errors import BadInput, Busy, Refused
from ..files import private_directory, read_json, write_json
from . import launch, services
from .folder import JobFolder, Lock
from .job import Job

_LOCK_SECONDS = 60


class Member:
    """One member of a system on this worker, as long as its lock is held. ``service`` holds the arguments of a service step."""

    def __init__(self, system: str, host: str, service: Dict[str, Any]) -> None:
        self._path = layout.standby(system, host)
        self._service = service
        self.state: standby.State = read_json(self._path) or standby.empty()

    def seen(self) -> standby.Seen:
        """Return what this member sees of itself now."""
        run = (self.state["stop"] or {}).get("run") or ""
        running = services.is_active(self._service["name"], True, self._service.get("control"))
        return standby.Seen(running, bool(run) and launch.living(run), time.time())

    def keep(self, state: standby.State) -> None:
        """Keep ``state`` durably before anybody is told of it."""
        if state != self.state:
            write_json(self._path, state)
            self.state = state


@contextlib.contextmanager
def member(request: Dict[str, Any]) -> Iterator[Member]:
    """Give the member ``{system, member, service}`` while its lock is held. Raise Busy when it is not to be had."""
    path = layout.standby(request["system"], request["member"])
    private_directory(path.parent)
    lock = Lock(path.with_suffix(".lock"))
    if not lock.take({"run": request.get("lease", "")}, wait=_LOCK_SECONDS):
        lock.release()
        raise Busy(f"somebody changes the leases of {request['member']} and does not come to an end", "look at its processes")
    try:
        yield Member(request["system"], request["member"], request["service"])
    finally:
        lock.release()


def answer(request: Dict[str, Any]) -> Dict[str, Any]:
    """Answer ``{ask, system, member, service, lease[, holder, run, own]}``: ``{granted, retry, reason[, leases, ...]}``."""
    ask = request["ask"]
    if ask not in _ASKED:
        raise BadInput(f"nobody can ask '{ask}' of a standby")
    attached = _attached(request) if ask == "plan" else None
    if attached is not None:
        return {"granted": True, "retry": False, "reason": "", "attached": attached}
    with member(request) as found:
        state, reply = _ASKED[ask](found, request)
        found.keep(state)
    return reply


def _attached(request: Dict[str, Any]) -> Optional[str]:
    """Return the lease of the job that ``run`` is attached to, empty when that job has none; None when it is a new run."""
    run = request.get("run") or ""
    folder = JobFolder(layout.job(run)) if run else None
    if folder is None or not (folder.path / "spec.json").exists():
        return None
    leases = [claimed["lease"] for claimed in _claims(folder.specification())]
    return leases[0] if leases else ""


def _claims(specification: Dict[str, Any]) -> List[Dict[str, Any]]:
    steps = [step["app"] for step in specification["steps"] if "app" in step]
    return [step["arguments"] for step in steps if step["call"] == "claim_stop"]


_Reply = Tuple[standby.State, Dict[str, Any]]
_DONE = {"granted": True, "retry": False, "reason": ""}
_ASKED = {
    "plan": lambda found, request: standby.plan(found.state, found.seen(), request["lease"]),
    "grant": lambda found, request: standby.grant(found.state, found.seen(), request["lease"], request["holder"]),
    "settle": lambda found, request: standby.settle(found.state, found.seen(), request["lease"], bool(request.get("own"))),
    "give_back": lambda found, request: (standby.give_back(found.state, request["lease"]), dict(_DONE)),
}


def hold_stops(specification: Dict[str, Any]) -> None:
    """Note a job that starts in the stops that it is to take up. Raise Refused when a lease of it was given up already."""
    for claimed in _claims(specification):
        if claimed["lease"]:  # a server that was down already has none
            _for_run(standby.hold, claimed, specification["run"])


def claim_stop(job: Job, arguments: Dict[str, Any]) -> None:
    """Take the planned stop up, right before it. Raise Refused when another server of the system does not stay up for it."""
    _for_run(standby.claim, arguments, job.specification["run"])


def _for_run(step: Callable[..., Tuple[standby.State, standby.Answer]], arguments: Dict[str, Any], run: str) -> None:
    with member(arguments) as found:
        state, reply = step(found.state, found.seen(), arguments["lease"], run)
        found.keep(state)
    if not reply["granted"]:
        raise Refused(f"{arguments['member']} is not stopped: {reply['reason']}", "nothing was stopped; run again")


def end_stop(job: Job, arguments: Dict[str, Any]) -> None:
    """Say that the application is up again."""
    with member(arguments) as found:
        found.keep(standby.end(found.state, arguments["lease"]))
