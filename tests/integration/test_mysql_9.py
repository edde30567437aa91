# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs and moments of MySQL 9, and what CLONE refuses: the same shop, whose writer records every commit's GTID."""

from __future__ import annotations

from typing import Any

import pytest
from integration.apps import mysql_9
from lab_tools import repository, shop
from lab_tools.fleet import Fleet
from lab_tools.playbooks import Playbooks, Run
from lab_tools.waiting import wait_until

HOST = mysql_9.Adapter.host
APPS = ("mysql_9",)


def back_up(playbooks: Playbooks, kind: str, **variables: Any) -> dict[str, Any]:
    record = playbooks.run("backup", "--limit", HOST, backstay_kind=kind, **variables).demand().record
    assert record["status"] == "ok", record
    return record


def restore(playbooks: Playbooks, **variables: Any) -> Run:
    return playbooks.run("restore", "--limit", HOST, backstay_confirm=HOST, **variables)


def some_commits(fleet: Fleet, count: int = 20) -> list[shop.Commit]:
    """Wait until ``count`` more transactions were committed and return them."""
    before = shop.commits(fleet, HOST)[-1].number
    wait_until(lambda: shop.commits(fleet, HOST)[-1].number >= before + count, f"{count} commits", 120)
    return [item for item in shop.commits(fleet, HOST) if item.number > before]


def test_a_gtid_between_two_commits_comes_back_exactly(live: mysql_9.Adapter, fleet: Fleet, playbooks: Playbooks) -> None:
    """Across a clone whose place only the server on it tells, and two log sets."""
    live.start_writer()
    full = back_up(playbooks, "full")
    assert full["position"]["exact"] is False
    between = some_commits(fleet, 40)[20]
    first = back_up(playbooks, "log")
    some_commits(fleet)
    shop.stop_writer(fleet, HOST)
    second = back_up(playbooks, "log")
    receipts = [repository.receipt(fleet, item["set"], HOST) for item in (full, first, second)]
    assert [item["kind"] for item in receipts] == ["full", "log", "log"]
    assert len({item["stream"]["id"] for item in receipts}) == 1, "the history never broke"
    assert receipts[1]["stream"]["last"] == receipts[2]["stream"]["first"]
    shop.destroy(fleet, HOST)
    run = restore(playbooks, backstay_position=f"gtid:{between.gtid}").demand()
    facts = shop.check(fleet, HOST)
    assert (facts["last_ledger_id"], facts["last_ledger_hash"]) == (between.number, between.digest)
    (replayed,) = [check for check in run.record["checks"] if check["name"] == "replay"]
    uuid, _colon, number = between.gtid.partition(":")
    assert f"{uuid}:1-{number}" in replayed["detail"]
    following = playbooks.run("backup", "--limit", HOST, backstay_kind="log").demand().record
    assert following["kind"] == "full", "the history of the server ended with its restore"


def test_tables_that_a_clone_would_leave_out_are_refused(live: mysql_9.Adapter, fleet: Fleet, playbooks: Playbooks) -> None:
    shop.sql(fleet, "CREATE SCHEMA old; CREATE TABLE old.counter (n INT) ENGINE = MyISAM", HOST)
    try:
        playbooks.run("backup", "--limit", HOST).refused("CLONE takes InnoDB only", "old.counter (MyISAM)", "logical")
    finally:
        shop.sql(fleet, "DROP SCHEMA old", HOST)


@pytest.mark.long
def test_what_mysql_does_not_have_is_not_promised(live: mysql_9.Adapter, playbooks: Playbooks) -> None:
    """MY-3: no incremental backup is claimed where there is none."""
    playbooks.run("backup", "--limit", HOST, backstay_kind="incremental").refused("MySQL has no incremental backup")


@pytest.mark.long
def test_a_reset_of_the_logs_makes_the_next_log_backup_a_full_one(
    live: mysql_9.Adapter, fleet: Fleet, playbooks: Playbooks
) -> None:
    back_up(playbooks, "full")
    shop.stop_writer(fleet, HOST)
    shop.sql(fleet, "RESET BINARY LOGS AND GTIDS", HOST)
    record = playbooks.run("backup", "--limit", HOST, backstay_kind="log").demand().record
    assert record["kind"] == "full"
    assert any("log was asked for, a full backup is made" in check["detail"] for check in record["checks"])
