# SPDX-License-Identifier: GPL-3.0-or-later
"""Catalog servers that stand in for each other: turns, leases, coverage, decisions; roles that would make worthless sets."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab_tools import jobs, repository
from lab_tools.fleet import CHECKOUT, OFFSITE, Fleet
from lab_tools.mutants import mutant
from lab_tools.playbooks import Playbooks, Run, kill_whole
from lab_tools.powershare import CATALOGS, Server, catalogs, in_order, mail
from lab_tools.waiting import wait_until

ALL = ",".join(CATALOGS)


@pytest.fixture(scope="module")
def system(fleet: Fleet, need: Callable[..., None]) -> list[Server]:
    """The three catalog servers, the master first."""
    need(*CATALOGS)
    return catalogs(fleet)


@pytest.fixture
def servers(system: list[Server]) -> Iterator[list[Server]]:
    """The catalog servers in good order; afterwards nothing is left on any of them, no lease either."""
    in_order(system)
    yield system
    in_order(system)
    for server in system:
        assert jobs.leftovers(server.fleet, server.host) == []


def times(server: Server) -> list[str]:
    """Return the lines of a server's record of when it ran."""
    return server.fleet.run(server.host, "cat", f"/var/lib/powershare/uptime-{server.role}.log").splitlines()


def standby(server: Server) -> dict[str, object]:
    """Return who counts on a server to stay up, and who stops it."""
    found = server.fleet.read_json(server.host, f"{jobs.ROOT}/standby/campus+{server.host}.json")
    return found if isinstance(found, dict) else {"leases": {}, "stop": None}


def at_rest(servers: list[Server]) -> bool:
    return all(standby(server) == {"leases": {}, "stop": None} for server in servers)


def stop(server: Server) -> None:
    server.fleet.run(server.host, "systemctl", "stop", server.unit)


def back_up(playbooks: Playbooks, server: Server, **variables: str) -> Run:
    return playbooks.run("backup", "--limit", server.host, **variables)


def begin_and_hold(playbooks: Playbooks, server: Server) -> subprocess.Popen[bytes]:
    """Begin a backup of a server that quits when its knobs are cleared, however slow the machine is."""
    server.knob("quit-dialog", "on")
    return playbooks.begin("backup", "--limit", server.host, app_powershare_stop_timeout=1200)


def restore(playbooks: Playbooks, server: Server, **variables: str) -> Run:
    return playbooks.run("restore", "--limit", server.host, backstay_confirm=server.host, **variables)


# Several servers


def test_one_server_after_the_other_and_then_every_folder_is_covered(
    servers: list[Server], playbooks: Playbooks, tmp_path: Path
) -> None:
    """PS-5, PS-10, PS-14, PS-15: a run over all servers never has two of them down."""
    before = [len(times(server)) for server in servers]
    done = playbooks.run("backup", "--limit", ALL).demand()
    assert [record["status"] for record in done.records] == ["ok"] * 3
    outages = [[line.split() for line in times(server)[number:]] for server, number in zip(servers, before, strict=True)]
    assert [[word for _at, word in lines] for lines in outages] == [["down", "up"]] * 3, "each is stopped once, and runs again"
    moments = [at for lines in outages for at, _word in lines]
    assert moments == sorted(moments), "a server was stopped before the one before it was back"
    assert at_rest(servers)

    file = tmp_path / "coverage.json"
    audit = playbooks.run("coverage", "--limit", ALL, coverage_file=str(file), coverage_offsite="true").demand()
    assert re.search(r"Orders 24/7 on catalog1 in catalog1 0\.\d h ago", " ".join(audit.output.split())), audit.output
    assert json.loads(file.read_text())["ok"] is True


@pytest.mark.long
def test_a_folder_without_another_copy_is_named(servers: list[Server], playbooks: Playbooks) -> None:
    """PS-8, PS-15: catalog1 alone holds one folder, and no set counts that is older than nothing."""
    run = playbooks.run("coverage", "--limit", ALL, coverage_max_age_hours="0.000001")
    run.refused("folder 'Orders 24/7' of campus: its only good copy is on catalog1")
    assert run.status == 2
    assert "folder 'People'" not in run.output.split("Fail when a folder is not covered")[1]


@pytest.mark.long
def test_two_runs_meet_and_the_last_server_stays_up(servers: list[Server], playbooks: Playbooks) -> None:
    """PS-14: a run stops catalog1 and counts on catalog2; another run with another --limit may not stop that one."""
    one, two, three = servers
    stop(three)
    first = begin_and_hold(playbooks, one)
    try:
        wait_until(lambda: standby(two)["leases"], "catalog2 keeps a lease", 300)
        refused = back_up(playbooks, two, run_standby_wait="0")
        refused.refused("catalog2 is not stopped: it must stay up while another server of its system is down (catalog1: ")
        assert two.running()
    finally:
        one.knob("clear")
        said, _nothing = first.communicate(timeout=600)
    assert first.returncode == 0, said.decode()
    assert at_rest(servers)
    stop(two)
    before = times(one)
    last = back_up(playbooks, one, run_standby_wait="0")
    last.refused(
        "catalog1 is not stopped, because no other server of its system would stay up meanwhile",
        "catalog2: its server is not running; catalog3: its server is not running",
    )
    assert times(one) == before, "the last server was stopped"
    assert at_rest(servers)


