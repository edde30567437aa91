# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole jobs of app_domino against the stand-in, on this machine: what is taken, what survives a failure, what comes back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import layout
from ansible_collections.backstay.fleet.plugins.module_utils.errors import PlanRefused
from ansible_collections.backstay.fleet.plugins.module_utils.worker import release
from ansible_collections.backstay.fleet.plugins.module_utils.worker.folder import JobFolder
from lab_tools.domino_standin import Server
from lab_tools.waiting import seconds_pass
from unit.support.domino_steps import Domino, folders, good, lose_everything, made
from unit.support.sandbox import Sandbox

# A server is known by the processes of its account, and here all servers run as the same one: one after the other.
pytestmark = pytest.mark.xdist_group("domino")

# A set of logs answers for a little less than its last extent holds (a record is written after its moment).
WRITING = 0.1


def test_a_full_set_brings_a_lost_server_back(domino: Domino, server: Server) -> None:
    """DOM-2, DOM-3, DOM-4, DOM-6, DOM-8: everything below the data directory, NOTES.INI, extents; the latest set comes back."""
    (server.root / "local/linked").chmod(0o2750)
    known = server.deliver("mail/anna.nsf", 5, "--attachment", "blob")
    far = server.deliver("archive/year 2025.nsf", 3)
    result = good(domino.backup())
    assert {item["name"] for item in result["artifacts"]} == {"databases", "data", "linked-1", "daos", "ini", "ids", "logs"}
    lost = server.deliver("mail/anna.nsf", 2)
    before = folders(server)
    lose_everything(server)
    restored = good(domino.restore())
    server.in_order(known, far)
    assert folders(server) == before
    assert not server.check(lost)["ok"]
    assert {item["name"] for item in restored["checks"]} >= {"server", "new backup needed"}
    assert not [path for path in (server.root / "local").rglob("landing-*")]


def test_logs_lead_to_a_moment_and_to_the_latest(domino: Domino, server: Server) -> None:
    """DOM-7, DOM-9: only new extents, of the log and the databases that the full set has."""
    good(domino.backup())
    first = server.deliver("mail/anna.nsf", 3, "--attachment", "later than the full set")
    server.fill_extent()
    second = server.deliver("mail/anna.nsf", 2)
    seconds_pass(WRITING)
    server.fill_extent()
    result = good(domino.backup("log"))
    assert result["kind"] == "log" and result["consistent_at"] > second.time
    lose_everything(server)
    restored = good(domino.restore(moment=first.time))
    assert "roll forward" in {item["name"] for item in restored["checks"]}
    server.in_order(first)
    assert not server.check(second)["ok"]
    good(domino.restore())
    server.in_order(first, second)


@pytest.mark.long
def test_sets_after_a_restore_hold_nothing_of_the_log_before(domino: Domino, server: Server) -> None:
    """The log of a server that was restored without logs begins anew; inventory and backup target still know the former one."""
    server.fill_extent()
    server.back_up("-t")
    full = good(domino.backup())
    good(domino.restore(set=full["set"]))
    good(domino.backup())
    first = server.deliver("mail/anna.nsf", 3)
    server.fill_extent()
    server.fill_extent()
    assert good(domino.backup("log"))["kind"] == "log"
    good(domino.verify())
    lose_everything(server)
    good(domino.restore())
    server.in_order(first)


@pytest.mark.long
def test_a_moment_after_the_last_full_extent_is_refused(domino: Domino, server: Server) -> None:
    good(domino.backup())
    server.fill_extent()
    result = good(domino.backup("log"))
    late = server.deliver("mail/anna.nsf", 1)
    with pytest.raises(PlanRefused, match="cannot be restored") as refused:
        domino.plan(moment=late.time)
    assert result["consistent_at"] in refused.value.hint


