# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in of PowerShare catalog servers that replicate among each other."""

from __future__ import annotations

import json

import pytest
from lab_tools.powershare import Server
from lab_tools.waiting import wait_until

TAR = "/var/tmp/conformance.tar"
HELD = {
    "catalog1": {"People", "Printers", "Projets d'été", "Orders 24/7"},
    "catalog2": {"People", "Printers"},
    "catalog3": {"People", "Projets d'été"},
}


def caught_up(server: Server, folder: str, version: int) -> None:
    wait_until(lambda: server.folders()[folder]["version"] >= version, f"{server.host} has version {version} of {folder}")


def lose(server: Server) -> None:
    """Lose a server's data: the folder is there and empty, the server down."""
    server.ctl("quit")
    server.ctl("purge", server.folder)


def test_folders_are_where_the_system_wants_them_and_entries_reach_the_replicas(catalogs: list[Server]) -> None:
    """PS-8, PS-15: versions of every folder on every server; one folder has no second server."""
    first, second, third = catalogs
    said = json.loads(second.ctl("folders", "--json", "--system"))["servers"]
    assert {name: set(entry["folders"]) for name, entry in said.items()} == HELD
    assert said["catalog1"]["folders"]["Orders 24/7"]["replicas"] == ["catalog1"]
    version = first.folders()["People"]["version"]
    caught_up(third, "People", version + 1)
    third.ctl("quit")
    at_rest = third.folders()["People"]
    assert at_rest["state"] == "good"
    first.ctl("quit")
    third.prove(third.data, f"People/{at_rest['version']}={at_rest['head']}")
    first.prove(first.data, f"People/{at_rest['version']}={at_rest['head']}", confirmed=True)


def test_item_2_the_last_running_catalog_server_does_not_quit(catalogs: list[Server]) -> None:
    """PS-14: at least one stays up."""
    first, second, third = catalogs
    second.ctl("quit")
    third.ctl("quit")
    refused = first.ask("quit")
    assert (refused.status, refused.stderr) == (1, "refused: no other catalog server is running\n")
    assert first.running()
    said = json.loads(first.ctl("folders", "--json", "--system"))["servers"]
    assert {name: entry["running"] for name, entry in said.items()} == {"catalog1": True, "catalog2": False, "catalog3": False}
    second.ctl("launch")
    first.ctl("quit")
    assert not first.running() and second.running()


def test_item_8_replication_needs_a_source(catalogs: list[Server]) -> None:
    """PS-12: from a server that is up and has a good copy, to one that should hold the folder."""
    first, second, third = catalogs
    no_source = (1, "refused: no source copy\n")
    refused = first.ask("replicate", "Printers", "catalog3", "catalog1")  # does not hold it
    assert (refused.status, refused.stderr) == no_source
    second.ctl("quit")
    refused = first.ask("replicate", "Printers", "catalog2", "catalog1")  # is down
    assert (refused.status, refused.stderr) == no_source
    refused = first.ask("replicate", "Printers", "catalog1", "catalog2")
    assert (refused.status, refused.stderr) == (1, "refused: catalog2 is not running\n")
    refused = second.ask("replicate", "Printers", "catalog1", "catalog3")
    assert (refused.status, refused.stderr) == (1, "refused: catalog3 does not hold 'Printers'\n")
    second.ctl("purge", second.folder)
    for server in (first, second):
        server.knob("replication", "off")
        server.knob("rate", "0")
    second.ctl("launch")
    assert second.folders()["Printers"]["state"] == "empty"
    refused = first.ask("replicate", "Printers", "catalog2", "catalog1")  # has nothing
    assert (refused.status, refused.stderr) == no_source
    third.ctl("replicate", "Printers", "catalog1", "catalog2")
    one, other = first.folders()["Printers"], second.folders()["Printers"]
    assert (one["version"], one["head"]) == (other["version"], other["head"]) and one["version"] > 0


