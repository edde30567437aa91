# SPDX-License-Identifier: GPL-3.0-or-later
"""MariaDB: what its tools and notes say, as data; and with stand-ins for its programs."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import errors, process
from ansible_collections.backstay.fleet.plugins.module_utils.apps.mysql import (
    calls,
    client,
    inspection,
    methods,
    physical,
    products,
)
from ansible_collections.backstay.fleet.plugins.module_utils.worker import land
from hypothesis import given
from hypothesis import strategies as st
from unit.support.programs import program

VALUES = {
    "version": "11.8.3-MariaDB-0+deb13u1-log",
    "datadir": "/var/lib/mysql/",
    "log_bin": "ON",
    "server_id": "7",
    "sync_binlog": "1",
    "log_slave_updates": "OFF",
    "innodb_flush_log_at_trx_commit": "1",
    "innodb_data_home_dir": "",
    "innodb_log_group_home_dir": "./",
    "innodb_undo_directory": "./",
    "aria_log_dir_path": "./",
}


# Preflight


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("11.8.3-MariaDB-0+deb13u1", (11, 8)),
        ("10.11.14-MariaDB-log", (10, 11)),
        ("5.5.5-10.6.18-MariaDB", (5, 5)),
        ("MariaDB", ()),
        ("", ()),
    ],
)
def test_series(text: str, numbers: tuple[int, ...]) -> None:
    assert products.series(text) == numbers


@pytest.mark.parametrize(
    ("version", "tool", "status", "detail"),
    [
        ("11.8.3-MariaDB", "11.8.2", "ok", "MariaDB 11.8.3-MariaDB"),
        ("11.8.3-MariaDB", "10.11.14", "failed", "does not fit"),
        ("10.5.23-MariaDB", "10.5.23", "failed", "not supported"),
        ("9.7.4-2", "9.7.4", "ok", "MySQL 9.7.4-2"),
        ("8.4.3-Percona", "8.4.3", "ok", "MySQL 8.4.3"),
        ("8.0.40", "8.0.40", "failed", "not supported"),
    ],
)
def test_server_and_tool_must_be_of_one_series(version: str, tool: str, status: str, detail: str) -> None:
    found = inspection.version_check(products.product_of(version), version, tool)
    assert found["status"] == status
    assert detail in found["detail"]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, "ok"),
        ({"innodb_undo_directory": "/var/lib/mysql/undo"}, "ok"),
        ({"innodb_undo_directory": "/var/lib/mysql-undo"}, "failed"),
        ({"innodb_data_home_dir": "/srv/ibdata"}, "failed"),
        ({"aria_log_dir_path": "../aria"}, "failed"),
        ({"innodb_log_group_home_dir": "/var/lib/mysql"}, "ok"),
    ],
)
def test_data_outside_the_data_directory_is_noticed(changes: dict[str, str], status: str) -> None:
    found = inspection.places_check(products.MARIADB, dict(VALUES, **changes))
    assert found["status"] == status
    for name, place in changes.items():
        assert (f"{name}={place}" in found["detail"]) == (status == "failed")


COMPLETE = "GRANT RELOAD, PROCESS, LOCK TABLES, BINLOG MONITOR ON *.* TO `backup`@`localhost`"


@pytest.mark.parametrize(
    ("grants", "missing"),
    [
        ([COMPLETE], []),
        (["GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION"], []),
        ([COMPLETE.replace("BINLOG MONITOR", "REPLICATION CLIENT")], []),
        ([COMPLETE.replace("RELOAD, ", "")], ["RELOAD"]),
        ([COMPLETE.replace("BINLOG MONITOR", "SELECT")], ["BINLOG MONITOR"]),
        (["GRANT ALL PRIVILEGES ON `shop`.* TO `backup`@`%`"], ["RELOAD", "PROCESS", "LOCK TABLES", "BINLOG MONITOR"]),
        (["GRANT RELOAD ON *.* TO `b`@`%`", "GRANT PROCESS, LOCK TABLES, BINLOG MONITOR ON *.* TO `b`@`%`"], []),
        ([], ["RELOAD", "PROCESS", "LOCK TABLES", "BINLOG MONITOR"]),
    ],
)
def test_missing_privileges_are_named(grants: list[str], missing: list[str]) -> None:
    assert products.missing_privileges(grants, products.MARIADB.privileges["mariadb-backup"]) == missing


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({}, "ok", "server_id 7"),
        ({"log_bin": "OFF"}, "failed", "nothing to back up"),
        ({"encrypt_binlog": "ON"}, "failed", "encrypted"),
        ({"binlog_format": "STATEMENT", "binlog_storage_engine": "innodb"}, "failed", "kept in innodb"),
        ({"binlog_format": "STATEMENT"}, "warning", "may not replay"),
        ({"binlog_format": "MIXED"}, "warning", "may not replay"),
    ],
)
def test_logs_that_cannot_be_backed_up_are_refused(changes: dict[str, str], status: str, said: str) -> None:
    check = inspection.binary_log_check(products.MARIADB, dict(VALUES, **changes), "log")
    assert check["status"] == status
    assert said in check["detail"]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, "ok"),
        ({"log_bin": "OFF"}, "warning"),
        ({"sync_binlog": "0"}, "warning"),
        ({"innodb_flush_log_at_trx_commit": "2"}, "warning"),
    ],
)
def test_the_binary_log_decides_how_exact_a_set_is(changes: dict[str, str], status: str) -> None:
    assert inspection.binary_log_check(products.MARIADB, dict(VALUES, **changes))["status"] == status


def test_the_tool_tells_its_version_or_is_missing(programs: Path) -> None:
    program(programs, "mariadb-backup", "echo 'mariadb-backup based on MariaDB server 11.8.3-MariaDB Linux (x86_64)' >&2")
    assert inspection.tool_version(products.MARIADB, "mariadb-backup") == (
        {"name": "backup tool", "status": "ok", "detail": "mariadb-backup 11.8.3", "hint": ""},
        "11.8.3",
    )
    program(programs, "mariadb-backup", "echo hello")
    assert inspection.tool_version(products.MARIADB, "mariadb-backup")[0]["status"] == "failed"
    (programs / "mariadb-backup").write_bytes(b"")
    assert inspection.tool_version(products.MARIADB, "mariadb-backup")[0]["status"] == "failed"


def test_a_restore_target_with_other_data_or_too_little_room_is_refused(programs: Path, tmp_path: Path) -> None:
    program(programs, "mariadb-backup", "echo 11.8.3")
    (tmp_path / "side").mkdir()
    (tmp_path / "side" / "precious").touch()
    options = {"datadir": str(tmp_path / "mysql"), "socket": "/s", "restore_to": str(tmp_path / "side")}
    checks, facts = inspection.inspect_target(dict(options, needed_bytes=1 << 62))
    assert {item["name"]: item["status"] for item in checks if item["status"] == "failed"} == {
        "target": "failed",
        "space": "failed",
    }
    assert facts["datadir"] == os.path.realpath(tmp_path / "mysql")
    assert facts["yard"] == str(tmp_path.resolve() / ".backstay-mysql")


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("mysql/side", "among live data"),
        ("link/side", "among live data"),
        ("s" * 100, "would have a socket of more than 107 bytes"),
    ],
)
def test_a_side_instance_has_no_place_there(programs: Path, tmp_path: Path, place: str, sentence: str) -> None:
    program(programs, "mariadb-backup", "echo 11.8.3")
    (tmp_path / "mysql").mkdir()
    (tmp_path / "link").symlink_to("mysql")
    options = {"datadir": str(tmp_path / "mysql"), "socket": "/s", "restore_to": str(tmp_path / place)}
    failed = [item for item in inspection.inspect_target(options)[0] if item["status"] == "failed"]
    assert [item["name"] for item in failed] == ["target"] and sentence in failed[0]["detail"] and failed[0]["hint"]


def test_a_set_of_another_series_is_refused() -> None:
    assert (
        inspection.source_check(products.MARIADB, {"version": "10.11.2-MariaDB"}, "11.8.3", "mariadb-backup")["status"]
        == "failed"
    )
    assert (
        inspection.source_check(products.MARIADB, {"version": "11.8.1-MariaDB"}, "11.8.3", "mariadb-backup")["status"] == "ok"
    )
    assert inspection.source_check(products.MARIADB, {}, "11.8.3", "mariadb-backup")["status"] == "ok"
    assert inspection.source_check(products.MYSQL, {"version": "8.4.3"}, "9.7.4", "clone")["status"] == "failed"
    assert inspection.source_check(products.MYSQL, {"version": "8.4.3"}, "9.7.4", "dump")["status"] == "ok", "a dump moves on"
    assert inspection.source_check(products.MYSQL, {"version": "9.7.4"}, "8.4.3", "dump")["status"] == "failed"


def test_what_reaches_the_server_before_a_capture_reaches_it_after(programs: Path, tmp_path: Path) -> None:
    program(programs, "mariadb-backup", "echo '11.8.3'")
    shown = "".join(f"{name}\\t{value}\\n" for name, value in dict(VALUES, datadir=str(tmp_path)).items())
    script = f"""
