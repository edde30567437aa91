# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as Tree

import jsonschema
import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.errors import IntegrityError
from ansible_collections.backstay.fleet.plugins.module_utils.results import (
    EXIT,
    RESULTS_SCHEMA,
    STATUSES,
    case,
    document,
    junit,
)
from hypothesis import given
from hypothesis import strategies as st
from unit.support.junit import problems_of

BEGAN, ENDED = "2026-11-21T09:00:00.000000Z", "2026-11-21T09:05:00.000000Z"
JOB = {
    "run": "20261121T090000Z-mysql-1",
    "set": "20261121T090000Z-0a1b2c3d",
    "action": "backup",
    "kind": "full",
    "bytes": 1234,
    "consistent_at": ENDED,
    "position": {"not": "wanted"},
}
ERROR = {"code": "capture", "message": "mariadb-backup failed."}


def results(*cases: dict[str, Any], ended_at: str | None = ENDED) -> dict[str, Any]:
    return document("backup", False, BEGAN, list(cases), ended_at)


def suite(made: dict[str, Any]) -> Tree.Element:
    text = junit(made)
    assert problems_of(text) == []
    found = Tree.fromstring(text).find("testsuite")
    assert found is not None
    return found


def test_a_good_case_carries_what_the_job_said_and_no_more() -> None:
    made = case("shop-db1", "mysql", "ok", 12.34567, JOB)
    assert made == {
        "host": "shop-db1",
        "app": "mysql",
        "action": "backup",
        "status": "ok",
        "exit": 0,
        "seconds": 12.346,
        "run": JOB["run"],
        "set": JOB["set"],
        "kind": "full",
        "bytes": 1234,
        "consistent_at": ENDED,
        "error": None,
    }
    jsonschema.validate(results(made), RESULTS_SCHEMA)


@pytest.mark.parametrize("status", STATUSES)
def test_each_status_has_its_exit_and_its_element(status: str) -> None:
    error = None if status in ("ok", "skipped") else ERROR
    made = results(case("shop-db1", "mysql", status, 1, {}, error=error))
    assert made["exit"] == EXIT[status] == (0 if error is None else 4 if status == "unreachable" else 2)
    element = {"ok": None, "skipped": "skipped", "failed": "failure"}.get(status, "error")
    (found,) = suite(made).findall("testcase")
    assert [child.tag for child in found] == ([element] if element else [])


def test_the_worst_case_is_the_exit_of_the_run() -> None:
    states = ["ok", "failed", "unreachable", "skipped"]
    cases = [case(f"h{number}", "mysql", state, 1, {}, error=ERROR) for number, state in enumerate(states)]
    made = results(*cases)
    assert made["exit"] == 4
    found = suite(made)
    assert {name: found.get(name) for name in ("tests", "failures", "errors", "skipped", "time")} == {
        "tests": "4",
        "failures": "1",
        "errors": "1",
        "skipped": "1",
        "time": "4.000",
    }
    failure = found.find("testcase/failure")
    assert failure is not None
    assert (failure.get("type"), failure.get("message")) == ("capture", "mariadb-backup failed.")


def test_a_run_that_is_not_over_is_no_success() -> None:
    made = results(case("shop-db1", "mysql", "ok", 1, JOB), ended_at=None)
    assert (made["complete"], made["exit"], made["ended_at"]) == (False, None, None)
    assert suite(made).get("errors") == "1"


def test_a_run_without_hosts_is_no_success() -> None:
    made = results()
    assert made["exit"] == 4
    found = suite(made)
    assert (found.get("tests"), found.get("errors")) == ("1", "1")


def test_results_that_break_the_schema_are_never_written() -> None:
    with pytest.raises(IntegrityError, match=r"cases\[0\]\.bytes must be integer or null, not str"):
        results(case("shop-db1", "mysql", "ok", 1, dict(JOB, bytes="many")))


def test_credentials_in_a_message_are_masked() -> None:
    error = {"code": "repository", "message": "Fatal: rest:https://shop:hunter2@vault1:8000/ is not there"}
    assert "hunter2" not in junit(results(case("shop-db1", "mysql", "failed", 1, {}, error=error))).decode()


@given(host=st.text(min_size=1), message=st.text())
def test_any_name_and_any_message_make_valid_documents(host: str, message: str) -> None:
    made = results(case(host, "mysql", "failed", 1, {}, error={"code": "task", "message": message}))
    jsonschema.validate(made, RESULTS_SCHEMA)
    suite(made)
