# SPDX-License-Identifier: GPL-3.0-or-later
"""Dumps of both products: complete, of one moment, proved when they are loaded; and one database out of any set."""

from __future__ import annotations

from typing import Any

import pytest
from integration.apps import App
from lab_tools import repository, shop
from lab_tools.fleet import Fleet
from lab_tools.playbooks import Playbooks

APPS = ("mysql", "mysql_9")
ACCOUNTS = "SELECT user, host, plugin, HEX(authentication_string) FROM mysql.user ORDER BY 1, 2"
CLERKS = 20  # their passwords are hashed with salts of any bytes


def back_up(playbooks: Playbooks, app: App, **variables: Any) -> dict[str, Any]:
    return playbooks.run("backup", "--limit", app.host, app_mysql_method="logical", **variables).demand().record


def hire(fleet: Fleet, host: str) -> None:
    """Make accounts with passwords, and a role that one of them has."""
    made = "; ".join(
        f"CREATE USER clerk{number} IDENTIFIED BY 'secret {number}'; GRANT SELECT ON shop.* TO clerk{number}"
        for number in range(1, CLERKS + 1)
    )
    shop.sql(fleet, f"{made}; CREATE ROLE auditor; GRANT SELECT ON shop.* TO auditor; GRANT auditor TO clerk1", host)


@pytest.mark.long
def test_a_lost_server_comes_back_from_a_dump_and_its_logs(live: App, fleet: Fleet, playbooks: Playbooks) -> None:
    """Made while the application writes: the dump is of one moment, and log backups follow it."""
    live.start_writer()
    hire(fleet, live.host)
    accounts, granted = (shop.sql(fleet, question, live.host) for question in (ACCOUNTS, "SHOW GRANTS FOR clerk1"))
    full = back_up(playbooks, live)
    receipt = repository.receipt(fleet, full["set"], live.host)
    assert receipt["position"]["exact"] and receipt["facts"]["method"] == "dump"
    assert {"shop.ledger", "shop.accounts"} <= set(receipt["facts"]["tables"])
    known = live.last_known()
    content = live.quiesce()
    log = playbooks.run("backup", "--limit", live.host, backstay_kind="log").demand().record
    assert log["kind"] == "log"
    live.destroy()
    done = playbooks.run("restore", "--limit", live.host, backstay_confirm=live.host).demand().record
    assert {"content", "replay"} <= {check["name"] for check in done["checks"]}
    assert live.prove(known=known) == content
    assert shop.sql(fleet, ACCOUNTS, live.host) == accounts
    assert shop.sql(fleet, "SHOW GRANTS FOR clerk1", live.host) == granted
    fleet.shell(live.host, "MYSQL_PWD='secret 1' mysql --user=clerk1 -e 'SELECT COUNT(*) FROM shop.ledger'")
    shop.sql(fleet, "; ".join(f"DROP USER clerk{number}" for number in range(1, CLERKS + 1)) + "; DROP ROLE auditor", live.host)


@pytest.mark.long
def test_one_database_comes_back_into_the_running_server(live: App, fleet: Fleet, playbooks: Playbooks) -> None:
    content = live.quiesce()
    done = playbooks.run("backup", "--limit", live.host).demand().record
    shop.sql(fleet, "CREATE SCHEMA other; CREATE TABLE other.stays (n INT); INSERT INTO other.stays VALUES (7)", live.host)
    identity = live.identity()
    shop.sql(fleet, "SET FOREIGN_KEY_CHECKS = 0; DROP TABLE shop.accounts", live.host)
    try:
        restored = playbooks.run(
            "restore",
            "--limit",
            live.host,
            backstay_confirm=live.host,
            backstay_set=done["set"],
            app_mysql_restore_database="shop",
        ).demand()
        assert live.prove() == content
        assert live.identity() == identity, "the server was restarted"
        assert shop.sql(fleet, "SELECT n FROM other.stays", live.host).strip() == "7"
        assert "database" in {check["name"] for check in restored.record["checks"]}
    finally:
        shop.sql(fleet, "DROP SCHEMA other", live.host)


@pytest.mark.long
def test_what_needs_a_component_of_the_server_comes_back(live: App, fleet: Fleet, playbooks: Playbooks) -> None:
    """MySQL has MD5() from a component, which is in no dump; in MariaDB it is a function like any other."""
    if live.host in shop.MYSQL_HOSTS:
        shop.sql(fleet, "INSTALL COMPONENT 'file://component_classic_hashing'", live.host)
    shop.sql(fleet, "CREATE VIEW shop.digests AS SELECT id, MD5(CAST(id AS CHAR)) AS digest FROM shop.ledger", live.host)
    try:
        back_up(playbooks, live)
        done = playbooks.run("verify", "--limit", live.host).demand().record
        assert {check["status"] for check in done["checks"]} == {"ok"}, done["checks"]
    finally:
        shop.sql(fleet, "DROP VIEW shop.digests", live.host)


@pytest.mark.long
@pytest.mark.usefixtures("nothing_stored")
def test_option_files_that_leave_rows_out_are_refused(live: App, fleet: Fleet, playbooks: Playbooks) -> None:
    """The tool would end a dump without rows as it ends any other."""
    path = "/etc/mysql/conf.d/99-story.cnf"
    fleet.shell(live.host, f"cat > {path}", stdin="[mysqldump]\nwhere = 1=0\n")
    try:
        run = playbooks.run("backup", "--limit", live.host, app_mysql_method="logical")
        run.refused("what may change what the backup holds: where", '"code": "preflight"')
    finally:
        fleet.run(live.host, "rm", path)
