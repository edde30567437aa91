# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet restore: who may begin, what is told, and that nothing that failed is called restored."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.backstay.fleet.plugins.plugin_utils import fleet_restore, worker_archive
from hypothesis import given
from hypothesis import strategies as st

HOSTS = ["shop-db1", "spare1", "spare2"]


def unit(name: str, target: str = "shop-db1", after: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    made = {
        "name": name,
        "entry": name.partition("/")[0],
        "source": "shop-db1",
        "app": "mysql",
        "target": target,
        "directory": "",
    }
    return {**made, "wave": 1 if after else 0, "step": 0, "after": list(after), **more}


def planned(place: str = "/var/lib/mysql", machine: str = "m", size: int = 1 << 30) -> dict[str, Any]:
    return {"target": "2026-11-21T09:30:00.000000Z", "sets": ["s1"], "bytes": size, "machine": machine, "places": [place]}


SHOP = unit("shop")
COPY = unit("copy", "spare1", after=("shop",))
SIDE = unit("side", "spare2", directory="/srv/side")
PLANS = {"shop": planned(machine="a"), "copy": planned(machine="b"), "side": planned("/srv/side", machine="c", size=512)}
RESULT = {
    "run": "r1",
    "target": "2026-11-21T09:30:00.000000Z",
    "bytes": 1024,
    "folder": "/var/lib/backstay/jobs/r1",
    "events": [
        {"at": "2026-11-21T10:00:00.000000Z", "event": "start restore"},
        {"at": "2026-11-21T10:00:42.500000Z", "event": "end restore"},
    ],
}


def statuses(found: fleet_restore.Verdicts) -> dict[str, str]:
    return {name: word["status"] for name, word in found.items()}


# Confirmation


@pytest.mark.parametrize(
    ("hosts", "done", "confirmed", "lacking"),
    [
        (HOSTS, "", "", "shop-db1,spare1"),
        (HOSTS, "", "spare1", "shop-db1,spare1"),
        (HOSTS, "", " spare1 , shop-db1", ""),
        (HOSTS, "", "shop-db1,spare1,other", ""),
        (["spare1"], "", "", "spare1"),
        (HOSTS, "shop", "spare1", ""),
        (["spare2"], "", "", ""),
    ],
)
def test_every_target_whose_live_data_is_replaced_is_to_be_named(hosts: list, done: str, confirmed: str, lacking: str) -> None:
    assert fleet_restore.unconfirmed([SHOP, COPY, SIDE], hosts, done, confirmed) == lacking


# Verdicts


def test_all_that_is_planned_is_ready() -> None:
    found = fleet_restore.verdicts([SHOP, COPY, SIDE], PLANS, HOSTS)
    assert set(statuses(found).values()) == {"ready"}


def test_a_refused_plan_and_a_missing_one_are_refused() -> None:
    found = fleet_restore.verdicts([SHOP, COPY, SIDE], {"shop": {"refused": "no set"}, "copy": planned()}, HOSTS)
    assert statuses(found) == {"shop": "refused", "copy": "not begun", "side": "refused"}
    assert found["shop"]["reason"] == "no set"
    assert found["copy"]["reason"] == "depends on 'shop', which was refused"


def test_a_refusal_reaches_everything_behind_it_whatever_the_order_of_writing() -> None:
    last = unit("last", "spare2", after=("copy",), wave=2)
    found = fleet_restore.verdicts(
        [last, COPY, SHOP], {**PLANS, "last": planned(machine="d"), "shop": {"refused": "no"}}, HOSTS
    )
    assert statuses(found) == {"last": "not begun", "copy": "not begun", "shop": "refused"}
    assert found["last"]["reason"] == "depends on 'copy', which was not begun"


def test_what_the_limit_leaves_out_takes_its_dependants_along_unless_it_was_done_before() -> None:
    found = fleet_restore.verdicts([SHOP, COPY, SIDE], PLANS, ["spare1"])
    assert statuses(found) == {"shop": "left out", "copy": "refused", "side": "left out"}
    assert found["copy"]["reason"].endswith("add -e backstay_fleet_done=shop")
    again = fleet_restore.verdicts([SHOP, COPY, SIDE], PLANS, ["spare1"], done="shop")
    assert statuses(again) == {"shop": "done before", "copy": "ready", "side": "left out"}


def test_done_names_an_entry_with_all_its_units_or_one_unit() -> None:
    units = [unit("all/a", "spare1"), unit("all/b", "spare2")]
    plans = {"all/a": planned(machine="a"), "all/b": planned(machine="b")}
    assert statuses(fleet_restore.verdicts(units, plans, HOSTS, "all")) == {"all/a": "done before", "all/b": "done before"}
    assert statuses(fleet_restore.verdicts(units, plans, HOSTS, "all/b")) == {"all/a": "ready", "all/b": "done before"}
    with pytest.raises(BadInput, match="backstay_fleet_done names 'al'"):
        fleet_restore.verdicts(units, plans, HOSTS, "al")


def test_two_inventory_names_of_one_data_directory_are_refused() -> None:
    plans = {**PLANS, "copy": planned(machine="a")}
    found = fleet_restore.verdicts([SHOP, COPY, SIDE], plans, HOSTS)
    assert statuses(found) == {"shop": "ready", "copy": "refused", "side": "ready"}
    assert "both write to /var/lib/mysql on one machine" in found["copy"]["reason"]


def test_every_place_that_a_restore_replaces_counts() -> None:
    """Some restores replace several directories, of others only the name of an instance is known."""
    several = dict(planned(machine="a"), places=["/local/notesdata", "/local/translog"])
    plans = {
        **PLANS,
        "shop": several,
        "copy": planned("/local/translog", machine="a"),
        "side": planned("oracle:ERP", machine="a"),
    }
    assert statuses(fleet_restore.verdicts([SHOP, COPY, SIDE], plans, HOSTS))["copy"] == "refused"
    plans["copy"] = planned("oracle:ERP2", machine="a")
    assert set(statuses(fleet_restore.verdicts([SHOP, COPY, SIDE], plans, HOSTS)).values()) == {"ready"}
    plans["copy"] = planned("oracle:ERP", machine="a")
    assert "both write to oracle:ERP" in fleet_restore.verdicts([SHOP, COPY, SIDE], plans, HOSTS)["side"]["reason"]


# Who may begin


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("restored", ""),
        ("done before", ""),
        ("failed", "depends on 'shop', which failed"),
        ("refused", "depends on 'shop', which was refused"),
        ("left out", "depends on 'shop', which was left out"),
        ("not begun", "depends on 'shop', which was not begun"),
        ("ready", "depends on 'shop', which was not begun"),
    ],
)
def test_a_dependant_begins_only_after_success(status: str, reason: str) -> None:
    assert fleet_restore.hindrance(COPY, {"shop": {"status": status}}) == reason
    assert fleet_restore.hindrance(SIDE, {"shop": {"status": status}}) == ""