@pytest.mark.long
def test_what_a_failed_upload_left_is_in_the_next_set(domino: Domino, server: Server) -> None:
    good(domino.backup())
    first = server.deliver("mail/anna.nsf", 3)
    server.fill_extent()
    domino.sandbox.behave({"command": "backup", "tag": "part=data", "do": 1, "times": 1})
    assert domino.backup("log")["status"] == "failed"
    domino.sandbox.behave()
    second = server.deliver("mail/anna.nsf", 3)
    server.fill_extent()
    result = good(domino.backup("log"))
    assert len(result["salvaged"]) == 1
    lose_everything(server)
    good(domino.restore())
    server.in_order(first, second)


def test_extents_of_a_run_that_died_before_it_stored_them_are_taken_by_the_next(domino: Domino, server: Server) -> None:
    good(domino.backup())
    first = server.deliver("mail/anna.nsf", 3)
    server.fill_extent()
    server.back_up("-t")  # marked as archived; nobody stored them
    server.fill_extent()
    result = good(domino.backup("log"))
    assert result["salvaged"] == []
    lose_everything(server)
    good(domino.restore())
    server.in_order(first)


@pytest.mark.long
def test_an_extent_that_is_gone_makes_the_next_backup_a_full_one(domino: Domino, server: Server) -> None:
    good(domino.backup())
    server.fill_extent()
    shutil.rmtree(server.back_up("-t"))
    server.fill_extent()
    facts = domino.facts(kind="log")
    assert facts["kind"] == "full" and "S0000" in facts["because"]
    result = good(domino.backup("log"))
    assert result["kind"] == "full"
    assert {"full instead"} <= {item["name"] for item in result["checks"]}
    server.fill_extent()
    shutil.rmtree(server.back_up("-t"))
    server.fill_extent()
    refused = domino.look(kind="log", full_when_broken=False)
    assert [item["name"] for item in refused["checks"] if item["status"] == "failed"] == ["chain"]


@pytest.mark.long
def test_a_database_with_a_new_dbiid_is_saved_by_the_next_log_run_and_its_gap_is_told(domino: Domino, server: Server) -> None:
    good(domino.backup())
    before = server.deliver("mail/anna.nsf", 1)
    server.fill_extent()
    reached = good(domino.backup("log"))
    server.console("load compact mail/anna.nsf", "Compacted")
    inside = server.deliver("mail/anna.nsf", 1)
    server.fill_extent()
    result = good(domino.backup("log"))
    assert "new DBIID" in {item["name"] for item in result["checks"] if item["status"] == "warning"}
    after = server.deliver("mail/anna.nsf", 1)
    server.fill_extent()
    good(domino.backup("log"))
    with pytest.raises(PlanRefused, match="new DBIID") as refused:
        domino.plan(moment=inside.time)
    assert reached["consistent_at"] in refused.value.hint
    lose_everything(server)
    good(domino.restore())
    server.in_order(before, inside, after)


# What is wrong with a backup


def test_a_backup_that_says_it_finished_and_wrote_nothing_is_none(domino: Domino, server: Server) -> None:
    server.knob("backup_lies")
    result = domino.backup()
    assert result["status"] == "failed" and "databases are in no backup" in result["error"]["message"]
    server.no_knob("backup_lies")
    good(domino.backup())
    server.fill_extent()
    server.knob("backup_lies")
    result = domino.backup("log")
    assert result["status"] == "failed" and "was full" in result["error"]["message"]


@pytest.mark.long
def test_an_error_beside_complete_files_fails_the_backup(domino: Domino, server: Server) -> None:
    server.knob("backup_error", "no room in the target")
    result = domino.backup()
    assert result["status"] == "failed" and "no room in the target" in result["error"]["message"]


@pytest.mark.long
def test_a_task_that_never_finishes_ends_the_run(domino: Domino, server: Server) -> None:
    server.knob("backup_hangs")
    domino.options["server"]["timeout"] = 3
    result = domino.backup()
    assert result["status"] == "failed" and "did not finish within 3 s" in result["error"]["message"]
    server.no_knob("backup_hangs")
    domino.options["server"]["timeout"] = 60
    good(domino.backup())


@pytest.mark.long
def test_a_server_that_is_killed_during_the_backup_is_noticed_and_backs_up_later(domino: Domino, server: Server) -> None:
    known = server.deliver("mail/bernd.nsf", 1)
    server.knob("kill_at", "backup mail/bernd.nsf")
    result = domino.backup()
    assert result["status"] == "failed" and "the server ended" in result["error"]["message"]
    server.start()
    good(domino.backup())
    server.in_order(known)


