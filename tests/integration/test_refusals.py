# SPDX-License-Identifier: GPL-3.0-or-later
"""Wrong input and broken surroundings: one clear sentence, exit status not 0, nothing left, nothing stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from integration.apps import App
from lab_tools import repository, shop
from lab_tools.fleet import OFFSITE, Fleet
from lab_tools.playbooks import Playbooks

pytestmark = pytest.mark.usefixtures("nothing_stored")

APPS = ("mysql",)  # what is looked for is what MariaDB and its tools say
CONFIRMED = {"backstay_confirm": "shop-db1"}
RESTORE = ("restore", "--limit", "shop-db1")

# (playbook with options, variables, sentence)
BAD_INPUT: dict[str, tuple[tuple[str, ...], dict[str, Any], str]] = {
    "app that the host does not have": (
        ("backup",), {"backstay_only_app": "nosuch"},
        "shop-db1 has no app 'nosuch'. Put it into a group app_<app> of the inventory",
    ),
    "kind": (
        ("backup",), {"backstay_kind": "weekly"},
        "value of backstay_kind must be one of: full, differential, incremental, log, got: weekly",
    ),
    "kind that the app does not have": (
        ("backup",), {"backstay_kind": "differential"},
        "There is no backup of kind 'differential' for mysql. Kinds: full, incremental, log.",
    ),
    "transport": (
        ("backup",), {"backstay_transport": "pigeon"},
        "value of backstay_transport must be one of: stream, stage, got: pigeon",
    ),
    "set": (RESTORE, {**CONFIRMED, "backstay_set": "nope"}, "There is no set 'nope'."),
    "future": (
        RESTORE, {**CONFIRMED, "backstay_moment": "2099-01-01T00:00:00Z"},
        "2099-01-01T00:00:00.000000Z lies in the future. Nearest earlier: 20",
    ),
    "before the first set": (
        RESTORE, {**CONFIRMED, "backstay_moment": "2001-01-01T00:00:00Z"},
        "2001-01-01T00:00:00.000000Z cannot be restored. There is nothing earlier; nearest later: 20",
    ),
    "moment without a zone": (
        RESTORE, {**CONFIRMED, "backstay_moment": "2026-11-21T13:00:00"},
        "'2026-11-21T13:00:00' is not a moment with a time zone. Write it like",
    ),
    "moment in words": (RESTORE, {**CONFIRMED, "backstay_moment": "yesterday"}, "'yesterday' is not a moment"),
    "no such day": (
        RESTORE, {**CONFIRMED, "backstay_moment": "2026-02-30T10:00:00Z"}, "'2026-02-30T10:00:00Z' is not a moment",
    ),
    "no confirmation": (
        RESTORE, {}, "This restore replaces data on shop-db1. Look at the plan with --check, then confirm it by name:",
    ),
    "confirmation of another host": (RESTORE, {"backstay_confirm": "spare1"}, "This restore replaces data on shop-db1."),
    "no limit": (("restore",), CONFIRMED, "A restore needs --limit: name the hosts that are to receive the data."),
    "source": (
        ("verify",), {"backstay_source": "nosuchhost"}, "The inventory has no host 'nosuchhost'. Check backstay_source.",
    ),
}  # fmt: skip


# The others are said by the same places as these or those of test_mysql_pitr, or without a look at any host.
IN_SHORT = ("kind that the app does not have", "set", "no confirmation")


@pytest.mark.parametrize("case", [pytest.param(case, marks=() if case in IN_SHORT else pytest.mark.long) for case in BAD_INPUT])
def test_bad_input_is_refused(first_set: str, app: App, playbooks: Playbooks, fleet: Fleet, case: str) -> None:
    options, variables, sentence = BAD_INPUT[case]
    before = app.identity()
    run = playbooks.run(*options, **variables).refused(sentence)
    assert "internal" not in run.output and "Traceback" not in run.output
    assert not run.records
    assert app.identity() == before


def test_control_node_without_the_secrets(first_set: str, app: App, fleet: Fleet, tmp_path: Path) -> None:
    stranger = Playbooks(fleet, {"BACKSTAY_STATE_DIR": str(tmp_path / "empty")})
    stranger.run("verify", "--limit", app.host).refused("There is no certificate authority on this control node")
    assert not (tmp_path / "empty" / "secrets").exists(), "a restore made new secrets"


def test_too_little_space(first_set: str, app: App, playbooks: Playbooks, fleet: Fleet) -> None:
    place = "/mnt/backstay-small"
    fleet.shell(app.host, f"mkdir -p {place}; mount -t tmpfs -o size=16m tmpfs {place}")
    try:
        run = playbooks.run(*RESTORE, **CONFIRMED, backstay_restore_to=f"{place}/side")
        run.refused(f"are needed in {place}/side", "are free", "make room, or choose another place")
        assert fleet.run(app.host, "ls", "-A", place).strip() == ""
    finally:
        fleet.shell(app.host, f"umount {place}; rmdir {place}")


@contextmanager
def changed_file(fleet: Fleet, host: str, path: str, content: str) -> Iterator[None]:
    """Give a file on a host other content for a while; owner and mode stay."""
    fleet.shell(host, f"cp -p {path} {path}.kept; cat > {path}", stdin=content)
    try:
        yield
    finally:
        fleet.shell(host, f"mv {path}.kept {path}")


def test_wrong_repository_password_on_the_host(live: App, playbooks: Playbooks, fleet: Fleet) -> None:
    path = f"{repository.ACCESS}/{live.host}/password"
    with changed_file(fleet, live.host, path, "not-the-password"):
        run = playbooks.run("backup", "--limit", live.host).refused("The repository password is wrong")
    assert run.record["error"]["code"] == "repository-password"
    live.prove()


@pytest.mark.long  # the fault tests have it in the short form
def test_unreachable_offsite_server(first_set: str, app: App, playbooks: Playbooks, fleet: Fleet) -> None:
    fleet.run(OFFSITE, "systemctl", "stop", "backstay-offsite.service")
    try:
        playbooks.run("backup", "--limit", app.host).refused("cannot be reached", "is the offsite server up")
    finally:
        fleet.run(OFFSITE, "systemctl", "start", "backstay-offsite.service")


def test_server_down(live: App, playbooks: Playbooks, fleet: Fleet) -> None:
    fleet.run(live.host, "systemctl", "stop", "mariadb.service")
    try:
        playbooks.run("backup", "--limit", live.host).refused("1 of 3 checks failed: server:", "is the server up")
    finally:
        fleet.run(live.host, "systemctl", "start", "mariadb.service")


PRIVILEGES = ("RELOAD", "PROCESS", "LOCK TABLES", "BINLOG MONITOR")


@pytest.mark.parametrize("missing", [PRIVILEGES[0], *(pytest.param(name, marks=pytest.mark.long) for name in PRIVILEGES[1:])])
def test_account_that_lacks_a_privilege(live: App, playbooks: Playbooks, fleet: Fleet, missing: str) -> None:
    granted = ", ".join(name for name in PRIVILEGES if name != missing)
    password = "limited-account-password"
    account = f"CREATE OR REPLACE USER limited@localhost IDENTIFIED BY '{password}'"
    shop.sql(fleet, f"{account}; GRANT {granted} ON *.* TO limited@localhost")
    file = "/etc/mysql/limited.cnf"
    fleet.shell(live.host, f"umask 077; cat > {file}", stdin=f"[client]\nuser=limited\npassword={password}\n")
    try:
        run = playbooks.run("backup", "--limit", live.host, app_mysql_defaults_extra_file=file)
        run.refused(f"the backup account lacks {missing} on *.* - GRANT {missing} ON *.* TO it")
        assert password not in run.output
    finally:
        fleet.run(live.host, "rm", file)
        shop.sql(fleet, "DROP USER limited@localhost")
