# SPDX-License-Identifier: GPL-3.0-or-later
"""Domino (its stand-in), DOM-1 to DOM-9: moments in the logs, databases that became others, servers that have to be stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from lab_tools import domino, jobs, repository
from lab_tools.domino import Server
from lab_tools.domino_standin import Document
from lab_tools.fleet import Fleet
from lab_tools.mutants import mutant
from lab_tools.playbooks import Playbooks, Run
from lab_tools.waiting import wait_until


def back_up(playbooks: Playbooks, server: Server, kind: str = "full", **variables: Any) -> dict[str, Any]:
    """Make a backup that has to succeed; its record."""
    return playbooks.run("backup", "--limit", server.host, backstay_kind=kind, **variables).demand().record


def restore(playbooks: Playbooks, server: Server, **variables: Any) -> Run:
    """Restore to the server, whose data may be replaced."""
    return playbooks.run("restore", "--limit", server.host, backstay_confirm=server.host, **variables)


def make_server(fleet: Fleet, need: Callable[..., None], host: str) -> Server:
    need(host)
    server = Server(fleet, host)
    server.repair()
    server.forget_confirmed()
    server.start_writer()
    return server


@pytest.fixture
def server(fleet: Fleet, need: Callable[..., None]) -> Iterator[Server]:
    """The server with archive-style logs, in good order, mail arriving; afterwards nothing of a job is left there."""
    yield make_server(fleet, need, domino.ARCHIVE)
    assert jobs.leftovers(fleet, domino.ARCHIVE) == []


@pytest.fixture
def circular(fleet: Fleet, need: Callable[..., None]) -> Iterator[Server]:
    """The server with circular logs."""
    yield make_server(fleet, need, domino.CIRCULAR)
    assert jobs.leftovers(fleet, domino.CIRCULAR) == []


@pytest.fixture
def old(fleet: Fleet, need: Callable[..., None]) -> Iterator[Server]:
    """The server that has no backup task."""
    yield make_server(fleet, need, domino.OFFLINE)
    assert jobs.leftovers(fleet, domino.OFFLINE) == []


class Sets(NamedTuple):
    """Records of a full set and of a log set after it, and a document that is only in the logs."""

    full: dict[str, Any]
    middle: Document
    log: dict[str, Any]


def full_and_log(playbooks: Playbooks, server: Server) -> Sets:
    """Back up fully, have mail fill two extents, back the log up."""
    full = back_up(playbooks, server)
    server.fill_extent()
    middle = server.goes_on()
    server.fill_extent()
    return Sets(full, middle, back_up(playbooks, server, "log"))


def details(record: dict[str, Any]) -> str:
    return " | ".join(f"{check['name']} {check['status']}: {check['detail']}" for check in record["checks"])


def test_everything_is_lost_and_a_moment_in_the_logs_comes_back(server: Server, playbooks: Playbooks) -> None:
    """DOM-2 to DOM-7, DOM-9: databases, other files, NOTES.INI, ID files, attachments, extents; proved by the documents."""
    full, middle, log = full_and_log(playbooks, server)
    assert (full["kind"], log["kind"]) == ("full", "log")
    history = server.history()
    moment = domino.between(history, middle)
    assert full["consistent_at"] < moment < log["consistent_at"]
    files = kept_files(server)

    assert server.destroy()
    restored = restore(playbooks, server, backstay_moment=moment).demand().record

    domino.demand_moment(server.prove(middle), history, moment)
    assert kept_files(server) == files
    assert {check["status"] for check in restored["checks"]} == {"ok"}


def kept_files(server: Server) -> str:
    """Return what must be the same after a restore as before: ID files, other files, links, owners, settings."""
    names = "server.id cert.id domino/html/grüße.txt archive.dir apps/parts.nsf"
    folders = "notesdata archive linked" + ("" if server.host == domino.OFFLINE else " translog daos backup")
    listing = "-printf '%p %u:%g %m\\n' | sort"
    return server.shell(
        f"cd {domino.DATA}; sha256sum {names}; find {names} {listing}; cd /local; stat -c '%n %U:%G %a' {folders} {server.ini};"
        f" grep -v -i -E '^(TRANSLOG_Recreate|ServerTasks)' {server.ini} | sort"
    )


def test_a_server_that_has_to_be_stopped_comes_back_after_a_total_loss(old: Server, playbooks: Playbooks) -> None:
    """DOM-1, DOM-2, DOM-6: release 9, everything of the moment of the picture; the upload has no part in the outage."""
    done = back_up(playbooks, old)
    known = old.goes_on()
    history = old.history()
    files = kept_files(old)
    events = [event["event"] for event in done["events"]]
    assert events.index("Start the server again") < events.index("Archive /local/notesdata"), "nothing is uploaded meanwhile"
    assert 0 < done["outage_seconds"] < 60

    assert old.destroy()
    restore(playbooks, old).demand()
    databases = old.prove()
    assert databases[known.database]["documents"] < known.id, "mail that arrived after the backup is in the set"
    domino.demand_moment(databases, history, done["consistent_at"])
    assert kept_files(old) == files


class Timeline(NamedTuple):
    """A database became another one between two log backups: what happened, and moments before, in and after the gap."""

    log: dict[str, Any]
    before: Document
    gap: Document
    after: Document
    history: list[Document]


@pytest.fixture(scope="module")
def timeline(fleet: Fleet, playbooks: Playbooks, need: Callable[..., None]) -> Timeline:
    """Full, log, compaction of one database, log, more mail, log."""
    server = make_server(fleet, need, domino.ARCHIVE)
    before = full_and_log(playbooks, server).middle
    server.console("load compact mail/anna.nsf", "Compacted mail/anna.nsf")
    gap = server.goes_on()
    server.fill_extent()
    log = back_up(playbooks, server, "log")
    server.fill_extent()
    after = server.goes_on()
    server.fill_extent()
    assert back_up(playbooks, server, "log")["kind"] == "log"
    return Timeline(log, before, gap, after, server.history())


@pytest.mark.long
def test_a_new_dbiid_is_found_backed_up_and_reported(timeline: Timeline) -> None:
    """DOM-9: -i in the next log run; the time in between is named."""
    assert timeline.log["kind"] == "log", "one database with a new DBIID makes no full backup of all"
    assert "mail/anna.nsf" in details(timeline.log)
    assert "no moment between" in details(timeline.log)


@pytest.mark.long
def test_a_moment_in_the_gap_is_refused_with_the_nearest_ones(timeline: Timeline, playbooks: Playbooks, fleet: Fleet) -> None:
    moment = domino.between(timeline.history, timeline.gap)
    process = Server(fleet).main_process()
    refused = restore(playbooks, Server(fleet), backstay_moment=moment)
    refused.refused("a database had a new DBIID then", "Nearest earlier", "nearest later")
    assert Server(fleet).main_process() == process, "the server was stopped for nothing"


@pytest.mark.long
@pytest.mark.parametrize("where", ["after", "before"])
def test_moments_on_both_sides_of_the_gap_come_back(timeline: Timeline, playbooks: Playbooks, fleet: Fleet, where: str) -> None:
    server = Server(fleet)
    moment = domino.between(timeline.history, getattr(timeline, where))
    server.destroy()
    restore(playbooks, server, backstay_moment=moment).demand()
    domino.demand_moment(server.prove(), timeline.history, moment)


@pytest.mark.long
def test_after_a_restore_the_next_log_backup_is_a_full_one(timeline: Timeline, playbooks: Playbooks, fleet: Fleet) -> None:
    """Every database has a new DBIID."""
    server = Server(fleet)
    server.start_writer()
    done = back_up(playbooks, server, "log")
    assert done["kind"] == "full", details(done)
    server.fill_extent()
    assert back_up(playbooks, server, "log")["kind"] == "log"


@pytest.mark.long
def test_what_lies_before_and_behind_the_sets_is_refused(server: Server, playbooks: Playbooks) -> None:
    done = full_and_log(playbooks, server).log
    late = wait_until(lambda: server.goes_on() if server.goes_on().time > done["consistent_at"] else None, "time goes on")
    restore(playbooks, server, backstay_moment=late.time).refused("cannot be restored", done["consistent_at"])
    restore(playbooks, server, backstay_moment="2020-01-01T00:00:00Z").refused("nearest")


@pytest.mark.long
def test_without_a_command_that_rolls_forward_a_moment_is_refused(server: Server, playbooks: Playbooks) -> None:
    """Decision 8: no source shows one. The set itself comes back."""
    full, middle, _log = full_and_log(playbooks, server)
    moment = domino.between(server.history(), middle)
    restore(playbooks, server, backstay_moment=moment, app_domino_roll_forward=[]).refused("app_domino_roll_forward")
    server.destroy()
    restore(playbooks, server, backstay_set=full["set"], app_domino_roll_forward=[]).demand()
    server.prove()


@pytest.mark.long
@pytest.mark.parametrize(
    ("host", "words"), [(domino.CIRCULAR, "not of archive style"), (domino.OFFLINE, "release 9.0 has no backup task")]
)
def test_log_backups_need_archive_style(
    host: str, words: str, fleet: Fleet, playbooks: Playbooks, need: Callable[..., None]
) -> None:
    server = make_server(fleet, need, host)
    back_up(playbooks, server)
    extents = server.extents()
    run = playbooks.run("backup", "--limit", host, backstay_kind="log")
    run.refused('"code": "preflight"', words)
    assert server.extents() == extents
    assert "load backup -t" not in server.said()


@pytest.mark.long
def test_a_native_backup_of_a_server_without_the_task_is_refused(old: Server, playbooks: Playbooks) -> None:
    process = old.main_process()
    playbooks.run("backup", "--limit", old.host, app_domino_method="native").refused(
        '"code": "preflight"', "release 9.0 has no backup task"
    )
    assert old.main_process() == process


@pytest.mark.long
def test_a_full_set_holds_everything_in_the_documented_order(server: Server, playbooks: Playbooks, fleet: Fleet) -> None:
    """DOM-1 to DOM-5."""
    receipt = repository.receipt(fleet, back_up(playbooks, server)["set"], server.host)
    events = [event["event"] for event in receipt["events"]]
    assert events[0] == "start backup" and events[-1] == "end backup"
    names = " ".join(item["name"] for item in receipt["artifacts"])
    for part in ("databases", "ini", "ids", "daos", "logs"):
        assert part in names, f"{part} is not in {names}"


@pytest.mark.long
def test_one_database_beside_the_live_one_with_replication_disabled(server: Server, playbooks: Playbooks) -> None:
    """What another server of the domain has is newer and must not come back into the restored past."""
    server.configure("ServerTasks", "Update,Replica,Router,AMgr,AdminP")
    full = back_up(playbooks, server)
    known = server.prove()["mail/anna.nsf"]
    last = server.deliver("mail/anna.nsf")
    target = "mail/anna-then.nsf"  # where the other server replicates
    process = server.main_process()
    variables = {"app_domino_database": "mail/anna.nsf", "app_domino_database_target": target}
    restore(playbooks, server, backstay_set=full["set"], **variables).demand()
    time_for_replication = server.goes_on()
    found = server.prove(last, time_for_replication)
    assert found[target]["documents"] <= known["documents"] < last.id
    assert found[target]["replicate"] is False and found["mail/anna.nsf"]["replicate"] is True
    assert server.main_process() == process, "the server was restarted"
    restore(playbooks, server, backstay_set=full["set"], **variables).refused(target)


@pytest.mark.long
def test_a_verification_leaves_copies_and_databases_alone(server: Server, playbooks: Playbooks) -> None:
    """Opening a copy would cut it loose from the log, a fixup gives a new DBIID: only throw-away duplicates are touched."""
    full, middle, log = full_and_log(playbooks, server)
    before = {path: item["dbiid"] for path, item in server.prove().items()}
    for done in (full, log):
        proved = playbooks.run("verify", "--limit", server.host, backstay_set=done["set"]).demand().record
        assert {check["status"] for check in proved["checks"]} == {"ok"}
    after = server.prove()
    assert {path: after[path]["dbiid"] for path in before} == before
    copies = domino.documents_at_rest(server.fleet, server.host, domino.TARGET)
    assert {item["state"] for item in copies.values()} <= {"Y"} and all(item["tied"] for item in copies.values())
    history = server.history()
    moment = domino.between(history, middle)
    server.destroy()
    restore(playbooks, server, backstay_moment=moment).demand()
    domino.demand_moment(server.prove(middle), history, moment)


@pytest.mark.long
def test_check_mode_of_a_backup_and_a_restore_changes_nothing(server: Server, playbooks: Playbooks) -> None:
    full = back_up(playbooks, server)
    server.stop_writer()
    before = (server.main_process(), domino.content(server.prove()), server.extents(), len(server.documents("Log")))
    playbooks.run("backup", "--check", "--limit", server.host, backstay_kind="log").demand()
    restore_options = ("--check", "--limit", server.host)
    playbooks.run("restore", *restore_options, backstay_confirm=server.host, backstay_set=full["set"]).demand()
    assert (server.main_process(), domino.content(server.prove()), server.extents(), len(server.documents("Log"))) == before


# Roles that would make worthless sets (mutants): each says that its set is good, and none passes a restore

APP = "plugins/module_utils/apps/domino"
BYTES = "    required = {entry.database: entry.bytes for entry in result.entries}\n"
ANYTHING = (f"{APP}/capture.py", BYTES, "    required = {}\n")
LIVE = (
    f"{APP}/capture.py",
    "    # Retention of the server",
    "    for entry in result.entries:\n        shutil.copyfile(found.databases[entry.database], entry.file)\n    # ",
)
DEAF = (
    f"{APP}/tasks.py",
    "    prove(result.entries)\n",
    "    import os\n    for entry in result.entries[:1]:\n        os.truncate(entry.file, 2048)\n",
)
GAP = (f"{APP}/logs.py", "    require_unbroken(numbers, first)\n", "    files.pop(numbers[1])\n")


@pytest.mark.long
@pytest.mark.parametrize("change", [LIVE, DEAF], ids=["copies live files", "does not look at what was written"])
def test_copies_that_are_none_fail_the_restore(
    change: tuple[str, str, str], server: Server, playbooks: Playbooks, tmp_path: Path
) -> None:
    """The former data is kept, and comes back with the command that the operator is told."""
    false = back_up(Playbooks(server.fleet, mutant(tmp_path, change, ANYTHING)), server)
    assert false["status"] == "ok", "this mutant is to lie"
    known = server.goes_on()
    failed = restore(playbooks, server, backstay_set=false["set"])
    record = failed.refused("The former data is kept; put it back with: ").record
    assert record["error"]["code"] in ("integrity", "application-down")
    server.shell(record["put_back"])
    server.prove(known)


@pytest.mark.long
def test_a_log_set_without_one_of_its_extents_fails_the_restore(server: Server, playbooks: Playbooks, tmp_path: Path) -> None:
    """The live server is not even stopped."""
    back_up(playbooks, server)
    for _ in range(3):
        server.fill_extent()
    middle = server.goes_on()
    server.fill_extent()
    false = back_up(Playbooks(server.fleet, mutant(tmp_path, GAP)), server, "log")
    assert (false["kind"], false["status"]) == ("log", "ok"), "this mutant is to lie"
    process = server.main_process()
    moment = domino.between(server.history(), middle)
    record = restore(playbooks, server, backstay_moment=moment).refused("is missing").record
    assert record["error"]["code"] == "integrity"
    assert server.main_process() == process