@pytest.mark.long
def test_an_extent_that_was_marked_when_the_server_died_is_found_in_the_target(domino: Domino, server: Server) -> None:
    good(domino.backup())
    known = server.deliver("mail/anna.nsf", 2)
    server.fill_extent()
    server.fill_extent()
    server.knob("kill_at", "translog")
    assert domino.backup("log")["status"] == "failed"
    server.start()
    result = good(domino.backup("log"))
    lose_everything(server)
    good(domino.restore())
    server.in_order(known)
    assert result["kind"] == "log"


@pytest.mark.long
def test_a_database_that_the_server_leaves_out_has_to_be_named(domino: Domino, server: Server) -> None:
    server.back_up("-b")
    server.good("lab-configure", 'excludes=["mail/bernd"]')
    result = domino.backup()
    assert result["status"] == "failed" and "mail/bernd.nsf" in result["error"]["message"]
    domino.options["exclude"] = ["mail/bernd"]
    result = good(domino.backup())
    assert "1 left out" in next(item["detail"] for item in result["checks"] if item["name"] == "databases")


@pytest.mark.long
def test_change_information_beside_the_copies_is_refused(domino: Domino, server: Server) -> None:
    server.back_up("-b")
    server.good("lab-configure", 'delta="keep"')
    result = domino.backup()
    assert result["status"] == "failed" and "change information" in result["error"]["message"]


@pytest.mark.long
def test_a_server_that_is_down_is_copied_as_it_lies(domino: Domino, server: Server) -> None:
    known = server.deliver("mail/anna.nsf", 2)
    server.stop()
    result = good(domino.backup())
    assert result["outage_seconds"] == 0
    assert [item["name"] for item in domino.look(kind="log")["checks"] if item["status"] == "failed"] == ["method"]
    server.start()
    lose_everything(server)
    good(domino.restore())
    server.in_order(known)


@pytest.mark.long
def test_a_server_that_crashed_is_no_clean_source(domino: Domino, server: Server) -> None:
    server.kill()
    failed = [item for item in domino.look()["checks"] if item["status"] == "failed"]
    assert ["its data is no clean source" in item["detail"] for item in failed] == [True]


# Other servers


@pytest.fixture
def circular(sandbox: Sandbox, tmp_path: Path) -> Iterator[tuple[Domino, Server]]:
    server = made(tmp_path, "--version", "12.0", "--style", "circular", "--ini", "etc/domino/notes.ini", "--dates", "de")
    yield Domino(sandbox, server.root, server.ini), server
    server.end()


@pytest.mark.long
def test_circular_logging_allows_full_sets_only(circular: tuple[Domino, Server]) -> None:
    domino, server = circular
    known = server.deliver("apps/orders.nsf", 3, "--attachment", "blob")
    result = good(domino.backup())
    assert "logs" not in {item["name"] for item in result["artifacts"]}
    (failed,) = [item for item in domino.look(kind="log")["checks"] if item["status"] == "failed"]
    assert "archive style" in failed["detail"]
    lose_everything(server)
    server.ini.write_text("lost")
    restored = good(domino.restore())
    server.in_order(known)
    assert "TRANSLOG_Status=1" in server.ini.read_text()
    assert restored["aside"]


@pytest.fixture
def old(sandbox: Sandbox, tmp_path: Path) -> Iterator[tuple[Domino, Server]]:
    server = made(tmp_path, "--version", "9.0", "--style", "none", "--no-daos", "--shutdown-timeout", "2")
    yield Domino(sandbox, server.root, server.ini), server
    server.end()


def test_a_release_without_a_backup_task_is_stopped_for_a_moment(old: tuple[Domino, Server]) -> None:
    domino, server = old
    known, linked = server.deliver("mail/anna.nsf", 3), server.deliver("apps/parts.nsf", 2)
    result = good(domino.backup())
    assert result["outage_seconds"] > 0
    assert {item["name"] for item in result["artifacts"]} == {"data", "linked-1", "links-1", "ini", "ids"}
    lost = server.deliver("apps/parts.nsf", 1)
    lose_everything(server)
    good(domino.restore())
    server.in_order(known, linked)
    assert not server.check(lost)["ok"]


