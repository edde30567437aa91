# SPDX-License-Identifier: GPL-3.0-or-later
"""What a clone may be trusted with: its place, which the server on it tells, and what it would leave out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import process
from ansible_collections.backstay.fleet.plugins.module_utils.apps.mysql import clone, inspection, products, replay
from ansible_collections.backstay.fleet.plugins.module_utils.errors import (
    BadInput,
    CaptureFailed,
    CommandFailed,
    IntegrityError,
    Refused,
)

UUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
RECEIPT = {
    "position": {"not_before": {"file": "bin.000002", "position": 400}, "not_after": {"file": "bin.000003", "position": 900}}
}


def answering(monkeypatch: pytest.MonkeyPatch, module: Any, rows: list[list[str]], gtids: str = f"{UUID}:1-5") -> None:
    monkeypatch.setattr(module, "query", lambda *_arguments: rows)
    monkeypatch.setattr(module, "value", lambda *_arguments: gtids)


@pytest.mark.parametrize(("file", "position"), [("bin.000002", 400), ("./bin.000002", 4000), ("bin.000003", 900)])
def test_the_place_of_a_clone_lies_between_what_was_noted(monkeypatch: pytest.MonkeyPatch, file: str, position: int) -> None:
    answering(monkeypatch, replay, [[file, str(position)]])
    found = replay.started_place({}, RECEIPT)
    assert found == {"file": file.removeprefix("./"), "position": position, "gtid": f"{UUID}:1-5"}


@pytest.mark.parametrize("rows", [[["bin.000002", "399"]], [["bin.000003", "901"]], [["bin.000004", "4"]], [["", "0"]], []])
def test_another_place_is_that_of_another_clone(monkeypatch: pytest.MonkeyPatch, rows: list[list[str]]) -> None:
    answering(monkeypatch, replay, rows)
    with pytest.raises(IntegrityError, match="clone"):
        replay.started_place({}, RECEIPT)


@pytest.mark.parametrize(
    ("found", "fits"), [(f"{UUID}:1-5", True), (f"{UUID}:1-4", False), (f"{UUID}:1-6", False), ("", False)]
)
def test_what_was_skipped_in_silence_is_noticed(monkeypatch: pytest.MonkeyPatch, found: str, fits: bool) -> None:
    """A server that has a GTID already does not replay it, and says nothing."""
    answering(monkeypatch, replay, [], found)
    if fits:
        replay.demand_gtids(products.MYSQL, {}, f"{UUID}:1-5")
    else:
        with pytest.raises(IntegrityError, match=r"after the replay the server has the GTIDs"):
            replay.demand_gtids(products.MYSQL, {}, f"{UUID}:1-5")
    replay.demand_gtids(products.MARIADB, {}, "0-7-1")  # it keeps no set of them


def test_a_restored_server_may_have_more_than_its_source_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its source was restored before, and has the GTIDs of that from no log of its own."""
    held = f"{UUID}:1-5,d5559c2b-ed1e-11f1-b7a9-7aa8725150ce:1-9"
    answering(monkeypatch, replay, [], held)
    assert replay.held_gtids(products.MYSQL, {}, f"{UUID}:1-5") == held
    with pytest.raises(IntegrityError, match=r"before the replay the server has the GTIDs"):
        replay.held_gtids(products.MYSQL, {}, f"{UUID}:1-6")
    assert replay.held_gtids(products.MARIADB, {}, "0-7-1") == "0-7-1"  # it keeps no set of them


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")
def test_what_is_archived_is_the_clone_and_nothing_of_somebody_elses(tmp_path: Path) -> None:
    """The folder was the server's while it made the clone."""
    (tmp_path / "data").mkdir()
    os.chown(tmp_path, 1, 1)
    clone.take_back(tmp_path)
    assert tmp_path.stat().st_uid == os.geteuid()
    (tmp_path / "data").rmdir()
    (tmp_path / "data").symlink_to("/etc")
    with pytest.raises(CaptureFailed, match="link"):
        clone.take_back(tmp_path)


