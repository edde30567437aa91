# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.action import job
from ansible_collections.backstay.fleet.plugins.action.job import ActionModule, keep_record, specification
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError, BadInput
from unit.support.steps import good, land


def arguments(**changes: Any) -> dict[str, Any]:
    made = {
        "action": "backup",
        "app": "mysql",
        "host": "shop-db1",
        "source": "shop-db1",
        "kind": "full",
        "transport": "stream",
        "repository": {"name": "shop-db1", "directory": "/etc/backstay/repositories/shop-db1"},
        "job": {"resource": "mysql:/var/lib/mysql", "steps": [good()]},
        "facts": {"version": "11.8"},
        "records": "/nowhere",
    }
    return dict(made, **changes)


def test_a_backup_gets_a_run_and_a_set_of_its_own() -> None:
    one, other = specification(arguments()), specification(arguments())
    assert one["run"] != other["run"]
    assert one["set"] != other["set"]
    assert one["run"].split("-")[0] == one["set"].split("-")[0]
    assert one["stall_timeout"] == 900
    assert "records" not in one
    assert "secrets" not in json.dumps(one)


def test_a_given_run_is_attached_to_under_its_name() -> None:
    assert specification(arguments(run="my-run-2026"))["run"] == "my-run-2026"


def test_a_timeout_from_the_command_line_is_a_number() -> None:
    assert specification(arguments(stall_timeout="60"))["stall_timeout"] == 60
    with pytest.raises(BadInput, match="stall_timeout must be number"):
        specification(arguments(stall_timeout="soon"))
    with pytest.raises(BadInput, match="stall_timeout is 0"):
        specification(arguments(stall_timeout=0))


@pytest.mark.parametrize(("said", "found"), [(True, True), ("True", True), (False, None), ("False", None), ("", None)])
def test_a_restore_says_that_it_replaces_live_data(said: Any, found: Any) -> None:
    steps = {"resource": "mysql:/x", "steps": [land("/srv/x")]}
    made = specification(arguments(action="restore", plan="ab" * 32, job=steps, kind="", transport="", in_place=said))
    assert made.get("in_place") is found


def test_a_restore_has_a_plan_and_no_set() -> None:
    steps = {"resource": "mysql:/x", "steps": [land("/srv/x")]}
    made = specification(arguments(action="restore", plan="ab" * 32, job=steps, kind="", transport=""))
    assert made["plan"] == "ab" * 32
    assert not {"set", "kind", "transport"} & set(made)


@pytest.mark.parametrize(
    "changes",
    [
        {"action": "restore"},
        {"kind": "weekly"},
        {"job": {"resource": "x", "steps": []}},
        {"job": {"steps": [good()]}},
        {"job": {"resource": "x", "steps": [{"name": "x", "sing": {}}]}},
        {"run": "a b"},
    ],
)
def test_a_bad_job_is_refused_on_the_control_node(changes: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        specification(arguments(**changes))


def test_a_record_lies_below_its_host_and_is_private(tmp_path: Path) -> None:
    result = {"run": "run-1", "status": "ok", "host": "../evil"}
    path = Path(keep_record(str(tmp_path), "../evil", result))
    assert path == tmp_path / "=2E.=2Fevil" / "run-1.json"
    assert json.loads(path.read_text()) == result
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    keep_record(str(tmp_path), "../evil", dict(result, status="failed"))
    assert json.loads(path.read_text())["status"] == "failed"
    assert [item.name for item in path.parent.iterdir()] == ["run-1.json"]


def failure(**result: Any) -> dict[str, Any]:
    made = {"run": "r", "host": "h", "error": {"code": "capture", "message": "the tool failed", "hint": "look at it"}}
    return ActionModule._failure({"changed": True}, dict(made, **result))


def test_a_failed_job_is_one_sentence_with_its_code() -> None:
    found = failure()
    assert (found["failed"], found["code"]) == (True, "capture")
    assert found["msg"] == "The tool failed. Look at it."


def test_an_application_that_is_not_back_is_in_the_sentence() -> None:
    assert "the application is not back: mariadb did not start" in failure(release_problems=["mariadb did not start"])["msg"]
    found = failure(error=None, release_problems=["mariadb did not start"])
    assert found["code"] == "application-down"


def test_the_way_back_is_in_the_sentence() -> None:
    command = "sudo /usr/bin/python3 /var/lib/backstay/worker/ab.pyz put-back /var/lib/backstay/jobs/r"
    assert f"put it back with: {command}" in failure(put_back=command)["msg"]
    assert f"put it back on backup1 with: {command}" in failure(put_back=command, worker="backup1")["msg"]


class Client:
    """A worker that answers from a script."""

    def __init__(self, collected: dict[str, Any], uncollected: list[dict[str, Any]] | None = None) -> None:
        self.asked: list[tuple[str, dict[str, Any], Any]] = []
        self._answers = {
            "start": {"state": "started", "folder": "/var/lib/backstay/jobs/r", "uncollected": uncollected or []},
            "collect": collected,
        }

    def ask(self, command: str, request: dict[str, Any], secrets: dict[str, str] | None = None) -> dict[str, Any]:
        self.asked.append((command, request, secrets))
        return self._answers[command]


class Watch:
    def __init__(self, *_arguments: Any) -> None:
        pass

    def until_end(self) -> int:
        return 3


def follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: Client) -> dict[str, Any]:
    monkeypatch.setattr(job, "JobWatch", Watch)
    action = object.__new__(ActionModule)
    wanted = specification(arguments(run="run-00002"))
    return action._follow(client, wanted, arguments(records=str(tmp_path)), {"password": "hunter2"})  # type: ignore[arg-type]


def result(run: str, status: str = "ok") -> dict[str, Any]:
    return {"run": run, "host": "shop-db1", "status": status, "error": {"code": "x", "message": "m", "hint": ""}}


def test_a_job_is_started_watched_collected_and_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client({"done": True, "result": result("run-00002")})
    answer = follow(tmp_path, monkeypatch, client)
    assert (answer["changed"], answer["polls"], answer["result"]["run"]) == (True, 3, "run-00002")
    assert json.loads(Path(answer["record"]).read_text())["status"] == "ok"
    (start, collect) = client.asked
    assert start[0] == "start"
    assert start[2] == {"password": "hunter2"}
    assert "hunter2" not in json.dumps(start[1])
    assert collect[:2] == ("collect", {"run": "run-00002", "acknowledged": []})


def test_what_nobody_collected_is_recorded_before_it_is_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(job, "say_now", said.append)
    client = Client({"done": True, "result": result("run-00002")}, [result("run-00001", "failed")])
    follow(tmp_path, monkeypatch, client)
    assert json.loads((tmp_path / "shop-db1" / "run-00001.json").read_text())["status"] == "failed"
    assert client.asked[-1][1]["acknowledged"] == ["run-00001"]
    assert said == ["shop-db1: run run-00001 ended failed uncollected. m"]


def test_a_failed_job_is_recorded_and_fails_the_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = follow(tmp_path, monkeypatch, Client({"done": True, "result": result("run-00002", "failed")}))
    assert answer["failed"]
    assert json.loads((tmp_path / "shop-db1" / "run-00002.json").read_text())["status"] == "failed"


def test_a_job_without_an_end_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BackstayError, match="came to no end"):
        follow(tmp_path, monkeypatch, Client({"done": False, "result": None}))