@pytest.mark.long
def test_a_shutdown_that_ended_in_a_kill_is_no_clean_source(old: tuple[Domino, Server]) -> None:
    domino, server = old
    server.knob("quit_hangs")
    result = domino.backup()
    assert result["status"] == "failed"
    assert "killed or crashed" in result["error"]["message"]
    assert "is running" in server.run("domino", "status").stdout, "the release started it again"


# Other restores


@pytest.mark.long
def test_one_database_comes_into_the_running_server(domino: Domino, server: Server) -> None:
    good(domino.backup())
    known = server.deliver("mail/anna.nsf", 2)
    seconds_pass(WRITING)
    server.fill_extent()
    good(domino.backup("log"))
    later = server.deliver("mail/anna.nsf", 1)
    good(domino.restore_database("mail/anna.nsf", "restored/anna.nsf"))
    found = server.in_order(later)
    assert found["restored/anna.nsf"]["documents"] == known.id
    again = domino.look("restore", plan=domino.plan(), database="mail/anna.nsf", database_target="restored/anna.nsf")
    assert ["is there already" in item["detail"] for item in again["checks"] if item["status"] == "failed"] == [True]
    good(domino.restore_database("archive/year 2025.nsf", "restored/year.nsf", set=domino.plan()["sets"][0]))
    server.in_order()


@pytest.mark.long
def test_a_set_comes_to_a_directory_and_nothing_live_is_touched(domino: Domino, server: Server, tmp_path: Path) -> None:
    known = server.deliver("mail/anna.nsf", 2)
    good(domino.backup())
    result = good(domino.restore_beside(tmp_path / "beside"))
    assert (tmp_path / "beside/data/mail/anna.nsf").exists() and (tmp_path / "beside/linked-1/year 2025.nsf").exists()
    assert (tmp_path / "beside/alone/apps/parts.nsf").exists()
    assert sorted(path.name for path in (tmp_path / "beside").iterdir())
    server.in_order(known)
    assert result["outage_seconds"] == 0


@pytest.mark.long
def test_a_verification_works_on_duplicates(domino: Domino, server: Server) -> None:
    good(domino.backup())
    server.deliver("mail/anna.nsf", 2)
    server.fill_extent()
    good(domino.backup("log"))
    domino.options["verify"] = ["sh", "-c", 'for file; do [ -s "$file" ] || exit 1; done', "sh", "{file}"]
    result = good(domino.verify())
    assert {("roll forward", "ok"), ("databases", "ok")} <= {(item["name"], item["status"]) for item in result["checks"]}
    domino.options["verify"] = ["sh", "-c", "echo Page format is incorrect", "{file}"]
    result = domino.verify()
    assert result["status"] == "failed" and "on a duplicate" in result["error"]["message"]


@pytest.mark.long
def test_a_restore_that_fails_after_the_exchange_keeps_both_and_puts_back(circular: tuple[Domino, Server]) -> None:
    domino, server = circular
    good(domino.backup())
    later = server.deliver("mail/anna.nsf", 1)
    settings = server.ini.read_text()
    domino.options["server"]["patterns"]["recovered"] = "this is never said"
    result = domino.restore(options={"wait": 3})
    assert result["status"] == "failed" and result["put_back"]
    folder = JobFolder(layout.job(result["run"]))
    release.put_back(folder)
    server.in_order(later)
    assert server.ini.read_text() == settings


@pytest.mark.long
def test_without_a_command_to_roll_forward_nothing_is_begun(domino: Domino, server: Server) -> None:
    good(domino.backup())
    server.fill_extent()
    good(domino.backup("log"))
    domino.options["roll_forward"] = []
    seen = domino.look("restore", plan=domino.plan())
    (failed,) = [item for item in seen["checks"] if item["status"] == "failed"]
    assert "no command to roll forward" in failed["detail"]
