# SPDX-License-Identifier: GPL-3.0-or-later
"""Standby: of servers that stand in for each other, one stays up while another is down. Pure decisions.

Every member of a system keeps a *state* of its own, ``{"leases": {id: {"holder", "since"}}, "stop": None | {...}}``, and
changes it under a lock of its own; nobody needs to see two members at the same moment.

* ``plan``: a member that is to be stopped says so first, under the id of a lease. From then on it grants nothing.
* ``grant``: another member that runs, and is not to be stopped itself, promises to stay up. It cannot plan a stop while it
  keeps a lease.
* ``hold``: the job's start notes its run in the plan. From then on the plan stands as long as somebody works on that run,
  however long the job copies before its stop.
* ``claim``: the job, right before the stop, takes the plan up. A plan that was given up meanwhile stops nothing.
* ``end``: the job, when the application is confirmed up again.
* ``settle``: whoever finds a lease whose run seems to be gone asks its holder; the answer is final, because a plan that is
  settled can no longer be claimed. Only then is the lease given back.

So the clocks of the machines decide nothing but how long a forgotten plan is waited for.
"""

from __future__ import annotations

from typing import Any, Dict, NamedTuple, Optional, Tuple

State = Dict[str, Any]
Answer = Dict[str, Any]

# A control node asks for a lease and starts the job right after; an older plan that no living job holds was forgotten.
PLANNED_SECONDS = 180


class Seen(NamedTuple):
    """What a member sees of itself at this moment: does the application run, does a worker still work on the noted run."""

    running: bool
    working: bool
    now: float


def empty() -> State:
    """Return the state of a member that nobody has asked for anything."""
    return {"leases": {}, "stop": None}


def stop_stands(state: State, seen: Seen) -> bool:
    """Return whether the noted stop still counts: its job may yet stop the application, or has and it is not back."""
    stop = state["stop"]
    if stop is None:
        return False
    if stop["phase"] == "planned":
        return bool(seen.working or 0 <= seen.now - stop["at"] < PLANNED_SECONDS)
    return seen.working or not seen.running


def plan(state: State, seen: Seen, lease: str) -> Tuple[State, Answer]:
    """Note that this member is to be stopped under ``lease``, unless it keeps leases or another run is about to stop it."""
    if state["leases"]:
        answer = _no("it must stay up while another server of its system is down", retry=True)
        return state, dict(answer, leases=state["leases"])
    stop = state["stop"]
    if stop_stands(state, seen) and stop["lease"] != lease and (stop["phase"] == "planned" or seen.working):
        return state, _no(f"{_whose(stop)} is about to stop it as well", retry=True)
    noted = {"lease": lease, "phase": "planned", "run": "", "at": seen.now}
    return dict(state, stop=noted), _yes()


def grant(state: State, seen: Seen, lease: str, holder: str) -> Tuple[State, Answer]:
    """Promise to stay up while ``holder`` is down, unless this member is down itself or on its way."""
    if stop_stands(state, seen) and (seen.running or seen.working):
        return state, _no(f"{_whose(state['stop'])} stops it as well", retry=True)
    if not seen.running:
        return state, _no("its server is not running")
    leases = dict(state["leases"], **{lease: {"holder": holder, "since": seen.now}})
    return {"leases": leases, "stop": None}, _yes()


def hold(state: State, seen: Seen, lease: str, run: str) -> Tuple[State, Answer]:
    """Note that ``run`` works towards the planned stop, before any of its work; refuse where that would be in vain."""
    stop = state["stop"]
    if stop is None or stop["lease"] != lease:
        return state, _given_up() if seen.running else _yes()
    return dict(state, stop=dict(stop, run=run, at=seen.now)), _yes()


def claim(state: State, seen: Seen, lease: str, run: str) -> Tuple[State, Answer]:
    """Take a planned stop up, right before it. A server that does not run needs no lease: nothing is taken from anybody."""
    stop = state["stop"]
    if seen.running and (stop is None or stop["lease"] != lease):
        return state, _given_up()
    noted = {"lease": lease, "phase": "begun", "run": run, "at": seen.now}
    return dict(state, stop=noted), _yes()


def end(state: State, lease: str) -> State:
    """Return the state after the application was confirmed up again."""
    return dict(state, stop=None) if state["stop"] and state["stop"]["lease"] == lease else state


def settle(state: State, seen: Seen, lease: str, own: bool) -> Tuple[State, Answer]:
    """Say whether the stop under ``lease`` is over for good; one that is can no longer be claimed.

    ``own``: the run that planned it asks; it waits for no other.
    """
    stop = state["stop"]
    if stop is None or stop["lease"] != lease:
        return state, _yes()
    given_up = own and stop["phase"] == "planned"
    if given_up or not stop_stands(state, seen):
        return dict(state, stop=None), _yes()
    if stop["phase"] == "planned":
        return state, _no(f"{_whose(stop)} is about to stop it", retry=True)
    if seen.working:
        return state, _no(f"run {stop['run']} is still at work", retry=True)
    return state, _no(f"its server is down since run {stop['run']}; start it, or put its data back")


def give_back(state: State, lease: str) -> State:
    """Return the state without the promise under ``lease``."""
    return dict(state, leases={name: kept for name, kept in state["leases"].items() if name != lease})


def _whose(stop: Optional[Dict[str, Any]]) -> str:
    return f"run {stop['run']}" if stop and stop["run"] else "another run"


def _given_up() -> Answer:
    return _no("the lease of this run was given up before its job stopped the server", retry=True)


def _yes() -> Answer:
    return {"granted": True, "retry": False, "reason": ""}


def _no(reason: str, retry: bool = False) -> Answer:
    return {"granted": False, "retry": retry, "reason": reason}