@pytest.mark.long
def test_a_lease_of_a_control_node_that_died_is_settled_by_the_next_run(servers: list[Server], playbooks: Playbooks) -> None:
    """PS-14: nothing is stuck for ever, and nothing is believed that was not asked."""
    one, two, three = servers
    stop(three)
    first = begin_and_hold(playbooks, one)
    wait_until(lambda: (standby(one)["stop"] or {}).get("phase") == "begun", "the job of catalog1 stops it", 300)
    kill_whole(first)
    assert standby(two)["leases"]
    early = back_up(playbooks, two, run_standby_wait="0")
    early.refused("it must stay up", "is still at work")
    one.knob("clear")
    wait_until(lambda: standby(one)["stop"] is None and one.running(), "catalog1 is back without any control node", 300)
    assert standby(two)["leases"], "nobody was there to give it back"
    back_up(playbooks, two).demand()
    assert at_rest(servers)
    wait_until(lambda: not jobs.living_units(one.fleet, one.host), "the job has ended", 300)


@pytest.mark.long
def test_a_holder_that_cannot_be_asked_is_believed_to_be_down(servers: list[Server], playbooks: Playbooks) -> None:
    one, two, _three = servers
    state = {"leases": {"old": {"holder": one.host, "since": 1.0}}, "stop": None}
    place = f"{jobs.ROOT}/standby/campus+{two.host}.json"
    two.fleet.shell(two.host, f"mkdir -p {jobs.ROOT}/standby; cat > {place}", stdin=json.dumps(state))
    unknown = {"ansible_port": 1}
    names = {"backstay_only_app": "powershare", "run_standby_wait": "0"}
    inventory = Path(two.fleet.state.parent) / "lost.json"
    inventory.write_text(json.dumps({"all": {"hosts": {one.host: unknown}}}))
    options = ("-i", str(CHECKOUT / "inventories" / "lab"), "-i", str(inventory), "--limit", two.host)
    playbooks.run("backup", *options, **names).refused("it must stay up", "-e run_standby_forget=catalog1")
    playbooks.run("backup", *options, **names, run_standby_forget=one.host).demand()
    assert at_rest(servers)
    inventory.unlink()


# Restore or replicate


@pytest.mark.long
def test_a_set_goes_over_no_newer_copies(servers: list[Server], playbooks: Playbooks) -> None:
    """PS-9, PS-12: every folder of catalog2 lives on catalog1, so the set is refused and what to do is said."""
    two = servers[1]
    back_up(playbooks, two).demand()
    before = times(two)
    refused = restore(playbooks, two)
    refused.refused(
        "every folder of catalog2 has a good copy on another server", "People on catalog1", "playbooks/replicate.yml"
    )
    assert times(two) == before


@pytest.mark.long
def test_a_server_that_lost_its_folders_gets_them_back_from_the_others(servers: list[Server], playbooks: Playbooks) -> None:
    """PS-9, PS-12, PS-17: no set is needed. The server alone would ask the others, so it is kept from that."""
    one, two, _three = servers
    stop(two)
    two.shell(f"find '{two.folder}' -mindepth 1 -delete")
    two.knob("replication", "off")
    two.ctl("launch")
    assert two.folders()["People"]["state"] != "good"
    playbooks.run("replicate", "--limit", two.host).refused("This replaces folders of catalog2")
    playbooks.run("replicate", "--limit", two.host, backstay_confirm=two.host).demand()
    assert {two.folders()[name]["state"] for name in ("People", "Printers")} == {"good"}
    assert one.running()


@pytest.mark.long
def test_what_lived_only_on_the_lost_server_is_restored_and_the_rest_replicated(
    servers: list[Server], playbooks: Playbooks
) -> None:
    """PS-6, PS-13, PS-17: Orders lives on catalog1 only; the other folders come back as new as they are elsewhere."""
    one, two, three = servers
    known = one.goes_on()
    done = back_up(playbooks, one).demand().records[-1]  # the first may be a run whose control node died
    assert done["status"] == "ok"
    stop(one)
    one.shell(f"find '{one.folder}' -mindepth 1 -delete")
    newer = {name: two.folders()[name]["version"] for name in ("People", "Printers")}
    newer["Projets d'été"] = three.folders()["Projets d'été"]["version"]

    restored = restore(playbooks, one).demand().record

    assert restored["set"] == done["set"]
    assert one.running()
    stop(one)
    facts = one.prove(None, known)
    assert facts["ok"]
    one.ctl("launch")
    have = one.folders()
    assert {name for name, version in newer.items() if have[name]["version"] < version} == set()
    assert have["Orders 24/7"]["state"] == "good"


