# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read from a dump as it passes (lines as both tools write them), and the accounts that a fresh server takes."""

from __future__ import annotations

import getpass
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.apps.mysql import dumping, inspection, logical, products
from ansible_collections.backstay.fleet.plugins.module_utils.files import read_json, write_json
from ansible_collections.backstay.fleet.plugins.module_utils.worker import land

MARIADB = b"""/*M!999999\\- enable the sandbox mode */
-- CHANGE MASTER TO MASTER_LOG_FILE='mysqld-bin.000002', MASTER_LOG_POS=387;
USE `shop`;
CREATE SEQUENCE `numbers` start with 1;
CREATE TABLE `a ``b` (
  `x` int
);
INSERT INTO `a ``b` VALUES
(1,'CREATE TABLE `no`'),
(2,'two');
/*!50001 CREATE VIEW `v` AS SELECT 1 */;
DELIMITER ;;
/*!50003 CREATE*/ /*!50017 DEFINER=`event`@`x`*/ /*!50003 trigger `EVENT` after insert on t for each row set @x=1 */;;
DELIMITER ;
DELIMITER ;;
/*!50003 SET @saved_cs_client      = @@character_set_client */ ;;
/*!50106 CREATE*/ /*!50117 DEFINER=`root`@`localhost`*/ /*!50106 EVENT `beat` ON SCHEDULE EVERY 5 SECOND DO
  CREATE PROCEDURE x */ ;;
DELIMITER ;
DELIMITER ;;
CREATE DEFINER=`root`@`localhost` FUNCTION `f`() RETURNS bigint
RETURN 1 ;;
DELIMITER ;
/*!50001 VIEW `v` AS select 1 */;
-- Dump completed
"""


def read(text: bytes, product: products.Product = products.MARIADB) -> dict:  # type: ignore[type-arg]
    reader = dumping.Reader(product.coordinates)
    for line in io.BytesIO(text):
        reader.line(line)
    return reader.found()


def test_objects_place_and_rows_of_a_dump() -> None:
    found = read(MARIADB)
    assert found["place"] == {"file": "mysqld-bin.000002", "position": 387}
    assert found["counts"] == {"schemas": 1, "tables": 2, "views": 1, "routines": 1, "triggers": 1, "events": 1}
    assert list(found["tables"]) == ["shop.a `b"]


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"(2,'two');", b"(2,'tw0');"), (b"(2,'two');", b"(2,'two'),\n(3,'three');"), (b"(2,'two');", b"(2,'two') ;\n")],
)
def test_other_rows_have_another_hash(old: bytes, new: bytes) -> None:
    before, after = read(MARIADB)["tables"], read(MARIADB.replace(old, new))["tables"]
    assert dumping.differences(before, after) == ["shop.a `b: other rows"]
    assert dumping.differences(before, read(MARIADB.replace(b"USE `shop`", b"-- USE `other`"))["tables"]) == [
        ".a `b: rows that were not there",
        "shop.a `b: no rows",
    ]


def test_the_rest_of_a_dump_does_not_change_a_hash() -> None:
    other = MARIADB.replace(b"POS=387", b"POS=400").replace(b"RETURN 1", b"RETURN 2")
    assert dumping.differences(read(MARIADB)["tables"], read(other)["tables"]) == []


def test_coordinates_of_mysql() -> None:
    line = b"-- CHANGE REPLICATION SOURCE TO SOURCE_LOG_FILE='bin.000007', SOURCE_LOG_POS=698318;\n"
    assert read(line, products.MYSQL)["place"] == {"file": "bin.000007", "position": 698318}
    assert read(b"\n" * 300 + line, products.MYSQL)["place"] is None, "a value may look like it, far behind"


