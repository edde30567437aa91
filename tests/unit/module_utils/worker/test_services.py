# SPDX-License-Identifier: GPL-3.0-or-later
"""Against a System V service manager of its own; and what is asked of systemd, as data."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.errors import ApplicationDown, CommandFailed
from ansible_collections.backstay.fleet.plugins.module_utils.process import Finished, TookTooLong
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


@pytest.mark.parametrize(("status", "answer"), [(0, True), (1, False), (2, False), (3, False), (4, None), (127, None)])
def test_a_script_says_what_the_lsb_says(sandbox: Sandbox, status: int, answer: bool | None) -> None:
    (sandbox.programs / "service").write_text(f"#!/bin/sh\necho no idea >&2; exit {status}\n")
    if answer is None:
        with pytest.raises(CommandFailed, match=f"whether 'x' runs: service ended with exit status {status}: no idea"):
            services.is_active("x")
    else:
        assert services.is_active("x") is answer


def test_a_service_without_a_script_is_not_a_service_that_is_down(sandbox: Sandbox) -> None:
    (sandbox.programs / "service").write_text('#!/bin/sh\necho "$1: unrecognized service" >&2; exit 1\n')
    with pytest.raises(CommandFailed, match="this host has no service 'x'"):
        services.is_active("x")


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("mariadb", "mariadb.service.d"),
        ("mariadb.service", "mariadb.service.d"),
        ("mariadb.socket", "mariadb.socket.d"),
        ("shop.target", "shop.target.d"),
        ("oracle@ORCL", "oracle@ORCL.service.d"),
        ("db.example", "db.example.service.d"),
    ],
)
def test_the_unit_that_is_held_is_the_one_that_is_stopped(name: str, folder: str) -> None:
    assert services._hold_file(name).parent.name == folder


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
        ["systemctl", "reset-failed", "--", "mariadb"],  # or it refuses after the failed starts of a server without its data
        ["systemctl", "start", "--", "mariadb"],
    ]


def test_a_server_that_starts_is_not_told_to_end_before_it_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    states = ["start", "start", "running"]

    def run(argv: list[str], _timeout: float) -> Finished:
        if argv[1] == "stop":
            told.append(f"stop while {states[0]}")
            states[:] = ["dead"]
        if "--property=SubState" in argv:
            return Finished(0, f"{states.pop(0) if len(states) > 1 else states[0]}\n", "")
        active = "inactive" if states == ["dead"] else "active"
        return Finished(0, f"LoadState=loaded\nActiveState={active}\n", "")

    monkeypatch.setattr(services, "has_systemd", lambda: True)
    monkeypatch.setattr(services, "run", run)
    services.stop("mariadb", 5)
    assert told == ["stop while running"]
    states[:] = ["start"]
    services.stop("mariadb", 0.3)  # a start that does not end in time keeps nobody from stopping it
    assert told == ["stop while running", "stop while start"]


def test_what_systemd_does_not_end_in_time_is_the_service_and_not_systemctl(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(argv: list[str], timeout: float) -> Finished:
        if argv[1] in ("stop", "start"):
            raise TookTooLong(f"systemctl did not end within {timeout:g} s and was killed")
        return Finished(0, f"LoadState=loaded\nActiveState={state}\n", "")

    monkeypatch.setattr(services, "has_systemd", lambda: True)
    monkeypatch.setattr(services, "run", run)
    state = "deactivating"
    with pytest.raises(CommandFailed, match=r"^service 'mail' did not stop: its stop did not end within 4 s$") as refused:
        services.stop("mail", 4)
    assert "it was not killed" in refused.value.hint
    state = "inactive"
    with pytest.raises(ApplicationDown, match=r"^service 'mail' did not start: its start did not end within 4 s$"):
        services.start("mail", 4)


@pytest.mark.parametrize(
    ("result", "own"),
    [("success", True), ("exit-code", True), ("timeout", False), ("signal", False), ("core-dump", False), ("oom-kill", False)],
)
def test_a_service_that_systemd_killed_did_not_finish_its_data(monkeypatch: pytest.MonkeyPatch, result: str, own: bool) -> None:
    """PS-1: quitting is the only valid way."""
    monkeypatch.setattr(services, "has_systemd", lambda: True)
    monkeypatch.setattr(services, "run", lambda _argv, _timeout: Finished(0, f"{result}\n", ""))
    if own:
        services.require_own_end("mail")
    else:
        with pytest.raises(CommandFailed, match=f"'mail' did not end by itself when it was stopped: systemd says '{result}'"):
            services.require_own_end("mail")
    services.require_own_end("mail", {"start": ["x"], "stop": ["x"], "status": ["x"]})


# Native commands instead of the service manager


class Own:
    """A server of its own with commands of its own: its state lies in a file, its commands say what they are told to."""

    def __init__(self, base: Path, listed: bool) -> None:
        self.state = base / "state"
        self.state.write_text("up")
        asked = f"grep -q up {self.state} || exit 3"
        if listed:
            asked = f"grep -q up {self.state} && echo 'Finder, PowerShare Mail Server, File Sharing' || echo 'Finder, Mail'"
        self.control: dict[str, Any] = {
            "start": ["sh", "-c", f"echo up > {self.state}"],
            "stop": ["sh", "-c", f"echo down > {self.state}"],
            "status": ["sh", "-c", asked],
            **({"listed": "PowerShare Mail Server"} if listed else {}),
        }


@pytest.mark.parametrize("listed", [False, True])
def test_native_commands_control_a_service(sandbox: Sandbox, tmp_path: Path, listed: bool) -> None:
    own = Own(tmp_path, listed)
    assert services.is_active("mail", control=own.control)
    services.stop("mail", 5, own.control)
    assert not services.is_active("mail", control=own.control)
    services.start("mail", 5, own.control)
    assert services.is_active("mail", control=own.control)
    assert sandbox.service_calls() == []


def test_a_part_of_a_name_is_not_the_process(tmp_path: Path) -> None:
    own = Own(tmp_path, listed=True)
    assert not services.is_active("mail", control=dict(own.control, listed="Mail Server"))


@pytest.mark.parametrize(("listed", "status"), [(False, 1), (False, 4), (True, 1), (True, 3)])
def test_a_status_that_says_nothing_is_an_error(tmp_path: Path, listed: bool, status: int) -> None:
    control = dict(Own(tmp_path, listed).control, status=["sh", "-c", f"echo no gateway >&2; exit {status}"])
    with pytest.raises(CommandFailed, match=f"cannot tell whether 'mail' runs: sh ended with exit status {status}: no gateway"):
        services.is_active("mail", control=control)


def test_a_server_that_will_not_quit_is_not_killed(tmp_path: Path) -> None:
    own = Own(tmp_path, listed=True)
    with pytest.raises(CommandFailed, match="'mail' did not stop: a dialog is open"):
        services.stop("mail", 5, dict(own.control, stop=["sh", "-c", "echo a dialog is open >&2; exit 1"]))
    with pytest.raises(CommandFailed, match="'mail' did not stop"):
        services.stop("mail", 0.3, dict(own.control, stop=["true"]))
    assert own.state.read_text() == "up"


def test_a_stop_that_still_takes_effect_is_waited_for(tmp_path: Path) -> None:
    own = Own(tmp_path, listed=True)
    gone = subprocess.Popen(["sh", "-c", f"sleep 0.5; echo down > {own.state}"])
    services.await_stop("mail", 20, own.control)
    assert not services.is_active("mail", control=own.control)
    gone.wait()
    own.state.write_text("up")
    services.await_stop("mail", 0.2, own.control)
    services.await_stop("mail", 20, dict(own.control, status=["false"]))  # where nobody can tell, the start will


def test_what_a_start_leaves_running_lives_in_a_scope_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(services, "has_systemd", lambda: True)
    control = Own(tmp_path, listed=False).control
    assert services._argv("start", "mail", control)[:4] == ["systemd-run", "--quiet", "--scope", "--collect"]
    assert services._argv("stop", "mail", control) == control["stop"]
