# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.undo import (
    by_host,
    command_entry,
    identity,
    needed_services,
    service_entry,
)

MAIL = {"start": ["psctl", "launch"], "stop": ["psctl", "quit"], "status": ["psctl", "status"]}


def step(state: str, timeout: float | None = None, name: str = "mail", **more: Any) -> dict[str, Any]:
    limit = {} if timeout is None else {"timeout": timeout}
    return {"name": state, "service": {"name": name, "state": state, **limit, **more}}


@pytest.mark.parametrize(
    ("steps", "limits"),
    [
        ([step("stopped", 120), step("resumed", 900)], (900, 120)),
        ([step("stopped", 120), step("started", 20), step("started", 40)], (40, 120)),
        ([step("stopped"), step("started")], (300, 300)),
        ([], (300, 300)),
        ([step("stopped", 5, "web"), step("started", 6, "web")], (300, 300)),
        ([step("stopped", 5, control=MAIL), step("started", 6, control=MAIL)], (300, 300)),
        ([{"name": "x", "discard": {"path": "/x"}}, step("stopped", 7)], (300, 7)),
    ],
)
def test_a_service_is_waited_for_as_long_as_its_role_does(steps: list[dict[str, Any]], limits: tuple[float, float]) -> None:
    entry = service_entry(steps, "mail")
    assert (entry["service"], entry["timeout"], entry["stop_timeout"]) == ("mail", *limits)
    assert "control" not in entry


def test_an_entry_is_what_it_undoes_whatever_its_limits() -> None:
    assert identity({"service": "mail"}) == identity(service_entry([step("stopped", 5)], "mail"))
    assert identity({"service": "mail"}) != identity({"service": "mail", "control": MAIL})
    assert identity({"service": "mail", "control": MAIL}) != identity({"service": "mail", "control": dict(MAIL, listed="m")})
    assert identity({"command": ["a"], "account": "operator"}) == identity({"command": ["a"]}) != identity({"command": ["b"]})


def test_the_services_that_an_app_needs_have_the_limits_of_the_job() -> None:
    specification = {"steps": [step("stopped", 8, control=MAIL)], "facts": {"services": [{"service": "mail", "control": MAIL}]}}
    assert needed_services(specification) == [{"service": "mail", "control": MAIL, "timeout": 300, "stop_timeout": 8}]
    assert needed_services({"steps": []}) == []


def test_what_undoes_a_command_runs_as_the_command_did() -> None:
    arguments = {"argv": ["a"], "undo": ["b"], "account": "operator", "environment": {"X": "1"}, "timeout": 5}
    assert command_entry(arguments) == {"command": ["b"], "account": "operator", "environment": {"X": "1"}}
    assert command_entry({"argv": ["a"], "undo": ["b"]}) == {"command": ["b"]}


def test_a_host_undoes_newest_first_what_commands_can() -> None:
    entries = [
        {"service": "mail", "control": MAIL, "timeout": 5},
        {"service": "known to systemd only"},
        {"command": ["thaw"], "account": "me", "environment": {"WHERE": "here"}},
    ]
    assert by_host(entries) == [(["thaw"], {"WHERE": "here"}, ""), (["psctl", "launch"], None, "")]
