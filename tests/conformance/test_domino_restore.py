# SPDX-License-Identifier: GPL-3.0-or-later
"""The Domino stand-in against its specification, items 7 to 11, 14, 15: DBIIDs, roll-forward, starting, replicas."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from lab_tools.domino_standin import Document, Server
from lab_tools.waiting import wait_until

NewDomino = Callable[..., Server]
BACK = ("mail/anna.nsf", "--target", "mail/back.nsf", "--no-replication")


@pytest.mark.parametrize(
    ("command", "changes"),
    [
        ("load compact mail/anna.nsf", True),
        ("load compact mail/anna.nsf -b", False),
        *(
            pytest.param(*case, marks=pytest.mark.long)
            for case in (
                ("load compact mail/anna.nsf -B", True),
                ("load updall mail/anna.nsf", False),
                ("load fixup mail/anna.nsf", False),
                ("load fixup mail/anna.nsf -J", True),
                ("load dbmt", True),
            )
        ),
    ],
)
def test_item_7_maintenance_gives_a_new_dbiid_and_ends_roll_forward(domino: Server, command: str, changes: bool) -> None:
    """DOM-9: a log belongs to one instance of a database."""
    domino.deliver("mail/anna.nsf", 3)
    domino.back_up("-b")
    before = domino.dbiid()
    domino.console(
        command, {"compact": "Compacted", "updall": "done", "fixup": "Fixup:", "dbmt": "finished"}[command.split()[1]]
    )
    told = f"Assigning new DBIID for {domino.data}/mail/anna.nsf (need new backup for media recovery)."
    assert (domino.dbiid() != before) is changes
    assert (told in domino.said().split("> load backup -b")[-1]) is changes
    last = domino.deliver("mail/anna.nsf", 2)
    words = domino.restore(*BACK, "--until", "latest")
    if changes:
        assert "the database got a new DBIID at" in words
        assert not (domino.data / "mail/back.nsf").exists()
    else:
        assert domino.in_order()["mail/back.nsf"]["last_hash"] == last.hash


def test_item_7_logging_off_and_on_gives_new_dbiids(domino: Server) -> None:
    domino.back_up("-b")
    before = domino.dbiid()
    for status in ("0", "1"):
        domino.console(f"set config TRANSLOG_Status={status}", "was set to")
        domino.stop()
        domino.start()
    assert domino.dbiid() != before


def test_item_7_a_restore_gives_a_new_dbiid(domino: Server) -> None:
    last = domino.deliver("mail/anna.nsf", 3)
    domino.back_up("-b")
    before = domino.dbiid()
    assert "is on line" in domino.restore("mail/anna.nsf", "--until", "latest")
    domino.in_order(last)
    assert domino.dbiid() != before


def two_moments(domino: Server) -> tuple[Document, Document]:
    """Back up, then write over several extents; a document in the middle of that and the last one."""
    domino.deliver("mail/anna.nsf", 3)
    domino.back_up("-b")
    domino.fill_extent()
    middle = domino.deliver("mail/anna.nsf", 5)
    domino.fill_extent()
    last = domino.deliver("mail/anna.nsf", 5)
    domino.fill_extent()
    return middle, last


def test_item_8_roll_forward_brings_the_very_moment_back(domino: Server) -> None:
    """DOM-9: proved by the document that was the last one then."""
    middle, last = two_moments(domino)
    assert "is on line" in domino.restore(*BACK, "--until", middle.time)
    found = domino.in_order()["mail/back.nsf"]
    assert (found["documents"], found["last_hash"]) == (middle.id, middle.hash)
    assert "is on line" in domino.restore("mail/anna.nsf", "--target", "mail/newest.nsf", "--until", "latest")
    assert domino.in_order()["mail/newest.nsf"]["last_hash"] == last.hash


def test_item_8_extents_are_fetched_from_where_the_backup_task_put_them(domino: Server) -> None:
    middle, last = two_moments(domino)
    saved = domino.back_up("-t")
    domino.fill_extent()
    assert not set(domino.extents(next(saved.rglob("*.TXN")).parent)) & set(domino.extents()[:-2])
    assert "is on line" in domino.restore(*BACK, "--until", middle.time)
    assert domino.in_order(last)["mail/back.nsf"]["last_hash"] == middle.hash


@pytest.mark.parametrize(
    "case",
    ["gap", "too late", *(pytest.param(case, marks=pytest.mark.long) for case in ("other log", "too early", "first missing"))],
)
def test_item_8_roll_forward_is_refused_with_words_of_its_own(domino: Server, new_domino: NewDomino, case: str) -> None:
    start = domino.deliver("mail/anna.nsf", 1)
    middle, last = two_moments(domino)
    saved = next(domino.back_up("-t").rglob("*.TXN")).parent
    domino.fill_extent()
    until = {"too early": start.time, "too late": "2099-01-01T00:00:00.000000Z"}.get(case, last.time)
    damaged = domino.extents(saved)[0 if case == "first missing" else 1]
    if case in ("gap", "first missing"):
        (saved / damaged).unlink()
    if case == "other log":
        other = new_domino(name="other")
        for _ in range(2):
            other.fill_extent()
        shutil.copyfile(other.logs / damaged, saved / damaged)
    words = {
        "gap": f"log extent {damaged} is missing: there is a gap before",
        "first missing": f"log extent {damaged} is missing, recovery begins with it",
        "other log": f"log extent {damaged} belongs to another log",
        "too early": "after the moment that was asked for: recovery goes forward only",
        "too late": "before the moment that was asked for",
    }[case]
    source = next(domino.target.glob("domino1/FULL/*/mail/anna.nsf"))
    request = (*BACK, "--source", str(source), "--until", until)
    assert words in domino.restore(*request)
    assert not (domino.data / "mail/back.nsf").exists()
    assert not list(domino.data.rglob("*.DAD"))
    domino.in_order(middle, last)


@pytest.mark.parametrize("command", ["load updall mail/copy.nsf", "load fixup mail/copy.nsf -J"])
def test_item_9_a_backup_copy_that_was_opened_is_no_longer_tied_to_the_log(domino: Server, command: str) -> None:
    domino.deliver("mail/anna.nsf", 3)
    copy = domino.back_up("-b") / "mail/anna.nsf"
    domino.deliver("mail/anna.nsf", 3)
    shutil.copyfile(copy, domino.data / "mail/copy.nsf")
    domino.console(command, "mail/copy.nsf, 3 documents" if "fixup" in command else "done")
    domino.stop()
    opened = shutil.copyfile(domino.data / "mail/copy.nsf", domino.root / "opened.nsf")
    domino.start()
    words = domino.restore(*BACK, "--source", str(opened), "--until", "latest")
    assert "the copy is no longer tied to the log" in words
    assert not (domino.data / "mail/back.nsf").exists()


def test_item_10_system_databases_are_not_replaced_while_the_server_runs(domino: Server) -> None:
    domino.back_up("-b")
    assert "names.nsf: file is in use by the server" in domino.restore("names.nsf")
    copy = next(domino.target.glob("domino1/FULL/*/names.nsf"))
    shutil.copyfile(copy, domino.data / "names.new")
    (domino.data / "names.new").rename(domino.data / "names.nsf")
    wait_until(lambda: "names.nsf was replaced while it was open" in domino.said(), "the server noticed")
    assert "PANIC" in domino.said()


@pytest.mark.parametrize(
    "case",
    ["control file missing", "no extents to recreate from", "control file there", "circular"],
)
def test_item_11_the_server_panics_without_its_log(new_domino: NewDomino, case: str) -> None:
    domino = new_domino("--style", "circular" if case == "circular" else "archive")
    domino.deliver()
    domino.stop()
    control = domino.logs / "nlogctrl.lfh"
    if case != "control file missing":
        domino.ini.write_text(domino.ini.read_text() + "TRANSLOG_Recreate_Logctrl=1\n")
    if case != "control file there":
        control.unlink()
    if case == "no extents to recreate from":
        (domino.logs / "S0000000.TXN").unlink()
    words = domino.refuses_to_start()
    assert "PANIC: " in words
    assert ("nlogctrl.lfh is missing" if case == "control file missing" else "TRANSLOG_Recreate_Logctrl needs") in words


def test_item_11_a_lost_server_comes_back_from_saved_extents(domino: Server) -> None:
    """Section 4e: the extents in the empty log directory, no control file, the flag set; it is reset afterwards."""
    domino.deliver("mail/anna.nsf", 3)
    folder = domino.back_up("-b")
    last = domino.deliver("mail/anna.nsf", 4)
    domino.fill_extent()
    saved = next(domino.back_up("-t").rglob("*.TXN")).parent
    shutil.copytree(domino.target, domino.root / "offsite")
    folder, saved = (domino.root / "offsite" / path.relative_to(domino.target) for path in (folder, saved))
    ini, key = domino.ini.read_text(), (domino.data / "server.id").read_bytes()
    domino.kill()
    for lost in (domino.data, domino.logs, domino.target):
        shutil.rmtree(lost)
        lost.mkdir()
    for path in folder.rglob("*.*"):
        if path.is_file() and "mail/" not in str(path.relative_to(folder)):
            (domino.data / path.relative_to(folder)).parent.mkdir(exist_ok=True)
            shutil.copyfile(path, domino.data / path.relative_to(folder))
    for path in saved.iterdir():
        shutil.copyfile(path, domino.logs / path.name)
    (domino.data / "server.id").write_bytes(key)
    domino.ini.write_text(ini + "TRANSLOG_Recreate_Logctrl=1\n")
    domino.start()
    assert domino.good("domino", "inivar", "TRANSLOG_Recreate_Logctrl").strip() == "0"
    words = domino.restore("mail/anna.nsf", "--source", str(folder / "mail/anna.nsf"), "--until", "latest")
    assert "is on line" in words
    domino.in_order(last)


def test_a_recovery_server_is_never_started(domino: Server, new_domino: NewDomino) -> None:
    """Section 4d: on another host, by its configuration only; its databases go anywhere then."""
    other = new_domino(name="recovery")
    middle, last = two_moments(domino)
    source = next(domino.target.glob("domino1/FULL/*/mail/anna.nsf"))
    back = Path(shutil.copyfile(source, domino.root / "anna.nsf"))
    refused = other.run("lab-media-recovery", f"mail/anna.nsf={back}", "--until", middle.time)
    assert "its server runs" in refused.stdout
    other.stop()
    assert "TRANSLOG_MEDIAONLY=1" in other.run("lab-media-recovery", f"mail/anna.nsf={back}").stdout
    shutil.rmtree(other.logs)
    other.logs.mkdir()
    for path in next(domino.back_up("-t").rglob("*.TXN")).parent.iterdir():
        shutil.copyfile(path, other.logs / path.name)
    other.ini.write_text(other.ini.read_text() + "TRANSLOG_MEDIAONLY=1\n")
    other.good("lab-media-recovery", f"mail/anna.nsf={back}", "--until", middle.time)
    shutil.copyfile(back, domino.data / "mail/back.nsf")
    domino.console("load updall mail/back.nsf", "done")
    assert domino.in_order(last)["mail/back.nsf"]["last_hash"] == middle.hash


def test_item_14_attachments_need_their_nlo_files_and_the_servers_own_id(domino: Server) -> None:
    last = domino.deliver("mail/anna.nsf", 2, "--attachment", "an order as an attachment")
    domino.in_order(last)
    domino.stop()
    copy = domino.copy_of_everything("offline")
    shutil.rmtree(domino.root / "local/daos")
    (domino.root / "local/daos").mkdir()
    assert ".nlo cannot be opened: No such file or directory" in str(domino.check(last)["problems"])
    domino.put_back(copy)
    domino.in_order(last)
    (domino.data / "server.id").write_bytes(b"another server's")
    assert "was encrypted with the key of another server" in str(domino.check(last)["problems"])


def test_item_15_a_replica_that_was_restored_to_the_past_is_overwritten(domino: Server) -> None:
    two_moments(domino)
    domino.console("set config ServerTasks=Update,Replica", "was set to")
    last = domino.deliver("mail/anna.nsf", 1, "--attachment", "it travels with its document")
    partner = domino.root / "var/lib/domino-standin/partner"
    wait_until(lambda: any(last.hash in path.read_text() for path in partner.glob("*.notes")), "the other server has it")
    shutil.rmtree(domino.root / "local/daos/0001")
    domino.restore("mail/anna.nsf", "--target", "mail/back.nsf")
    wait_until(lambda: "Replicator: mail/back.nsf" in domino.said(), "the replica was brought to the newest")
    assert domino.in_order()["mail/back.nsf"]["last_hash"] == last.hash
    domino.restore("mail/anna.nsf", "--target", "mail/kept.nsf", "--no-replication")
    after = domino.deliver("mail/anna.nsf", 1)
    wait_until(lambda: domino.check()["databases"]["mail/back.nsf"]["last_hash"] == after.hash, "replication went on")
    found = domino.in_order()["mail/kept.nsf"]
    assert (found["documents"], found["replicate"]) == (3, False)


def test_a_complete_offline_copy_comes_back(new_domino: NewDomino) -> None:
    """Section 4b, DOM-6: everything of one moment, the log directory included, linked folders too."""
    domino = new_domino("--version", "9.0", "--style", "none", "--ini", "etc/domino/notes.ini")
    last = [domino.deliver(path, 3) for path in ("mail/anna.nsf", "apps/parts.nsf", "archive/year 2025.nsf")]
    domino.stop()
    before = domino.check(*last)
    assert before["ok"]
    copy = domino.copy_of_everything("offline")
    domino.start()
    domino.deliver("mail/anna.nsf", 3)
    domino.stop()
    assert domino.check()["content_sha256"] != before["content_sha256"]
    domino.put_back(copy)
    assert domino.check(*last)["content_sha256"] == before["content_sha256"]
    domino.start()
    domino.in_order(*last)


@pytest.mark.parametrize("point", ["backup mail/anna.nsf", "translog"])
def test_a_server_that_dies_during_a_backup_comes_back(domino: Server, point: str) -> None:
    """A database that was in backup mode is not stuck there; an extent that was marked is in the target."""
    last = domino.deliver("mail/anna.nsf", 3)
    domino.fill_extent()
    domino.knob("kill_at", point)
    domino.good("server", f"={domino.ini}", "-c", "load backup -t" if point == "translog" else "load backup -b")
    wait_until(lambda: "NOT running" in domino.run("domino", "status").stdout, "the server died")
    wait_until(lambda: "state O" not in str(domino.check()["problems"]), "logasio has closed the case")
    domino.start()
    domino.in_order(last)
    if point == "translog":
        assert len(list(domino.target.rglob("S0000000.TXN"))) == 1
    folder = domino.back_up("-b")
    assert (folder / "mail/anna.nsf").exists()


def test_power_fails_and_what_was_confirmed_is_there(domino: Server) -> None:
    """Server and logasio end together: the very files are recovered, copies of them are not."""
    last = domino.deliver("mail/anna.nsf", 3)
    children = Path(f"/proc/{domino.pid}/task/{domino.pid}/children").read_text().split()
    for pid in (*children, str(domino.pid)):
        os.kill(int(pid), signal.SIGSTOP)
    for pid in (*children, str(domino.pid)):
        os.kill(int(pid), signal.SIGKILL)
    wait_until(lambda: "NOT running" in domino.run("domino", "status").stdout, "the power is off")
    assert "state O" in str(domino.check()["problems"])
    domino.start()
    domino.in_order(last)
