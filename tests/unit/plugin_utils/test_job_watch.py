# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible._internal._display_utils import DeferredWarningContext
from ansible.errors import AnsibleConnectionFailure
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError
from ansible_collections.backstay.fleet.plugins.plugin_utils import job_watch
from ansible_collections.backstay.fleet.plugins.plugin_utils.job_watch import JobWatch, persist, poll_command, read_poll
from hypothesis import given, settings
from hypothesis import strategies as st

WHO = {"host": "shop-db1", "app": "mysql", "action": "backup", "run": "run-1"}
folder_names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=30).filter(
    lambda name: name not in (".", "..") and len(name.encode()) < 200
)


def shell(command: str) -> str:
    return subprocess.run(["sh", "-c", command], capture_output=True, check=False, text=True).stdout


@settings(max_examples=15)
@given(name=folder_names | st.sampled_from(["a b", "$(touch pwned)", "';touch pwned;'", "`x`", "-n", "a\nb", '"', "\\"]))
def test_any_folder_is_polled_through_a_real_shell(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "polled" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "state.json").write_text('{"seq": 7, "step": "upload"}')
    (folder / "spec.json").unlink(missing_ok=True)
    (folder / "result.json").unlink(missing_ok=True)
    (folder / "alive").touch()
    assert read_poll(shell(poll_command(str(folder), 1))) == ({}, "LOST")
    (folder / "spec.json").touch()
    assert read_poll(shell(poll_command(str(folder), 1))) == ({"seq": 7, "step": "upload"}, "GONE")
    (folder / "result.json").write_text("{}")
    assert read_poll(shell(poll_command(str(folder), 1))) == ({"seq": 7, "step": "upload"}, "RESULT")
    assert not (Path.cwd() / "pwned").exists()


def test_a_poll_waits_for_the_worker_and_says_that_it_lives(tmp_path: Path) -> None:
    (tmp_path / "spec.json").touch()
    worker = os.open(tmp_path / "alive", os.O_RDWR | os.O_CREAT)
    fcntl.flock(worker, fcntl.LOCK_EX)
    began = time.monotonic()
    assert read_poll(shell(poll_command(str(tmp_path), 1))) == ({}, "ALIVE")
    assert time.monotonic() - began >= 1
    os.close(worker)
    began = time.monotonic()
    assert read_poll(shell(poll_command(str(tmp_path), 30)))[1] == "GONE"
    assert time.monotonic() - began < 10, "a poll ends with the worker"


@pytest.mark.parametrize(
    ("output", "state", "verdict"),
    [
        ('{"seq": 1}\n\nALIVE\n', {"seq": 1}, "ALIVE"),
        ('{"seq": 1\n\nGONE\n', {}, "GONE"),
        ("Warning: something\n\nRESULT\n", {}, "RESULT"),
        ("", {}, "LOST"),
        ("sudo: a password is required\n", {}, "sudo: a password is required"),
    ],
)
def test_what_a_poll_says(output: str, state: dict[str, Any], verdict: str) -> None:
    assert read_poll(output) == (state, verdict)


class Connection:
    """A connection of Ansible that may be lost."""

    def __init__(self) -> None:
        self.resets = 0

    def reset(self) -> None:
        self.resets += 1


class Action:
    """An action plugin whose remote commands answer from a list; an error in it is raised."""

    def __init__(self, answers: list[Any]) -> None:
        self.answers = answers
        self.commands: list[str] = []
        self._connection = Connection()

    def _low_level_execute_command(self, command: str) -> dict[str, str]:
        self.commands.append(command)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {"stdout": answer}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_watch.time, "sleep", lambda _seconds: None)


def watch(action: Any, reconnect: float = 60) -> JobWatch:
    return JobWatch(action, "/var/lib/backstay/jobs/run-1", WHO, reconnect)


def test_a_job_is_watched_to_its_result_with_longer_and_longer_polls() -> None:
    action = Action(['{"seq": 1}\nALIVE'] * 12 + ["RESULT"])
    assert watch(action).until_end() == 13
    seconds = [int(command.split("-w ")[1].split()[0]) for command in action.commands]
    assert seconds[0] == 2
    assert seconds == sorted(seconds)
    assert max(seconds) == 30


def test_a_lost_connection_is_opened_again_and_the_job_watched_on() -> None:
    lost = AnsibleConnectionFailure("Connection reset by peer")
    action = Action(["ALIVE", lost, lost, "RESULT"])
    assert watch(action).until_end() == 2
    assert action._connection.resets == 2


def test_a_lost_connection_is_told_at_once_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """ansible-core defers warnings to the end of the task, when the operator does not need to know any more."""
    said: list[str] = []
    monkeypatch.setattr(job_watch.Display, "display", lambda _self, text, **_options: said.append(text))
    lost = AnsibleConnectionFailure("Connection reset by peer")
    with DeferredWarningContext(variables={}) as deferred:
        watch(Action([lost, lost, "RESULT"])).until_end()
    assert said == ["[WARNING]: shop-db1: connection lost, the job goes on without it: Connection reset by peer"]
    assert not deferred.get_warnings()


def test_a_connection_that_stays_lost_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 100000, 10))
    monkeypatch.setattr(job_watch.time, "monotonic", lambda: next(clock))
    action = Action([AnsibleConnectionFailure("No route to host")] * 1000)
    with pytest.raises(AnsibleConnectionFailure):
        watch(action, reconnect=60).until_end()
    assert 3 < len(action.commands) < 20


def test_a_connection_lost_twice_has_its_whole_time_each(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [0.0]

    def tick() -> float:
        seconds[0] += 10
        return seconds[0]

    monkeypatch.setattr(job_watch.time, "monotonic", tick)
    lost = AnsibleConnectionFailure("x")
    action = Action([lost, lost, "ALIVE", lost, lost, "ALIVE", lost, "RESULT"])
    assert watch(action, reconnect=35).until_end() == 3


def test_a_worker_that_is_gone_without_a_result_is_waited_for_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [0.0]

    def tick() -> float:
        seconds[0] += 1
        return seconds[0]

    monkeypatch.setattr(job_watch.time, "monotonic", tick)
    action = Action(["GONE"] * 1000)
    polls = watch(action).until_end()
    assert 2 < polls < 100


@pytest.mark.parametrize("said", ["LOST", "sudo: a password is required"])
def test_a_job_that_cannot_be_seen_is_an_error_and_not_an_end(said: str) -> None:
    with pytest.raises(BackstayError, match="cannot be read on shop-db1"):
        watch(Action(["ALIVE", said])).until_end()


def test_a_release_that_comes_after_the_death_is_waited_for() -> None:
    action = Action(["ALIVE", "GONE", "GONE", "RESULT"])
    assert watch(action).until_end() == 4


def test_progress_reaches_the_callback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "s"))
        monkeypatch.setenv(job_watch.PROGRESS_SOCKET, str(tmp_path / "s"))
        watch(Action(['{"step": "upload", "bytes": 5}\nRESULT'])).until_end()
        assert json.loads(receiver.recv(4096)) == dict(WHO, step="upload", bytes=5)


@pytest.mark.parametrize("address", ["", "/nowhere/socket"])
def test_without_a_listener_progress_goes_nowhere(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv(job_watch.PROGRESS_SOCKET, address)
    job_watch.tell_progress(dict(WHO))


def test_other_errors_are_not_tried_again() -> None:
    def fail() -> None:
        raise ValueError("wrong")

    call: Callable[[], None] = fail
    with pytest.raises(ValueError, match="wrong"):
        persist(Action([]), call, WHO, 60)  # type: ignore[arg-type]