case "$*" in
  --defaults-file=/etc/mysql/backup.cnf*SHOW*VARIABLES*) printf '{shown}' ;;
  --defaults-file=/etc/mysql/backup.cnf*VERSION*) echo '{VALUES["version"]}' ;;
  --defaults-file=/etc/mysql/backup.cnf*GRANTS*) echo '{COMPLETE}' ;;
  --defaults-file=/etc/mysql/backup.cnf*MASTER*) printf 'mysqld-bin.000001\\t387\\t\\t\\n' ;;
  --defaults-file=/etc/mysql/backup.cnf*SLAVES*) ;;
  --defaults-file=/etc/mysql/backup.cnf*) printf 'tables\\t3\\n' ;;
  *) echo 'ERROR 1045: Access denied' >&2; exit 1 ;;
esac"""
    program(programs, "mariadb", script)
    options = {"defaults_extra_file": "/etc/mysql/backup.cnf", "socket": "/s", "service": "mariadb"}
    found = inspection.preflight(options, "backup")
    assert [item["name"] for item in found["checks"] if item["status"] == "failed"] == []
    assert found["facts"]["services"] == [{"service": "mariadb"}]
    job = job_with(tmp_path)
    job.specification["facts"] = found["facts"]
    assert physical.seal(job)["facts"]["counts_after"] == {"tables": 3}


# Client


def test_the_defaults_file_comes_first_and_no_password_is_in_sight() -> None:
    options = {"socket": "/run/s.sock", "defaults_extra_file": "/etc/mysql/backup.cnf"}
    argv = ["--defaults-file=/etc/mysql/backup.cnf", "--socket=/run/s.sock", "--protocol=socket"]
    assert client.connection_argv(options) == argv
    assert client.connection_argv({}) == []


def test_answers_are_rows_and_errors_are_errors(programs: Path) -> None:
    program(programs, "mariadb", "printf 'a\\t1\\nb\\t\\n'")
    assert client.query({}, "x") == [["a", "1"], ["b", ""]]
    assert client.variables({}, ["a", "b", "c"]) == {"a": "1", "b": "", "c": ""}
    program(programs, "mariadb", "echo \"ERROR 1045 (28000): Access denied for user 'backup'\" >&2; exit 1")
    with pytest.raises(errors.CommandFailed, match="Access denied"):
        client.query({}, "x")


# Notes and positions

CHECKPOINTS = "backup_type = full-backuped\nfrom_lsn = 0\nto_lsn = 46861\nlast_lsn = 46877\n"
INFO = (
    "uuid = 1b2c\nname =\ntool_name = mariadb-backup\ntool_version = 11.8.3-MariaDB\n"
    "binlog_pos = filename 'mysql-bin.000002', position '1234', GTID of the last change '0-7-42'\nincremental = N\n"
)


@pytest.mark.parametrize("family", physical.FAMILIES)
def test_notes_of_both_families_are_read(tmp_path: Path, family: str) -> None:
    (tmp_path / f"{family}checkpoints").write_text(CHECKPOINTS)
    assert physical.read_note(tmp_path, "checkpoints")["to_lsn"] == "46861"
    with pytest.raises(errors.CaptureFailed, match="left no info"):
        physical.read_note(tmp_path, "info")


@pytest.mark.parametrize(
    ("binlog_pos", "place"),
    [
        (
            "filename 'mysql-bin.000002', position '1234', GTID of the last change '0-7-42'",
            {"file": "mysql-bin.000002", "position": 1234, "gtid": "0-7-42"},
        ),
        ("filename 'mysql-bin.000002', position '1234'", {"file": "mysql-bin.000002", "position": 1234, "gtid": ""}),
        ("", {}),
    ],
)
def test_a_position_is_exact_when_the_binary_log_gave_it(binlog_pos: str, place: dict[str, Any]) -> None:
    found = physical.position({"to_lsn": "5", "last_lsn": "6"}, {"binlog_pos": binlog_pos}, "7")
    assert found["exact"] is bool(place)
    assert found["not_after"] == dict({"server_id": "7", "lsn": "5", "last_lsn": "6"}, **place)
    assert found["not_before"] == found["not_after"]


def job_with(tmp_path: Path, checkpoints: str = CHECKPOINTS) -> Any:
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "mariadb_backup_checkpoints").write_text(checkpoints)
    (notes / "mariadb_backup_info").write_text(INFO)
    facts = {
        "product": "mariadb",
        "method": "mariadb-backup",
        "version": "11.8.3-MariaDB",
        "datadir": "/d",
        "server_id": "7",
        "socket": "/s",
    }
    facts.update(counts={"tables": 2}, tool_version="11.8.3", settings={}, time_zone="UTC", gap="")  # type: ignore[arg-type]
    return SimpleNamespace(work=tmp_path, specification={"facts": facts, "kind": "full", "set": "s"})


@pytest.fixture(autouse=True)
def whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose history is told elsewhere (test_mysql_logs), and a plan of one full set."""
    monkeypatch.setattr(physical, "next_stream", lambda _job, place: ({"id": "s", "first": "1", "last": "1"}, ""))
    monkeypatch.setattr(land, "planned", lambda _specification: {"receipts": [{"kind": "full", "set": "s", "facts": {}}]})


