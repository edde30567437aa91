# SPDX-License-Identifier: GPL-3.0-or-later
"""Against a System V service manager of its own; and what is asked of systemd, as data."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.errors import ApplicationDown, CommandFailed
from ansible_collections.backstay.fleet.plugins.module_utils.process import Finished
from ansible_collections.backstay.fleet.plugins.module_utils.worker import services
from unit.support.sandbox import Sandbox


def test_a_service_is_stopped_and_started(sandbox: Sandbox) -> None:
    sandbox.set_running("mariadb")
    assert services.is_active("mariadb")
    services.stop("mariadb", 5)
    assert not services.is_active("mariadb")
    services.start("mariadb", 5)
    assert sandbox.running() == {"mariadb"}
    assert sandbox.service_calls() == ["stop mariadb", "start mariadb"]


def test_a_service_that_refuses_to_stop_is_told(sandbox: Sandbox) -> None:
    sandbox.set_running("mariadb")
    sandbox.refuse("mariadb", "stop")
    with pytest.raises(CommandFailed, match="'mariadb' did not stop: mariadb: cannot stop"):
        services.stop("mariadb", 5)


def test_a_service_that_says_it_stopped_and_did_not_is_told(sandbox: Sandbox) -> None:
    sandbox.set_running("mariadb")
    (sandbox.programs / "service").write_text('#!/bin/sh\n[ "$2" != start ]\n')
    with pytest.raises(CommandFailed, match="did not stop"):
        services.stop("mariadb", 0.3)


def test_a_service_that_refuses_to_start_is_an_application_that_is_down(sandbox: Sandbox) -> None:
    sandbox.refuse("mariadb", "start")
    with pytest.raises(ApplicationDown, match="'mariadb' did not start: mariadb: cannot start"):
        services.start("mariadb", 5)


def test_a_service_that_says_it_started_and_did_not_is_down(sandbox: Sandbox) -> None:
    (sandbox.programs / "service").write_text('#!/bin/sh\n[ "$2" = start ]\n')
    with pytest.raises(ApplicationDown, match="did not start"):
        services.start("mariadb", 0.3)


@pytest.mark.parametrize(
    ("load", "active", "answer"),
    [
        ("loaded", "active", True),
        ("loaded", "activating", True),
        ("loaded", "reloading", True),
        ("loaded", "deactivating", True),
        ("loaded", "inactive", False),
        ("loaded", "failed", False),
        ("not-found", "inactive", None),
        ("masked", "inactive", None),
        ("", "", None),
    ],
)
def test_what_systemd_says_is_believed(monkeypatch: pytest.MonkeyPatch, load: str, active: str, answer: bool | None) -> None:
    asked: list[list[str]] = []

    def run(argv: list[str], _timeout: float) -> Finished:
        asked.append(argv)
        return Finished(0, f"LoadState={load}\nActiveState={active}\n" if load else "", "")

    monkeypatch.setattr(services, "has_systemd", lambda: True)
    monkeypatch.setattr(services, "run", run)
    if answer is None:
        with pytest.raises(CommandFailed, match="has no service '-odd'"):
            services.is_active("-odd")
    else:
        assert services.is_active("-odd") is answer
    assert asked == [["systemctl", "show", "--property=LoadState,ActiveState", "--", "-odd"]]


def test_systemd_is_told_by_its_own_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    state = {"active": True}

    def run(argv: list[str], timeout: float) -> Finished:
        asked.append(argv)
        if argv[1] in ("stop", "start"):
            state["active"] = argv[1] == "start"
        return Finished(0, f"LoadState=loaded\nActiveState={'active' if state['active'] else 'inactive'}\n", "")

    monkeypatch.setattr(services, "has_systemd", lambda: True)
    monkeypatch.setattr(services, "run", run)
    services.stop("mariadb", 5)
    services.start("mariadb", 5)
    assert [argv for argv in asked if argv[1] != "show"] == [
        ["systemctl", "stop", "--", "mariadb"],
        ["systemctl", "start", "--", "mariadb"],
    ]
