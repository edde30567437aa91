# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit of catalog folders (PS-8, PS-10, PS-11, PS-15), and the systems of an inventory."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.backstay.fleet.plugins.plugin_utils import catalog_system
from ansible_collections.backstay.fleet.plugins.plugin_utils.catalog_coverage import audit, coverage, member
from ansible_collections.backstay.fleet.plugins.plugin_utils.catalog_replication import replication

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
AT = "2026-11-21T10:00:00.000000Z"


def about(host: str, folders: list[str], master: str = "") -> dict[str, Any]:
    return {"host": host, "name": host, "system": "campus", "master": master, "folders": folders}


def says(running: bool = True, **folders: str) -> dict[str, Any]:
    said = {"running": running, "folders": {name: {"state": state, "version": 1} for name, state in folders.items()}}
    return {"rc": 0, "stdout": json.dumps(said)}


def stored(*folders: str, state: str = "good") -> dict[str, Any]:
    facts = {"servers": {"catalog": {}}, "catalog": {"folders": {name: {"state": state, "version": 1} for name in folders}}}
    return {"reply": {"sets": ["s1"], "target": AT, "facts": facts}}


NOTHING = {"msg": "There is no set to restore from.", "code": "plan", "failed": True}


def test_a_folder_on_two_running_servers_is_covered() -> None:
    members = [member(about(host, ["People"]), says(People="good"), NOTHING) for host in ("c1", "c2")]
    result = audit(members, NOW)
    assert result["ok"], result
    assert result["folders"] == [{"system": "campus", "folder": "People", "servers": ["c1", "c2"], "sets": []}]


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (says(), "only good copy is on c1"),
        (says(People="damaged"), "only good copy is on c1"),
        (says(running=False, People="good"), "only good copy is on c1"),
        ({"unreachable": True, "msg": "no route to host"}, "c2 cannot tell its folders: no route to host"),
        ({"rc": 1, "stderr": "dirNFErr (-120)", "stdout": ""}, "c2 cannot tell its folders: dirNFErr"),
        ({"rc": 0, "stdout": "hello"}, "c2 cannot tell its folders"),
    ],
)
def test_one_copy_is_no_copy_on_another_server(second: dict[str, Any], why: str) -> None:
    """PS-8"""
    members = [member(about("c1", ["People"]), says(People="good"), NOTHING), member(about("c2", []), second, NOTHING)]
    result = audit(members, NOW)
    assert not result["ok"]
    assert any(why in problem for problem in result["problems"]), result["problems"]
    assert any("folder 'People'" in problem and "no newest set holds it" in problem for problem in result["problems"])


def test_a_set_covers_a_folder_that_is_nowhere_else_and_its_age_is_shown() -> None:
    """PS-15"""
    only = member(about("c1", ["Orders"]), says(Orders="good"), stored("Orders"))
    result = audit([only], NOW)
    assert result["ok"]
    assert "campus  Orders  on c1  in c1 2.0 h ago (s1)" in result["lines"]
    late = audit([only], NOW, max_age_hours=1)
    assert not late["ok"]
    assert "its newest set is 2.0 h old" in late["problems"][0]


def test_a_damaged_copy_in_a_set_covers_nothing() -> None:
    only = member(about("c1", ["Orders"]), says(Orders="good"), stored("Orders", state="damaged"))
    assert not audit([only], NOW)["ok"]


def test_a_set_without_the_folders_names_counts_for_those_of_the_inventory() -> None:
    newest = stored()
    newest["reply"]["facts"]["catalog"] = {}
    assert audit([member(about("c1", ["Orders"]), says(Orders="good"), newest)], NOW)["ok"]


def test_a_set_of_a_mail_server_holds_no_catalog() -> None:
    newest = stored("Orders")
    newest["reply"]["facts"]["servers"] = {"mail": {}}
    assert not audit([member(about("c1", ["Orders"]), says(Orders="good"), newest)], NOW)["ok"]


def test_a_repository_that_does_not_answer_is_a_finding() -> None:
    failed = {"failed": True, "code": "repository", "msg": "no connection"}
    result = audit([member(about(host, []), says(People="good"), failed) for host in ("c1", "c2")], NOW)
    assert "the repository of c1 cannot be asked: no connection" in result["problems"]


def test_a_folder_that_the_inventory_names_has_to_be_there() -> None:
    members = [member(about(host, ["People", "Lost"]), says(People="good"), NOTHING) for host in ("c1", "c2")]
    problems = audit(members, NOW)["problems"]
    assert "folder 'Lost' of campus: it has no good copy on any server and no newest set holds it" in problems
    assert "folder 'Lost' of campus: c1 should hold it and has no good copy" in problems


def test_offsite_wants_a_master_with_everything_and_its_set() -> None:
    """PS-10"""
    c1 = member(about("c1", [], "c1"), says(People="good"), NOTHING)
    c2 = member(about("c2", [], "c1"), says(People="good", Orders="good"), stored("People", "Orders"))
    result = audit([c1, c2], NOW, offsite=True)
    assert result["problems"] == [
        "folder 'Orders' of campus: the master c1 does not hold it (PS-10)",
        "the master c1 of campus has no set: back it up (PS-10)",
    ]
    whole = member(about("c1", [], "c1"), says(People="good", Orders="good"), stored("People", "Orders"))
    assert audit([whole, c2], NOW, offsite=True)["ok"]