def test_a_full_backup_is_sealed_with_its_position_and_counts(programs: Path, tmp_path: Path) -> None:
    program(programs, "mariadb", "printf 'tables\\t3\\n'")
    about = methods.seal(job_with(tmp_path))
    assert about["position"]["not_after"]["gtid"] == "0-7-42"
    assert (about["facts"]["method"], about["facts"]["counts_before"]) == ("mariadb-backup", {"tables": 2})
    assert about["facts"]["counts_after"] == {"tables": 3}
    assert about["tools"]["mariadb-backup"] == "11.8.3-MariaDB"


@pytest.mark.parametrize("kind", ["incremental", "full-prepared", "log-applied"])
def test_what_is_no_full_backup_is_not_sealed_as_one(programs: Path, tmp_path: Path, kind: str) -> None:
    with pytest.raises(errors.CaptureFailed, match=f"is '{kind}', not full"):
        physical.seal(job_with(tmp_path, CHECKPOINTS.replace("full-backuped", kind)))


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("echo 'completed OK!' >&2", None),
        ("echo 'InnoDB: corrupt page' >&2; exit 1", "ended with exit status 1: InnoDB: corrupt page"),
        ("echo 'almost' >&2", "ended with exit status 0: almost"),
    ],
)
def test_a_copy_is_prepared_only_when_the_tool_proves_it(
    programs: Path, tmp_path: Path, script: str, sentence: str | None
) -> None:
    program(programs, "mariadb-backup", script)
    (tmp_path / "xtrabackup_checkpoints").write_text("backup_type = log-applied\n")
    arguments = {"directory": str(tmp_path), "account": "root", "memory": 1 << 20}
    if sentence is None:
        physical.prepare(SimpleNamespace(specification={}), arguments)  # type: ignore[arg-type]
    else:
        with pytest.raises(errors.CommandFailed, match=sentence):
            physical.prepare(SimpleNamespace(specification={}), arguments)  # type: ignore[arg-type]