def test_a_dependency_that_nobody_has_heard_of_hinders() -> None:
    assert fleet_restore.hindrance(COPY, {}) == "depends on 'shop', which was not begun"


@given(st.lists(st.sets(st.integers(0, 7)), min_size=8, max_size=8), st.sets(st.integers(0, 7)))
def test_a_failure_stops_all_that_depend_on_it_and_nothing_else(links: list[set[int]], broken: set[int]) -> None:
    units = [unit(f"n{n}", after=tuple(f"n{other}" for other in sorted(before) if other < n)) for n, before in enumerate(links)]
    known: dict[str, dict[str, Any]] = {item["name"]: {"status": "ready"} for item in units}
    spoiled: set[str] = set()
    for number, item in enumerate(units):
        hindered = fleet_restore.hindrance(item, known)
        assert bool(hindered) == bool(spoiled & set(item["after"]))
        if hindered or number in broken:
            spoiled.add(item["name"])
        known[item["name"]] = {"status": "not begun" if hindered else "failed" if number in broken else "restored"}


# Outcomes


def test_a_restore_that_passed_has_its_moment_its_time_and_the_way_back() -> None:
    found = fleet_restore.outcome({"result": {**RESULT, "aside": "/var/lib/.backstay-mysql/aside-r1"}})
    assert (found["status"], found["seconds"], found["target"]) == ("restored", 42.5, RESULT["target"])
    worker = f"/var/lib/backstay/worker/{worker_archive.version()}.pyz"
    assert found["put_back"] == f"sudo python3 {worker} put-back /var/lib/backstay/jobs/r1"


