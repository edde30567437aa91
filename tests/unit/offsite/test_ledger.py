# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

SCRIPT = Path(__file__).resolve().parents[3] / "roles/offsite/files/ledger.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("backstay_ledger", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ledger = load()


class Server:
    """Repositories, a ledger and a clock that the test moves."""

    def __init__(self, root: Path) -> None:
        self.repositories, self.ledgers = root / "repositories", root / "ledger"
        self.repositories.mkdir()
        self.ledgers.mkdir()
        self.now = 1_000_000.0

    def snapshot(self, user: str, number: int, size: int = 5) -> str:
        folder = self.repositories / user / "snapshots"
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{number:064x}"
        (folder / name).write_bytes(b"x" * size)
        os.utime(folder, (self.now, self.now))
        return name

    def look(self, after: float = 60.0) -> list[str]:
        self.now += after
        problems: list[str] = ledger.look_everywhere(self.repositories, self.ledgers, lambda: self.now)
        return problems

    def entries(self, user: str) -> list[dict[str, Any]]:
        path = self.ledgers / f"{user}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


def test_what_was_there_before_the_first_look_has_no_lower_bound(server: Server) -> None:
    name = server.snapshot("db1", 1, size=344)
    assert server.look() == []
    assert server.entries("db1") == [{"snapshot": name, "not_before": None, "not_after": server.now, "size": 344}]


def test_an_arrival_lies_between_two_looks(server: Server) -> None:
    server.snapshot("db1", 1)
    server.look()
    first = server.now
    name = server.snapshot("db1", 2)
    server.look()
    assert server.entries("db1")[1] == {"snapshot": name, "not_before": first, "not_after": first + 60, "size": 5}


def test_a_new_repository_is_bounded_by_the_last_listing(server: Server) -> None:
    server.look()
    before = server.now
    server.snapshot("new", 1)
    server.look()
    assert server.entries("new")[0]["not_before"] == before


def test_a_quiet_time_narrows_the_lower_bound(server: Server) -> None:
    server.snapshot("db1", 1)
    for _ in range(5):
        server.look()
    before = server.now
    server.snapshot("db1", 2)
    server.look()
    assert server.entries("db1")[1]["not_before"] == before


def test_each_snapshot_is_recorded_once_however_often_one_looks(server: Server) -> None:
    server.snapshot("db1", 1)
    for _ in range(3):
        server.look(after=0.5)
    (server.ledgers / "state.json").unlink()
    server.look()
    assert len(server.entries("db1")) == 1


def test_a_vanished_snapshot_stays_in_the_ledger(server: Server) -> None:
    name = server.snapshot("db1", 1)
    server.look()
    (server.repositories / "db1/snapshots" / name).unlink()
    server.look()
    assert len(server.entries("db1")) == 1


def test_uploads_under_way_and_other_files_do_not_count(server: Server) -> None:
    server.snapshot("db1", 1)
    folder = server.repositories / "db1/snapshots"
    (folder / ("a" * 64 + ".rest-server-temp123")).write_bytes(b"half")
    (folder / ("b" * 64)).mkdir()
    (folder / ("c" * 64)).symlink_to("/etc/passwd")
    (folder / ("D" * 64)).write_bytes(b"not an id")
    server.look()
    assert len(server.entries("db1")) == 1


def test_a_client_that_has_not_made_its_repository_yet_is_no_problem(server: Server) -> None:
    (server.repositories / "db1").mkdir()
    assert server.look() == []
    before = server.now
    server.snapshot("db1", 1)
    server.look()
    assert server.entries("db1")[0]["not_before"] == before


def test_a_clock_that_was_set_back_keeps_the_bounds_in_order(server: Server) -> None:
    server.snapshot("db1", 1)
    server.look()
    before = server.now
    server.snapshot("db1", 2)
    server.look(after=-500)
    assert server.entries("db1")[1]["not_before"] == before - 500
    assert server.entries("db1")[1]["not_after"] == before


def test_a_file_that_appears_in_the_same_clock_tick_is_found_later(server: Server) -> None:
    server.snapshot("db1", 1)
    server.look(after=0.1)
    name = server.snapshot("db1", 2)
    os.utime(server.repositories / "db1/snapshots", (server.now - 0.1, server.now - 0.1))
    server.look()
    assert server.entries("db1")[1]["snapshot"] == name


@given(cut=st.integers(min_value=1, max_value=150))
def test_a_line_a_crash_left_unfinished_is_written_again(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    server = Server(tmp_path_factory.mktemp("ledger"))
    names = [server.snapshot("db1", number) for number in range(3)]
    server.look()
    path = server.ledgers / "db1.jsonl"
    os.truncate(path, path.stat().st_size - cut)
    (server.ledgers / "state.json").unlink()
    server.look()
    assert sorted(entry["snapshot"] for entry in server.entries("db1")) == sorted(names)


def test_a_crash_between_ledger_and_state_records_nothing_twice(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.look()
    server.snapshot("db1", 1)

    def crash(_path: Path, _state: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "write_state", crash)
        with pytest.raises(KeyboardInterrupt):
            server.look()
    server.look()
    assert len(server.entries("db1")) == 1


def test_one_damaged_ledger_is_reported_and_the_others_go_on(server: Server) -> None:
    server.look()
    before = server.now
    for user in ("bad", "good"):
        server.snapshot(user, 1)
    (server.ledgers / "bad.jsonl").write_text("not json\n")
    problems = server.look()
    assert len(problems) == 1
    assert problems[0].startswith("bad: ")
    assert len(server.entries("good")) == 1
    (server.ledgers / "bad.jsonl").unlink()
    assert server.look() == []
    assert server.entries("bad")[0]["not_before"] == before


@pytest.fixture
def program(server: Server) -> Iterator[list[str]]:
    yield [sys.executable, "-I", str(SCRIPT), str(server.repositories), str(server.ledgers)]


def test_as_a_program(server: Server, program: list[str]) -> None:
    server.snapshot("db1", 1)
    assert subprocess.run(program, check=True, capture_output=True).stderr == b""
    assert (server.ledgers / "db1.jsonl").stat().st_mode & 0o777 == 0o600
    (server.ledgers / "db1.jsonl").write_text("{}\n")
    server.now += 1
    server.snapshot("db1", 2)
    done = subprocess.run(program, check=False, capture_output=True)
    assert done.returncode == 1
    assert done.stderr.startswith(b"ledger: db1: ")
    assert subprocess.run(program[:-1], check=False, capture_output=True).returncode == 2


def test_two_at_once_record_once(server: Server, program: list[str]) -> None:
    for number in range(50):
        server.snapshot("db1", number)
    running = [subprocess.Popen(program) for _ in range(4)]
    assert [process.wait() for process in running] == [0] * 4
    assert len(server.entries("db1")) == 50
