# SPDX-License-Identifier: GPL-3.0-or-later
"""GTIDs and binary logs of MySQL: sets of ranges, and the events that hold them."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.apps.mysql import binlog, gtids, logs, replay
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput, IntegrityError
from hypothesis import given
from hypothesis import strategies as st
from unit.support.binlogs import MysqlBinaryLog

ONE, OTHER = "3e11fa47-71ca-11e1-9e33-c80aa9429562", "befd0efc-e601-11f1-b821-6aa61311904c"
numbers = st.sets(st.integers(1, 40), max_size=25)


@given(numbers, numbers)
def test_a_set_holds_exactly_what_was_added_whatever_the_order(one: set[int], other: set[int]) -> None:
    found = gtids.MysqlGtids()
    for number in [*one, *other]:
        found.add((ONE, number))
    assert {number for number in range(1, 41) if found.passed((ONE, number))} == one | other
    assert str(gtids.parse_gtids(str(found))) == str(found)
    ranges = found.ranges.get(ONE, [])
    assert all(before[1] + 1 < after[0] for before, after in itertools.pairwise(ranges)), "ranges touch"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (f"{ONE}:1-5:7", f"{ONE}:7:1-5", True),
        (f"{ONE}:1-5,\n{OTHER}:1", f"{OTHER}:1,{ONE.upper()}:1-5", True),
        (f"{ONE}:1-3:4-5", f"{ONE}:1-5", True),
        (f"{ONE}:1-5", f"{ONE}:1-6", False),
        ("", "", True),
        ("", f"{ONE}:1", False),
        ("0-7-1", "0-7-2", False),
    ],
)
def test_spellings_of_the_same_gtids(one: str, other: str, same: bool) -> None:
    assert gtids.same_gtids(one, other) is same


@pytest.mark.parametrize("text", [f"gtid:{ONE}:1-5", f"gtid:{ONE}", f"gtid:{ONE}:tag:5", f"gtid:{ONE}:1,{OTHER}:1", "gtid:x:1"])
def test_what_is_not_one_gtid_is_no_position(text: str) -> None:
    with pytest.raises(BadInput):
        logs.parse_position(text)


def test_a_gtid_of_mysql_is_a_position_and_covered_by_what_holds_it() -> None:
    assert logs.parse_position(f"gtid:{ONE}:26") == ("gtid", (ONE, 26))
    assert logs.covers(f"gtid:{ONE}:26", {"mark": f"{ONE}:1-26"})
    assert not logs.covers(f"gtid:{ONE}:26", {"mark": f"{ONE}:1-25,{OTHER}:1-99"})
    assert not logs.covers(f"gtid:{ONE}:26", {"mark": ""})


def test_a_file_of_mysql_is_read_like_any_other(tmp_path: Path) -> None:
    """The time of a transaction is that of its commit, which its event holds in microseconds."""
    log = MysqlBinaryLog().gtids({ONE: [(1, 4)], OTHER: [(1, 1), (3, 9)]}).commit(ONE, 5, 1010, committed=1012.9)
    path = log.commit(OTHER, 2, 1020, committed=1020.1).write(tmp_path / "bin.000001")
    found = binlog.scan(path)
    assert (found["begin"], found["end"]) == (f"{ONE}:1-4,{OTHER}:1:3-9", f"{ONE}:1-5,{OTHER}:1-9")
    assert (found["groups"], found["first_at"], found["last_at"], found["disordered"]) == (2, 1012, 1020, False)
    assert binlog.beginning_state(path) == found["begin"]
    assert binlog.state_at(path, log.marks[1]) == f"{ONE}:1-5,{OTHER}:1:3-9"
    assert binlog.stop_before_second([path], 4, 1020).position == log.marks[1]
    assert binlog.stop_after_gtid([path], 4, (ONE, 5)).position == log.marks[1]


@pytest.mark.parametrize(("kind", "because"), [(34, "without GTIDs"), (42, "tagged GTIDs")])
def test_transactions_that_prove_nothing_are_refused(tmp_path: Path, kind: int, because: str) -> None:
    path = MysqlBinaryLog().gtids({}).commit(ONE, 5, 1010, kind=kind).write(tmp_path / "bin.000001")
    with pytest.raises(BadInput, match=because):
        binlog.scan(path)


# A server that was restored has GTIDs from before its logs.


@given(numbers, numbers)
def test_what_the_logs_do_not_show_is_known(one: set[int], other: set[int]) -> None:
    def spelled(found: set[int]) -> str:
        made = gtids.MysqlGtids()
        for number in found:
            made.add((ONE, number))
        return str(made)

    found = gtids.unlogged(spelled(one), spelled(other))
    assert found == (spelled(one - other) if other <= one else None)
    assert gtids.of_other_servers(spelled(one), spelled(other)) == (not one or not other)
    if found is not None:
        assert gtids.same_gtids(gtids.joined(found, spelled(other)), spelled(one))


@pytest.mark.parametrize(
    ("data", "shown", "found"), [("0-7-3", "0-7-3", ""), ("0-7-3", "0-7-4", None), ("", "", ""), ("0-7-3", "", None)]
)
def test_mariadb_keeps_no_set_and_shows_all(data: str, shown: str, found: str | None) -> None:
    assert gtids.unlogged(data, shown) == found


def test_the_logs_of_a_restored_server_continue_its_data(tmp_path: Path) -> None:
    """Its first log begins with none of the GTIDs that it was restored with."""
    log = MysqlBinaryLog().gtids({}).commit(ONE, 1, 1010).commit(ONE, 2, 1020)
    path = log.write(tmp_path / "bin.000001")
    place = {"file": path.name, "position": log.marks[1], "gtid": f"{ONE}:1,{OTHER}:1-9"}
    assert replay.from_position([path], place) == ([path], f"{OTHER}:1-9")
    # Without what the log shows; with what it shows only later; with what it never shows of a server that it shows.
    for gtid in (f"{OTHER}:1-9", f"{ONE}:1-2,{OTHER}:1-9", f"{ONE}:1:7,{OTHER}:1-9"):
        with pytest.raises(IntegrityError, match="shows GTID"):
            replay.from_position([path], dict(place, gtid=gtid))