def test_the_tool_is_passed_on_byte_for_byte_with_its_status(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    (tmp_path / "dump").write_bytes(MARIADB)
    notes = tmp_path / "notes.json"
    argv = ["sh", "-c", f"cat '{tmp_path}/dump'; exit 3"]
    assert dumping.main([str(notes), "/before", products.MARIADB.coordinates, *argv]) == 3
    assert capfdbinary.readouterr().out == MARIADB
    found = read_json(notes)
    assert found and found["counts"]["tables"] == 2


def test_a_fresh_server_keeps_its_own_accounts() -> None:
    lines = [
        b"CREATE USER `root`@`localhost` IDENTIFIED WITH 'auth_socket';\n",
        b"CREATE USER `shop`@`localhost` IDENTIFIED WITH 'auth_socket';\n",
        b"CREATE USER `mysql.sys`@`localhost` IDENTIFIED WITH 'x';\n",
        b"GRANT SELECT ON `performance_schema`.* TO `mysql.session`@`localhost`;\n",
        b"GRANT SELECT ON `shop`.* TO `shop`@`localhost`;\n",
    ]
    assert list(logical.fitting_accounts(lines, {b"`root`@`localhost`", b"`mysql.sys`@`localhost`"})) == [
        lines[0].replace(b"CREATE", b"ALTER"),
        lines[1],
        lines[4],
    ]


@pytest.mark.parametrize("end", ["-- Dump completed on 2026-11-21\n", "-- Dump completed\n\n"])
def test_a_dump_ends_as_its_tool_ends_one(tmp_path: Path, end: str) -> None:
    dump = tmp_path / "data.sql"
    dump.write_text("INSERT INTO t VALUES (1);\n" * 50 + end)
    assert logical.ends_whole(dump)
    dump.write_text("INSERT INTO t VALUES (1);\n" * 50)
    assert not logical.ends_whole(dump)


def test_a_database_may_be_named_like_an_option() -> None:
    argv = logical.dump_argv(products.MARIADB, {"socket": "/s"}, ["--master-data"], products.MARIADB.dump_part)
    assert argv[-3:] == ["--databases", "--", "--master-data"]
    assert products.MARIADB.dump_place[0] not in argv


BEFORE = ["schema shop", "schema old", "table shop.a `b", "table shop.numbers", "table old.t", "view shop.v", "event shop.beat"]
IN_DUMP = {"schema shop", "table shop.a `b", "table shop.numbers"}


@pytest.mark.parametrize(
    ("gone", "came", "changed"),
    [
        ([], [], []),
        ([], ["table shop.new"], []),  # in the logs only, or it ended the dump (1412)
        (["table shop.numbers"], [], []),  # dumped before it went
        (["table old.t"], [], ["table old.t"]),
        (["schema old", "table old.t"], ["table old.u"], ["schema old", "table old.t"]),
        ([], ["schema new", "table new.t"], ["schema new"]),
        (["event shop.beat"], ["view shop.w"], ["event shop.beat", "view shop.w"]),
    ],
)
def test_what_may_come_and_go_while_a_dump_runs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    gone: list[str],
    came: list[str],
    changed: list[str],
) -> None:
    (tmp_path / "dump").write_bytes(MARIADB)
    write_json(tmp_path / "before.json", {"options": {"socket": "/s"}, "objects": BEFORE, "loose": []})
    monkeypatch.setattr(dumping, "object_names", lambda _options: {*BEFORE, *came} - set(gone))
    files = [str(tmp_path / "notes.json"), str(tmp_path / "before.json")]
    status = dumping.main([*files, products.MARIADB.coordinates, "cat", str(tmp_path / "dump")])
    assert status == (1 if changed else 0)
    said = capfd.readouterr().err
    assert all(name in said for name in changed) and (dumping.CHANGED in said) == bool(changed)


def test_the_step_takes_the_dump_again_on_what_the_tool_says() -> None:
    steps = (Path(__file__).parents[4] / "roles" / "app_mysql" / "vars" / "main" / "full_steps.yml").read_text(encoding="utf-8")
    assert dumping.CHANGED in steps


def test_names_are_read_from_a_dump() -> None:
    reader = dumping.Reader(products.MARIADB.coordinates)
    for line in io.BytesIO(MARIADB):
        reader.line(line)
    assert reader.dumped == IN_DUMP