def test_without_former_data_there_is_no_way_back() -> None:
    assert "put_back" not in fleet_restore.outcome({"result": RESULT})


def test_a_failure_keeps_the_hosts_own_command() -> None:
    result = {
        "run": "r1",
        "aside": "/a",
        "put_back": "sudo python3 w put-back j",
        "events": RESULT["events"][:1],
        "folder": "j",
    }
    found = fleet_restore.outcome({"result": result}, "it broke")
    assert (found["status"], found["reason"], found["put_back"]) == ("failed", "it broke", "sudo python3 w put-back j")
    assert found["seconds"] == 0


def test_the_way_back_of_a_backup_machine_is_there() -> None:
    result = {"run": "r1", "put_back": "sudo it", "worker": "backup1"}
    word = fleet_restore.outcome({"result": result}, "it broke")
    (line, *_rest) = fleet_restore.summary_lines([SHOP], {"shop": word})
    assert line == "shop: FAILED: it broke - to put the former data back, on backup1: sudo it"


def test_a_failure_before_the_job_and_a_lost_connection_are_failures() -> None:
    assert fleet_restore.outcome({}, "no room") == {"status": "failed", "reason": "no room", "seconds": None}
    lost = fleet_restore.outcome({"unreachable": True, "msg": "timed out"})
    assert lost["status"] == "failed"
    assert lost["reason"] == "the connection was lost, the job may go on by itself: timed out"


# What is told


def test_what_was_done_before_is_counted_apart() -> None:
    words = fleet_restore.final([SHOP], fleet_restore.verdicts([SHOP], PLANS, HOSTS, "shop"), {})
    assert fleet_restore.summary_lines([SHOP], words)[-1] == "Total: 0 of 1 restored, 1 done before"


def test_the_plan_tells_what_goes_where_and_the_total() -> None:
    found = fleet_restore.verdicts([SHOP, COPY, SIDE], {**PLANS, "copy": {"refused": "no room"}}, HOSTS)
    assert fleet_restore.plan_lines([COPY, SHOP, SIDE], PLANS, found) == [
        "1. shop: mysql of shop-db1 to shop-db1, replacing its data"
        "; as of 2026-11-21T09:30:00.000000Z from 1 set(s) (s1), 1.0 GiB",
        "1. side: mysql of shop-db1 to spare2:/srv/side; as of 2026-11-21T09:30:00.000000Z from 1 set(s) (s1), 512 B",
        "2. copy: mysql of shop-db1 to spare1, replacing its data, after shop; REFUSED: no room",
        "Total: 2 of 3 to restore, 1.0 GiB",
    ]


def test_the_summary_tells_each_end_and_how_to_go_on() -> None:
    found = fleet_restore.verdicts([SHOP, COPY, SIDE], PLANS, HOSTS)
    outcomes = {
        "side": fleet_restore.outcome({"result": RESULT}),
        "shop": {"status": "failed", "reason": "it broke", "seconds": 3.0, "put_back": "sudo it"},
        "copy": {"status": "not begun", "reason": "depends on 'shop', which failed"},
    }
    words = fleet_restore.final([SHOP, COPY, SIDE], found, outcomes)
    assert fleet_restore.summary_lines([SHOP, COPY, SIDE], words) == [
        "shop: FAILED after 3 s: it broke - to put the former data back, on shop-db1: sudo it",
        "side: RESTORED after 42 s: mysql of shop-db1 to spare2:/srv/side, as of 2026-11-21T09:30:00.000000Z, 1.0 KiB",
        "copy: NOT BEGUN: depends on 'shop', which failed",
        "Total: 1 of 3 restored",
        "To go on after mending: the same command with -e backstay_fleet_done=side",
    ]
    assert fleet_restore.troubled([SHOP, COPY, SIDE], words, "spare1") == ["copy"]
    assert fleet_restore.troubled([SHOP, COPY, SIDE], words, "spare2") == []


def test_what_never_had_its_turn_is_not_called_restored() -> None:
    words = fleet_restore.final([SHOP], fleet_restore.verdicts([SHOP], PLANS, HOSTS), {})
    assert words["shop"]["status"] == "not begun"
    assert fleet_restore.troubled([SHOP], words, "shop-db1") == ["shop"]
