# SPDX-License-Identifier: GPL-3.0-or-later
"""PS-14: servers of one system are never all stopped, however runs, crashes and forgotten leases interleave."""

from __future__ import annotations

import marshal
import random
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import standby
from ansible_collections.backstay.fleet.plugins.module_utils.standby import PLANNED_SECONDS, Seen
from hypothesis import given
from hypothesis import strategies as st

UP = Seen(running=True, working=False, now=1000.0)
DOWN = Seen(running=False, working=False, now=1000.0)
STOPPING = Seen(running=True, working=True, now=1000.0)


def planned(lease: str = "a", at: float = 1000.0, run: str = "") -> standby.State:
    return {"leases": {}, "stop": {"lease": lease, "phase": "planned", "run": run, "at": at}}


def begun(lease: str = "a") -> standby.State:
    return {"leases": {}, "stop": {"lease": lease, "phase": "begun", "run": "r1", "at": 1000.0}}


def keeping(lease: str = "b") -> standby.State:
    return {"leases": {lease: {"holder": "other", "since": 1000.0}}, "stop": None}


def test_the_ordinary_way_leaves_nothing_behind() -> None:
    mine, answer = standby.plan(standby.empty(), UP, "x")
    assert answer["granted"]
    other, answer = standby.grant(standby.empty(), UP, "x", "mine")
    assert answer["granted"]
    assert other["leases"] == {"x": {"holder": "mine", "since": 1000.0}}
    mine, answer = standby.hold(mine, UP, "x", "r1")
    assert answer["granted"]
    assert (mine["stop"]["phase"], mine["stop"]["run"]) == ("planned", "r1")
    mine, answer = standby.claim(mine, UP, "x", "r1")
    assert answer["granted"]
    assert mine["stop"]["phase"] == "begun"
    mine = standby.end(mine, "x")
    mine, answer = standby.settle(mine, UP, "x", own=True)
    assert answer["granted"]
    assert (mine, standby.give_back(other, "x")) == (standby.empty(), standby.empty())


@pytest.mark.parametrize(
    ("state", "seen", "granted", "retry", "word"),
    [
        (standby.empty(), UP, True, False, ""),
        (standby.empty(), DOWN, False, False, "not running"),
        (planned(), UP, False, True, "another run stops it"),
        (planned(at=1000.0 - PLANNED_SECONDS), UP, True, False, ""),
        (planned(at=0, run="r1"), STOPPING, False, True, "run r1 stops it"),  # its job copies ahead
        (planned(at=0, run="r1"), UP, True, False, ""),
        (planned(at=2000.0), UP, True, False, ""),  # the clock went back: a claim of this plan will fail
        (begun(), STOPPING, False, True, "run r1 stops it"),
        (begun(), DOWN._replace(working=True), False, True, "run r1 stops it"),
        (begun(), DOWN, False, False, "not running"),
        (begun(), UP, True, False, ""),
        (keeping(), UP, True, False, ""),
    ],
)
def test_who_is_up_and_stays_up_may_promise_it(state: Any, seen: Seen, granted: bool, retry: bool, word: str) -> None:
    after, answer = standby.grant(state, seen, "x", "other")
    assert (answer["granted"], answer["retry"]) == (granted, retry)
    assert word in answer["reason"]
    assert ("x" in after["leases"]) is granted
    if granted:
        assert after["stop"] is None, "a plan that was passed over can still be claimed"


def test_a_server_that_others_count_on_cannot_be_stopped() -> None:
    after, answer = standby.plan(keeping("b"), UP, "x")
    assert not answer["granted"]
    assert set(answer["leases"]) == {"b"}
    assert after["stop"] is None


@pytest.mark.parametrize(
    ("state", "seen"),
    [(planned(), UP), (planned(at=0, run="r1"), STOPPING), (begun(), STOPPING), (begun(), DOWN._replace(working=True))],
)
def test_two_runs_do_not_stop_one_server(state: Any, seen: Seen) -> None:
    _after, answer = standby.plan(state, seen, "x")
    assert not answer["granted"] and answer["retry"]


@pytest.mark.parametrize(("state", "seen"), [(planned(at=0), UP), (begun(), UP), (begun(), DOWN)])
def test_what_a_dead_run_left_stands_in_nobodys_way(state: Any, seen: Seen) -> None:
    after, answer = standby.plan(state, seen, "x")
    assert answer["granted"]
    assert after["stop"]["lease"] == "x"


def test_a_plan_that_was_given_up_stops_nothing() -> None:
    state, answer = standby.settle(planned("x", at=0), UP, "x", own=False)
    assert answer["granted"]
    state, answer = standby.claim(state, UP, "x", "r1")
    assert not answer["granted"]
    assert "given up" in answer["reason"]


