# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs and points in time of MariaDB: a writer records every commit with its GTID, and any point between two comes back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from lab_tools import repository, shop
from lab_tools.fleet import CHECKOUT, Fleet
from lab_tools.playbooks import Playbooks, Run
from lab_tools.waiting import seconds_pass, wait_until

SIDE = "/var/lib/backstay-side"


class Timeline(NamedTuple):
    """What happened on the server: the sets in their order, and marks that a restore has to hit."""

    sets: dict[str, dict[str, Any]]
    between: shop.Commit  # in the middle of the first log set, with commits on both sides of it
    pause: str  # a moment at which nothing was committed for a while
    before_pause: shop.Commit
    last: shop.Commit


def back_up(playbooks: Playbooks, kind: str, **variables: Any) -> dict[str, Any]:
    run = playbooks.run("backup", "--limit", shop.HOST, backstay_kind=kind, **variables).demand()
    assert run.record["status"] == "ok", run.record
    return run.record


def restore(playbooks: Playbooks, **variables: Any) -> Run:
    return playbooks.run("restore", "--limit", shop.HOST, backstay_confirm=shop.HOST, **variables)


def some_commits(fleet: Fleet, count: int = 20) -> list[shop.Commit]:
    """Wait until ``count`` more transactions were committed and return them."""
    before = shop.commits(fleet)[-1].number
    wait_until(lambda: shop.commits(fleet)[-1].number >= before + count, f"{count} commits")
    return [item for item in shop.commits(fleet) if item.number > before]


def standing(fleet: Fleet) -> shop.Commit:
    """Stop the application and return the last transaction in the database; the record may lack it."""
    shop.stop_writer(fleet)
    facts = shop.check(fleet)
    return shop.Commit("", facts["last_ledger_id"], facts["last_ledger_hash"], "")


