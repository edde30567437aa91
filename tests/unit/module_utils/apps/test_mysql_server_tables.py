# SPDX-License-Identifier: GPL-3.0-or-later
"""What a dump lacks of the server's own tables, so that logs must not continue it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.apps.mysql import inspection, logical, products, server_tables
from ansible_collections.backstay.fleet.plugins.module_utils.errors import CommandFailed
from ansible_collections.backstay.fleet.plugins.module_utils.files import write_json

STATE = [["mysql.global_priv", "1"]]


@pytest.mark.parametrize(
    ("artifacts", "after", "zones", "warned"),
    [
        (["accounts", "data"], STATE, False, []),
        (["data"], STATE, False, ["accounts"]),
        (["accounts", "data"], [["mysql.global_priv", "2"]], False, ["accounts"]),
        (["accounts", "data"], STATE, True, ["named time zones"]),
    ],
)
def test_logs_continue_only_a_dump_that_has_what_they_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, artifacts: list[str], after: Any, zones: bool, warned: list[str]
) -> None:
    facts = {"product": "mariadb", "version": "11.8.3", "tool_version": "11.8.3", "server_id": "7", "socket": "/s"}
    more = {"continuable": True, "history": True, "versioned": False, "counts": {"tables": 1}}
    write_json(tmp_path / "dump-before.json", {"loose": []})
    write_json(tmp_path / "dump.json", {"place": {"file": "bin.000001", "position": 4}, "counts": {"tables": 1}, "tables": {}})
    states = [STATE, after]
    monkeypatch.setattr(logical, "object_counts", lambda _options: {"tables": 1})
    monkeypatch.setattr(logical, "loose_tables", lambda _options: [])
    monkeypatch.setattr(logical, "accounts_state", lambda _product, _options: states.pop(0))
    monkeypatch.setattr(logical, "has_named_zones", lambda _options: zones)
    monkeypatch.setattr(logical, "additions", lambda _product, _options: {})
    monkeypatch.setattr(logical, "next_stream", lambda _job, _place: ({"id": "s"}, ""))
    seen: dict[str, Any] = {"artifacts": [{"name": name} for name in artifacts]}
    job: Any = SimpleNamespace(work=tmp_path, specification={"facts": {**facts, **more}, "kind": "full"}, seen=seen)
    assert logical.accounts_argv(job, {})[0] == "mariadb-dump"
    sealed = logical.seal(job)
    assert ("stream" in sealed) == (not warned)
    assert sealed["position"]["exact"] is True
    assert [item["name"] for item in sealed["checks"] if item["status"] == "warning"] == warned


@pytest.mark.parametrize(
    ("accounts", "zones", "names"), [(True, "0", []), (False, "0", ["accounts"]), (True, "1780", ["named time zones"])]
)
def test_preflight_says_what_will_not_be_in_the_dump(
    monkeypatch: pytest.MonkeyPatch, accounts: bool, zones: str, names: list[str]
) -> None:
    monkeypatch.setattr(server_tables, "query", lambda _options, _sql: [[zones]])
    monkeypatch.setattr(inspection, "loose_tables", lambda _options: [])
    checks = inspection.dump_checks({}, products.MYSQL, accounts)
    assert [(item["name"], item["status"]) for item in checks] == [(name, "warning") for name in names]
    assert all("no logs can continue it" in item["detail"] and item["hint"] for item in checks)


def test_every_table_of_accounts_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def query(_options: Any, sql: str) -> list[list[str]]:
        asked.append(sql)
        return STATE

    monkeypatch.setattr(server_tables, "query", query)
    for product, table in ((products.MARIADB, "mysql.global_priv"), (products.MYSQL, "mysql.user")):
        assert server_tables.accounts_state(product, {}) == STATE
        assert asked[-1].startswith("CHECKSUM TABLE ") and table in asked[-1] and "mysql.db" in asked[-1]


def test_plugins_that_a_fresh_server_lacks_are_installed_and_no_other_words_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def query(_options: Any, sql: str) -> list[list[str]]:
        if sql.startswith("SELECT"):
            return [["clone", "mysql_clone.so"]] if "mysql.plugin" in sql else [["clone"], ["auth_socket"]]
        said.append(sql)
        if "absent" in sql:
            raise CommandFailed("Can't open shared library 'absent.so'")
        return []

    monkeypatch.setattr(server_tables, "query", query)
    wanted = {
        "clone": "mysql_clone.so",
        "auth_socket": "auth_socket.so",
        "absent": "absent.so",
        "x; DROP": "a.so",
        "y": "../a.so",
    }
    problems = server_tables.install_plugins({}, wanted)
    assert said == [
        "INSTALL PLUGIN absent SONAME 'absent.so'",
        "INSERT INTO mysql.plugin (name, dl) VALUES ('auth_socket', 'auth_socket.so')",
    ]
    assert [text.split(" ")[0] for text in problems] == ["absent", "x;", "y"]


def test_components_and_functions_that_a_dump_lacks_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A view with MD5() cannot be made on a MySQL that has not the component."""
    said: list[str] = []
    held = {
        "mysql.component": [["file://component_classic_hashing"], ["file://absent"], ["file://x'; DROP"]],
        "mysql.func": [["total", "1", "sums.so", "aggregate"], ["word", "0", "words.so", "function"], ["odd", "9", "a.so", ""]],
    }

    def query(options: Any, sql: str) -> list[list[str]]:
        if sql.startswith("SELECT"):
            return next((rows for name, rows in held.items() if name in sql and options["source"]), [])
        said.append(sql)
        if "absent" in sql:
            raise CommandFailed("Cannot load component from specified URN")
        return []

    monkeypatch.setattr(server_tables, "query", query)
    noted = server_tables.additions(products.MYSQL, {"source": True})
    problems = server_tables.add_again(products.MYSQL, {"source": False}, noted)
    assert said == [
        "INSTALL COMPONENT 'file://component_classic_hashing'",
        "INSTALL COMPONENT 'file://absent'",
        "CREATE AGGREGATE FUNCTION total RETURNS REAL SONAME 'sums.so'",
        "CREATE FUNCTION word RETURNS STRING SONAME 'words.so'",
    ]
    assert [text.partition(": ")[0] for text in problems] == ["file://absent", "file://x'; DROP", "odd (a.so)"]
    assert server_tables.additions(products.MARIADB, {"source": True})["components"] == []
    assert server_tables.add_again(products.MARIADB, {"source": False}, {"method": "dump"}) == [], "an older receipt"
