# SPDX-License-Identifier: GPL-3.0-or-later
"""Oracle: what a set continues, and what a restore may use. Pure functions over made-up dictionaries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.apps.oracle import (
    capture,
    checks,
    client,
    history,
    inspection,
    restore,
    target,
)
from ansible_collections.backstay.fleet.plugins.module_utils.apps.oracle.dictionary import Log, State, state_of
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput, CaptureFailed, IntegrityError, Refused
from hypothesis import given
from hypothesis import strategies as st

DATABASE = {"dbid": 7, "resetlogs": 100, "scn": 2000, "name": "ORCL"}


def log(sequence: int, available: bool = True) -> Log:
    return Log("1", sequence, sequence * 10, sequence * 10 + 10, available, f"/fra/{sequence}.arc", 1000)


def state(first: int, current: int, **changes: Any) -> State:
    logs = {sequence: log(sequence) for sequence in range(first, current)}
    return State({**DATABASE, **changes}, {"1": logs}, {"1": {"sequence": current, "first": current * 10}})


def receipt(sequence: int, kind: str = "full", **facts: Any) -> dict[str, Any]:
    place = {
        "dbid": 7,
        "resetlogs": 100,
        "scn": sequence * 10 + 10,
        "threads": {"1": {"sequence": sequence, "next": sequence * 10 + 10}},
    }
    return {
        "set": f"set-{kind}-{sequence}",
        "kind": kind,
        "stream": {"id": "s1"},
        "position": {"not_after": place},
        "facts": facts,
    }


# The link


def test_a_set_continues_the_newest_log_set_first() -> None:
    newest = {"data": receipt(20), "log": receipt(15, "log")}
    assert history.link(newest, state(10, 25)) == (history.Link("s1", "set-log-15", {"1": 16}), "")


def test_a_gap_after_the_log_set_falls_back_to_the_data_set() -> None:
    newest = {"data": receipt(20), "log": receipt(15, "log")}
    found, reason = history.link(newest, state(18, 25))
    assert found == history.Link("s1", "set-full-20", {"1": 21}) and reason == ""


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (state(10, 25, dbid=8), "another one (DBID 8 instead of 7)"),
        (state(1, 5, resetlogs=1500), "opened with RESETLOGS (at SCN 1500)"),
        (state(10, 25, scn=150), "set back (its SCN is 150, the set ends at 210)"),
        (state(10, 20), "set back (thread 1 writes log 20, 20 is backed up)"),
        (state(23, 25), "archived log 21 of thread 1 is gone"),
    ],
)
def test_a_broken_history_says_why(now: State, words: str) -> None:
    found, reason = history.link({"data": receipt(20)}, now)
    assert found is None and words in reason


def test_a_log_that_is_gone_from_the_disk_is_a_gap() -> None:
    now = state(10, 25)
    now.archived["1"][22] = log(22, available=False)
    assert "archived log 22 of thread 1 is gone" in history.link({"data": receipt(20)}, now)[1]


def test_the_same_number_with_other_redo_is_another_history() -> None:
    """A machine that was set back to a snapshot has the same DBID, names and numbers."""
    now = state(10, 25)
    now.archived["1"][20] = log(20)._replace(next=209)
    assert "ends at SCN 209, the one that was backed up at 210" in history.link({"data": receipt(20)}, now)[1]
    now.archived["1"][20] = log(20)
    now.archived["1"][21] = log(21)._replace(first=209)
    assert "begins at SCN 209, not at 210" in history.link({"data": receipt(20)}, now)[1]


def test_nothing_is_continued_without_a_full_set_or_after_a_break() -> None:
    assert history.link(None, state(1, 3))[1] == "there is no full backup in the repository yet"
    assert history.link({"data": receipt(20), "broken": "why"}, state(10, 25))[1] == "why"


def test_a_thread_that_came_or_went_breaks_the_history() -> None:
    now = state(10, 25)
    now.current["2"] = {"sequence": 3, "first": 240}
    assert "redo thread 2 is new" in history.link({"data": receipt(20)}, now)[1]


@given(st.integers(1, 30), st.integers(0, 30), st.sets(st.integers(1, 60)))
def test_what_follows_a_set_is_complete_or_refused(end: int, more: int, missing: set[int]) -> None:
    """A log set never begins behind a hole: either every log up to the open one is there, or there is no link."""
    now = state(1, end + 1 + more, scn=10_000)
    for sequence in missing & set(now.archived["1"]):
        del now.archived["1"][sequence]
    found, _reason = history.link({"data": receipt(end)}, now)
    needed = set(range(end + 1, end + 1 + more))
    assert (found is not None) == (needed <= set(now.archived["1"]))
    if found:
        assert found.first == {"1": end + 1}


# Which logs a data set takes (ORA-4)


def test_a_first_full_set_takes_every_log_that_is_there() -> None:
    assert history.first_to_take(state(10, 25), None) == {"1": 10}


def test_a_full_set_takes_what_is_not_offsite_yet() -> None:
    assert history.first_to_take(state(10, 25), history.Link("s", "p", {"1": 21})) == {"1": 21}


def test_a_full_set_begins_behind_a_hole() -> None:
    now = state(10, 25)
    now.archived["1"][22] = log(22, available=False)
    assert history.first_to_take(now, None) == {"1": 23}
    del now.archived["1"][24]
    assert history.first_to_take(now, None) == {"1": 25}, "the open log is always needed, and closed by the backup"


@pytest.mark.parametrize(("scn", "first"), [(250, 25), (249, 24), (240, 24), (215, 21)])
def test_a_data_set_takes_the_log_in_which_its_oldest_file_was_checkpointed(scn: int, first: int) -> None:
    assert history.reach_back(state(10, 25), {"1": 25}, scn) == {"1": first}


def test_a_data_set_whose_redo_is_gone_is_no_set() -> None:
    now = state(10, 25)
    now.archived["1"][23] = log(23, available=False)
    with pytest.raises(CaptureFailed, match="need redo from SCN 235 on, and archived log 23 of thread 1 is gone"):
        history.reach_back(now, {"1": 25}, 235)


def test_a_row_of_another_destination_makes_a_log_available() -> None:
    row = ["1", "5", "50", "60"]
    rows = [[*row, "A", "NO", "/gone", "10"], [*row, "A", "NO", "/there", "10"], [*row, "D", "YES", "", "10"]]
    answers = {"archived": rows, "online": [["1", "6", "60"]], "database": [["7", "ORCL", *[""] * 7, "2000", "100"]]}
    found = state_of(answers, lambda name: name == "/there")
    assert found.archived["1"][5].name == "/there" and found.archived["1"][5].available
    assert found.database["dbid"] == 7 and found.current == {"1": {"sequence": 6, "first": 60}}


# Level 1


def test_somebody_elses_backup_in_between_is_noticed() -> None:
    """The next level 1 would build on a backup that is not in the repository."""
    parent = receipt(20, files={"1": 150, "2": 160})
    assert history.foreign_base(parent, {"1": 150, "2": 160}) == ""
    assert history.foreign_base(parent, {"1": 150, "2": 160, "3": 190}) == "", "a new data file has a base of its own"
    assert "newer incremental backup of file 2 (SCN 170)" in history.foreign_base(parent, {"1": 150, "2": 170})
    assert "no longer knows the backup of file 2" in history.foreign_base(parent, {"1": 150})


# Which kind a backup becomes


@pytest.mark.parametrize("kind", ["log", "incremental"])
def test_what_cannot_go_on_becomes_a_full_backup_or_is_refused_with_the_reason(kind: str) -> None:
    """Also where other archived logs are there: preflight counts their bytes before it refuses."""
    server, gone, newest = client.Instance("ORCL", "/home", "oracle"), state(22, 25), {"data": receipt(20)}
    found = {"data_files": [["1", "/u02/system01.dbf", "100"]], "version": [["19"]], "pluggable": [], "keystore": []}
    check, chosen = inspection.choose_kind(server, {"kind": kind, "newest": newest}, gone)
    detail = f"{kind} was asked for, a full backup is made: archived log 21 of thread 1 is gone"
    assert check == {"name": "chain", "status": "warning", "detail": detail, "hint": ""}
    assert chosen == {"kind": "full", "because": detail, "first": {"1": 22}}
    check, chosen = inspection.choose_kind(server, {"kind": kind, "newest": newest, "full_when_broken": False}, gone)
    assert check and (check["status"], check["detail"]) == ("failed", "archived log 21 of thread 1 is gone")
    more = {"unique_name": "ORCL", "cdb": "NO"}
    facts = inspection.facts_of(found, gone._replace(database={**gone.database, **more}), {}, chosen, "UTC0")
    assert facts["log_bytes"] == 3000 and "kind" not in facts


# Stretches


def test_backed_up_logs_have_to_follow_each_other() -> None:
    ends = history.stretch([log(22), log(20), log(21), log(21)])
    assert (ends["1"]["first"].sequence, ends["1"]["last"].sequence) == (20, 22)
    place = history.end_of(DATABASE, ends)
    assert place == {"dbid": 7, "resetlogs": 100, "scn": 230, "threads": {"1": {"sequence": 22, "next": 230}}}
    assert history.begin_of(DATABASE, ends)["scn"] == 200
    with pytest.raises(IntegrityError, match="log 22 of thread 1 does not continue log 20"):
        history.stretch([log(20), log(22)])


@given(st.integers(0, 10**15), st.integers(0, 10**15))
def test_the_order_of_positions_is_the_order_of_scns(one: int, other: int) -> None:
    assert (history.order(one) < history.order(other)) == (one < other)


def test_a_position_is_reached_by_a_set_that_ends_at_or_after_it() -> None:
    summary = {"last": history.order(230)}
    assert history.covers("scn:230", summary) and not history.covers("scn:231", summary)
    for wrong in ("230", "scn:", "scn:-1", "gtid:0-1-2", "scn:1e3"):
        with pytest.raises(BadInput, match="is no position of an Oracle database"):
            history.covers(wrong, summary)


# Proof of what was captured (G-4)


def test_the_files_have_to_be_those_that_rman_wrote() -> None:
    folder = Path("/s/pieces")
    staged = [
        {"path": "/s/pieces/data_1", "bytes": 10},
        {"path": "/s/pieces/init.ora", "bytes": 5},
        {"path": "/s/manifest.json", "bytes": 9},
    ]
    capture.account_for(staged, folder, {"/s/pieces/data_1": 10})
    with pytest.raises(CaptureFailed, match="RMAN wrote /s/pieces/data_2, which is not there"):
        capture.account_for(staged, folder, {"/s/pieces/data_1": 10, "/s/pieces/data_2": 10})
    with pytest.raises(CaptureFailed, match="has 10 bytes, RMAN wrote 11"):
        capture.account_for(staged, folder, {"/s/pieces/data_1": 11})
    with pytest.raises(CaptureFailed, match="/s/pieces/data_1 was not written by this backup"):
        capture.account_for(staged, folder, {})


# Restores


def planned(**changes: Any) -> dict[str, Any]:
    stretch = {"id": "s1", "first": history.order(210), "last": history.order(210)}
    pieces = [{"name": name} for name in ("manifest", "data_1", "control_1", "current_1")]
    full = {"set": "f", "kind": "full", "stream": stretch, "facts": {"zone": "<+0330>-3:30", "dbid": 7}, "artifacts": pieces}
    logs = {"set": "l", "kind": "log", "stream": {"id": "s1", "first": history.order(200), "last": history.order(300)}}
    return {"receipts": [full, logs], "stop_at": None, "position": None, **changes}


def test_recovery_stops_at_the_end_of_the_last_set() -> None:
    assert restore.until_of(planned()).words() == "SCN 300"
    only = planned()
    only["receipts"].pop()
    assert restore.until_of(only).words() == "SCN 210"


def test_recovery_stops_before_the_second_of_the_moment_by_the_clock_of_the_source() -> None:
    found = restore.until_of(planned(stop_at="2026-11-21T09:00:00.900000Z"))
    assert found.time == "2026-11-21 12:30:00"


def test_recovery_stops_before_the_position() -> None:
    assert restore.until_of(planned(position="scn:250")).words() == "SCN 250"


def test_logs_that_do_not_continue_the_data_are_refused() -> None:
    plan = planned()
    plan["receipts"][1]["stream"]["first"] = history.order(211)
    with pytest.raises(IntegrityError, match="do not continue"):
        restore.until_of(plan)


def test_a_plan_that_cannot_be_followed_is_refused_while_planning() -> None:
    restore.judge(planned())
    restore.judge(planned(stop_at="2026-11-21T09:00:00.000000Z"))
    twice = planned(stop_at="2026-10-25T01:30:00.000000Z")
    twice["receipts"][0]["facts"]["zone"] = "CET-1CEST,M3.5.0,M10.5.0/3"
    with pytest.raises(BadInput, match="twice"):
        restore.judge(twice)
    with pytest.raises(BadInput, match="no position"):
        restore.judge(planned(position="gtid:0-1-2"))
    gap = planned()
    gap["receipts"][1]["stream"]["first"] = history.order(211)
    with pytest.raises(IntegrityError, match="do not continue"):
        restore.judge(gap)
    bare = planned(position="scn:250")
    bare["receipts"][0]["artifacts"].pop()
    with pytest.raises(IntegrityError, match="holds 0 pieces 'current'"):
        restore.judge(bare)


def test_the_control_file_is_never_younger_than_the_goal() -> None:
    assert restore.control_set(planned()) == "l"
    assert restore.control_set(planned(stop_at="2026-11-21T09:00:00.000000Z")) == "f"
    assert restore.control_set(planned(position="scn:250")) == "f"


FILES = {
    "DATAFILE": [["1", "/u02/system01.dbf", "5"], ["2", "/u02/seed/system01.dbf", "5"], ["3", "/u02/pdb1/x.dbf", "5"]],
    "TEMPFILE": [["3", "/u02/pdb2/x.dbf"]],
    "LOGFILE": [["1", "/u01/redo01.log"], ["1", "/u02/redo01.log"], ["2", "/u01/redo02.log"]],
}


def test_every_file_has_a_name_of_its_own_at_another_place() -> None:
    """CDB$ROOT, PDB$SEED and every PDB have a system01.dbf; members of a log group differ in their directories only."""
    found = {kind: [file.new for file in files] for kind, files in restore.moves(FILES, "/n").items()}
    assert found == {
        "DATAFILE": ["/n/1_system01.dbf", "/n/2_system01.dbf", "/n/3_x.dbf"],
        "TEMPFILE": ["/n/temp3_x.dbf"],
        "LOGFILE": ["/n/log1_1_redo01.log", "/n/log1_2_redo01.log", "/n/log2_1_redo02.log"],
    }


def test_without_a_directory_files_come_to_where_they_were() -> None:
    found = restore.moves(FILES, "")
    assert all(file.new == file.old for files in found.values() for file in files)


def test_two_files_never_come_to_one_place() -> None:
    with pytest.raises(Refused, match="two files of the database would come to /u01/redo"):
        restore.moves({**FILES, "TEMPFILE": [["1", "/u01/redo01.log"]]}, "")


@pytest.mark.parametrize(
    ("control_file", "stopped_early", "due"),
    [
        ("CURRENT", False, False),
        ("CURRENT", True, True),
        ("BACKUP", False, True),
        ("CREATED", False, True),
        ("BACKUP", True, True),
    ],
)
def test_resetlogs_only_when_due(control_file: str, stopped_early: bool, due: bool) -> None:
    assert restore.resetlogs_due(control_file, stopped_early) is due


# Checks with names (section 1)

ROW = {"name": "ORCL", "dbid": 7, "role": "PRIMARY", "open_mode": "READ WRITE", "log_mode": "ARCHIVELOG", "resetlogs": 100}


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (checks.archive_mode_check(ROW), "ok"),
        (checks.archive_mode_check({**ROW, "log_mode": "NOARCHIVELOG"}), "failed"),
        (checks.open_check({**ROW, "open_mode": "MOUNTED"}), "failed"),
        (checks.open_check({**ROW, "role": "PHYSICAL STANDBY", "open_mode": "READ ONLY"}), "failed"),
        (checks.archiver_check([["1", "VALID", "", "/fra"]]), "ok"),
        (checks.archiver_check([["1", "ERROR", "ORA-19809", "/fra"]]), "failed"),
        (checks.archiver_check([]), "failed"),
        (checks.recovery_area_check([["/fra", "100", "50", "0"]]), "ok"),
        (checks.recovery_area_check([["/fra", "100", "90", "0"]]), "warning"),
        (checks.recovery_area_check([["/fra", "100", "100", "60"]]), "ok"),
        (checks.recovery_area_check([["/fra", "100", "100", "0"]]), "failed"),
        (checks.recovery_area_check([]), "ok"),
        (checks.autobackup_check([["ON"]]), "ok"),
        (checks.autobackup_check([]), "warning"),
        (checks.keystore_check([["NOT_AVAILABLE", "UNKNOWN"]]), "ok"),
        (checks.keystore_check([["OPEN", "PASSWORD"]]), "ok"),
        (checks.keystore_check([["CLOSED", "UNKNOWN"]]), "failed"),
        (checks.record_check({"control_file_record_keep_time": "7"}), "ok"),
        (checks.record_check({"control_file_record_keep_time": "3"}), "warning"),
        (checks.nologging_check({"force_logging": "YES"}, []), "ok"),
        (checks.nologging_check({"force_logging": "NO"}, [["2"]]), "warning"),
        (checks.clock_check([["21-NOV-26"]], "UTC0"), "failed"),
        (checks.clock_check([["2001-01-01 00:00:00"]], "UTC0"), "failed"),
        (target.aside_check(["/u02/oradata/ORCL/control01.ctl", "/u02"]), "ok"),
        (target.aside_check(["/u02/oradata/ORCL/control01.ctl", "+DATA/ORCL/control02.ctl"]), "failed"),
        (target.owner_check(None, ROW), "warning"),
        (target.owner_check(ROW, ROW), "ok"),
        (target.owner_check({**ROW, "dbid": 8}, ROW), "failed"),
        (target.incarnation_check({**ROW, "resetlogs": 200}, ROW, False), "failed"),
        (target.incarnation_check({**ROW, "resetlogs": 200}, ROW, True), "warning"),
        (target.incarnation_check(ROW, ROW, False), "ok"),
        (target.incarnation_check(None, ROW, False), "warning"),
    ],
)
def test_every_precondition_is_a_check(found: dict[str, str], status: str) -> None:
    assert found["status"] == status
    assert found["name"] and found["detail"]
    assert status == "ok" or found["hint"] or "asked for" in found["detail"]