class Cloning:
    """A server that goes on with a clone until it was told ``stubborn`` times to end it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, stubborn: int) -> None:
        self.told: list[str] = []
        self.stubborn = stubborn
        monkeypatch.setattr(clone, "query", self.answer)
        monkeypatch.setattr(clone.time, "sleep", lambda _seconds: None)

    def answer(self, _options: Any, sql: str) -> list[list[str]]:
        if not sql.startswith("KILL"):
            assert "'/srv/clone-run/data%'" in sql
            return [["17"]] if len(self.told) < self.stubborn else []
        self.told.append(sql)
        if len(self.told) == self.stubborn:
            raise CommandFailed("ERROR 1094 (HY000) at line 1: Unknown thread id: 17")
        return []


@pytest.mark.parametrize("times", [0, 1, 3])
def test_the_end_of_a_clone_is_waited_for(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """What the server writes must not be removed under its hands."""
    server = Cloning(monkeypatch, times)
    clone.end_clone({}, Path("/srv/clone-run/data"))
    assert server.told == ["KILL 17"] * times


def test_a_clone_that_does_not_end_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    Cloning(monkeypatch, 10**9)
    monkeypatch.setattr(clone, "_END_SECONDS", 0)
    assert clone.end_clone_main(["{}", "/srv/clone-run/data"]) == 1
    assert "the server still clones into /srv/clone-run/data" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("said", "status"),
    [("ERROR 2002 (HY000): Can't connect to local MySQL server", 0), ("ERROR 1045 (28000): Access denied", 1)],
)
def test_a_server_that_is_down_makes_no_clone(monkeypatch: pytest.MonkeyPatch, said: str, status: int) -> None:
    def answer(_options: Any, _sql: str) -> list[list[str]]:
        raise CommandFailed(said)

    monkeypatch.setattr(clone, "query", answer)
    assert clone.end_clone_main(["{}", "/srv/clone-run/data"]) == status


VALUES = {"datadir": "/var/lib/mysql/"}


def test_tables_outside_innodb_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "query", lambda *_arguments: [["ACTIVE"]])
    monkeypatch.setattr(inspection, "foreign_tables", lambda _options: ["old.counter (MyISAM)"])
    (check,) = inspection.clone_checks({}, VALUES)
    assert check["status"] == "failed" and "old.counter (MyISAM)" in check["detail"] and "logical" in check["hint"]


def test_a_server_without_the_plugin_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "query", lambda *_arguments: [])
    (check,) = inspection.clone_checks({}, VALUES)
    assert check["status"] == "failed" and "INSTALL PLUGIN clone" in check["hint"]


def test_a_clone_inside_the_data_directory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "query", lambda *_arguments: [["ACTIVE"]])
    monkeypatch.setattr(inspection, "foreign_tables", lambda _options: [])
    (check,) = inspection.clone_checks({"clone_directory": "/var/lib/mysql/#sql-backstay"}, VALUES)
    assert check["status"] == "failed" and "app_mysql_clone_directory" in check["hint"]


def wrong_place(tmp_path: Path, kind: str) -> Path:
    """Return a folder in which nothing may be cloned."""
    place = tmp_path / "clones"
    if kind == "link":
        (tmp_path / "elsewhere").mkdir()
        place.symlink_to(tmp_path / "elsewhere")
    elif kind == "file":
        place.touch()
    else:
        place.mkdir()
        place.chmod({"writable": 0o777, "closed": 0o700}.get(kind, 0o755))
    if kind == "foreign":
        os.chown(place, 1, 1)
    return place


@pytest.mark.parametrize("kind", ["link", "file", "writable", "closed", "foreign"])
def test_a_folder_in_which_others_could_exchange_the_clone_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    monkeypatch.setattr(inspection, "query", lambda *_arguments: [["ACTIVE"]])
    monkeypatch.setattr(inspection, "foreign_tables", lambda _options: [])
    place = wrong_place(tmp_path, kind)
    (check,) = inspection.clone_checks({"clone_directory": str(place)}, {"datadir": str(tmp_path / "mysql")})
    assert check["status"] == "failed" and str(place) in check["detail"] and "app_mysql_clone_directory" in check["hint"]
    with pytest.raises(Refused, match="nothing is cloned there"):
        clone.open_place(place, tmp_path / "mysql")


@pytest.mark.parametrize("mode", [0o1777, 0o755, 0o750])
def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path, mode: int) -> None:
    place = tmp_path / "clones"
    place.mkdir()
    place.chmod(mode)
    clone.open_place(place, tmp_path / "mysql")
    assert place.stat().st_mode & 0o7777 == mode


def test_a_new_folder_lets_the_server_pass_and_so_does_the_yard(tmp_path: Path) -> None:
    (tmp_path / ".backstay-mysql").mkdir(mode=0o700)
    for name in ("clones", ".backstay-mysql"):
        clone.open_place(tmp_path / name, tmp_path / "mysql")
        assert (tmp_path / name).stat().st_mode & 0o7777 == 0o711


@pytest.mark.parametrize(
    ("product", "method", "kind", "status"),
    [
        (products.MYSQL, "clone", "incremental", "failed"),
        (products.MYSQL, "clone", "log", "ok"),
        (products.MARIADB, "dump", "incremental", "failed"),
        (products.MARIADB, "mariadb-backup", "incremental", "ok"),
    ],
)
def test_a_product_has_the_kinds_that_it_has(product: products.Product, method: str, kind: str, status: str) -> None:
    """MY-3: nothing is advertised that is not there."""
    assert inspection.kind_check(product, method, kind)["status"] == status


def test_without_gtids_there_are_no_log_backups() -> None:
    values = {"log_bin": "ON", "gtid_mode": "OFF", "sync_binlog": "1", "innodb_flush_log_at_trx_commit": "1", "server_id": "7"}
    assert inspection.binary_log_check(products.MYSQL, values, "log")["status"] == "failed"
    assert inspection.binary_log_check(products.MYSQL, values)["status"] == "warning"
    assert inspection.binary_log_check(products.MYSQL, dict(values, gtid_mode="ON"), "log")["status"] == "ok"


def test_every_method_has_its_privileges() -> None:
    for product in products.PRODUCTS.values():
        assert set(product.privileges) == {product.physical, "dump"}
    with pytest.raises(BadInput):
        inspection.method_of(products.MYSQL, "snapshot")


@pytest.mark.parametrize("method", ["clone", "dump"])
def test_an_account_from_which_a_database_is_hidden_is_refused(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """It has SELECT everywhere, and information_schema shows it neither that database nor its tables (partial_revokes)."""
    grants = ["GRANT ALL PRIVILEGES ON *.* TO `backup`@`localhost`", "REVOKE SELECT ON `payroll`.* FROM `backup`@`localhost`"]
    monkeypatch.setattr(inspection, "query", lambda *_arguments: [[grant] for grant in grants])
    check = inspection.privileges_check({}, products.MYSQL, method)
    assert check["status"] == "failed" and "REVOKE SELECT ON `payroll`.*" in check["detail"]
    grants.pop()
    assert inspection.privileges_check({}, products.MYSQL, method)["status"] == "ok"


@pytest.fixture
def server_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what installs a server program whose configuration says where its data and its binary logs lie."""
    monkeypatch.setattr(process, "_PATH", f"{tmp_path}:{process._PATH}")

    def install(log_bin: str, name: str = "mysqld") -> dict[str, str]:
        shown = f"datadir   {tmp_path}/data/\\nlog-bin   {log_bin}\\nlog-bin-index   (No default value)\\n"
        (tmp_path / name).write_text(f"#!/bin/sh\nprintf '{shown}'\n")
        (tmp_path / name).chmod(0o755)
        (tmp_path / "data").mkdir(exist_ok=True)
        return {"source": {"product": {"mysqld": "mysql", "mariadbd": "mariadb"}[name]}}  # type: ignore[dict-item]

    return install


