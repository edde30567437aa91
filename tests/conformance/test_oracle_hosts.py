# SPDX-License-Identifier: GPL-3.0-or-later
"""The Oracle hosts of the lab: accounts, units, time zones, and what happens when the power fails."""

from __future__ import annotations

import json

import pytest
from lab_tools.fleet import Answer, Fleet
from lab_tools.waiting import wait_until

HOSTS = ("oracle1", "oracle2", "oracle-spare1")
HOME = "/u01/app/oracle/product/19.0.0/dbhome_1"


def ask(fleet: Fleet, host: str, sid: str, *argv: str, user: str = "oracle", stdin: str = "") -> Answer:
    """Run a program of the Oracle software as an account of the host."""
    settings = (f"ORACLE_HOME={HOME}", f"ORACLE_SID={sid}", "NLS_LANG=AMERICAN_AMERICA.AL32UTF8")
    command = ["runuser", "-u", user, "--", "env", *settings, f"{HOME}/bin/{argv[0]}", *argv[1:]]
    return fleet.ask(host, command, stdin)


def checked(fleet: Fleet, host: str, sid: str, *arguments: str) -> dict[str, object]:
    return json.loads(ask(fleet, host, sid, "oracle-check", sid, *arguments).stdout)


def known_last(fleet: Fleet, host: str, sid: str) -> str:
    """ID:HASH of the newest line of the application's own record."""
    line = fleet.run(host, "tail", "-n", "1", f"/var/lib/orawriter/{sid}/committed.log").split()
    return f"{line[2]}:{line[3]}"


def test_hosts_are_what_their_names_say(fleet: Fleet) -> None:
    """oracle1: container database, spfile, its own time zone; oracle2: two SIDs with pfiles; the spare: software only."""
    listed = {
        host: [line.split(":")[0] for line in fleet.run(host, "cat", "/etc/oratab").splitlines() if line[0] != "#"]
        for host in HOSTS
    }
    assert listed == {"oracle1": ["ORCL"], "oracle2": ["SALES", "STOCK"], "oracle-spare1": []}
    assert fleet.run("oracle1", "date", "+%z").strip() == "+0330"
    assert fleet.run("oracle2", "date", "+%z").strip() == "+0000"
    question = (
        "SET PAGES 0 FEEDBACK OFF\nSELECT cdb||(SELECT '|'||value FROM v$parameter WHERE name = 'spfile') FROM v$database;\n"
    )
    said = {
        sid: ask(fleet, host, sid, "sqlplus", "-S", "/ as sysdba", stdin=question).stdout.strip()
        for host in HOSTS
        for sid in listed[host]
    }
    assert said == {"ORCL": f"YES|{HOME}/dbs/spfileORCL.ora", "SALES": "NO|", "STOCK": "NO|"}
    idle = ask(fleet, "oracle-spare1", "ORCL", "rman", "target", "/", stdin="exit;\n")
    assert "connected to target database (not started)" in idle.stdout


def test_item_4_the_database_account_has_to_be_able_to_write(fleet: Fleet) -> None:
    fleet.run("oracle1", "install", "-d", "-m", "0700", "/var/tmp/of-root")
    said = ask(fleet, "oracle1", "ORCL", "rman", "target", "/", stdin="backup datafile 7 format '/var/tmp/of-root/%U';\n")
    assert said.status == 1
    assert "ORA-19504: failed to create file" in said.stdout
    assert "ORA-27040" in said.stdout
    assert "Linux-x86_64 Error: 13: Permission denied" in said.stdout


@pytest.mark.parametrize("user", ["root", "operator"])
def test_item_6_only_the_owner_of_the_software_is_sysdba(fleet: Fleet, user: str) -> None:
    for argv in (("rman", "target", "/"), ("sqlplus", "-S", "-L", "/ as sysdba")):
        refused = ask(fleet, "oracle1", "ORCL", *argv, user=user)
        assert refused.status == 1
        assert "ORA-01017" in refused.stdout


def test_power_fails_and_every_commit_is_there(fleet: Fleet) -> None:
    fleet.command("reset", "oracle2")
    for sid in ("SALES", "STOCK"):
        last = known_last(fleet, "oracle2", sid)
        assert checked(fleet, "oracle2", sid, "--at-id", last)["ok"], sid
        before = checked(fleet, "oracle2", sid)["last_id"]
        wait_until(
            lambda sid=sid, before=before: checked(fleet, "oracle2", sid)["last_id"] != before, "the application goes on"
        )


def test_an_instance_dies_with_the_unit_it_was_started_in(fleet: Fleet) -> None:
    """As on a real host: background processes belong to whoever said STARTUP."""
    fleet.run("oracle2", "systemctl", "stop", "oracle@STOCK.service")
    environment = [f"--setenv=ORACLE_HOME={HOME}", "--setenv=ORACLE_SID=STOCK"]
    script = f"echo startup | {HOME}/bin/sqlplus -S / as sysdba"
    fleet.run("oracle2", "systemd-run", "--quiet", "--wait", "--collect", "--uid=oracle", *environment, "/bin/sh", "-c", script)
    wait_until(lambda: checked(fleet, "oracle2", "STOCK")["ok"] is False, "the instance went with its unit")
    fleet.run("oracle2", "systemctl", "start", "oracle@STOCK.service")
    assert checked(fleet, "oracle2", "STOCK", "--at-id", known_last(fleet, "oracle2", "STOCK"))["ok"]