def test_a_copy_that_is_still_raw_is_not_taken_for_prepared(programs: Path, tmp_path: Path) -> None:
    program(programs, "mariadb-backup", "echo 'completed OK!' >&2")
    (tmp_path / "xtrabackup_checkpoints").write_text(CHECKPOINTS)
    with pytest.raises(errors.CommandFailed, match="instead of 'log-applied'"):
        physical.prepare(SimpleNamespace(specification={}), {"directory": str(tmp_path), "account": "root"})  # type: ignore[arg-type]


# Checks after a restore


@pytest.mark.parametrize(
    ("output", "bad"),
    [
        ("mysql.db                    OK\nshop.orders                 OK\n", []),
        ("shop.v\nnote     : The storage engine for the table doesn't support check\n", []),
        ("shop.orders\nwarning  : 1 client is using it\nstatus   : OK\n", []),
        ("shop.orders\nError    : Table is crashed\nerror    : Corrupt\nshop.items    OK\n",
         ["shop.orders: Error    : Table is crashed", "shop.orders: error    : Corrupt"]),
        ("shop.orders                 Corrupt\n", ["shop.orders                 Corrupt"]),
    ],
)  # fmt: skip
def test_only_damage_is_damage(output: str, bad: list[str]) -> None:
    assert calls.check_problems(output) == bad