def test_offsite_without_a_master_wants_a_set_of_each_machine_that_is_needed() -> None:
    """PS-11"""
    c1 = member(about("c1", []), says(People="good"), stored("People"))
    c2 = member(about("c2", []), says(Orders="good"), NOTHING)
    result = audit([c1, c2], NOW, offsite=True)
    assert [problem for problem in result["problems"] if "'Orders'" in problem]
    c2 = member(about("c2", []), says(Orders="good"), stored("Orders"))
    assert audit([c1, c2], NOW, offsite=True)["ok"]
    both = [member(about(host, []), says(People="good"), NOTHING) for host in ("c1", "c2")]
    assert audit(both, NOW)["ok"] and not audit(both, NOW, offsite=True)["ok"]


def test_the_whole_of_it_is_json_as_well_and_never_silent() -> None:
    system = {"system": "campus", "master": "", "own": about("c1", ["People"])}
    nobody = {"system": "", "master": "", "own": {}}
    result = coverage([system, nobody], [says(People="good"), {}], [stored("People"), {}])
    said = json.loads(result["json"])
    assert said["schema"] == "backstay.coverage/1"
    assert said["ok"] is True
    assert [item["folder"] for item in said["folders"]] == ["People"]
    with pytest.raises(BadInput, match="no host of the inventory has a catalog server"):
        coverage([nobody], [{}], [{}])


# Systems of an inventory

HOSTS = {
    "mail1": {"app_powershare_system": "campus"},
    "c1": {"app_powershare_system": "campus", "app_powershare_servers": ["catalog"], "app_powershare_master": "c1"},
    "c2": {
        "app_powershare_system": "campus",
        "app_powershare_servers": ["mail", "catalog"],
        "app_powershare_master": "c1",
        "app_powershare_name": "Second",
        "app_powershare_control": "gateway",
    },
    "alone": {"app_powershare_servers": ["catalog"]},
}


def describe(host: str, changed: dict[str, Any] | None = None) -> dict[str, Any]:
    return catalog_system.describe(host, ["c2", "c1", "mail1", "alone"], {**HOSTS, **(changed or {})})


def test_the_members_of_a_system_are_its_catalog_servers() -> None:
    found = describe("c1")
    assert (found["system"], found["name"], found["master"]) == ("campus", "c1", "c1")
    assert [member["host"] for member in found["others"]] == ["c2"]
    assert found["own"]["service"] == {"name": "powershare-catalog.service"}
    assert found["others"][0]["name"] == "Second"
    assert found["others"][0]["service"]["control"]["listed"] == "PowerShare Catalog Server"


def test_who_has_no_system_stands_alone() -> None:
    assert describe("mail1")["own"] == {}
    alone = describe("alone")
    assert (alone["own"]["host"], alone["others"]) == ("alone", [])


def test_an_inventory_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(BadInput, match="one master or none"):
        describe("c1", {"c2": {**HOSTS["c2"], "app_powershare_master": "c2"}})
    nobody = {host: {**HOSTS[host], "app_powershare_master": "mail1"} for host in ("c1", "c2")}
    with pytest.raises(BadInput, match="no catalog server of the system"):
        describe("c1", nobody)
    with pytest.raises(BadInput, match="are called c1"):
        describe("c1", {"c2": {**HOSTS["c2"], "app_powershare_name": "c1"}})


# Replication instead of a set


SYSTEM = {"own": {"host": "c2", "name": "c2", "folders": ["People", "Printers"]}, "others": [{"host": "c1"}], "master": "c1"}


def system_says(**servers: Any) -> dict[str, Any]:
    said = {"servers": {name: json.loads(answer["stdout"]) for name, answer in servers.items()}}
    return {"rc": 0, "stdout": json.dumps(said)}


def test_a_lost_server_gets_back_what_it_lacks_and_nothing_else() -> None:
    """PS-9, PS-12"""
    answer = system_says(c1=says(People="good", Printers="good"), c2=says(People="good", Printers="missing"))
    assert replication(SYSTEM, answer) == [{"folder": "Printers", "from": "c1", "to": "c2"}]
    whole = system_says(c1=says(People="good", Printers="good"), c2=says(People="good", Printers="good"))
    assert replication(SYSTEM, whole) == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"rc": 1, "stderr": "no gateway"}, "cannot be asked: no gateway"),
        (system_says(c1=says(People="good"), c2=says(running=False)), "does not run"),
        (system_says(c1=says(People="good"), c2=says(People="good")), "Printers: no good copy on any other running server"),
    ],
)
def test_what_cannot_be_replicated_is_refused(answer: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        replication(SYSTEM, answer)


def test_what_lives_is_replicated_although_another_folder_is_lost() -> None:
    """PS-9: a set that lacks the lost folder is refused, so the others have to come back without it."""
    answer = system_says(c1=says(People="good"), c2=says(People="missing", Printers="missing"))
    assert replication(SYSTEM, answer) == [{"folder": "People", "from": "c1", "to": "c2"}]


def test_a_server_of_its_own_replicates_nothing() -> None:
    with pytest.raises(BadInput, match="no server of a catalog system"):
        replication({"own": {}, "others": [], "master": ""}, {})
