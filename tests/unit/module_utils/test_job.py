# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.backstay.fleet.plugins.module_utils.job import JOB_SCHEMA, STEP_ARGUMENTS, step_type, validate_job
from ansible_collections.backstay.fleet.plugins.module_utils.worker.steps import STEPS

CAPTURE = {"name": "Take it", "capture": {"artifact": "data", "argv": ["tool"], "proof": {"exit": 0}}}
LAND = {"name": "Bring it", "land": {"artifact": "data", "kinds": ["full"], "into": "/srv/x", "unpack": ["tar", "-x"]}}


def job(**changes: Any) -> dict[str, Any]:
    specification: dict[str, Any] = {
        "schema": "backstay.job/1",
        "run": "20261121T090000Z-mysql-1a2b",
        "action": "backup",
        "app": "mysql",
        "host": "shop-db1",
        "source": "shop-db1",
        "kind": "full",
        "set": "20261121T090000Z-1a2b3c4d",
        "transport": "stream",
        "resource": "mysql:/var/lib/mysql",
        "repository": {"name": "shop-db1", "directory": "/etc/backstay/repositories/shop-db1"},
        "stall_timeout": 900,
        "facts": {},
        "steps": [copy.deepcopy(CAPTURE)],
    }
    specification.update(changes)
    return {key: value for key, value in specification.items() if value is not None}


def test_a_complete_backup_is_valid() -> None:
    validate_job(job())


def test_a_complete_restore_is_valid() -> None:
    validate_job(job(action="restore", plan="ab" * 32, steps=[LAND], kind=None, set=None, transport=None))


@pytest.mark.parametrize("name", JOB_SCHEMA["required"])
def test_every_missing_part_is_named(name: str) -> None:
    with pytest.raises(BadInput, match=rf"job\.{name} is missing"):
        validate_job(job(**{name: None}))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"kind": None}, "a backup job needs kind"),
        ({"set": None, "transport": None}, "a backup job needs set, transport"),
        ({"action": "restore", "steps": [LAND]}, "a restore job needs plan"),
        ({"action": "verify", "steps": [LAND]}, "a verify job needs plan"),
        ({"steps": [{"name": "x", "command": {"argv": ["true"]}}]}, "must capture something"),
        ({"steps": [CAPTURE, CAPTURE]}, "two steps take the same artifact: data"),
        ({"kind": "log"}, "a log set has one artifact, 'logs', and this one would have: data"),
        ({"steps": []}, "at least 1 item"),
        ({"steps": [{"name": "x"}]}, "must have exactly one type, has: none"),
        ({"steps": [dict(CAPTURE, command={"argv": ["true"]})]}, "exactly one type, has: capture, command"),
        ({"steps": [{"name": "x", "sing": {}}]}, "sing is not known here"),
        ({"steps": [{"name": "x", "command": {}}]}, "command.argv is missing"),
        ({"steps": [{"name": "x", "command": {"argv": []}}]}, "at least 1 item"),
        ({"steps": [{"name": "x", "command": {"argv": ["a"], "proof": {"stderr": "x"}}}]}, "proof.stderr is not known"),
        ({"steps": [{"name": "x", "service": {"name": "db", "state": "stoped"}}]}, "must be one of: started, stopped"),
        ({"steps": [{"name": "x", "swap": {"target": "srv", "landing": "/x"}}]}, "swap.target is 'srv'"),
        ({"run": "../../etc/passwd"}, "job.run is"),
        ({"run": "20261121T090000Z-mysql-1\n"}, "job.run is"),
        ({"app": "mysql; rm"}, "job.app is"),
        ({"stall_timeout": "900"}, "stall_timeout must be number, not str"),
        ({"plan": "abc"}, "job.plan is"),
        ({"password": "hunter2"}, "job.password is not known here"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence.replace(".", r"\.").replace("[", r"\[")):
        validate_job(job(**changes))


def test_artifact_names_make_file_names() -> None:
    for name in ("../x", "Data", "a/b", "", "data\n", "1st"):
        step = copy.deepcopy(CAPTURE)
        step["capture"]["artifact"] = name  # type: ignore[index]
        with pytest.raises(BadInput, match="artifact"):
            validate_job(job(steps=[step]))


def test_each_step_type_has_one_function() -> None:
    assert set(STEP_ARGUMENTS) == set(STEPS)


def test_every_step_type_refuses_unknown_arguments_and_demands_its_own() -> None:
    for name, schema in STEP_ARGUMENTS.items():
        assert schema["additionalProperties"] is False, name
        assert schema["required"], name
        assert set(schema["required"]) <= set(schema["properties"]), name


def test_step_type_is_the_one_key_beside_the_name() -> None:
    assert step_type({"name": "x", "land": {}}) == "land"


FAR = {"name": "ssh", "address": "erp", "account": "oracle", "access": "/etc/x", "directory": "/u03/x"}


@pytest.mark.parametrize("account", [None, "oracle"])
def test_a_command_runs_through_an_executor_as_the_account_that_logs_in(account: str | None) -> None:
    step = {"name": "Freeze", "command": {"argv": ["freeze"], **({"account": account} if account else {})}}
    verify = {"action": "verify", "plan": "ab" * 32, "kind": None, "set": None, "transport": None}
    validate_job(job(**verify, steps=[step], executor=FAR))
    step["command"]["account"] = "root"
    with pytest.raises(BadInput, match="step 'Freeze' runs as root, the worker logs in as oracle"):
        validate_job(job(**verify, steps=[step], executor=FAR))
    validate_job(job(**verify, steps=[step]))
