# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that runs an entry, with a stand-in for ansible-playbook that says what it was given."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from unit.support.sandbox import wait_until

SCRIPT = Path(__file__).resolve().parents[3] / "roles/schedule/files/run_schedule.py"
# Says what it was given; {then} is what it does next.
PLAYBOOK = """#!{python}
import json, os, signal, sys, time
seen = {{"argv": sys.argv[1:], "cwd": os.getcwd(), "stdin": sys.stdin.read(), "environment": dict(os.environ)}}
json.dump(seen, open("seen.new", "w"))
os.rename("seen.new", "seen.json")
{then}
"""


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("backstay_run_schedule", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


run_schedule = load()


class Entry:
    """An entry in a folder of its own."""

    def __init__(self, folder: Path, then: str = "", **changes: Any) -> None:
        self.folder = folder
        program = folder / "ansible-playbook"
        program.write_text(PLAYBOOK.format(python=sys.executable, then=then))
        program.chmod(0o755)
        self.entry = {
            "name": "nightly",
            "argv": [str(program), "playbooks/backup.yml", "--limit=all"],
            "credentials": {},
            "directory": str(folder),
            "state": str(folder),
            "jitter": 0,
            "environment": {"ANSIBLE_NOCOLOR": "1"},
            **changes,
        }
        (folder / "nightly.json").write_text(json.dumps(self.entry))

    def start(self, **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(SCRIPT), str(self.folder / "nightly.json")]
        clean = {key: value for key, value in os.environ.items() if key != "CREDENTIALS_DIRECTORY"}
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**clean, **environment},
        )

    def run(self, **environment: str) -> tuple[int, str]:
        process = self.start(**environment)
        output, _nothing = process.communicate("an answer to a question that nobody may ask\n", timeout=30)
        return process.returncode, output

    def seen(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "seen.json").read_text()))

    def last(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "last.json").read_text()))


def test_a_run_is_told_where_it_is_and_asks_nothing(tmp_path: Path) -> None:
    entry = Entry(tmp_path)
    assert entry.run()[0] == 0
    seen = entry.seen()
    assert seen["argv"] == ["playbooks/backup.yml", "--limit=all"]
    assert seen["stdin"] == ""
    assert seen["cwd"] == str(tmp_path)
    assert seen["environment"]["ANSIBLE_NOCOLOR"] == "1"
    last = entry.last()
    assert (last["schema"], last["name"], last["exit"]) == ("backstay.schedule/1", "nightly", 0)
    assert last["started_at"] <= last["ended_at"]


@pytest.mark.parametrize(("then", "status"), [("sys.exit(2)", 2), ("os.kill(os.getpid(), signal.SIGKILL)", 137)])
def test_the_exit_status_is_kept(tmp_path: Path, then: str, status: int) -> None:
    entry = Entry(tmp_path, then)
    (tmp_path / "results.json").write_text("of the run before")
    assert entry.run()[0] == status == entry.last()["exit"]
    assert not (tmp_path / "results.json").exists()


def test_credentials_come_from_systemd_where_it_loaded_them(tmp_path: Path) -> None:
    (tmp_path / "loaded").mkdir()
    for path in ("loaded/vault-password", "loaded/ssh-key", "key", "vault"):
        (tmp_path / path).write_text("a secret")
    entry = Entry(tmp_path, credentials={"ssh-key": str(tmp_path / "key"), "vault-password": str(tmp_path / "vault")})
    entry.run()
    assert entry.seen()["argv"][2:] == ["--vault-password-file", f"{tmp_path}/vault", "--private-key", f"{tmp_path}/key"]
    loaded = tmp_path / "loaded"
    entry.run(CREDENTIALS_DIRECTORY=str(loaded))
    assert entry.seen()["argv"][2:] == [
        "--vault-password-file",
        f"{loaded}/vault-password",
        "--private-key",
        f"{loaded}/ssh-key",
    ]
    assert "a secret" not in json.dumps(entry.seen())


def test_a_second_run_does_not_start_while_the_first_is_at_work(tmp_path: Path) -> None:
    entry = Entry(tmp_path)
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        status, output = entry.run()
    assert status == run_schedule.STILL_RUNNING == 75
    assert "still at work" in output
    assert not (tmp_path / "seen.json").exists() and not (tmp_path / "last.json").exists()
    assert entry.run()[0] == 0


def test_a_request_to_end_reaches_the_playbook_and_is_kept(tmp_path: Path) -> None:
    entry = Entry(tmp_path, "time.sleep(60)")
    process = entry.start()
    wait_until((tmp_path / "seen.json").exists, what="the playbook runs")
    assert entry.last()["ended_at"] is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 143 == entry.last()["exit"]
    assert entry.last()["ended_at"]


def test_a_request_to_end_while_the_playbook_begins_reaches_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told: list[str] = []

    class Child:
        def __init__(self, *_arguments: object, **_more: object) -> None:
            signal.raise_signal(signal.SIGTERM)

        def terminate(self) -> None:
            told.append("end")

        def wait(self) -> int:
            return -signal.SIGTERM

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(run_schedule.subprocess, "Popen", Child)
    monkeypatch.setattr(run_schedule, "command", lambda _entry: ["true"])
    try:
        assert run_schedule.run({"directory": str(tmp_path), "environment": {}}) == 128 + signal.SIGTERM
    finally:
        signal.signal(signal.SIGTERM, before)
    assert told == ["end"]


def test_a_killed_run_has_no_end(tmp_path: Path) -> None:
    entry = Entry(tmp_path, "time.sleep(2)")
    process = entry.start()
    wait_until((tmp_path / "seen.json").exists, what="the playbook runs")
    process.kill()
    process.communicate(timeout=20)
    assert (entry.last()["ended_at"], entry.last()["exit"]) == (None, None)


@pytest.mark.parametrize("missing", ["entry", "credential"])
def test_what_cannot_be_read_is_said_and_nothing_runs(tmp_path: Path, missing: str) -> None:
    entry = Entry(tmp_path, credentials={"ssh-key": str(tmp_path / "absent")})
    if missing == "entry":
        (tmp_path / "nightly.json").write_text("{")
    status, output = entry.run()
    assert status == run_schedule.NOT_CONFIGURED
    assert "cannot be run" in output and "Traceback" not in output
    assert not (tmp_path / "seen.json").exists()


def test_wrong_use_is_said() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False)
    assert (done.returncode, "usage" in done.stderr) == (64, True)


def test_the_delay_stays_within_the_jitter_and_is_always_the_same() -> None:
    delays = [run_schedule.delay({"name": f"e{number}", "jitter": 600}) for number in range(50)]
    assert all(0 <= delay <= 600 for delay in delays)
    assert len(set(delays)) > 40
    assert delays[0] == run_schedule.delay({"name": "e0", "jitter": 600})
    assert run_schedule.delay({"name": "e0", "jitter": 0}) == 0
