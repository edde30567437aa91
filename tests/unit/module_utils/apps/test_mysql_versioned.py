# SPDX-License-Identifier: GPL-3.0-or-later
"""System-versioned tables: a dump takes their history, or is refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.apps.mysql import inspection, logical, products, versioned
from ansible_collections.backstay.fleet.plugins.module_utils.process import Finished

NEW, OLD = "  -H, --dump-history  Dump system-versioned tables with history", "  --dump-slave  no --dump-historyless"


def server(monkeypatch: pytest.MonkeyPatch, helped: str, versioned_ones: list[str], by_transaction: list[str]) -> None:
    def query(_options: Any, sql: str) -> list[list[str]]:
        return [name.split(".") for name in (versioned_ones if "SYSTEM VERSIONED" in sql else by_transaction)]

    monkeypatch.setattr(versioned, "run", lambda *_arguments: Finished(0, helped, ""))
    monkeypatch.setattr(versioned, "query", query)


@pytest.mark.parametrize(
    ("helped", "by_transaction", "lost"),
    [(NEW, [], []), (NEW, ["shop.b"], ["shop.b"]), (OLD, [], ["old.x", "shop.a", "shop.b"])],
)
def test_history_is_dumped_or_refused(
    monkeypatch: pytest.MonkeyPatch, helped: str, by_transaction: list[str], lost: list[str]
) -> None:
    server(monkeypatch, helped, ["old.x", "shop.a", "shop.b"], by_transaction)
    monkeypatch.setattr(inspection, "loose_tables", lambda _options: [])
    monkeypatch.setattr(inspection, "has_named_zones", lambda _options: False)
    assert versioned.history_options(products.MARIADB) == (("--dump-history",) if helped == NEW else ())
    assert versioned.lost_history(products.MARIADB, {}) == lost
    assert versioned.lost_history(products.MARIADB, {}, "shop") == [name for name in lost if name.startswith("shop.")]
    checks = inspection.dump_checks({}, products.MARIADB, accounts=True)
    assert [(item["name"], item["status"]) for item in checks] == ([("history", "failed")] if lost else [])


def test_mysql_has_none_and_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versioned, "query", None)
    assert versioned.history_options(products.MYSQL) == ()
    assert versioned.lost_history(products.MYSQL, {}) == versioned.versioned_tables(products.MYSQL, {}) == []


@pytest.mark.parametrize("history", [True, False])
def test_the_capture_takes_history_where_the_tool_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, history: bool) -> None:
    for name in ("object_names", "loose_tables", "schemas"):
        monkeypatch.setattr(logical, name, lambda _options: ["shop"])
    facts = {"product": "mariadb", "socket": "/s", "continuable": True, "history": history}
    job: Any = SimpleNamespace(work=tmp_path, specification={"facts": facts})
    assert ("--dump-history" in logical.captured_dump_argv(job, {})) is history


def test_a_dump_with_history_stays_in_its_series() -> None:
    """What marks a row as a present one is another moment since 11.5, and nothing would tell."""
    source = {"version": "10.11.2-MariaDB", "versioned": True}
    assert inspection.source_check(products.MARIADB, source, "11.8.3", "dump")["status"] == "failed"
    assert inspection.source_check(products.MARIADB, source, "10.11.9", "dump")["status"] == "ok"
    assert inspection.source_check(products.MARIADB, dict(source, versioned=False), "11.8.3", "dump")["status"] == "ok"
