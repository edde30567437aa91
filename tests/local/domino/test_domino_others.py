# SPDX-License-Identifier: GPL-3.0-or-later
"""Domino servers that others back up, too, and data directories that are not as expected: no set says more than it holds."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.apps.domino.calls import CALLS
from lab_tools.domino_standin import Document, Server
from lab_tools.waiting import seconds_pass
from unit.support.domino_steps import Domino, good, lose_everything, made
from unit.support.sandbox import Sandbox

# A server is known by the processes of its account, and here all servers run as the same one: one after the other.
pytestmark = pytest.mark.xdist_group("domino")

WRITING = 0.1  # a set of logs answers for a little less than its last extent holds


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], Any]], None]:
    """Return a function that has something else happen once, before a call of the app."""

    def arrange(call: str, happens: Callable[[], Any]) -> None:
        own, todo = CALLS[call], [happens]

        def instead(job: Any, arguments: dict[str, Any]) -> Any:
            if todo:
                todo.pop()()
            return own(job, arguments)

        monkeypatch.setitem(CALLS, call, instead)

    return arrange


def write_on(server: Server, database: str = "mail/anna.nsf") -> Document:
    """Deliver a document whose extent, and one more, are full afterwards."""
    known = server.deliver(database, 3)
    seconds_pass(2 * WRITING)
    server.fill_extent()
    server.fill_extent()
    return known


def failed(domino: Domino, **options: Any) -> dict[str, str]:
    """Return the one check of a preflight that failed."""
    (check,) = [item for item in domino.look(**options)["checks"] if item["status"] == "failed"]
    return check


def require_kept_promise(domino: Domino, server: Server, result: dict[str, Any], *documents: Document) -> None:
    """After the loss of everything all documents are back that the newest set said it covers."""
    lose_everything(server)
    good(domino.restore())
    server.in_order(*(document for document in documents if document.time < result["consistent_at"]))


# Backups that others make


def test_copies_of_another_backup_do_not_stand_in_for_those_of_the_sets(domino: Domino, server: Server) -> None:
    """HCL advises a full backup every day; one that is not ours, of the same DBIIDs, changes nothing."""
    good(domino.backup())
    server.back_up("-b")
    known = write_on(server)
    result = good(domino.backup("log"))
    assert known.time < result["consistent_at"]
    assert [item["detail"] for item in result["checks"] if item["name"] == "changed databases"] == ["0 saved"]
    require_kept_promise(domino, server, result, known)
    assert server.check(known)["ok"]


@pytest.mark.parametrize("who", ["somebody else", "a run of ours that died"])
def test_a_copy_of_another_run_promises_no_more_than_it_holds(
    domino: Domino, server: Server, before: Callable[..., None], who: str
) -> None:
    """At which extent it was made is not known; the next log set leads past it for sure."""
    good(domino.backup())
    server.console("load compact mail/anna.nsf", "Compacted")
    server.fill_extent()
    if who == "somebody else":
        server.back_up("-i")
    else:
        before("arrange_logs", (server.root / "local/backup/gone").stat)
        assert domino.backup("log")["status"] == "failed"
    known = write_on(server)
    result = good(domino.backup("log"))
    assert [item["status"] for item in result["checks"] if item["name"] == "new DBIID"] == ["warning"]
    assert known.time >= result["consistent_at"], "not promised yet"
    assert [item for item in result["checks"] if "next full extent" in item["detail"]]
    later = write_on(server)
    result = good(domino.backup("log"))
    assert later.time < result["consistent_at"]
    require_kept_promise(domino, server, result, known, later)


@pytest.mark.long
def test_copies_of_a_full_backup_that_failed_are_no_base(domino: Domino, server: Server) -> None:
    good(domino.backup())
    server.knob("backup_error", "no room")
    assert domino.backup()["status"] == "failed"
    server.no_knob("backup_error")
    known = write_on(server)
    result = good(domino.backup("log"))
    assert known.time < result["consistent_at"]
    require_kept_promise(domino, server, result, known)


@pytest.mark.long
def test_a_new_dbiid_that_only_a_failed_backup_copied_asks_for_a_full_set(domino: Domino, server: Server) -> None:
    good(domino.backup())
    server.console("load compact mail/anna.nsf", "Compacted")
    server.knob("backup_error", "no room")
    server.console("load backup -i", "Finished")
    server.no_knob("backup_error")
    server.fill_extent()
    result = domino.backup("log")
    assert "mail/anna.nsf has a new DBIID, and the backup that copied it" in result["error"]["message"]
    assert good(domino.backup("log"))["kind"] == "full", "it is made when the next log run is due"


@pytest.mark.long
def test_a_copy_with_its_change_information_beside_it_asks_for_a_full_set(domino: Domino, server: Server) -> None:
    good(domino.backup())
    server.console("load compact mail/anna.nsf", "Compacted")
    server.good("lab-configure", 'delta="keep"')
    server.back_up("-i")
    server.good("lab-configure", 'delta="apply"')
    server.fill_extent()
    assert "mail/anna.nsf.DELTA" in domino.backup("log")["error"]["message"]
    assert good(domino.backup("log"))["kind"] == "full", "the task does not copy the database again"


@pytest.mark.long
def test_a_database_that_comes_back_is_in_the_next_set_again(domino: Domino, server: Server) -> None:
    """It has the DBIID of an older set, and no restore to the newest begins with that one."""
    good(domino.backup())
    server.console("load compact apps/orders.nsf", "Compacted")
    write_on(server)
    good(domino.backup("log"))
    domino.options["exclude"] = ["apps/orders"]
    good(domino.backup())
    domino.options["exclude"] = []
    known = write_on(server, "apps/orders.nsf")
    result = good(domino.backup("log"))
    (detail,) = [item["detail"] for item in result["checks"] if item["name"] == "new databases"]
    assert detail.startswith("apps/orders.nsf: no moment before")
    write_on(server)
    result = good(domino.backup("log"))
    assert known.time < result["consistent_at"]
    require_kept_promise(domino, server, result, known)


def test_extents_that_somebody_else_saved_during_a_full_backup_are_in_it(
    domino: Domino, server: Server, before: Callable[..., None]
) -> None:
    before("gather_configuration", lambda: (server.fill_extent(), server.back_up("-t"), server.fill_extent()))
    good(domino.backup())
    known = write_on(server)
    result = good(domino.backup("log"))
    good(domino.verify())
    require_kept_promise(domino, server, result, known)
    assert server.check(known)["ok"]


@pytest.mark.long
def test_full_extents_that_the_task_does_not_save_are_missed_by_the_first_set(
    domino: Domino, server: Server, before: Callable[..., None]
) -> None:
    before("back_up_logs", lambda: (server.fill_extent(), server.knob("backup_lies")))
    result = domino.backup()
    assert "was full, and the backup target does not hold it" in result["error"]["message"]


def test_a_database_that_the_console_says_is_new_and_the_task_does_not_save_is_missed_after_a_full_set_too(
    domino: Domino, server: Server, before: Callable[..., None]
) -> None:
    good(domino.backup())
    server.console("load compact mail/anna.nsf", "Compacted")
    server.fill_extent()
    before("back_up_changed", lambda: server.knob("backup_lies"))
    result = domino.backup("log")
    assert "the console says that mail/anna.nsf got a new DBIID, and no backup of it followed" in result["error"]["message"]


def test_a_copy_that_is_removed_before_it_is_read_makes_no_set(
    domino: Domino, server: Server, before: Callable[..., None]
) -> None:
    before("archive_argv", lambda: [path.unlink() for path in server.target.glob("*/FULL/*/mail/anna.nsf")])
    result = domino.backup()
    assert result["status"] == "failed"
    assert "mail/anna.nsf is not what was saved there" in result["error"]["message"]


@pytest.mark.long
def test_what_retention_removed_is_not_taken_for_new(domino: Domino, server: Server) -> None:
    """A gap is a gap also when the inventory has forgotten the copy before it."""
    good(domino.backup())
    write_on(server)
    good(domino.backup("log"))
    server.console("load backup -p 0", "Pruned")
    server.console("load compact mail/anna.nsf", "Compacted")
    write_on(server)
    result = good(domino.backup("log"))
    assert [item["status"] for item in result["checks"] if item["name"] == "new DBIID"] == ["warning"]


@pytest.mark.long
def test_a_restore_to_the_end_of_the_last_set_brings_nothing_younger(domino: Domino, server: Server) -> None:
    good(domino.backup())
    write_on(server)
    result = good(domino.backup("log"))
    lose_everything(server)
    restored = good(domino.restore(moment=result["consistent_at"]))
    (rolled,) = [item["detail"] for item in restored["checks"] if item["name"] == "roll forward"]
    assert rolled.endswith(f"to {result['consistent_at']}")


@pytest.mark.long
def test_without_documents_the_console_leads_to_full_sets(domino: Domino, server: Server) -> None:
    domino.options["server"]["documents"] = []
    for _round in range(2):
        known = write_on(server)
        result = good(domino.backup())
    require_kept_promise(domino, server, result, known)
    assert server.check(known)["ok"]


@pytest.mark.long
def test_a_server_that_does_not_say_its_release_is_not_stopped_on_a_guess(domino: Domino) -> None:
    domino.options["server"]["patterns"] = {"release": "never said (?P<release>[0-9]+)"}
    check = failed(domino)
    assert check["detail"] == "the console does not say which release this is"
    assert "app_domino_method" in check["hint"]


# Data directories


def test_attachments_whose_folder_is_gone_are_missed(domino: Domino, server: Server) -> None:
    server.deliver("mail/anna.nsf", 2, "--attachment", "blob")
    shutil.move(server.root / "local/daos", server.root / "local/daos.unmounted")
    assert failed(domino)["detail"] == f"{server.root}/local/daos is not there"


@pytest.mark.long
def test_links_to_the_folders_of_attachments_and_logs_are_no_folders_of_their_own(domino: Domino, server: Server) -> None:
    """Each of them is exchanged once."""
    (server.data / "DAOS").symlink_to(server.root / "local/daos")
    (server.data / "LOGDIR").symlink_to(server.logs)
    known = server.deliver("mail/anna.nsf", 2, "--attachment", "blob")
    good(domino.backup())
    lose_everything(server)
    good(domino.restore())
    server.in_order(known)
    assert (server.data / "DAOS").is_symlink()


def moved_away(server: Server, name: str, place: Path) -> None:
    """Move something out of the data directory of a stopped server, and lead a symbolic link there."""
    server.stop()
    place.parent.mkdir(exist_ok=True)
    shutil.move(server.data / name, place)
    (server.data / name).symlink_to(place)
    server.start()


def test_folders_behind_symbolic_links_are_saved_and_come_back(sandbox: Sandbox, tmp_path: Path) -> None:
    server = made(tmp_path, "--version", "9.0", "--style", "none", "--no-daos", "--shutdown-timeout", "2")
    domino, far = Domino(sandbox, server.root, server.ini), tmp_path / "far/mail"
    try:
        moved_away(server, "mail", far)
        content = (far / "anna.nsf").stat().st_size
        result = good(domino.backup())
        assert "linked-2" in {item["name"] for item in result["artifacts"]}
        shutil.rmtree(far)
        far.mkdir()
        good(domino.restore())
        assert (far / "anna.nsf").stat().st_size == content
        assert (server.data / "mail").is_symlink()
    finally:
        server.end()


@pytest.mark.long
def test_configuration_behind_symbolic_links_comes_back_where_it_was(domino: Domino, server: Server, tmp_path: Path) -> None:
    secret = tmp_path / "secure/server.id"
    moved_away(server, "server.id", secret)
    content = secret.read_bytes()
    known = server.deliver("mail/anna.nsf", 2, "--attachment", "blob")
    good(domino.backup())
    lose_everything(server)
    secret.unlink()
    good(domino.restore())
    assert secret.read_bytes() == content
    assert (server.data / "server.id").is_symlink()
    server.in_order(known)
