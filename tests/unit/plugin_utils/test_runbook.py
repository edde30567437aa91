# SPDX-License-Identifier: GPL-3.0-or-later
"""Runbooks: one sentence for each mistake, and an order in which nothing begins too early or later than it must."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.backstay.fleet.plugins.plugin_utils import runbook
from ansible_collections.backstay.fleet.plugins.plugin_utils.runbook import Inventory, overlaps, read_runbook, resolve, waves
from hypothesis import given
from hypothesis import strategies as st

GROUPS = {
    "all": ["shop-db1", "shop-db2", "mail1", "spare1", "spare2", "alias1"],
    "app_mysql": ["shop-db1", "shop-db2", "mail1"],
    "app_domino": ["mail1"],
    "app_typo": ["spare2"],
    "spares": ["spare1", "spare2"],
    "empty": [],
}
MACHINES = {"alias1": "spare1:22"}
INVENTORY = Inventory(GROUPS, frozenset({"mysql", "domino"}), lambda host: MACHINES.get(host, f"{host}:22"))


def resolved(text: str) -> dict[str, Any]:
    return resolve(read_runbook(text), INVENTORY)


def entries(*found: dict[str, Any], **more: Any) -> str:
    return yaml.safe_dump({"restore": list(found), **more})


# Mistakes

ONE = {"name": "one", "source": "shop-db1"}
TWO = {"name": "two", "source": "shop-db2"}
MISTAKES = {
    "unknown source": (entries({**ONE, "source": "nosuch"}), "entry 'one': the inventory has no host 'nosuch' (source)"),
    "unknown target": (entries({**ONE, "target": "nosuch"}), "entry 'one': the inventory has no host 'nosuch' (target)"),
    "unknown group": (
        entries({"name": "one", "group": "empty"}),
        "entry 'one': the inventory has no hosts in a group 'empty'",
    ),
    "source and group": (entries({**ONE, "group": "spares"}), "entry 'one' needs either source (one host) or group"),
    "no source": (entries({"name": "one"}), "entry 'one' needs either source (one host) or group"),
    "unknown key": (entries({**ONE, "colour": "red"}), "restore[0].colour is not known here (known: after, app,"),
    "unknown key of the runbook": (entries(ONE, hosts=[]), "hosts is not known here (known: moment, restore, schema)"),
    "no entries": ("restore: []", "restore must have at least 1 item(s)"),
    "nothing": ("", "the document must be object, not NoneType"),
    "no name": (entries({"source": "shop-db1"}), "restore[0].name is missing"),
    "name with a comma": (entries({**ONE, "name": "a,b"}), "restore[0].name is 'a,b', which does not look like ^[^,/]+$"),
    "other schema": (entries(ONE, schema="backstay.runbook/2"), "must be one of: backstay.runbook/1"),
    "same name": (entries(ONE, {**TWO, "name": "one"}), "2 entries are named 'one': give each a name of its own"),
    "after nobody": (entries({**ONE, "after": ["none"]}), "entry 'one' is after 'none', and no entry has that name"),
    "circle": (
        entries({**ONE, "after": ["two"]}, {**TWO, "after": ["one"]}),
        "the order runs in a circle ('one' after 'two' after 'one'): remove one 'after' of it",
    ),
    "after itself": (entries({**ONE, "after": ["one"]}), "the order runs in a circle ('one' after 'one')"),
    "same target": (
        entries(ONE, {**TWO, "target": "shop-db1"}),
        "'one' and 'two' replace the same target, mysql on shop-db1: keep one of them",
    ),
    "group to one target": (
        entries({"name": "all", "group": "app_mysql", "app": "mysql", "target": "spare1"}),
        "'all/shop-db1' and 'all/shop-db2' and 'all/mail1' replace the same target, mysql on spare1",
    ),
    "same directory": (
        entries({**ONE, "target": "spare1", "directory": "/srv/a/"}, {**TWO, "target": "spare1", "directory": "/srv/a"}),
        "'one' and 'two' both write to /srv/a on one machine",
    ),
    "same directory by two names of a machine": (
        entries({**ONE, "target": "spare1", "directory": "/srv/a"}, {**TWO, "target": "alias1", "directory": "/srv/b/../a"}),
        "'one' and 'two' both write to /srv/a on one machine",
    ),
    "directory in directory": (
        entries({**ONE, "target": "spare1", "directory": "/srv/a"}, {**TWO, "target": "spare1", "directory": "/srv/a/b"}),
        "/srv/a of 'one' and /srv/a/b of 'two' lie inside each other",
    ),
    "relative": (
        entries({**ONE, "directory": "srv/look"}),
        "entry 'one': the directory 'srv/look' is relative: write it whole, beginning with /",
    ),
    "moment without a zone": (
        entries({**ONE, "moment": "2026-11-21T09:30:00"}),
        "entry 'one': '2026-11-21T09:30:00' is not a moment with a time zone: write it like",
    ),
    "unquoted moment without a zone": (
        "moment: 2026-11-21 09:30:00\nrestore: [{name: one, source: shop-db1}]",
        "the runbook: '2026-11-21 09:30:00' is not a moment with a time zone",
    ),
    "no such day": (entries({**ONE, "moment": "2026-02-30T10:00:00Z"}), "entry 'one': '2026-02-30T10:00:00Z' is not a moment"),
    "moment and set": (
        entries({**ONE, "moment": "2026-11-21T09:30:00Z", "set": "s"}),
        "entry 'one' has both a moment and a set: keep one of them",
    ),
    "host without an app": (
        entries({**ONE, "source": "spare1"}),
        "entry 'one': spare1 has no app: put it into a group app_<app>",
    ),
    "group of no app": (entries({**ONE, "source": "spare2"}), "entry 'one': spare2 has no app"),
    "app that the host has not": (
        entries({**ONE, "app": "domino"}),
        "entry 'one': shop-db1 has no app 'domino' (it has: mysql)",
    ),
    "no YAML": ("restore: [", "it is not YAML in line 1"),
    "key twice": (
        "restore:\n- name: one\n  source: a\n  source: b\n",
        "it is not YAML in line 2: the key 'source' stands twice",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_sentence(case: str) -> None:
    text, sentence = MISTAKES[case]
    with pytest.raises(BadInput) as refused:
        resolved(text)
    assert sentence in refused.value.message + ": " + refused.value.hint
    assert refused.value.message.count("; ") == 0, "one mistake, several sentences"


def test_all_mistakes_of_all_entries_are_told_together() -> None:
    with pytest.raises(BadInput) as refused:
        resolved(entries({**ONE, "source": "nosuch", "directory": "x"}, {**TWO, "target": "neither"}))
    assert len(refused.value.message.split("; ")) == 3


# What a good one means


def test_an_entry_is_restored_in_place_with_every_app_of_its_host() -> None:
    found = resolved(entries({"name": "mail", "source": "mail1"}))
    assert [(unit["name"], unit["app"], unit["target"], unit["directory"]) for unit in found["units"]] == [
        ("mail/domino", "domino", "mail1", ""),
        ("mail/mysql", "mysql", "mail1", ""),
    ]
    assert (found["targets"], found["steps"], found["busiest"]) == (["mail1"], 2, 2)


def test_the_moment_of_the_runbook_is_for_entries_without_their_own() -> None:
    own, one_set = {**TWO, "moment": "2026-11-21T10:00:00Z"}, {"name": "three", "source": "mail1", "app": "mysql", "set": "s"}
    found = resolved(entries(ONE, own, one_set, moment="2026-11-21T09:30:00+01:00"))
    assert [(unit["moment"], unit["set"]) for unit in found["units"]] == [
        ("2026-11-21T09:30:00+01:00", ""),
        ("2026-11-21T10:00:00Z", ""),
        ("", "s"),
    ]


def test_a_moment_needs_no_quotes() -> None:
    found = resolved("moment: 2026-11-21T09:30:00Z\nrestore:\n- {name: one, source: shop-db1}\n")
    assert found["units"][0]["moment"] == "2026-11-21T09:30:00Z"


def test_a_group_is_restored_host_by_host_and_others_follow_all_of_it() -> None:
    last = {"name": "copy", "source": "shop-db1", "target": "spare1", "after": ["all"]}
    found = resolved(entries(last, {"name": "all", "group": "app_mysql", "app": "mysql"}))
    names = ["all/shop-db1", "all/shop-db2", "all/mail1"]
    assert [unit["name"] for unit in found["units"]] == ["copy", *names]
    assert found["units"][0]["after"] == names
    assert [(unit["wave"], unit["step"]) for unit in found["units"]] == [(1, 1), (0, 0), (0, 0), (0, 0)]
    assert found["steps"] == 2


def test_units_of_one_wave_share_a_step_unless_they_share_the_target() -> None:
    side = {"name": "side", "source": "shop-db1", "target": "spare1", "directory": "/srv/a"}
    copy = {"name": "copy", "source": "shop-db2", "target": "spare1"}
    found = resolved(entries(ONE, side, copy, {**TWO, "after": ["one"]}))
    assert {unit["name"]: (unit["wave"], unit["step"]) for unit in found["units"]} == {
        "one": (0, 0),
        "side": (0, 0),
        "copy": (0, 1),
        "two": (1, 2),
    }


def test_directories_of_different_machines_or_with_like_names_do_not_overlap() -> None:
    assert list(overlaps([("a", "m", "/srv/a"), ("b", "n", "/srv/a"), ("c", "m", "/srv/ab")])) == []
    assert [found[:2] for found in overlaps([("a", "m", "/srv/a/b"), ("b", "m", "/srv/a")])] == [("a", "b")]
    assert [found[:2] for found in overlaps([("a", "m", "/"), ("b", "m", "/srv/a")])] == [("a", "b")]


# Order, as a property


@st.composite
def orders(draw: st.DrawFn) -> dict[str, list[str]]:
    """Draw an order without circles, its names in any sequence."""
    names = [f"n{number}" for number in range(draw(st.integers(1, 9)))]
    after = {
        name: draw(st.lists(st.sampled_from(names[:number]), unique=True)) if number else []
        for number, name in enumerate(names)
    }
    return {name: after[name] for name in draw(st.permutations(names))}


@given(orders())
def test_waves_hold_every_name_once_and_each_in_the_first_wave_that_it_can_have(after: dict[str, list[str]]) -> None:
    found = waves(after)
    wave_of = {name: number for number, names in enumerate(found) for name in names}
    assert sorted(name for names in found for name in names) == sorted(after)
    for name, before in after.items():
        assert wave_of[name] == 1 + max((wave_of[other] for other in before), default=-1)


@given(orders(), st.data())
def test_a_circle_is_refused_by_the_names_in_it(after: dict[str, list[str]], data: st.DataObject) -> None:
    ring = data.draw(st.lists(st.sampled_from(sorted(after)), unique=True, min_size=1))
    closed = {name: [*before] for name, before in after.items()}
    for one, two in zip(ring, [*ring[1:], ring[0]], strict=True):
        closed[one].append(two)
    with pytest.raises(BadInput, match="the order runs in a circle"):
        waves(closed)


@given(orders(), st.data())
def test_steps_keep_the_order_and_never_give_a_target_two_units_at_once(
    after: dict[str, list[str]], data: st.DataObject
) -> None:
    hosts = data.draw(st.lists(st.sampled_from(["spare1", "spare2"]), min_size=len(after), max_size=len(after)))
    listed = [
        {"name": name, "source": "shop-db1", "target": host, "directory": f"/srv/{name}", "after": before}
        for (name, before), host in zip(after.items(), hosts, strict=True)
    ]
    found = resolve({"restore": listed}, INVENTORY)
    step_of = {unit["name"]: unit["step"] for unit in found["units"]}
    assert set(step_of.values()) == set(range(found["steps"]))
    assert len({(unit["target"], unit["step"]) for unit in found["units"]}) == len(found["units"])
    assert all(step_of[name] > step_of[other] for name, before in after.items() for other in before)


def test_the_schema_names_every_key_that_is_read() -> None:
    item = runbook.RUNBOOK_SCHEMA["properties"]["restore"]["items"]["properties"]
    assert set(item) == {"name", "source", "group", "app", "target", "directory", "moment", "set", "after"}
