# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.apps.mysql import binlog, gtids
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput, IntegrityError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.support.binlogs import BinaryLog

# Three transactions at the seconds 1010, 1020, 1030 and two more in the next file.
FIRST = BinaryLog().gtids((0, 7, 4)).commit(5, 1010).commit(6, 1020).commit(7, 1030)
SECOND = BinaryLog(created=1040).gtids((0, 7, 7)).commit(8, 1040).commit(9, 1050)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    FIRST.write(tmp_path / "bin.000001", rotate=False)
    SECOND.write(tmp_path / "bin.000002", rotate=False)
    return [tmp_path / "bin.000001", tmp_path / "bin.000002"]


@pytest.mark.parametrize("checksums", [True, False])
def test_facts_of_a_closed_file(tmp_path: Path, checksums: bool) -> None:
    log = BinaryLog(checksums).gtids((0, 7, 4), (1, 8, 2)).commit(5, 1010).commit(3, 1020, domain=1, server=8)
    path = log.write(tmp_path / "bin.000001")
    found = binlog.scan(path)
    assert found == {
        "name": "bin.000001",
        "size": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "server_id": 7,
        "begin": "0-7-4,1-8-2",
        "end": "0-7-5,1-8-3",
        "groups": 2,
        "first_at": 1010,
        "last_at": 1020,
        "closed_at": 2000000000,
        "backwards": False,
        "disordered": False,
        "load_data": False,
    }


def test_a_file_whose_server_died_is_read_like_any_other(tmp_path: Path) -> None:
    path = BinaryLog(in_use=True).gtids().commit(1, 1010).write(tmp_path / "bin.000001", rotate=False)
    assert (binlog.scan(path)["closed_at"], binlog.scan(path)["end"]) == (0, "0-7-1")


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_changed_byte_is_noticed(tmp_path: Path, data: st.DataObject) -> None:
    path = BinaryLog().gtids((0, 7, 4)).commit(5, 1010).commit(6, 1020).write(tmp_path / "bin.000001")
    raw = bytearray(path.read_bytes())
    # The flag that says a file is open is left out of its checksum by the server itself.
    position = data.draw(st.integers(0, len(raw) - 1).filter(lambda index: index != 4 + 17))
    raw[position] ^= data.draw(st.integers(1, 255))
    path.write_bytes(raw)
    with pytest.raises((IntegrityError, BadInput)):
        binlog.scan(path)