def dumped_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: list[str], after: list[str]) -> Any:
    """A finished dump of a server that had the tables ``before`` outside InnoDB at its beginning and ``after`` at its end."""
    facts = {
        "product": "mariadb",
        "version": "11.8.3",
        "tool_version": "11.8.3",
        "server_id": "7",
        "socket": "/s",
        "continuable": True,
        "history": True,
        "versioned": False,
    }
    counts = {"tables": 1}
    write_json(tmp_path / "dump-before.json", {"loose": before})
    write_json(tmp_path / "dump.json", {"place": {"file": "bin.000001", "position": 387}, "counts": counts, "tables": {}})
    monkeypatch.setattr(logical, "object_counts", lambda _options: counts)
    monkeypatch.setattr(logical, "loose_tables", lambda _options: after)
    monkeypatch.setattr(logical, "accounts_state", lambda _product, _options: [["mysql.db", "7"]])
    monkeypatch.setattr(logical, "has_named_zones", lambda _options: False)
    monkeypatch.setattr(logical, "additions", lambda _product, _options: {})
    monkeypatch.setattr(logical, "next_stream", lambda _job, _place: ({"id": "s"}, ""))
    specification = {"facts": dict(facts, counts=counts), "kind": "full", "set": "s"}
    return SimpleNamespace(
        work=tmp_path, specification=specification, seen={"artifacts": [{"name": "accounts"}], "accounts": [["mysql.db", "7"]]}
    )


@pytest.mark.parametrize(("before", "after"), [(["shop.old (MyISAM)"], []), ([], ["shop.old (MyISAM)"])])
def test_a_dump_with_tables_of_no_one_moment_is_offered_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: list[str], after: list[str]
) -> None:
    sealed = logical.seal(dumped_job(tmp_path, monkeypatch, before, after))
    assert "stream" not in sealed and sealed["position"]["exact"] is False
    assert ["shop.old (MyISAM)" in item["detail"] for item in sealed["checks"] if item["status"] == "warning"] == [True]
    monkeypatch.setattr(inspection, "loose_tables", lambda _options: ["shop.old (MyISAM)"])
    monkeypatch.setattr(inspection, "has_named_zones", lambda _options: False)
    (check,) = inspection.dump_checks({}, products.MYSQL, accounts=True)
    assert check["status"] == "warning" and "no logs can continue" in check["detail"]


def test_a_dump_of_innodb_alone_is_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = logical.seal(dumped_job(tmp_path, monkeypatch, [], []))
    assert sealed["stream"] == {"id": "s"} and sealed["position"]["exact"] is True


def test_a_dump_is_loaded_with_the_time_of_its_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of today would drop an event of last week when it is created."""
    (tmp_path / "dump").mkdir()
    (tmp_path / "dump" / "data.sql").write_bytes(MARIADB)
    facts = {"product": "mariadb", "counts_before": {"events": 1}, "counts_after": {"events": 1}, "tables": {}}
    receipt = {"kind": "full", "started_at": "2026-11-14T01:30:00.250000Z", "facts": facts}
    monkeypatch.setattr(land, "planned", lambda _specification: {"receipts": [receipt]})
    for name in ("configure", "_initialise", "_add_again", "start_side", "stop_side", "await_server"):
        monkeypatch.setattr(logical, name, lambda *_arguments: None)
    monkeypatch.setattr(logical, "object_counts", lambda _options: {"events": 0})
    monkeypatch.setattr(logical, "read_again", lambda *_arguments: {"tables": {}})
    monkeypatch.setattr(logical, "schemas", lambda _options: [])
    fed: list[tuple[str, ...]] = []
    monkeypatch.setattr(logical, "feed", lambda _job, _product, _options, path, *more, account: fed.append((path.name, *more)))
    seen: dict[str, Any] = {"side": None, "checks": []}
    job: Any = SimpleNamespace(specification={}, seen=seen, begin_step=lambda *_what: None, work=tmp_path)
    logical.load(job, {"directory": str(tmp_path), "user": getpass.getuser()})
    assert fed == [("data.sql", "--init-command=SET timestamp=1794619800")]
    assert [item["name"] for item in seen["checks"] if item["status"] == "warning"] == ["events"]
