# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput, Busy
from ansible_collections.backstay.fleet.plugins.plugin_utils import worker_archive
from ansible_collections.backstay.fleet.plugins.plugin_utils.worker_client import (
    WorkerClient,
    WorkerFailed,
    access_files_of,
    failed,
)


class Shell:
    @staticmethod
    def join_path(*parts: str) -> str:
        return "/".join(parts)


class Connection:
    _shell = Shell()


class Action:
    """An action plugin whose module answers from a list."""

    _connection = Connection()

    def __init__(self, answers: list[dict[str, Any]]) -> None:
        self.answers = answers
        self.executed: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}

    def _execute_module(self, module_name: str, module_args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        assert module_name == "backstay.fleet.worker"
        self.executed.append(module_args)
        return self.answers.pop(0)

    def _make_tmp_path(self) -> str:
        return "/tmp/ansible-1"

    def _transfer_file(self, local: str, remote: str) -> None:
        with open(local, "rb") as stream:  # noqa: PTH123
            self.files[remote] = stream.read()

    def _fixup_perms2(self, paths: tuple[str, ...], execute: bool) -> None:
        assert set(paths) >= set(self.files)

    def _remove_tmp_path(self, path: str) -> None:
        self.files = {name: content for name, content in self.files.items() if not name.startswith(path)}


def test_a_host_that_has_the_worker_is_asked_once() -> None:
    action = Action([{"reply": {"ok": {"sets": []}}}])
    assert WorkerClient(action, {}, False).ask("sets", {"host": "x"}) == {"sets": []}  # type: ignore[arg-type]
    (arguments,) = action.executed
    assert arguments["version"] == worker_archive.version()
    assert "archive" not in arguments


def test_a_host_without_this_version_gets_it_once_and_nothing_stays_behind() -> None:
    seen: dict[str, bytes] = {}

    class Observed(Action):
        def _execute_module(self, module_name: str, module_args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
            seen.update(self.files)
            return super()._execute_module(module_name, module_args, task_vars)

    action = Observed([{"missing": True}, {"reply": {"ok": {"x": 1}}}])
    assert WorkerClient(action, {}, False).ask("sets", {}) == {"x": 1}  # type: ignore[arg-type]
    assert action.executed[1]["install"] is True
    assert seen == {action.executed[1]["archive"]: worker_archive.build()}
    assert action.files == {}


def test_in_check_mode_the_worker_is_brought_along_and_not_kept() -> None:
    action = Action([{"reply": {"ok": {"x": 1}}}])
    WorkerClient(action, {}, True).ask("plan", {})  # type: ignore[arg-type]
    (arguments,) = action.executed
    assert arguments["install"] is False
    assert arguments["archive"]


def test_the_workers_error_keeps_its_code_and_hint() -> None:
    action = Action([{"reply": {"error": {"code": "busy", "message": "in use", "hint": "wait"}}}])
    with pytest.raises(WorkerFailed, match="in use") as failure:
        WorkerClient(action, {}, False).ask("start", {})  # type: ignore[arg-type]
    assert failure.value.as_dict() == {"code": "busy", "message": "in use", "hint": "wait"}


def test_no_answer_is_an_error() -> None:
    action = Action([{"failed": True, "msg": "no python"}])
    with pytest.raises(AnsibleError, match="did not answer sets: no python"):
        WorkerClient(action, {}, False).ask("sets", {})  # type: ignore[arg-type]


def test_an_unknown_source_is_bad_input_and_none_needs_no_files() -> None:
    with pytest.raises(BadInput, match="the inventory has no host 'x'"):
        access_files_of("x", {"hostvars": {}})
    assert access_files_of(None, {}) == {}
    assert access_files_of("", {}) == {}


@pytest.mark.parametrize(
    ("message", "hint", "sentence"),
    [
        ("it is in use", "wait for it", "It is in use. Wait for it."),
        ("it is in use.", "", "It is in use."),
        ("shop-db1 has no app", "", "shop-db1 has no app."),
        ("is it?", "look!", "Is it? Look!"),
    ],
)
def test_an_error_becomes_sentences(message: str, hint: str, sentence: str) -> None:
    answer = failed({"changed": False}, Busy(message, hint))
    assert answer == {"changed": False, "failed": True, "msg": sentence, "code": "busy"}
