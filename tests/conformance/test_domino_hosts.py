# SPDX-License-Identifier: GPL-3.0-or-later
"""The Domino hosts of the lab: releases, accounts, units, links, and what happens when the power fails."""

from __future__ import annotations

import json
from typing import Any

import pytest
from lab_tools.fleet import Answer, Fleet
from lab_tools.waiting import wait_until

BIN = "/opt/hcl/domino/bin"
DATA = "/local/notesdata"
CONFIRMED = "/var/lib/mailwriter/confirmed.log"
SERVERS = {
    "domino1": ("Release 14.0", "Enabled, archive style", f"{DATA}/notes.ini"),
    "domino2": ("Release 12.0", "Enabled, circular style", "/etc/domino/notes.ini"),
    "domino9": ("Release 9.0", "Not Enabled", f"{DATA}/notes.ini"),
}


def ask(fleet: Fleet, host: str, *argv: str, user: str = "notes") -> Answer:
    """Run a program of the Domino software as an account of the host."""
    return fleet.ask(host, ["runuser", "-u", user, "--", f"{BIN}/{argv[0]}", *argv[1:]])


def checked(fleet: Fleet, host: str) -> dict[str, Any]:
    """What lab-check finds, what the writer knows to be durable included."""
    return json.loads(ask(fleet, host, "lab-check", "--confirmed", CONFIRMED).stdout)


@pytest.mark.parametrize("host", SERVERS)
def test_hosts_are_what_their_names_say(fleet: Fleet, host: str) -> None:
    release, logging, ini = SERVERS[host]
    assert ask(fleet, host, "server", f"={ini}", "-c", "show server").status == 0
    wait_until(lambda: f"Transaction logging:    {logging}" in fleet.run(host, "cat", f"{DATA}/notes.log"), "it answered")
    assert f"({release} for Linux/64)" in fleet.run(host, "cat", f"{DATA}/notes.log")
    assert fleet.run(host, "domino", "inivar", "Directory").strip() == DATA
    assert "Domino Server is running" in fleet.run(host, "domino", "status")
    names = fleet.run(host, "ps", "-u", "notes", "-o", "comm=").split()
    assert {"server", "logasio"} <= set(names)
    found = checked(fleet, host)
    assert found["ok"], found["problems"]
    assert {"apps/parts.nsf", "archive/year 2025.nsf", "mail/Zoë Müller.nsf"} <= set(found["databases"])


@pytest.mark.parametrize("user", ["root", "operator"])
def test_programs_are_for_the_account_of_the_server(fleet: Fleet, user: str) -> None:
    refused = ask(fleet, "domino1", "server", f"={DATA}/notes.ini", "-c", "show server", user=user)
    assert refused.status == 1
    assert "not permitted" in refused.stdout


def test_the_unit_stops_the_server_in_order(fleet: Fleet) -> None:
    fleet.run("domino9", "domino", "stop")  # as root: through systemd
    assert fleet.ask("domino9", ["systemctl", "is-active", "domino.service"]).stdout.strip() == "inactive"
    found = checked(fleet, "domino9")
    assert found["ok"], found["problems"]
    assert fleet.ask("domino9", ["test", "-e", f"{DATA}/pid.nbf"]).status == 1
    fleet.run("domino9", "domino", "start")
    assert fleet.ask("domino9", ["systemctl", "is-active", "domino.service"]).stdout.strip() == "active"


def test_power_fails_and_every_confirmed_document_is_there(fleet: Fleet) -> None:
    fleet.command("reset", "domino1")
    wait_until(lambda: "is running" in fleet.ask("domino1", ["domino", "status"]).stdout, "the server is up again")
    found = checked(fleet, "domino1")
    assert found["ok"], found["problems"]
    before = fleet.run("domino1", "wc", "-l", CONFIRMED)
    wait_until(lambda: fleet.run("domino1", "wc", "-l", CONFIRMED) != before, "mail arrives again")
