# SPDX-License-Identifier: GPL-3.0-or-later
"""The callback in real runs of ansible-playbook on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Tree

import jsonschema
import pytest
import yaml
from ansible_collections.backstay.fleet.plugins.callback.results import NOT_WRITTEN_STATUS
from ansible_collections.backstay.fleet.plugins.module_utils.results import RESULTS_SCHEMA
from unit.support.junit import problems_of
from unit.support.sandbox import wait_until
from unit.support.steps import good

ROOT = Path(__file__).resolve().parents[2]
ANSIBLE = str(Path(sys.executable).parent / "ansible-playbook")
# A job in check mode reaches no host; the rest is what roles do around it.
JOB = {
    "action": "backup",
    "app": "{{ backstay_app }}",
    "host": "{{ inventory_hostname }}",
    "source": "{{ inventory_hostname }}",
    "kind": "full",
    "transport": "stream",
    "repository": {"name": "x", "directory": "/x"},
    "job": {"resource": "mysql:/x", "steps": [good()]},
    "records": "/nowhere",
}


class Stage:
    """A folder with an inventory, a play and results."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results, self.junit = folder / "out" / "results.json", folder / "out" / "junit.xml"
        hosts = {"db1": None, "db2": None}
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        inventory = {"all": {"vars": local}, "app_mysql": {"hosts": hosts}, "app_files": {"hosts": {"db2": None}}}
        (folder / "hosts.yml").write_text(yaml.safe_dump(inventory))

    def write(self, *tasks: dict[str, Any], name: str = "backup", **play: Any) -> None:
        """Write a play whose tasks are done for each app of each host, as roles/run does it."""
        (self.folder / "app.yml").write_text(yaml.safe_dump(list(tasks)))
        loop = "{{ group_names | select('match', '^app_') | map('regex_replace', '^app_', '') | sort }}"
        include = {
            "name": "Each app",
            "ansible.builtin.include_tasks": "app.yml",
            "loop": loop,
            "loop_control": {"loop_var": "backstay_app"},
        }
        whole = {"name": "Play", "hosts": "all", "gather_facts": False, "tasks": [include], **play}
        (self.folder / f"{name}.yml").write_text(yaml.safe_dump([whole]))

    def start(self, *options: str, name: str = "backup", **more: str) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_HOME": str(self.folder / "home"),
            "BACKSTAY_RESULTS": str(self.results),
            "BACKSTAY_JUNIT": str(self.junit),
            **more,
        }
        # A shell starts what runs in its background with SIGINT ignored, which would be inherited here.
        command = ["env", "--default-signal=INT", ANSIBLE, "-i", str(self.folder / "hosts.yml")]
        command += [str(self.folder / f"{name}.yml"), *options]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=environment)

    def run(self, *options: str, name: str = "backup", **more: str) -> tuple[int, str]:
        process = self.start(*options, name=name, **more)
        output, _nothing = process.communicate(timeout=150)
        return process.returncode, output

    def read(self) -> dict[str, Any]:
        """Return the results, after both files have proved to be valid and to agree."""
        found: dict[str, Any] = json.loads(self.results.read_text())
        jsonschema.validate(found, RESULTS_SCHEMA)
        text = self.junit.read_bytes()
        assert problems_of(text) == []
        if found["complete"] and found["cases"]:
            assert len(Tree.fromstring(text).findall("testsuite/testcase")) == len(found["cases"])
        return found


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def told(found: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(case["host"], case["app"], case["status"]) for case in found["cases"]]


def test_a_failed_app_and_the_one_after_it(stage: Stage) -> None:
    fail = {
        "name": "Fail",
        "ansible.builtin.fail": {"msg": "Disk full."},
        "when": "backstay_app == 'files'",
    }
    stage.write(fail, {"name": "Job", "backstay.fleet.job": JOB})
    status, output = stage.run("--check", "--limit", "db2")
    found = stage.read()
    assert told(found) == [("db2", "files", "failed"), ("db2", "mysql", "not-run")], output
    error = found["cases"][0]["error"]
    assert error["code"] == "task" and "Disk full." in error["message"]
    assert (found["complete"], found["check_mode"], found["playbook"]) == (True, True, "backup")
    assert found["exit"] == status == 2