@pytest.mark.long
def test_a_set_comes_back_onto_the_master_when_all_servers_are_down(servers: list[Server], playbooks: Playbooks) -> None:
    """PS-13: nobody is asked to stay up for a server that is down already; another server than the master is refused."""
    one, two, _three = servers
    for server in (one, two):
        back_up(playbooks, server).demand()
    for server in servers:
        stop(server)
    restore(playbooks, two).refused("restore the catalog onto the master catalog1 first")
    one.shell(f"find '{one.folder}' -mindepth 1 -delete")
    restore(playbooks, one).demand()
    assert one.running()
    assert at_rest(servers)


# Both servers on one machine

BOTH = "mail2"
KINDS = ["mail", "catalog"]


@pytest.fixture
def both(fleet: Fleet, need: Callable[..., None], playbooks: Playbooks, tmp_path: Path) -> Iterator[tuple[str, ...]]:
    """The options of a run over a machine with a mail server and a catalog server of its own, both in good order."""
    need(BOTH)
    file = tmp_path / "both.json"
    alone = {"app_powershare_system": "", "app_powershare_master": ""}
    file.write_text(json.dumps({"app_powershare": {"hosts": {BOTH: alone}}}))
    inventories = ("-i", str(CHECKOUT / "inventories" / "lab"), "-i", str(file))
    playbooks.run("offsite", *inventories, "--limit", f"{OFFSITE},{BOTH}").demand()
    servers = [Server(fleet, BOTH, kind) for kind in KINDS]
    for server in servers:
        server.repair()
    yield (*inventories, "--limit", BOTH)
    for server in servers:
        server.repair()
    assert jobs.leftovers(fleet, BOTH) == []


@pytest.mark.long
def test_two_servers_of_one_machine_are_quit_one_after_the_other_and_both_come_back(
    both: tuple[str, ...], fleet: Fleet, playbooks: Playbooks
) -> None:
    """PS-1, PS-4, PS-5, PS-6: no other server has to stay up for a catalog of one server, and its set covers its folder."""
    servers = [Server(fleet, BOTH, kind) for kind in KINDS]
    known = [server.goes_on() for server in servers]
    before = [len(times(server)) for server in servers]
    done = playbooks.run("backup", *both, app_powershare_servers=KINDS).demand().record
    outages = [line.split() for server, number in zip(servers, before, strict=True) for line in times(server)[number:]]
    assert [word for _at, word in outages] == ["down", "up", "down", "up"]
    assert outages == sorted(outages), "the catalog server was quit before the mail server was back"
    receipt = repository.receipt(fleet, done["set"], BOTH)
    assert [item["name"] for item in receipt["artifacts"]] == ["mail", "catalog", "mail-prefs", "catalog-prefs"]
    audit = playbooks.run("coverage", *both, app_powershare_servers=KINDS).demand()
    assert re.search(rf"Rooms on {BOTH} in {BOTH} 0\.\d h ago", " ".join(audit.output.split())), audit.output

    for server in servers:
        stop(server)
        server.shell(f"rm -rf '{server.folder}'")
    playbooks.run("restore", *both, app_powershare_servers=KINDS, backstay_confirm=BOTH).demand()
    for server, mark in zip(servers, known, strict=True):
        assert server.running()
        stop(server)
        server.prove(None, mark)


# Roles that would make worthless sets (mutants)


PREPARE = "roles/app_powershare/tasks/prepare.yml"
LIVE = (PREPARE, "__app_powershare_ahead + __app_powershare_stop + __app_powershare_moment", "__app_powershare_moment[:1]")
UNSEALED = ("plugins/module_utils/apps/powershare/sealing.py", "kind not in pictures or kind not in quits or", "False and")
DEAF = ("plugins/module_utils/apps/powershare/sealing.py", 'quits[kind]}"', 'quits.get(kind)}"')


@pytest.fixture
def post(fleet: Fleet, need: Callable[..., None]) -> Iterator[Server]:
    """The mail server in good order."""
    server = mail(fleet)
    need(server.host)
    server.repair()
    yield server
    server.repair()


@pytest.mark.long
def test_a_role_that_does_not_stop_the_server_makes_no_set(post: Server, playbooks: Playbooks, tmp_path: Path) -> None:
    """PS-1, PS-2: the seal wants the proof of a quit."""
    mutated = Playbooks(post.fleet, mutant(tmp_path, LIVE))
    mutated.run("backup", "--limit", post.host).refused("Nothing proves that the mail server was quit while its data was taken")
    assert post.running()


@pytest.mark.long
def test_a_live_copy_that_passes_for_a_set_fails_the_restore(post: Server, playbooks: Playbooks, tmp_path: Path) -> None:
    """PS-1, PS-7, PS-18: were the seal silent as well, the restored server would not run, and the former data comes back."""
    mutated = Playbooks(post.fleet, mutant(tmp_path, LIVE, UNSEALED, DEAF))
    false = mutated.run("backup", "--limit", post.host).demand().record
    assert false["status"] == "ok", "this mutant is to lie"
    known = post.goes_on()
    failed = restore(playbooks, post, backstay_set=false["set"])
    record = failed.refused("The former data is kept; put it back with: ").record
    assert record["error"]["code"] == "application-down"
    post.fleet.shell(post.host, record["put_back"])
    assert post.running()
    stop(post)
    post.prove(None, known)
