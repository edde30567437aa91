# SPDX-License-Identifier: GPL-3.0-or-later
"""The Domino stand-in against its specification, items 1 to 6, 12, 13: tasks, live copies, extents, the console."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from lab_tools.domino_standin import Server
from lab_tools.waiting import wait_until

NewDomino = Callable[..., Server]


def test_item_1_before_12_there_is_no_backup_task_and_the_exit_status_says_nothing(new_domino: NewDomino) -> None:
    domino = new_domino("--version", "9.0", "--style", "none")
    refused = domino.refused("load backup -b")  # server -c itself ends with 0
    assert "Unable to load backup" in refused
    assert list(domino.target.iterdir()) == []
    assert not (domino.data / "dominobackup.nsf").exists()
    assert "Unable to load restore" in domino.refused("load restore")
    assert "Release 9.0" in domino.console("show server", "Transaction logging:    Not Enabled")


@pytest.mark.parametrize("option", ["-t", "-i"])
def test_item_2_logs_and_increments_need_archive_style(new_domino: NewDomino, option: str) -> None:
    """DOM-7: in circular style there is no log backup; a full one is possible."""
    domino = new_domino("--style", "circular")
    domino.fill_extent()
    words = domino.console(f"load backup {option}", "ERROR")
    assert "archive style" in words
    assert list(domino.target.iterdir()) == []
    assert (domino.back_up("-b") / "mail/anna.nsf").exists()


def test_item_2_without_logging_nothing_is_backed_up(new_domino: NewDomino) -> None:
    domino = new_domino("--style", "none")
    assert "transaction logging is not enabled" in domino.console("load backup -b", "ERROR")
    assert list(domino.target.iterdir()) == []


def test_item_3_a_copy_of_a_live_database_is_torn(domino: Server) -> None:
    """DOM-2: cp succeeds, and what it made does not open, though nothing is wrong with the database."""
    last = domino.deliver("mail/anna.nsf", 20)
    copy = domino.root / "anna.nsf"
    domino.deliver("mail/anna.nsf", 1)
    shutil.copyfile(domino.data / "mail/anna.nsf", copy)
    domino.in_order(last)
    domino.stop()
    shutil.copyfile(copy, domino.data / "mail/anna.nsf")
    domino.start()
    assert "mail/anna.nsf: Page format is incorrect: the file was copied while it was open" in domino.said()
    assert not domino.check()["ok"]
    assert "mail/anna.nsf" in domino.run("lab-deliver", "mail/anna.nsf").stdout


def test_item_3_pages_of_a_live_database_are_half_written(domino: Server) -> None:
    """The marker is not all: without the checkpoint that follows, second halves are missing indeed."""
    domino.knob("no_checkpoint")
    domino.deliver("mail/anna.nsf", 3)
    torn = (domino.data / "mail/anna.nsf").read_bytes()
    pages = [torn[start : start + 2048] for start in range(2048, len(torn), 2048)]
    assert not all(page[:4] == page[-4:] for page in pages)


def test_item_4_after_a_kill_files_need_recovery_with_their_own_logs(new_domino: NewDomino) -> None:
    """With the whole log directory they come in order; without it they do not open."""
    domino = new_domino()
    other = new_domino(name="other")
    last = domino.deliver("mail/anna.nsf", 10)
    domino.kill()
    copy = domino.copy_of_everything("after-kill")
    domino.put_back(copy)
    domino.start()
    assert "Restart Recovery complete. (" in domino.said()
    assert "(0/0" not in domino.said().split("Restart Recovery complete. ")[-1].splitlines()[0]
    domino.in_order(last)
    other.stop()
    shutil.copyfile(copy / "notesdata/mail/anna.nsf", other.data / "mail/anna.nsf")
    other.start()
    assert "a consistency check is needed" in other.said()
    assert "a consistency check is needed" in str(other.check()["problems"])


def test_item_4_a_shutdown_that_ends_in_a_kill_is_no_clean_source(new_domino: NewDomino) -> None:
    domino = new_domino("--shutdown-timeout", "1")
    last = domino.deliver()
    domino.knob("quit_hangs")
    stopped = domino.run("domino", "stop")
    assert stopped.status == 1
    assert "killing it (NSD)" in stopped.stdout
    assert (domino.data / "pid.nbf").exists()
    wait_until(lambda: "the file was not closed (state K)" in str(domino.check()["problems"]), "the crash is in the files")
    domino.no_knob("quit_hangs")
    domino.start()
    domino.in_order(last)
    domino.stop()
    assert not (domino.data / "pid.nbf").exists()


def test_item_5_without_its_delta_a_copy_is_inconsistent(domino: Server) -> None:
    domino.deliver("mail/anna.nsf", 5)
    domino.back_up("-b")
    domino.good("lab-configure", 'delta="keep"')
    domino.knob("slow", "0.2")
    domino.deliver("mail/anna.nsf", 60)
    words = domino.console("load backup -b", "Started")
    folder = Path(words.split(" to ", 1)[1].splitlines()[0])
    wait_until((folder / "mail/anna.nsf").exists, "the copy of mail/anna.nsf began", pause=0.02)
    during = domino.deliver("mail/anna.nsf", 2)
    domino.no_knob("slow")
    wait_until(lambda: "Finished, 12 databases, 0 errors" in domino.said().split("Started")[-1], "the backup ended")
    delta = folder / "mail/anna.nsf.DELTA"
    assert during.hash in delta.read_text()
    moved = delta.rename(domino.root / "delta")
    refused = domino.restore("mail/anna.nsf", "--target", "mail/back.nsf")
    assert "change information (.DELTA) is missing" in refused
    assert not (domino.data / "mail/back.nsf").exists()
    moved.rename(delta)
    assert "is on line" in domino.restore("mail/anna.nsf", "--target", "mail/back.nsf")
    assert domino.in_order()["mail/back.nsf"]["last_hash"] == during.hash


def test_item_6_extents_copied_by_hand_stay_until_the_server_panics(new_domino: NewDomino) -> None:
    """DOM-7: only the backup task marks extents as archived, so only it makes room."""
    domino = new_domino("--max-size", "256")  # four extents
    while len(domino.extents()) < 4:
        domino.fill_extent()
    for name in domino.extents():
        shutil.copyfile(domino.logs / name, domino.root / name)
    for _ in range(20):
        if domino.run("lab-deliver", "mail/bernd.nsf", "8", "--bytes", "1600").status:
            break
    assert "PANIC: Transaction log is full: 4 extents wait for being archived" in domino.said()
    wait_until(lambda: "NOT running" in domino.run("domino", "status").stdout, "the server ended")


def test_item_6_the_backup_task_takes_full_extents_only_and_makes_room(new_domino: NewDomino) -> None:
    """DOM-4, DOM-7: the extent that is being written stays behind; the next run takes new ones only."""
    domino = new_domino("--max-size", "256")
    domino.fill_extent()
    domino.fill_extent()
    full = domino.extents()[:-1]
    first = domino.back_up("-t")
    assert domino.extents(next(first.rglob("*.TXN")).parent) == full
    for _ in range(4):
        domino.fill_extent()
        domino.back_up("-t")
    saved = sorted(path.name for path in domino.target.rglob("*.TXN"))
    assert saved == [f"S{number:07d}.TXN" for number in range(6)]
    assert len(domino.extents()) <= 4
    assert "S0000000.TXN" not in domino.extents()


def test_item_12_the_console_returns_at_once_and_the_result_comes_later(domino: Server) -> None:
    domino.knob("slow", "0.1")
    began = time.monotonic()
    domino.good("server", f"={domino.ini}", "-c", "load backup -b")
    assert "Finished" not in domino.said()
    assert not list(domino.target.rglob("dominobackup.nsf"))
    wait_until(lambda: "Finished, 12 databases, 0 errors" in domino.said(), "the backup ended")
    assert time.monotonic() - began > 0.3
    log = domino.documents("Log")
    assert [entry["count"] for entry in log] == [12]
    assert log[0]["errors"] == []


def test_item_13_what_is_edited_in_notes_ini_while_it_runs_is_lost(domino: Server) -> None:
    domino.ini.write_text(domino.ini.read_text() + "EDITED=1\n")
    domino.console('set config "OTHER=2"'.replace('"', ""), "OTHER was set to 2")
    assert domino.good("domino", "inivar", "other").strip() == "2"
    assert "EDITED" not in domino.ini.read_text()


@pytest.mark.parametrize(
    "command",
    [
        "tell backup status",
        "load dbcache",
        "load restore -ar mail/anna.nsf",
        "load backup",
        "load backup -s",
        "load backup -b -t",
    ],
)
def test_what_no_source_knows_is_refused(domino: Server, command: str) -> None:
    before = list(domino.target.iterdir())
    seen = len(domino.said())
    domino.good("server", f"={domino.ini}", "-c", command)
    refusals = ("does not understand", "could not be located", "is not valid", "no mode", "not configured")
    wait_until(lambda: any(words in domino.said()[seen:] for words in refusals), f"{command} is refused")
    assert list(domino.target.iterdir()) == before


def test_only_the_owner_of_the_data_directory_runs_programs(domino: Server) -> None:
    """Section 1.11: root is refused like everybody else; here the owner is another account for a moment."""
    os.chown(domino.data, 65534, 65534)
    try:
        refused = domino.run("server", f"={domino.ini}", "-c", "show server")
    finally:
        os.chown(domino.data, os.geteuid(), os.getegid())
    assert refused.status == 1
    assert "not permitted" in refused.stdout
    assert "NOTES.INI was not found" in domino.run("server", "-c", "show server", cwd=domino.root).stdout


def test_console_commands_of_a_stopped_server_are_refused(domino: Server) -> None:
    domino.stop()
    refused = domino.run("server", f"={domino.ini}", "-c", "load backup -b")
    assert (refused.status, refused.stdout.strip()) == (1, "Server is not running")
    assert domino.run("domino", "status").status == 3
    domino.knob("status_as_documented")
    assert domino.run("domino", "status").status == 0
    assert "is NOT running" in domino.run("domino", "status").stdout


def test_a_backup_tells_its_errors_in_words(domino: Server) -> None:
    """G-10: neither an exit status nor the word Finished means success."""
    shutil.rmtree(domino.target)
    domino.target.write_text("in the way")
    words = domino.console("load backup -b", "Finished")
    assert "Finished, 0 databases, 12 errors" in words
    assert "ERROR: names.nsf" in words


def test_excludes_increments_and_pruning(domino: Server) -> None:
    domino.good("lab-deliver", "mail/anna.nsf", "3")
    folder = domino.back_up("-b -e mail/")
    assert not (folder / "mail").exists()
    assert (folder / "archive/year 2025.nsf").exists()
    assert (folder / "apps/parts.nsf").stat().st_size > 100  # the linked database, not its link
    first = domino.back_up("-i")
    assert sorted(str(path.relative_to(first)) for path in first.rglob("*.nsf")) == [
        "mail/Zoë Müller.nsf",
        "mail/anna.nsf",
        "mail/bernd.nsf",
    ]
    domino.console("load compact names.nsf", "Compacted")
    assert [path.name for path in domino.back_up("-i").rglob("*.*")] == ["names.nsf"]
    domino.console("load backup -p 0", "Pruned 3 backups")
    assert list(domino.target.rglob("*.nsf")) == []