def test_a_failure_that_is_ignored_is_none(stage: Stage) -> None:
    fail = {"name": "Fail", "ansible.builtin.fail": {"msg": "no matter"}, "ignore_errors": True}
    stage.write(fail, {"name": "Job", "backstay.fleet.job": JOB})
    status, _output = stage.run("--check", "--limit", "db1")
    assert status == 0
    assert told(stage.read()) == [("db1", "mysql", "skipped")]


def test_an_unreachable_host_is_an_error_of_each_app(stage: Stage) -> None:
    ping = {"name": "Ask", "ansible.builtin.ping": {}}
    stage.write({"name": "Job", "backstay.fleet.job": JOB}, pre_tasks=[ping])
    status, output = stage.run(
        "--check", "-e", "ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1", "--limit", "db2"
    )
    found = stage.read()
    assert told(found) == [("db2", "files", "unreachable"), ("db2", "mysql", "unreachable")], output
    assert found["exit"] == status == 4


def test_a_backup_that_ran_no_job_is_no_success(stage: Stage) -> None:
    stage.write({"name": "Job", "backstay.fleet.job": JOB})
    status, output = stage.run("--check", "--tags", "nothing")
    assert status == stage.read()["exit"] == 4, output
    stage.write({"name": "Say", "ansible.builtin.debug": {}})
    status, output = stage.run()
    assert status == 0, output
    found = stage.read()
    assert found["exit"] == 2
    assert told(found) == [("db1", None, "not-run"), ("db2", None, "not-run")]


def test_a_run_without_hosts_leaves_results_that_say_so(stage: Stage) -> None:
    stage.write({"name": "Job", "backstay.fleet.job": JOB}, hosts="nobody")
    status, output = stage.run()
    assert status == 4 and "No host was reached" in output
    found = stage.read()
    assert (found["exit"], found["cases"], found["complete"]) == (4, [], True)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_ended_leaves_no_success(stage: Stage, number: int) -> None:
    stage.results.parent.mkdir()
    stage.results.write_text('{"complete": true, "exit": 0}')
    # Long enough for the signal to come first; a killed run leaves it to its end. (A pause would take SIGINT for its own.)
    waiting = {"name": "Wait", "ansible.builtin.command": {"argv": ["sleep", "8"]}, "check_mode": False}
    stage.write({"name": "Job", "backstay.fleet.job": JOB}, waiting)
    process = stage.start("--check", "--limit", "db1", "-f", "1")
    wait_until(stage.junit.exists, what="the run has begun")
    stage.read()
    process.send_signal(number)
    process.communicate(timeout=20)
    found = stage.read()
    assert (found["complete"], found["exit"], found["ended_at"]) == (False, None, None)
    assert b"<error" in stage.junit.read_bytes()


def test_results_that_cannot_be_written_end_the_run_before_it_begins(stage: Stage) -> None:
    stage.write(
        {"name": "Touch", "ansible.builtin.file": {"path": str(stage.folder / "touched"), "state": "touch", "mode": "0600"}}
    )
    status, output = stage.run(BACKSTAY_RESULTS="/dev/null/results.json")
    assert status == NOT_WRITTEN_STATUS
    assert "The results cannot be written" in output
    assert not (stage.folder / "touched").exists()


def test_nothing_is_written_unless_asked_for(stage: Stage) -> None:
    stage.write({"name": "Say", "ansible.builtin.debug": {}}, name="sets")
    status, output = stage.run(name="sets", BACKSTAY_RESULTS="", BACKSTAY_JUNIT="")
    assert status == 0, output
    assert not stage.results.parent.exists()
    status, output = stage.run(name="sets", BACKSTAY_JUNIT="")
    assert status == 0, output
    assert [path.name for path in stage.results.parent.iterdir()] == ["results.json"]
    assert json.loads(stage.results.read_text())["exit"] == 0