def left_logs(options: dict[str, Any], action: str = "restore") -> list[dict[str, str]]:
    return [item for item in inspection.preflight(options, action)["checks"] if item["name"] == "binary logs"]


def test_logs_outside_the_data_directory_would_outlive_a_restore_in_place(server_program: Any, tmp_path: Path) -> None:
    """The restored server reads there which transactions it has executed, also those that it lost."""
    options = server_program(f"{tmp_path}/logs/bin.log")
    (tmp_path / "logs").mkdir()
    assert left_logs(options) == [], "nothing lies there yet"
    (tmp_path / "logs" / "bin.000007").touch()
    (check,) = left_logs(options)
    assert check["status"] == "failed" and f"{tmp_path}/logs" in check["detail"] and "backstay_restore_to" in check["hint"]
    for elsewhere in ({"restore_to": str(tmp_path / "side")}, {"database": "shop"}):
        assert left_logs(dict(options, **elsewhere)) == []
    assert left_logs(options, "verify") == []


@pytest.mark.parametrize("log_bin", ["bin", "(No default value)", "{data}/bin"])
def test_logs_that_are_exchanged_with_the_data_are_no_matter(server_program: Any, tmp_path: Path, log_bin: str) -> None:
    options = server_program(log_bin.replace("{data}", f"{tmp_path}/data"))
    (tmp_path / "data" / "bin.000007").touch()
    assert left_logs(options) == []


def test_a_server_that_keeps_no_set_of_gtids_may_have_its_logs_anywhere(server_program: Any, tmp_path: Path) -> None:
    (tmp_path / "bin.000007").touch()
    assert left_logs(server_program(f"{tmp_path}/bin", "mariadbd")) == []


@pytest.mark.parametrize(
    ("text", "literal"), [("/a b", "'/a b'"), ("/it's", "'/it\\'s'"), ("/back\\slash", "'/back\\\\slash'")]
)
def test_a_path_is_quoted_for_the_server(text: str, literal: str) -> None:
    assert clone.quoted(text) == literal