@pytest.mark.parametrize(
    ("state", "seen", "own", "over", "word"),
    [
        (standby.empty(), UP, False, True, ""),
        (begun("other"), STOPPING, False, True, ""),
        (planned("x"), UP, False, False, "about to"),
        (planned("x"), UP, True, True, ""),
        (planned("x", at=0), UP, False, True, ""),
        (planned("x", at=0, run="r1"), STOPPING, False, False, "run r1 is about to"),
        (planned("x", at=0, run="r1"), STOPPING, True, True, ""),
        (begun("x"), STOPPING, True, False, "run r1 is still at work"),
        (begun("x"), DOWN, False, False, "down since run r1"),
        (begun("x"), UP, False, True, ""),
    ],
)
def test_a_lease_is_over_only_when_its_holder_is_back(state: Any, seen: Seen, own: bool, over: bool, word: str) -> None:
    after, answer = standby.settle(state, seen, "x", own)
    assert answer["granted"] is over
    assert word in answer["reason"]
    if over:
        assert not after["stop"] or after["stop"]["lease"] != "x"


def test_a_job_whose_plan_was_given_up_does_not_begin() -> None:
    for state in (standby.empty(), planned("other")):
        after, answer = standby.hold(state, UP, "x", "r1")
        assert not answer["granted"]
        assert "given up" in answer["reason"]
        assert after == state
    assert standby.hold(standby.empty(), DOWN, "x", "r1")[1]["granted"], "a server that is down needs no lease"


def test_a_server_that_is_down_needs_no_lease() -> None:
    _after, answer = standby.claim(standby.empty(), DOWN, "x", "r1")
    assert answer["granted"]


class Fleet:
    """Members, and runs that each take the steps of a control node and its job one at a time, or die between any two."""

    def __init__(self, size: int) -> None:
        self.now = 0.0
        self.states = [standby.empty() for _ in range(size)]
        self.up = [True] * size
        self.working: list[str | None] = [None] * size
        self.runs: dict[str, dict[str, Any]] = {}

    def seen(self, number: int) -> Seen:
        stop = self.states[number]["stop"]
        return Seen(self.up[number], bool(stop and stop["run"] and self.working[number] == stop["run"]), self.now)

    def ask(self, number: int, question: Any, *arguments: Any) -> dict[str, Any]:
        self.states[number], answer = question(self.states[number], self.seen(number), *arguments)
        return dict(answer)

    def begin(self, target: int) -> None:
        name = f"run{len(self.runs)}"
        self.runs[name] = {"target": target, "at": "plan", "keeper": None}

    def advance(self, name: str, keeper: int) -> None:
        """Take the next step of a run; ``keeper`` is whom it would ask."""
        run = self.runs[name]
        getattr(self, "_" + run["at"])(name, run, keeper)

    def _plan(self, name: str, run: dict[str, Any], _keeper: int) -> None:
        target = run["target"]
        answer = self.ask(target, standby.plan, name)
        for lease in list(answer.get("leases", {})):
            holder = self.runs[lease]["target"]
            if self.ask(holder, standby.settle, lease, False)["granted"]:
                self.states[target] = standby.give_back(self.states[target], lease)
        if answer["granted"]:
            run["at"] = "grant"

    def _grant(self, name: str, run: dict[str, Any], keeper: int) -> None:
        if keeper != run["target"] and self.ask(keeper, standby.grant, name, f"m{run['target']}")["granted"]:
            run.update(at="start", keeper=keeper)

    def _start(self, name: str, run: dict[str, Any], _keeper: int) -> None:
        if self.working[run["target"]] is None:  # one job at a time is the resource lock's promise
            held = self.ask(run["target"], standby.hold, name, name)["granted"]
            self.working[run["target"]] = name if held else None
            run["at"] = "claim" if held else "lost"

    def _claim(self, name: str, run: dict[str, Any], _keeper: int) -> None:
        claimed = self.ask(run["target"], standby.claim, name, name)["granted"]
        run["at"] = "stop" if claimed else "lost"

    def _stop(self, name: str, run: dict[str, Any], _keeper: int) -> None:
        assert any(up for number, up in enumerate(self.up) if number != run["target"]), "the last server is stopped"
        counted_on = [
            other["target"] for other in self.runs.values() if (other["at"], other["keeper"]) == ("back", run["target"])
        ]
        assert not counted_on, "a server is stopped that promised to stay up"
        self.up[run["target"]] = False
        run["at"] = "back"

    def _back(self, name: str, run: dict[str, Any], _keeper: int) -> None:
        self.up[run["target"]] = True
        self.states[run["target"]] = standby.end(self.states[run["target"]], name)
        run["at"] = "lost"

    def _lost(self, name: str, run: dict[str, Any], _keeper: int) -> None:
        """The job is over; the control node cleans up."""
        if self.working[run["target"]] == name:
            self.working[run["target"]] = None
        if self.ask(run["target"], standby.settle, name, True)["granted"] and run["keeper"] is not None:
            self.states[run["keeper"]] = standby.give_back(self.states[run["keeper"]], name)
        run["at"] = "over"

    def _over(self, name: str, run: dict[str, Any], _keeper: int) -> None:
        """Nothing more to do."""

    def kill_job(self, target: int, comes_back: bool) -> None:
        """Kill the worker on a member; its release brings the application back, or fails to."""
        name = self.working[target]
        if name is not None:
            self.working[target] = None
            self.runs[name]["at"] = "lost"
            self.up[target] = self.up[target] or comes_back


