# SPDX-License-Identifier: GPL-3.0-or-later
"""Points in time of Oracle (its stand-in): full, level 1 and logs while a writer commits, all lost, exactly back (ORA-7)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from integration import apps
from lab_tools import oracle, repository
from lab_tools.fleet import CHECKOUT, OFFSITE, Fleet
from lab_tools.playbooks import Playbooks, Run
from lab_tools.waiting import seconds_pass, wait_until

pytestmark = pytest.mark.long  # in short the common round trip speaks for Oracle


class Timeline(NamedTuple):
    """What happened in the database: the sets in their order, and marks that a restore has to hit."""

    sets: dict[str, dict[str, Any]]
    between: oracle.Commit  # in the middle of the second log set, with commits on both sides of it
    pause: str  # a moment at which nothing was committed for a while
    before_pause: int


def back_up(playbooks: Playbooks, kind: str, **variables: Any) -> dict[str, Any]:
    return playbooks.run("backup", "--limit", oracle.HOST, backstay_kind=kind, **variables).demand().record


def restore(playbooks: Playbooks, **variables: Any) -> Run:
    return playbooks.run("restore", "--limit", oracle.HOST, backstay_confirm=oracle.HOST, **variables)


def some_commits(fleet: Fleet, count: int = 20) -> list[oracle.Commit]:
    """Wait until ``count`` more transactions were committed and return them."""
    before = oracle.commits(fleet)[-1].number
    wait_until(lambda: oracle.commits(fleet)[-1].number >= before + count, f"{count} commits")
    return [item for item in oracle.commits(fleet) if item.number > before]


@pytest.fixture(scope="module")
def timeline(fleet: Fleet, playbooks: Playbooks, need: Callable[..., None]) -> Timeline:
    """Make a full, a log, an incremental and two more logs while the application writes."""
    need(oracle.HOST)
    apps.load("oracle", fleet).repair()
    oracle.start_writer(fleet)
    sets = {"full": back_up(playbooks, "full"), "log1": back_up(playbooks, "log")}
    sets["incremental"] = back_up(playbooks, "incremental")
    middle = some_commits(fleet, 40)
    oracle.stop_writer(fleet)
    before_pause = oracle.check(fleet)["last_id"]
    pause = seconds_pass(1.5)
    oracle.transact(fleet, 5)
    sets["log2"] = back_up(playbooks, "log")
    return Timeline(sets, middle[len(middle) // 2], pause, before_pause)


def test_the_history_never_broke(timeline: Timeline, fleet: Fleet) -> None:
    assert [item["kind"] for item in timeline.sets.values()] == ["full", "log", "incremental", "log"]
    receipts = {name: repository.receipt(fleet, item["set"], oracle.HOST) for name, item in timeline.sets.items()}
    assert len({receipt["stream"]["id"] for receipt in receipts.values()}) == 1
    assert receipts["log1"]["stream"]["last"] == receipts["log2"]["stream"]["first"], "an incremental opens no gap"
    assert receipts["incremental"]["parent"] == timeline.sets["full"]["set"]
    assert all(receipts[name]["chain"] == [] for name in ("log1", "log2")), "receipts of logs do not grow"


def test_a_full_set_holds_everything_in_the_documented_order(timeline: Timeline, fleet: Fleet) -> None:
    """ORA-1 to ORA-6, decision 2: control file after the data files and again last; all uploaded in one snapshot."""
    receipt = repository.receipt(fleet, timeline.sets["full"]["set"], oracle.HOST)
    names = [item["name"].split("_")[0] for item in receipt["artifacts"]]
    assert {"manifest", "data", "control", "logs", "spfile", "init.ora", "orapw", "current"} <= set(names)
    events = [event["event"] for event in receipt["events"]]
    order = ["start backup", "Take the data files, level 0", "Take a control file", "Take the archived logs"]
    order += ["Take the parameter file", "Take the current control file, last", "upload", "end backup"]
    assert [event for event in events if event in order] == order
    assert len({item["snapshot"] for item in receipt["artifacts"]}) == 1 and receipt["transport"] == "stage"


def test_what_lies_behind_the_last_log_is_refused(timeline: Timeline, playbooks: Playbooks) -> None:
    scn = timeline.sets["log2"]["position"]["not_after"]["scn"]
    restore(playbooks, backstay_position=f"scn:{scn + 1}").refused("cannot be restored", "newest moment that can be restored")
    restore(playbooks, backstay_position="gtid:0-1-2").refused("is no position of an Oracle database")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    restore(playbooks, backstay_moment=now).refused(f"{now} cannot be restored", "earlier: 20", "there is nothing later")


def test_everything_is_lost_and_a_point_between_two_commits_comes_back(
    timeline: Timeline, fleet: Fleet, playbooks: Playbooks
) -> None:
    """Data files, control files, online and archived logs, parameter and password files; proved by content."""
    wanted = timeline.between
    assert oracle.destroy(fleet)
    restored = restore(playbooks, backstay_position=f"scn:{wanted.scn + 1}").demand().record
    facts = oracle.check(fleet, known=wanted)
    assert facts["last_id"] == wanted.number, "nothing that was committed after it"
    assert {check["status"] for check in restored["checks"]} == {"ok"}
    assert restored["facts"]["reached"]["scn"] == wanted.scn + 1


def test_before_the_incarnation_only_when_asked_for_and_moments_in_the_clock_of_the_database(
    timeline: Timeline, fleet: Fleet, playbooks: Playbooks
) -> None:
    """The database lives at UTC+3:30, the control node does not."""
    restore(playbooks, backstay_moment=timeline.pause).refused("incarnation", "app_oracle_previous_incarnation")
    restore(playbooks, backstay_moment=timeline.pause, app_oracle_previous_incarnation=True).demand()
    assert oracle.check(fleet)["last_id"] == timeline.before_pause


def test_after_a_restore_the_next_log_backup_is_a_full_one(timeline: Timeline, playbooks: Playbooks) -> None:
    options = {"backstay_kind": "log", "app_oracle_full_when_broken": False}
    playbooks.run("backup", "--limit", oracle.HOST, **options).refused("chain: ", "make a full backup: -e backstay_kind=full")
    done = back_up(playbooks, "log")
    assert done["kind"] == "full"
    assert any("a full backup is made" in check["detail"] for check in done["checks"])
    assert back_up(playbooks, "log")["kind"] == "log"


def test_other_paths(fleet: Fleet, playbooks: Playbooks, timeline: Timeline) -> None:
    """SET NEWNAME and SWITCH; three files are called system01.dbf. Two channels and sections on the way there."""
    oracle.start_writer(fleet)
    back_up(playbooks, "full", app_oracle_channels=2, app_oracle_section_size="256K")
    known = oracle.commits(fleet, newest=1)[0]
    made = back_up(playbooks, "incremental", app_oracle_channels=2, app_oracle_cumulative=True, app_oracle_check_logical=False)
    assert made["kind"] == "incremental"
    assert oracle.destroy(fleet)
    restore(playbooks, app_oracle_directory="/u02/moved").demand()
    oracle.check(fleet, known=known)
    files = fleet.run(oracle.HOST, "ls", "/u02/moved").split()
    assert len([name for name in files if name.endswith("_system01.dbf")]) == 3
    names = oracle.sql(fleet, "SELECT name FROM v$datafile UNION SELECT member FROM v$logfile").split()
    assert all(name.startswith("/u02/moved/") for name in names)
    more = {"app_oracle_landing": "/u02/landing", "app_oracle_channels": 2, "app_oracle_parameters": "always"}
    restore(playbooks, app_oracle_directory="/u02/moved", app_oracle_previous_incarnation=True, **more).demand()
    oracle.check(fleet, known=known)
    controls = oracle.sql(fleet, "SELECT value FROM v$parameter WHERE name = 'control_files'")
    assert controls.count("/u02/moved/") == 2, controls
    aside = fleet.run(oracle.HOST, "find", "/u02", "-path", "*/aside-*", "-name", "log*_redo*")
    assert len(aside.split()) == len([name for name in names if "/log" in name]), "online logs move aside, too"


SECOND = """
app_oracle:
  hosts:
    oracle2-stock:
      lab_port_offset: 61
      app_oracle_sid: STOCK
      lab_state: {state}
