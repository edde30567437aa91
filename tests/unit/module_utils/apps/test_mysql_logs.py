# SPDX-License-Identifier: GPL-3.0-or-later
"""Log backups of MariaDB: what continues a set and what does not, which files are taken, where a replay begins and ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.apps.mysql import (
    binlog,
    history,
    inspection,
    logs,
    products,
    replay,
)
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput, IntegrityError
from hypothesis import given
from hypothesis import strategies as st
from unit.support.binlogs import BinaryLog


def server(folder: Path, first: int = 1, count: int = 3, server_id: str = "7", salt: int = 0) -> history.Server:
    """Write ``count`` files with two transactions each, the last one open, and return the server that has them."""
    files = []
    for number in range(first, first + count):
        begin, at = 2 * number, 1000 + 100 * number
        log = BinaryLog(created=at + salt).gtids((0, 7, begin)).commit(begin + 1, at + 1).commit(begin + 2, at + 2)
        path = log.write(folder / f"bin.{number:06d}", rotate=number < first + count - 1)
        files.append((path.name, path.stat().st_size))
    return history.Server(folder, server_id, files)


def data_at(sets: history.Server, name: str = "bin.000001", group: int = 1) -> dict[str, Any]:
    """Return the receipt of a full set that ends before a transaction of a file."""
    walk = binlog.Walk(sets.folder / name)
    for index, found in enumerate(walk.groups()):
        if index == group:
            gtid = str(walk.state)
            place = {"server_id": "7", "file": name, "position": found.begin, "gtid": gtid, "lsn": "5"}
            return {"set": "full", "kind": "full", "stream": {"id": "full"}, "position": {"not_after": place, "exact": True}}
    raise AssertionError("no such transaction")


def log_of(folder: Path, name: str) -> dict[str, Any]:
    """Return the receipt of a log set that ends with a closed file."""
    facts = logs.scan(folder / name)
    place = {"server_id": "7", "file": name, "position": facts["size"], "gtid": facts["end"]}
    place["fingerprint"] = history.fingerprint(folder / name)
    return {"set": "log", "kind": "log", "stream": {"id": "full"}, "position": {"not_after": place, "exact": True}}


def test_logs_continue_a_data_set_from_the_file_in_which_it_ends(tmp_path: Path) -> None:
    found = server(tmp_path)
    assert history.link({"data": data_at(found)}, found) == (history.Link("full", "full", "bin.000001"), "")


def test_logs_continue_the_newest_log_set_before_the_data(tmp_path: Path) -> None:
    found = server(tmp_path)
    newest = {"data": data_at(found, "bin.000003", 0), "log": log_of(tmp_path, "bin.000001")}
    assert history.link(newest, found)[0] == history.Link("full", "log", "bin.000002")


def test_without_a_full_set_there_is_nothing_to_continue(tmp_path: Path) -> None:
    for newest in (None, {}, {"log": {}}):
        assert history.link(newest, server(tmp_path)) == (None, "there is no full backup in the repository yet")


def test_what_was_found_damaged_is_not_continued(tmp_path: Path) -> None:
    found = server(tmp_path)
    assert history.link({"data": data_at(found), "broken": "damaged"}, found) == (None, "damaged")


@pytest.mark.parametrize(
    ("change", "because"),
    [
        ({"server_id": "8"}, "the server is another one (server_id 7 instead of 8)"),
        ({"file": "bin.000009"}, "bin.000009 is gone from the server (purged, or the logs were reset)"),
        ({"position": 99999}, "bin.000001 is shorter than it was"),
        ({"position": 10}, "shows GTID (none) where 0-7-3 is expected"),
        (
            {"gtid": "0-7-99"},
            "bin.000001 shows GTID 0-7-3 where 0-7-99 is expected (the logs were reset, or the server switched)",
        ),
    ],
)
def test_another_history_is_not_continued(tmp_path: Path, change: dict[str, Any], because: str) -> None:
    found = server(tmp_path)
    receipt = data_at(found)
    receipt["position"]["not_after"].update(change)
    joint, reason = history.link({"data": receipt}, found)
    assert joint is None
    assert because in reason


def test_a_server_without_a_binary_log_is_not_continued(tmp_path: Path) -> None:
    receipt = {"set": "full", "stream": {"id": "s"}, "position": {"not_after": {"server_id": "7"}, "exact": True}}
    assert history.link({"data": receipt}, server(tmp_path))[1] == "the binary log was off"


def test_a_second_server_with_the_same_identity_is_noticed(tmp_path: Path) -> None:
    """Same server id, same file names, same GTIDs - and other transactions."""
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    server(one)
    twin = server(other, salt=7)
    joint, reason = history.link({"data": data_at(twin, "bin.000003", 0), "log": log_of(one, "bin.000001")}, twin)
    assert joint == history.Link("full", "full", "bin.000003"), reason
    assert "is not the file that was backed up" in history.broken_because(
        twin, log_of(one, "bin.000001")["position"]["not_after"]
    )


def test_when_the_logs_in_between_were_purged_the_data_set_is_the_beginning(tmp_path: Path) -> None:
    whole = server(tmp_path)
    newest = {"data": data_at(whole, "bin.000003", 0), "log": log_of(tmp_path, "bin.000001")}
    (tmp_path / "bin.000002").unlink()
    purged = whole._replace(files=whole.files[2:])
    assert history.link(newest, purged)[0] == history.Link("full", "full", "bin.000003")


def test_a_purged_file_after_the_newest_log_set_breaks_the_chain(tmp_path: Path) -> None:
    whole = server(tmp_path)
    newest = {"data": data_at(whole), "log": log_of(tmp_path, "bin.000001")}
    assert "bin.000002 is gone" in history.link(newest, whole._replace(files=whole.files[2:]))[1]


@given(st.integers(1, 10**7), st.integers(4, 2**40), st.integers(1, 10**7), st.integers(4, 2**40))
def test_the_order_of_positions_is_the_order_of_their_text(one: int, at: int, other: int, where: int) -> None:
    first, second = history.order(f"bin.{one:06d}", at), history.order(f"bin.{other:06d}", where)
    assert (first < second) == ((one, at) < (other, where))


@pytest.mark.parametrize(("name", "after"), [("a-bin.000009", "a-bin.000010"), ("x.y.999999", "x.y.1000000"), ("none", "")])
def test_the_name_of_the_following_file(name: str, after: str) -> None:
    assert history.following(name) == after


# Which files are taken


def test_every_closed_file_is_proved_and_the_open_one_left(tmp_path: Path) -> None:
    found = server(tmp_path)
    files = logs.prove(found, "bin.000001")
    assert [item["name"] for item in files] == ["bin.000001", "bin.000002"]
    assert [(item["begin"], item["end"]) for item in files] == [("0-7-2", "0-7-4"), ("0-7-4", "0-7-6")]


def test_nothing_closed_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match=r"no closed binary log from bin\.000003 on"):
        logs.prove(server(tmp_path), "bin.000003")


def test_a_file_that_vanishes_between_listing_and_reading_is_an_error(tmp_path: Path) -> None:
    found = server(tmp_path)
    (tmp_path / "bin.000002").unlink()
    with pytest.raises(IntegrityError, match=r"bin\.000002 vanished"):
        logs.prove(found, "bin.000001")


def test_a_gap_of_gtids_between_files_is_an_error(tmp_path: Path) -> None:
    found = server(tmp_path)
    server(tmp_path, first=2, count=2)
    BinaryLog().gtids((0, 7, 9)).commit(10, 2000).write(tmp_path / "bin.000002")
    sizes = [(name, (tmp_path / name).stat().st_size) for name, _size in found.files]
    with pytest.raises(IntegrityError, match=r"bin\.000002 does not continue bin\.000001"):
        logs.prove(found._replace(files=sizes), "bin.000001")


def damage(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-30] ^= 1
    path.write_bytes(raw)


def test_a_damaged_file_before_the_newest_data_costs_only_the_moments_between(tmp_path: Path) -> None:
    found = server(tmp_path, count=4)
    newest = {"data": data_at(found, "bin.000003", 0), "log": log_of(tmp_path, "bin.000001")}
    damage(tmp_path / "bin.000002")
    joint, files, warning = logs.collect(found, history.Link("full", "log", "bin.000002"), newest)
    assert joint == history.Link("full", "full", "bin.000003")
    assert [item["name"] for item in files] == ["bin.000003"]
    assert "bin.000002 is damaged at position" in warning and "are lost" in warning


def test_a_damaged_file_after_the_newest_data_is_an_error(tmp_path: Path) -> None:
    found = server(tmp_path)
    newest = {"data": data_at(found)}
    damage(tmp_path / "bin.000002")
    with pytest.raises(IntegrityError, match=r"bin\.000002 is damaged at position"):
        logs.collect(found, history.Link("full", "full", "bin.000001"), newest)


# Positions that an operator names


@pytest.mark.parametrize("text", ["gtid:", "gtid:0-7", "gtid:0-7-1,1-7-1", "bin.000001", "bin:7", "bin.000001:x", "", "0-7-1"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        logs.parse_position(text)


@pytest.mark.parametrize(
    ("position", "covered"),
    [("gtid:0-7-6", True), ("gtid:0-7-7", False), ("gtid:1-7-1", False), ("bin.000002:4", True), ("bin.000003:4", False)],
)
def test_a_set_covers_the_positions_up_to_its_end(position: str, covered: bool) -> None:
    assert logs.covers(position, {"mark": "0-7-6", "last": history.order("bin.000002", 700)}) is covered
    assert logs.covers(position, {}) is False


# Replay


def landed(folder: Path) -> list[Path]:
    """Return two folders as sets leave them, one file in both."""
    server(folder, count=3)
    for name, files in {"set1": ["bin.000001", "bin.000002"], "set2": ["bin.000002", "bin.000003"]}.items():
        (folder / name).mkdir()
        for file in files:
            (folder / name / file).write_bytes((folder / file).read_bytes())
    return [folder / "set1", folder / "set2"]


def test_files_of_overlapping_sets_are_replayed_once_and_in_order(tmp_path: Path) -> None:
    paths = replay.files_in_order(landed(tmp_path))
    assert [path.name for path in paths] == ["bin.000001", "bin.000002", "bin.000003"]


def test_a_missing_file_between_sets_is_an_error(tmp_path: Path) -> None:
    folders = landed(tmp_path)
    for folder in folders:
        (folder / "bin.000002").unlink()
    with pytest.raises(IntegrityError, match=r"bin\.000002 is missing between the sets"):
        replay.files_in_order(folders)


def test_what_is_no_binary_log_is_an_error(tmp_path: Path) -> None:
    folders = landed(tmp_path)
    (folders[0] / "bin.000004").symlink_to("/etc/shadow")
    with pytest.raises(IntegrityError, match="is no binary log"):
        replay.files_in_order(folders)


def test_a_replay_begins_where_the_data_ends(tmp_path: Path) -> None:
    paths = replay.files_in_order(landed(tmp_path))
    place = data_at(history.Server(tmp_path, "7", []), "bin.000002")["position"]["not_after"]
    found, before = replay.from_position(paths, place)
    assert [path.name for path in found] == ["bin.000002", "bin.000003"] and before == ""
    with pytest.raises(IntegrityError, match="shows GTID"):
        replay.from_position(paths, dict(place, gtid="0-7-99"))
    with pytest.raises(IntegrityError, match=r"do not begin at bin\.000000"):
        replay.from_position(paths, dict(place, file="bin.000000"))


def test_positions_given_to_the_tool_belong_to_the_first_and_the_last_file(tmp_path: Path) -> None:
    paths = [tmp_path / "bin.000001", tmp_path / "bin.000002"]
    for path in paths:
        path.write_bytes(bytes(1000))
    argv = replay.replay_argv(products.MARIADB, paths, 400, replay.Stop("bin.000002", 777, "0-7-5", 0))
    assert argv[-3:] == ["--", *map(str, paths)]
    whole = replay.replay_argv(products.MARIADB, paths, 400, replay.Stop("bin.000002", 1000, "0-7-5", 0))
    assert not [word for word in whole if "stop" in word], "a stop behind the last event is never reached"
    assert {"--verify-binlog-checksum", "--start-position=400", "--stop-position=777"} <= set(argv)
    assert not [word for word in argv if "datetime" in word]


def test_the_goal_decides_where_the_replay_ends(tmp_path: Path) -> None:
    paths = replay.files_in_order(landed(tmp_path))
    assert replay.find_stop(paths, 4, None, None).state == "0-7-8"
    assert replay.find_stop(paths, 4, "1970-01-01T00:20:02.500000Z", None).state == "0-7-5"  # 1202 s: the second of 0-7-6
    assert replay.find_stop(paths, 4, None, "gtid:0-7-6").state == "0-7-6"
    with pytest.raises(BadInput, match="lies before the data"):
        replay.find_stop(paths[1:], 9999, None, f"bin.000002:{BinaryLog().gtids((0, 7, 4)).end}")


# Which kind a backup becomes


@pytest.mark.parametrize("kind", ["log", "incremental"])
def test_a_chain_that_is_broken_makes_a_full_backup_and_says_why(kind: str) -> None:
    off = {"log_bin": "OFF"}
    check, facts = inspection.choose_kind({"kind": kind, "newest": None}, off)
    assert check and check["status"] == "warning"
    assert facts["kind"] == "full"
    assert f"{kind} was asked for, a full backup is made: the binary log is off" in facts["because"]
    check, facts = inspection.choose_kind({"kind": kind, "newest": None, "full_when_broken": False}, off)
    assert check and check["status"] == "failed"


def test_an_incremental_continues_the_data_and_a_log_continues_the_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = server(tmp_path)
    monkeypatch.setattr(inspection, "read_server", lambda _options: found)
    newest = {"data": data_at(found), "log": log_of(tmp_path, "bin.000001")}
    _check, facts = inspection.choose_kind({"kind": "incremental", "newest": newest}, {"log_bin": "ON"})
    assert facts == {"kind": "incremental", "parent": "full", "parent_lsn": "5"}
    check, facts = inspection.choose_kind({"kind": "log", "newest": newest}, {"log_bin": "ON"})
    assert check and check["detail"] == "continues set log"
    assert facts == {"kind": "log", "log_bytes": found.files[1][1] + found.files[2][1]}
