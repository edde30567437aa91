# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs that cannot hold every commit of their server, and what becomes of its sets."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.apps.mysql import completeness, inspection, methods, products
from ansible_collections.backstay.fleet.plugins.module_utils.errors import CommandFailed

SETTINGS = {"server_id": "7", "sync_binlog": "1", "innodb_flush_log_at_trx_commit": "1", "gtid_mode": "ON"}
VALUES = {**SETTINGS, "log_bin": "ON", "log_slave_updates": "OFF", "log_replica_updates": "OFF", "wsrep_on": ""}
both = pytest.mark.parametrize("product", list(products.PRODUCTS.values()), ids=lambda product: product.name)


def answer(monkeypatch: pytest.MonkeyPatch, do: str = "", ignore: str = "", sources: Any = ()) -> None:
    def query(_options: Any, sql: str) -> list[list[str]]:
        if sql in ("SHOW MASTER STATUS", "SHOW BINARY LOG STATUS"):
            return [["bin.000001", "387", do, ignore]]
        if isinstance(sources, CommandFailed):
            raise sources
        assert sql in ("SHOW ALL SLAVES STATUS", "SHOW REPLICA STATUS")
        return list(sources)

    monkeypatch.setattr(completeness, "query", query)


@both
def test_a_server_of_its_own_logs_everything(monkeypatch: pytest.MonkeyPatch, product: products.Product) -> None:
    answer(monkeypatch)
    assert completeness.find_gap({}, product, VALUES) == completeness.WHOLE


@both
@pytest.mark.parametrize(
    ("changes", "answers", "said"),
    [
        ({}, {"sources": [["", "Waiting for source"]]}, "is a replica"),
        ({"wsrep_on": "ON"}, {}, "cluster"),
        ({}, {"do": "shop"}, r"binlog_do_db=shop"),
        ({}, {"ignore": "scratch,other"}, r"binlog_ignore_db=scratch,other"),
        ({}, {"sources": CommandFailed("ERROR 1227: Access denied; you need SLAVE MONITOR")}, "Access denied"),
    ],
)
def test_logs_without_every_commit_are_refused(
    monkeypatch: pytest.MonkeyPatch, product: products.Product, changes: dict[str, str], answers: dict[str, Any], said: str
) -> None:
    answer(monkeypatch, **answers)
    gap = completeness.find_gap({}, product, {**VALUES, **changes})
    assert said in gap[0] and gap[1]
    refused = inspection.binary_log_check(product, VALUES, "log", gap)
    assert refused["status"] == "failed" and said in refused["detail"] and refused["hint"]
    warned = inspection.binary_log_check(product, VALUES, "full", gap)
    assert warned["status"] == "warning" and "no log backups" in warned["detail"]
    _check, chosen = inspection.choose_kind({"kind": "incremental", "newest": {}}, VALUES, gap)
    assert chosen["kind"] == "full" and said in chosen["because"]


@both
def test_a_replica_that_logs_what_it_takes_over_is_whole(monkeypatch: pytest.MonkeyPatch, product: products.Product) -> None:
    answer(monkeypatch, sources=[["", "Waiting for source"]])
    values = dict(VALUES, wsrep_on="ON", **{product.relayed: "ON"})
    assert completeness.find_gap({}, product, values) == completeness.WHOLE
    answer(monkeypatch, do="shop")
    assert completeness.find_gap({}, product, values)[0], "filters hold for what it takes over, too"


def test_without_a_log_there_is_nothing_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completeness, "query", None)
    assert completeness.find_gap({}, products.MARIADB, dict(VALUES, log_bin="OFF")) == completeness.WHOLE


@pytest.mark.parametrize("gap", ["", "the server is a replica"])
def test_no_logs_continue_a_set_of_such_a_server(monkeypatch: pytest.MonkeyPatch, gap: str) -> None:
    facts = {name: "x" for name in methods._KEPT}
    job: Any = SimpleNamespace(specification={"kind": "full", "facts": dict(facts, method="dump", gap=gap)})
    monkeypatch.setitem(methods.SEALS, "dump", lambda _job: {"checks": [], "facts": {}, "stream": {"id": "s"}})
    sealed = methods.seal(job)
    assert ("stream" in sealed) == (not gap)
    assert [gap in check["detail"] for check in sealed["checks"]] == ([True] if gap else [])