"""


def test_two_databases_on_one_host(fleet: Fleet, playbooks: Playbooks, need: Callable[..., None], tmp_path: Path) -> None:
    """Two inventory names, no containers, text parameter files; a restore of the one does not touch the other."""
    need("oracle2")
    (tmp_path / "second.yml").write_text(SECOND.format(state=CHECKOUT / ".lab" / fleet.name))
    both = ("-i", str(CHECKOUT / "inventories" / "lab"), "-i", str(tmp_path / "second.yml"))
    playbooks.run("offsite", *both, "--limit", f"{OFFSITE},oracle2,oracle2-stock").demand()
    runs = playbooks.run("backup", *both, "--limit", "oracle2,oracle2-stock").demand()
    assert {record["host"]: record["status"] for record in runs.records} == {"oracle2": "ok", "oracle2-stock": "ok"}
    other_set = {"backstay_source": "oracle2-stock", "backstay_confirm": "oracle2"}
    playbooks.run("restore", *both, "--limit", "oracle2", **other_set).refused("lives here, the set is of STOCK")
    known = oracle.commits(fleet, "oracle2", "SALES", 1)[0]
    playbooks.run("backup", "--limit", "oracle2", backstay_kind="log").demand()
    oracle.destroy(fleet, "oracle2", "SALES")
    other = oracle.start_writer(fleet, "oracle2", "STOCK")
    playbooks.run("restore", "--limit", "oracle2", backstay_confirm="oracle2").demand()
    oracle.check(fleet, "oracle2", "SALES", known)
    oracle.check(fleet, "oracle2", "STOCK", other)