def test_a_server_that_comes_back_empty_gets_its_folders_back(catalogs: list[Server]) -> None:
    """PS-9, PS-12, PS-17: no tape; it writes nothing before it has them, so nothing parts."""
    _, second, _ = catalogs
    before = second.folders()
    lose(second)
    assert {entry["state"] for entry in second.folders().values()} == {"missing"}
    second.ctl("launch")
    for name, entry in before.items():
        caught_up(second, name, entry["version"])
    assert {entry["state"] for entry in second.folders().values()} == {"good"}
    second.goes_on()
    second.ctl("quit")
    second.prove(confirmed=True)


def test_item_9_tape_does_not_come_before_live_replicas(catalogs: list[Server]) -> None:
    """PS-12, PS-13, PS-17: refused for a server whose folders all live elsewhere, not for one that held the only copy."""
    first, _, third = catalogs
    for server in (first, third):
        server.ctl("quit")
        server.fleet.shell(server.host, f"psctl get '{server.folder}' > {TAR}")
        server.ctl("launch")
        lose(server)
        put = f"psctl put '{server.folder}' < {TAR}"
        if server is third:
            refused = server.fleet.ask(server.host, ["sh", "-c", put])
            assert (refused.status, refused.stderr) == (1, "refused: live replicas of every folder exist\n")
            put = put.replace("' <", "' --force <")
        server.fleet.shell(server.host, put)
        server.prove()
        server.ctl("launch")


@pytest.mark.long
def test_an_older_set_is_seen_as_older_and_catches_up(catalogs: list[Server]) -> None:
    """Restored from tape while newer replicas live: lower versions, then replication catches up."""
    first, _, third = catalogs
    third.ctl("quit")
    third.fleet.shell(third.host, f"psctl get '{third.folder}' > {TAR}")
    older = third.folders()["People"]
    third.ctl("launch")
    caught_up(third, "People", older["version"] + 3)
    lose(third)
    third.fleet.shell(third.host, f"psctl put '{third.folder}' --force < {TAR}")
    third.knob("replication", "off")
    third.knob("rate", "0")
    third.ctl("launch")
    assert third.folders()["People"] == older
    newer = first.folders()["People"]["version"]
    assert newer > older["version"]
    third.knob("clear")
    caught_up(third, "People", newer)
    assert third.folders()["People"]["state"] == "good"


@pytest.mark.long
def test_a_server_that_went_on_from_an_older_set_is_in_conflict_until_somebody_decides(catalogs: list[Server]) -> None:
    """Two copies that part are never joined in silence."""
    first, second, _ = catalogs
    second.ctl("quit")
    second.fleet.shell(second.host, f"psctl get '{second.folder}' > {TAR}")
    older = second.folders()["Printers"]["version"]
    second.ctl("launch")
    caught_up(first, "Printers", older + 3)
    lose(second)
    second.fleet.shell(second.host, f"psctl put '{second.folder}' --force < {TAR}")
    second.knob("replication", "off")
    second.ctl("launch")
    second.goes_on()
    second.knob("clear")
    wait_until(lambda: second.folders()["Printers"]["state"] == "conflict", "the conflict is seen")
    wait_until(lambda: first.folders()["Printers"]["state"] == "conflict", "the conflict is seen by the other")
    first.ctl("replicate", "Printers", "catalog1", "catalog2")
    wait_until(lambda: second.folders()["Printers"]["state"] == "good", "the conflict is over")
    wait_until(lambda: first.folders()["Printers"]["state"] == "good", "the conflict is over for the other")
    second.ctl("quit")
    second.prove()


@pytest.mark.long
def test_a_copy_of_a_running_catalog_servers_folder_is_torn(catalogs: list[Server]) -> None:
    """PS-5, PS-16: stop first. The same rules as for mail, on XFS and ext4."""
    for server in catalogs:
        server.goes_on()
        server.shell(f"cp -a '{server.folder}' copy")
        found = server.check(f"{server.volume}/copy")
        server.shell("rm -rf copy")
        assert [p for p in found["problems"] if p.startswith("index: ")], found["problems"]
        refused = server.ask("get", server.folder)
        assert (refused.status, refused.stdout, refused.stderr) == (1, "", "file busy (-47)\n")