@pytest.fixture(scope="module")
def timeline(fleet: Fleet, playbooks: Playbooks) -> Timeline:
    """Make a full, two logs, an incremental and two more logs while the application writes."""
    if not shop.ask_check(fleet)["ok"]:
        fleet.shell(shop.HOST, f"systemctl stop mariadb.service; find {shop.DATADIR} -mindepth 1 -delete")
        fleet.up()
    shop.start_writer(fleet)
    sets = {"full": back_up(playbooks, "full")}
    middle = some_commits(fleet, 40)
    sets["log1"] = back_up(playbooks, "log")
    some_commits(fleet)
    sets["incremental"] = back_up(playbooks, "incremental")
    before_pause = standing(fleet)
    pause = seconds_pass(1.5)
    shop.start_writer(fleet)
    some_commits(fleet)
    sets["log2"] = back_up(playbooks, "log")
    some_commits(fleet)
    last = standing(fleet)
    sets["log3"] = back_up(playbooks, "log")
    return Timeline(sets, middle[len(middle) // 2], pause, before_pause, last)


@pytest.fixture
def stopped(fleet: Fleet) -> Iterator[None]:
    """The application does not write: what a restore brought can be compared to the row."""
    shop.stop_writer(fleet)
    yield
    shop.stop_writer(fleet)


def demand_exactly(fleet: Fleet, wanted: shop.Commit, socket: str = shop.SOCKET) -> None:
    """Demand that the database holds ``wanted`` as its last transaction, every row before it, and nothing after it."""
    facts = shop.check(fleet, socket=socket)
    assert (facts["last_ledger_id"], facts["last_ledger_hash"]) == (wanted.number, wanted.digest)


def test_the_kinds_are_what_was_asked_for(timeline: Timeline, fleet: Fleet) -> None:
    assert [item["kind"] for item in timeline.sets.values()] == ["full", "log", "incremental", "log", "log"]
    receipts = {name: repository.receipt(fleet, item["set"], shop.HOST) for name, item in timeline.sets.items()}
    assert len({receipt["stream"]["id"] for receipt in receipts.values()}) == 1, "the history never broke"
    assert receipts["log1"]["stream"]["last"] == receipts["log2"]["stream"]["first"], "a full or incremental opens no gap"
    assert receipts["log2"]["stream"]["last"] == receipts["log3"]["stream"]["first"]
    assert receipts["incremental"]["parent"] == timeline.sets["full"]["set"]
    assert all(receipts[name]["chain"] == [] for name in ("log1", "log2", "log3")), "receipts of logs do not grow"


@pytest.mark.usefixtures("stopped")
def test_a_position_between_two_commits_comes_back_exactly(timeline: Timeline, fleet: Fleet, playbooks: Playbooks) -> None:
    shop.destroy(fleet)
    run = restore(playbooks, backstay_position=f"gtid:{timeline.between.gtid}").demand()
    demand_exactly(fleet, timeline.between)
    (replayed,) = [check for check in run.record["checks"] if check["name"] == "replay"]
    assert f"GTID {timeline.between.gtid}" in replayed["detail"]
    assert timeline.sets["incremental"]["set"] not in run.output, "data of after the position was landed"


@pytest.mark.usefixtures("stopped")
def test_a_moment_comes_back_through_full_incremental_and_logs(timeline: Timeline, fleet: Fleet, playbooks: Playbooks) -> None:
    run = restore(playbooks, backstay_moment=timeline.pause).demand()
    demand_exactly(fleet, timeline.before_pause)
    assert run.record["target"] == timeline.pause
    for name in ("full", "incremental", "log2"):
        assert timeline.sets[name]["set"] in run.output, f"{name} is not in the plan"


@pytest.mark.long
@pytest.mark.usefixtures("stopped")
def test_without_a_moment_everything_comes_back(timeline: Timeline, fleet: Fleet, playbooks: Playbooks) -> None:
    restore(playbooks).demand()
    demand_exactly(fleet, timeline.last)


def test_a_moment_after_the_last_log_is_refused_with_the_nearest(timeline: Timeline, playbooks: Playbooks) -> None:
    reached = timeline.sets["log3"]["consistent_at"]
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    restore(playbooks, backstay_moment=moment).refused("cannot be restored", f"Nearest earlier: {reached}", '"code": "plan"')


def test_a_damaged_log_set_is_refused_with_the_nearest_moments(timeline: Timeline, fleet: Fleet, playbooks: Playbooks) -> None:
    damaged = timeline.sets["log2"]
    snapshot = repository.receipt(fleet, damaged["set"], shop.HOST)["artifacts"][0]["snapshot"]
    blob = repository.data_blob(fleet, snapshot, shop.HOST)
    inode = fleet.run(shop.HOST, "stat", "-c", "%i", f"{shop.DATADIR}/ibdata1")
    repository.flip(fleet, blob)
    try:
        run = restore(playbooks, backstay_moment=timeline.pause)
    finally:
        repository.flip(fleet, blob)
    run.refused(f"Set {damaged['set']}: ", "nearest earlier:", "; nothing was changed")
    assert fleet.run(shop.HOST, "stat", "-c", "%i", f"{shop.DATADIR}/ibdata1") == inode


@pytest.mark.long
def test_one_table_is_recovered_through_a_side_instance(timeline: Timeline, fleet: Fleet, playbooks: Playbooks) -> None:
    """By the very commands of the runbook page."""
    shop.sql(fleet, "SET FOREIGN_KEY_CHECKS = 0; DROP TABLE shop.accounts")
    page = (CHECKOUT / "docs" / "operating" / "restore-at-3am.md").read_text()
    (recipe,) = re.findall(r"<!-- one table -->\n```sh\n(.*?)```", page, re.DOTALL)
    restore(playbooks, backstay_moment=timeline.pause, backstay_restore_to=SIDE).demand()
    try:
        demand_exactly(fleet, timeline.before_pause, f"{SIDE}/server.sock")
        fleet.shell(shop.HOST, recipe.replace("SIDE", SIDE).replace("DATABASE", "shop").replace("TABLE", "accounts"))
        count = "SELECT COUNT(*), SUM(balance) FROM shop.accounts"
        assert shop.sql(fleet, count) == shop.sql(fleet, count, socket=f"{SIDE}/server.sock")
    finally:
        for unit in fleet.run(shop.HOST, "systemctl", "list-units", "--plain", "--no-legend", "backstay-side-*").splitlines():
            fleet.run(shop.HOST, "systemctl", "stop", unit.split()[0])
        fleet.run(shop.HOST, "rm", "-rf", SIDE)


@pytest.mark.long
def test_verification_replays_the_logs(timeline: Timeline, playbooks: Playbooks) -> None:
    done = playbooks.run("verify", "--limit", shop.HOST, backstay_moment=timeline.pause).demand().record
    assert {"replay", "mariadb-check"} <= {check["name"] for check in done["checks"]}


@pytest.mark.long
@pytest.mark.parametrize(
    ("statement", "because"),
    [
        ("RESET MASTER", "reset"),
        ("SET GLOBAL server_id = 4711", "the server is another one"),
        ("FLUSH BINARY LOGS; FLUSH BINARY LOGS; PURGE BINARY LOGS TO '{newest}'", "gone from the server"),
    ],
)
def test_a_broken_history_makes_the_next_log_backup_a_full_one(
    timeline: Timeline, fleet: Fleet, playbooks: Playbooks, statement: str, because: str
) -> None:
    back_up(playbooks, "full")
    shop.start_writer(fleet)
    some_commits(fleet)
    shop.stop_writer(fleet)
    if "{newest}" in statement:
        flush, _semicolon, purge = statement.rpartition("; ")
        shop.sql(fleet, flush)
        newest = shop.sql(fleet, "SHOW MASTER STATUS").split()[0]

        def purged() -> bool:
            """A log that a crash would still need is kept until the next checkpoint, with a warning only."""
            shop.sql(fleet, purge.format(newest=newest))
            return len(shop.sql(fleet, "SHOW BINARY LOGS").splitlines()) == 1

        wait_until(purged, "the server has purged its logs")
    else:
        shop.sql(fleet, statement)
    run = playbooks.run("backup", "--limit", shop.HOST, "-v", backstay_kind="log").demand()
    assert run.record["kind"] == "full"
    warnings = [check["detail"] for check in run.record["checks"] if check["status"] == "warning"]
    assert [detail for detail in warnings if "log was asked for, a full backup is made" in detail and because in detail], (
        warnings
    )
    shop.start_writer(fleet)
    some_commits(fleet)
    following = back_up(playbooks, "log")
    assert following["kind"] == "log"
    verified = playbooks.run("verify", "--limit", shop.HOST, backstay_set=following["set"]).demand().record
    assert verified["status"] == "ok"


def test_the_sets_page_shows_the_moments(timeline: Timeline, playbooks: Playbooks) -> None:
    listed = playbooks.run("sets", "--limit", shop.HOST).demand()
    assert "every moment from" in listed.output
    assert timeline.sets["full"]["set"] in listed.output


@pytest.mark.long
def test_a_log_backup_holds_logs_only(timeline: Timeline, playbooks: Playbooks) -> None:
    back_up(playbooks, "log")  # a full one where a restore has ended the history
    record = back_up(playbooks, "log")
    assert record["kind"] == "log"
    assert record["bytes"] < 64 << 20, "a log backup took more than logs"
    assert [item["name"] for item in record["artifacts"]] == ["logs"]