def moves(fleet: Fleet) -> list[tuple[str, Any, Any]]:
    """Return everything that can happen next."""
    size = len(fleet.states)
    found: list[tuple[str, Any, Any]] = []
    for name, run in fleet.runs.items():
        keepers = [number for number in range(size) if number != run["target"]] if run["at"] == "grant" else [0]
        found += [("advance", name, keeper) for keeper in keepers if run["at"] != "over"]
        found += [("forget", name, 0)] if run["at"] in ("grant", "start", "lost") else []
    found += [("kill", number, back) for number in range(size) if fleet.working[number] for back in (False, True)]
    return [*found, ("later", 0, 0)] if fleet.now <= PLANNED_SECONDS else found


def move(fleet: Fleet, what: str, which: Any, other: Any) -> None:
    """Let one thing happen. Raise AssertionError when it stops the last server."""
    if what == "advance":
        fleet.advance(which, other)
    elif what == "forget":
        fleet.runs[which]["at"] = "over"  # its control node died
    elif what == "kill":
        fleet.kill_job(which, other)
    else:
        fleet.now += PLANNED_SECONDS + 1
    assert any(fleet.up), "all servers are down"


def spelled(fleet: Fleet) -> bytes:
    return marshal.dumps([fleet.now, fleet.states, fleet.up, fleet.working, fleet.runs], 0)


def copied(fleet: Fleet) -> Fleet:
    other = Fleet(0)
    other.now, other.states, other.up, other.working, other.runs = marshal.loads(spelled(fleet))
    return other


@pytest.mark.parametrize("targets", [(0, 1), (0, 0, 1)], ids=str)
def test_two_servers_are_never_both_down_in_any_order_of_anything(targets: tuple[int, ...]) -> None:
    """Every state that runs, deaths and time can reach."""
    first = Fleet(2)
    for target in targets:
        first.begin(target)
    known, waiting = {spelled(first)}, [first]
    while waiting:
        fleet = waiting.pop()
        for what, which, other in moves(fleet):
            after = copied(fleet)
            move(after, what, which, other)
            if spelled(after) not in known:
                known.add(spelled(after))
                waiting.append(after)
    assert len(known) > 500


@given(seed=st.integers(0, 10**9))
def test_three_servers_are_never_all_down(seed: int) -> None:
    chance, fleet = random.Random(seed), Fleet(3)
    for target in (0, 1, 2, 0, 1, 2, 0, 1, 2):
        fleet.begin(target)
    for _ in range(200):
        possible = moves(fleet)
        advances = [found for found in possible if found[0] == "advance"]
        if not advances:
            break
        move(fleet, *chance.choice(advances if chance.random() < 0.95 else possible))


def test_a_job_that_works_for_long_before_its_stop_keeps_its_lease() -> None:
    fleet = Fleet(2)
    fleet.begin(0)
    while fleet.runs["run0"]["at"] != "claim":
        fleet.advance("run0", 1)
    fleet.now += 10 * PLANNED_SECONDS
    fleet.begin(1)
    for _ in range(8):
        fleet.advance("run1", 0)
    assert fleet.runs["run1"]["at"] == "plan", "its lease was given to another run while it copied ahead"
    for _ in range(4):
        fleet.advance("run0", 1)
    assert fleet.runs["run0"]["at"] == "over"
    assert fleet.up == [True, True] and fleet.states[0] == standby.empty()


def test_after_everything_died_the_next_run_gets_its_lease() -> None:
    """A control node that dies after the grant, or with its job, leaves nothing that is stuck for ever."""
    for dies_at in ("start", "claim", "stop", "back"):
        fleet = Fleet(2)
        fleet.begin(0)
        while fleet.runs["run0"]["at"] != dies_at:
            fleet.advance("run0", 1)
        fleet.kill_job(0, comes_back=True)
        fleet.runs["run0"]["at"] = "over"
        fleet.now += PLANNED_SECONDS
        fleet.begin(1)
        for _ in range(8):
            fleet.advance("run1", 0)
        assert fleet.runs["run1"]["at"] == "over"
        assert fleet.states == [standby.empty(), standby.empty()]