@given(st.integers(5, SECOND.end - 1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_cut_file_is_noticed_unless_the_cut_lies_between_events(tmp_path: Path, length: int) -> None:
    path = tmp_path / "cut.000001"
    path.write_bytes(SECOND.raw[:length])
    whole = SECOND.write(tmp_path / "whole.000001", rotate=False)
    ends = {event.end for event in binlog.events(whole)}
    if length in ends:
        assert [event.end for event in binlog.events(path)][-1] == length
    else:
        with pytest.raises(IntegrityError, match="ends within an event"):
            list(binlog.events(path))


def test_an_encrypted_or_foreign_file_is_refused(tmp_path: Path) -> None:
    path = BinaryLog().encrypted().write(tmp_path / "bin.000001")
    with pytest.raises(BadInput, match="is encrypted"):
        binlog.scan(path)
    path.write_bytes(b"\xfdbin....")
    with pytest.raises(BadInput, match="that can be read"):
        binlog.scan(path)


def test_a_clock_that_goes_back_is_told(tmp_path: Path) -> None:
    """A statement that began after its file was closed: only a clock does that. Overlapping statements are no such thing."""
    path = BinaryLog(closed=1020).gtids().commit(1, 1010).commit(2, 1050).commit(3, 1015).write(tmp_path / "bin.000001")
    assert binlog.scan(path)["backwards"]
    path = BinaryLog(closed=1060).gtids().commit(1, 1010).commit(2, 1050).commit(3, 1015).write(tmp_path / "bin.000002")
    assert not binlog.scan(path)["backwards"]


def test_doubtful_logs_are_told(tmp_path: Path) -> None:
    path = BinaryLog().gtids().commit(2, 1010).commit(1, 1011, server=8).write(tmp_path / "bin.000001")
    assert binlog.scan(path)["disordered"] and not binlog.scan(path)["load_data"]
    path = BinaryLog().gtids().commit(1, 1010).load_data().commit(2, 1011).write(tmp_path / "bin.000002")
    assert binlog.scan(path)["load_data"] and not binlog.scan(path)["disordered"]


def test_the_state_at_every_boundary(files: list[Path]) -> None:
    expected = ["0-7-4", "0-7-5", "0-7-6"]
    assert [binlog.state_at(files[0], mark) for mark in FIRST.marks] == expected
    assert binlog.state_at(files[0], FIRST.end) == "0-7-7"
    assert binlog.state_at(files[0], FIRST.marks[1] + 1) is None
    assert binlog.state_at(files[0], FIRST.end + 1) is None


def test_what_lies_behind_a_position_is_not_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "bin.000001"
    path.write_bytes(FIRST.raw + b"half an event")
    assert binlog.state_at(path, FIRST.end) == "0-7-7"


@pytest.mark.parametrize(
    ("second", "file", "mark", "state"),
    [
        (1005, 0, 0, "0-7-4"),
        (1010, 0, 0, "0-7-4"),  # the second of a commit is left out as a whole
        (1011, 0, 1, "0-7-5"),
        (1030, 0, 2, "0-7-6"),
        (1031, 1, 0, "0-7-7"),
        (1050, 1, 1, "0-7-8"),
    ],
)
def test_a_replay_stops_before_the_second(files: list[Path], second: int, file: int, mark: int, state: str) -> None:
    found = binlog.stop_before_second(files, 4, second)
    assert (found.file, found.position) == (files[file].name, [FIRST, SECOND][file].marks[mark])
    assert found.state == state


def test_a_second_after_all_is_the_end(files: list[Path]) -> None:
    found = binlog.stop_before_second(files, 4, 9999)
    assert found == binlog.stop_of(files) == binlog.Stop("bin.000002", SECOND.end, "0-7-9", 1050)


def test_what_lies_before_the_start_is_no_stop(files: list[Path]) -> None:
    assert binlog.stop_before_second(files, FIRST.marks[2], 1010).position == FIRST.marks[2]


def test_a_moment_that_the_clock_passed_twice_is_refused(tmp_path: Path) -> None:
    log = BinaryLog(closed=1020).gtids().commit(1, 1010).commit(2, 1030).commit(3, 1015)
    path = log.write(tmp_path / "bin.000001")
    with pytest.raises(BadInput, match="clock of the server went back in bin") as refused:
        binlog.stop_before_second([path], 4, 1012)
    assert f"backstay_position=bin.000001:{log.marks[1]}" in refused.value.hint
    assert binlog.stop_before_second([path], 4, 1010).state == ""


def test_statements_that_overlap_are_no_riddle(tmp_path: Path) -> None:
    """A statement that waited for a lock is logged behind younger ones; what was committed after the moment is left out."""
    path = BinaryLog(closed=1060).gtids().commit(1, 1010).commit(2, 1013).commit(3, 1011).write(tmp_path / "bin.000001")
    found = binlog.stop_before_second([path], 4, 1012)
    assert (found.state, found.overtaken) == ("0-7-1", 1)
    assert binlog.stop_before_second([path], 4, 1014).overtaken == 0


@pytest.mark.parametrize(("sequence", "file", "end"), [(5, 0, FIRST.marks[1]), (7, 0, FIRST.end), (9, 1, SECOND.end)])
def test_a_replay_ends_with_a_transaction(files: list[Path], sequence: int, file: int, end: int) -> None:
    found = binlog.stop_after_gtid(files, 4, (0, 7, sequence))
    assert (found.file, found.position, found.state) == (files[file].name, end, f"0-7-{sequence}")


@pytest.mark.parametrize(("start", "sequence"), [(4, 3), (4, 10), (FIRST.marks[1], 5)])
def test_a_transaction_that_the_logs_do_not_hold_is_refused(files: list[Path], start: int, sequence: int) -> None:
    with pytest.raises(BadInput, match="do not hold transaction"):
        binlog.stop_after_gtid(files, start, (0, 7, sequence))


def test_a_position_has_to_lie_between_transactions(files: list[Path]) -> None:
    found = binlog.stop_at_position(files, "bin.000001", FIRST.marks[1])
    assert (found.position, found.state) == (FIRST.marks[1], "0-7-5")
    assert binlog.stop_at_position(files, "bin.000002", SECOND.end).state == "0-7-9"
    inside = next(event.end for event in binlog.events(files[0]) if event.begin == FIRST.marks[0])
    for position in (FIRST.marks[1] + 1, inside, 99999):
        with pytest.raises(BadInput, match="no transaction ends at position"):
            binlog.stop_at_position(files, "bin.000001", position)
    with pytest.raises(BadInput, match=r"do not hold bin\.000009"):
        binlog.stop_at_position(files, "bin.000009", 4)


@given(st.dictionaries(st.integers(0, 9), st.tuples(st.integers(1, 99), st.integers(0, 2**63)), max_size=4))
def test_states_are_spelled_and_read_back(state: dict[int, tuple[int, int]]) -> None:
    found = gtids.parse_gtids(str(gtids.MariadbGtids(state)))
    assert isinstance(found, gtids.MariadbGtids) and found.domains == state


@pytest.mark.parametrize("text", ["0-7", "a-b-c", "0-7--1", "3E11FA47:1-5", "3e11fa47-71ca-11e1-9e33-c80aa9429562:tag:1"])
def test_what_is_no_gtid_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="is not a "):
        gtids.parse_gtids(text)
