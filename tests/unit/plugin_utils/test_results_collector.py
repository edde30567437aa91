# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.plugin_utils.results_collector import Collector, message_of

JOB = {"status": "ok", "run": "r1", "set": "20261121T090000Z-0a1b2c3d", "kind": "full", "bytes": 5}


def collector(playbook: str = "backup", **hosts: list[str]) -> Collector:
    made = Collector(playbook)
    for host, apps in hosts.items():
        made.expect(host, apps)
    return made


def told(made: Collector) -> list[tuple[Any, ...]]:
    return [(item["host"], item["app"], item["status"]) for item in made.cases()]


def test_a_job_that_ended_well() -> None:
    made = collector(db1=["mysql"])
    made.begin("db1", "mysql", 10.0)
    made.begin("db1", "mysql", 11.0)
    made.job_ended("db1", "mysql", {"result": JOB}, 15.5)
    (item,) = made.cases()
    assert (item["status"], item["set"], item["seconds"], item["error"]) == ("ok", JOB["set"], 5.5, None)


def test_a_failed_job_keeps_its_result_and_its_code() -> None:
    made = collector(db1=["mysql"])
    made.failed("db1", "mysql", {"msg": "Disk full.", "code": "space", "result": dict(JOB, status="failed")}, 3.0)
    (item,) = made.cases()
    assert (item["status"], item["run"], item["error"]) == ("failed", "r1", {"code": "space", "message": "Disk full."})


def test_a_failure_after_a_good_job_counts() -> None:
    made = collector(db1=["mysql"])
    made.job_ended("db1", "mysql", {"result": JOB}, 1.0)
    made.failed("db1", "mysql", {"msg": "The application is not back."}, 2.0)
    (item,) = made.cases()
    assert (item["status"], item["set"]) == ("failed", JOB["set"])


def test_check_mode_is_skipped() -> None:
    made = collector(db1=["mysql"])
    made.job_ended("db1", "mysql", {"steps": []}, 1.0)
    assert told(made) == [("db1", "mysql", "skipped")]


def test_apps_after_a_failed_one_were_not_run() -> None:
    made = collector(db1=["files", "mysql", "oracle"])
    made.job_ended("db1", "files", {"result": JOB}, 1.0)
    made.failed("db1", "mysql", {"msg": "no"}, 2.0)
    assert told(made) == [("db1", "files", "ok"), ("db1", "mysql", "failed"), ("db1", "oracle", "not-run")]


def test_a_failure_before_the_apps_is_each_apps_failure() -> None:
    made = collector(db1=["files", "mysql"], db2=[])
    made.failed("db1", None, {"msg": "no route"}, 1.0, "unreachable")
    made.failed("db2", None, {"msg": "no app"}, 1.0)
    assert told(made) == [("db1", "files", "unreachable"), ("db1", "mysql", "unreachable"), ("db2", None, "failed")]


def test_a_failure_outside_the_apps_after_all_jobs_is_not_lost() -> None:
    made = collector(db1=["mysql"])
    made.job_ended("db1", "mysql", {"result": JOB}, 1.0)
    made.failed("db1", None, {"msg": "post task"}, 2.0)
    assert told(made) == [("db1", "mysql", "ok"), ("db1", None, "failed")]


@pytest.mark.parametrize(
    ("playbook", "status"), [("backup", "not-run"), ("verify", "not-run"), ("sets", "ok"), ("offsite", "ok")]
)
def test_a_host_without_a_job_is_a_success_only_where_none_was_promised(playbook: str, status: str) -> None:
    assert told(collector(playbook, db1=["mysql"])) == [("db1", None, status)]


def test_cases_are_sorted() -> None:
    made = collector(db2=["mysql"], db1=["mysql"])
    for host in ("db2", "db1"):
        for app in ("mysql", "files"):
            made.job_ended(host, app, {"result": JOB}, 1.0)
    assert told(made) == sorted(told(made))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"msg": "one"}, "one"),
        ({"msg": "", "stderr": "two"}, "two"),
        ({"msg": "One or more items failed", "results": [{"msg": "fine"}, {"failed": True, "msg": "three"}]}, "three"),
        ({}, "the task failed without a message"),
    ],
)
def test_the_sentence_of_a_failure(answer: dict[str, Any], message: str) -> None:
    assert message_of(answer) == message
