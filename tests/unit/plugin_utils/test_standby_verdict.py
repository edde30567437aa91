# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from ansible_collections.backstay.fleet.plugins.plugin_utils.standby_verdict import verdict
from jinja2 import Environment

TASKS = Path(__file__).parents[3] / "roles" / "run" / "tasks"
YES = {"reply": {"granted": True, "retry": False, "reason": ""}}


def no(reason: str, retry: bool = False, **more: Any) -> dict[str, Any]:
    return {"reply": {"granted": False, "retry": retry, "reason": reason, **more}}


def of(host: str, answer: dict[str, Any]) -> dict[str, Any]:
    return {**answer, "item": {"host": host}}


def about(lease: str, answer: dict[str, Any]) -> dict[str, Any]:
    return {**answer, "item": {"key": lease}}


COUNTED_ON = no("it must stay up", True, leases={"l1": {"holder": "c2", "since": 1}, "l2": {"holder": "c3", "since": 2}})


def test_the_first_that_promises_keeps_the_lease() -> None:
    found = verdict("c1", YES, [], [of("c2", no("its server is not running")), of("c3", YES)])
    assert found == {"keeper": "c3", "over": [], "again": False, "sentence": ""}


def test_the_last_server_is_not_stopped_and_the_sentence_says_why() -> None:
    """PS-14"""
    lost = {"unreachable": True, "msg": "no route to host", "item": {"host": "c3"}}
    found = verdict("c1", YES, [], [of("c2", no("its server is not running")), lost])
    assert not found["keeper"] and not found["again"]
    assert "c1 is not stopped" in found["sentence"]
    assert "c2: its server is not running; c3: no route to host" in found["sentence"]
    assert verdict("c1", YES, [], [of("c2", no("run r1 stops it as well", retry=True))])["again"]


def test_a_server_that_others_count_on_stays_up_until_they_are_back() -> None:
    settled = [about("l1", YES), about("l2", no("run r1 is still at work", retry=True))]
    found = verdict("c1", COUNTED_ON, settled)
    assert (found["over"], found["again"]) == (["l1"], True)
    assert "c3: run r1 is still at work" in found["sentence"]
    assert "c2" not in found["sentence"]
    both = verdict("c1", COUNTED_ON, [about("l1", YES), about("l2", YES)])
    assert both == {"keeper": "", "over": ["l1", "l2"], "again": True, "sentence": ""}


def test_a_holder_that_does_not_answer_is_believed_to_be_down_until_the_operator_says_otherwise() -> None:
    settled = [about("l1", YES), {**about("l2", {}), "unreachable": True, "msg": "no route to host"}]
    found = verdict("c1", COUNTED_ON, settled)
    assert not found["again"]
    assert "c3: no route to host" in found["sentence"]
    assert "-e run_standby_forget=c3" in found["sentence"]
    assert verdict("c1", COUNTED_ON, settled, forget="x, c3")["over"] == ["l1", "l2"]
    assert not verdict("c1", COUNTED_ON, [])["over"], "silence is no answer"


def test_a_server_that_refuses_itself_is_quoted() -> None:
    found = verdict("c1", no("run r9 is about to stop it as well", retry=True))
    assert found["again"]
    assert found["sentence"] == "c1 is not stopped: run r9 is about to stop it as well"


def test_a_turn_may_take_a_day_and_nobody_notices_its_end_much_later() -> None:
    """Every try nests in the one before, and ansible-core bears about 240 of them."""
    tasks = yaml.safe_load((TASKS / "standby_take.yml").read_text())
    (wait,) = (task for task in tasks if "ansible.builtin.wait_for" in task)
    pause = Environment(autoescape=False).from_string(wait["vars"]["__run_pause"])
    waited = 0.0
    for tries in range(1, 201):
        seconds = int(float(pause.render(__run_standby_tries=tries)))
        assert 0 < seconds <= max(15, 0.05 * waited)
        waited += seconds
    assert waited > 24 * 3600