counts = st.integers(0, 5)


@given(before=counts, after=counts, found=counts)
def test_a_restored_server_has_what_was_counted_before_or_after(before: int, after: int, found: int) -> None:
    missing, more = client.count_differences({"tables": before}, {"tables": after}, {"tables": found})
    assert bool(missing) == (found < min(before, after))
    assert bool(more) == (found > max(before, after))


def test_a_kind_that_is_gone_altogether_is_missing() -> None:
    missing, more = client.count_differences({"views": 2}, {"views": 2}, {})
    assert (missing, more) == (["0 views instead of 2"], [])


def test_a_server_that_never_answers_is_down(programs: Path) -> None:
    program(programs, "mariadb", 'echo "ERROR 2002 (HY000): Can\'t connect" >&2; exit 1')
    with pytest.raises(errors.ApplicationDown, match="does not answer: ERROR 2002"):
        client.await_server({}, 0.1)


def test_a_server_that_answers_late_is_up(programs: Path, tmp_path: Path) -> None:
    program(programs, "mariadb", f"[ -e {tmp_path}/up ] || {{ touch {tmp_path}/up; exit 1; }}; echo 1")
    client.await_server({}, 20)


def test_waiting_for_a_server_that_died_or_refuses_is_not_worth_it(programs: Path) -> None:
    program(programs, "mariadb", 'echo "ERROR 1045 (28000): Access denied" >&2; exit 1')
    with pytest.raises(errors.ApplicationDown, match="Access denied"):
        client.await_server({}, 40)
    program(programs, "mariadb", 'echo "ERROR 2002 (HY000): Can\'t connect" >&2; exit 1')
    dead = process.spawn(["true"])
    dead.wait()
    with pytest.raises(errors.ApplicationDown):
        client.await_server({}, 40, dead)
