# SPDX-License-Identifier: GPL-3.0-or-later
"""The restore decisions of the source (PS-9, PS-12, PS-13, PS-17): the whole table, then what must hold whatever the system."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.apps.powershare import catalog
from ansible_collections.backstay.fleet.plugins.module_utils.apps.powershare.catalog import Copy, Server, decide
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput
from hypothesis import given
from hypothesis import strategies as st


def up(**folders: Any) -> Server:
    return Server(
        True, {name: Copy(*value) if isinstance(value, tuple) else Copy("good", value) for name, value in folders.items()}
    )


def down() -> Server:
    return Server(False, {})


LOST = ("missing", 0)
BAD = ("damaged", 7)

# (servers, target, folders of the set, master, force) -> (restore, case, what is replicated as folder:from>to)
TABLE: dict[str, tuple[Any, ...]] = {
    "one lost, all that it held lives elsewhere: replicate, no set first (PS-9, PS-12)": (
        {"c1": up(People=9, Orders=4), "c2": up(People=LOST), "c3": up(People=8)},
        ("c2", ["People"], "c1", False),
        (False, "replicate back", ["People:c1>c2"]),
    ),
    "the same with the lost server down": (
        {"c1": up(People=9), "c2": down(), "c3": up(People=8)},
        ("c2", ["People"], "c1", False),
        (False, "replicate back", ["People:c1>c2"]),
    ),
    "one lost, a folder was only there: restore, then replicate the rest (PS-17)": (
        {"c1": up(People=LOST, Orders=LOST), "c2": up(People=9), "c3": up(People=10)},
        ("c1", ["People", "Orders"], "c1", False),
        (True, "only copy", ["People:c3>c1"]),
    ),
    "the same where no server is the master": (
        {"c1": up(Orders=BAD), "c2": up(People=9)},
        ("c1", ["Orders"], "", False),
        (True, "only copy", []),
    ),
    "several damaged, a good copy of each folder lives: replicate": (
        {"c1": up(People=BAD), "c2": up(People=LOST), "c3": up(People=8)},
        ("c2", ["People"], "c1", False),
        (False, "replicate back", ["People:c3>c2"]),
    ),
    "several damaged, no good copy, not the master: master first (PS-13)": (
        {"c1": up(People=BAD), "c2": up(People=BAD), "c3": up(Projects=3)},
        ("c2", ["People"], "c1", False),
        (False, "master first", []),
    ),
    "several damaged, no good copy, onto the master: restore, then replicate out (PS-13)": (
        {"c1": up(People=BAD, Projects=BAD), "c2": up(People=BAD), "c3": up(Projects=3)},
        ("c1", ["People", "Projects"], "c1", False),
        (True, "master", ["Projects:c3>c1", "People:c1>c2"]),
    ),
    "the same while another server is down: nothing is sent to it": (
        {"c1": up(People=BAD), "c2": down(), "c3": up(People=BAD)},
        ("c1", ["People"], "c1", False),
        (True, "master", ["People:c1>c3"]),
    ),
    "several damaged in a larger system without a master: each machine has its own set (PS-11)": (
        {"c1": up(People=BAD), "c2": up(Orders=BAD), "c3": up(Projects=3)},
        ("c2", ["Orders"], "", False),
        (True, "no good copy", []),
    ),
    "several damaged, and the master never held the folder": (
        {"c1": up(People=9), "c2": up(Orders=BAD), "c3": up(Projects=BAD)},
        ("c2", ["Orders"], "c1", False),
        (True, "no good copy", []),
    ),
    "the master is gone, too, so nobody knows what it held: master first": (
        {"c1": down(), "c2": up(People=BAD)},
        ("c2", ["People"], "c1", False),
        (False, "master first", []),
    ),
    "newer copies live, and the operator insists (4.4)": (
        {"c1": up(People=9), "c2": up(People=LOST)},
        ("c2", ["People"], "c1", True),
        (True, "forced", []),
    ),
    "not the master, and the operator insists": (
        {"c1": up(People=BAD), "c2": up(People=BAD)},
        ("c2", ["People"], "c1", True),
        (True, "no good copy", ["People:c2>c1"]),
    ),
    "a good copy on a server that is down does not live": (
        {"c1": Server(False, {"People": Copy("good", 9)}), "c2": up(People=LOST)},
        ("c2", ["People"], "", False),
        (True, "no good copy", []),
    ),
    "the only server of its system: its own good copy hinders nothing": (
        {"c1": up(People=9)},
        ("c1", ["People"], "c1", False),
        (True, "only copy", []),
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_table_of_the_source(name: str) -> None:
    servers, (target, folders, master, force), (restore, case, replicated) = TABLE[name]
    decision = decide(target, servers, folders, master, force)
    assert (decision.restore, decision.case) == (restore, case), decision
    assert [f"{item['folder']}:{item['from']}>{item['to']}" for item in decision.replicate] == replicated
    assert decision.sentence
    assert bool(decision.hint) is not restore, "a refusal says what to do instead, and only a refusal does"


def test_a_refusal_says_what_to_do_instead() -> None:
    refused = decide("c2", {"c1": up(People=9), "c2": down()}, ["People"], "c1")
    assert "People on c1" in refused.sentence
    assert "playbooks/replicate.yml --limit c2" in refused.hint
    first = decide("c2", {"c1": up(People=BAD), "c2": up(People=BAD)}, ["People"], "c1")
    assert "onto the master c1 first" in first.hint


# (servers, target, folders that it is to have, good folders of the set, force) -> (restore, case, what is replicated, words)
SETS: dict[str, tuple[Any, ...]] = {
    "a folder came after the set: the rest is replicated, and this set is refused (PS-12)": (
        {"c1": down(), "c2": up(People=9)},
        ("c1", ["People", "Orders"], {"People": 5}, False),
        (False, "not in the set", ["People:c2>c1"], "this set does not hold Orders, "),
    ),
    "the same where nothing lives": (
        {"c1": up(Orders=LOST), "c2": up(Printers=2)},
        ("c1", ["Orders"], {}, False),
        (False, "not in the set", [], "this set does not hold Orders, "),
    ),
    "the same, and the operator insists": (
        {"c1": down(), "c2": up(People=9)},
        ("c1", ["People", "Orders"], {"People": 5}, True),
        (True, "forced", [], "this set does not hold Orders, "),
    ),
    "the set holds one of two lost folders, the other one stays lost (PS-17)": (
        {"c1": up(Orders=LOST, Printers=LOST), "c2": up(People=9)},
        ("c1", ["People", "Orders", "Printers"], {"People": 5, "Printers": 6}, False),
        (True, "only copy", ["People:c2>c1"], "Printers has no good copy on any other running server and is restored; "),
    ),
    "only what the set holds has to go onto the master first (PS-13)": (
        {"c1": up(People=BAD), "c2": up(People=BAD, Orders=BAD)},
        ("c2", ["People", "Orders"], {"Orders": 5}, False),
        (True, "no good copy", [], "Orders has no good copy"),
    ),
    "every folder lives, one of them older than in the set: restored and replicated out (4.4)": (
        {"c1": up(People=LOST), "c2": up(People=50), "c3": up(People=LOST)},
        ("c1", ["People"], {"People": 118}, False),
        (True, "master", ["People:c1>c2", "People:c1>c3"], "People is restored: version 118 is in this set, c2 has only 50"),
    ),
    "the same where no server is damaged": (
        {"c1": up(People=LOST), "c2": up(People=50)},
        ("c1", ["People"], {"People": 118}, False),
        (True, "newer set", ["People:c1>c2"], "People is restored: version 118 is in this set, c2 has only 50"),
    ),
    "one folder lost, another one older than in the set: no old version comes over the new one": (
        {"c1": down(), "c2": up(People=50, Printers=9)},
        ("c1", ["People", "Orders", "Printers"], {"People": 118, "Orders": 3, "Printers": 9}, False),
        (True, "only copy", ["Printers:c2>c1", "People:c1>c2"], "Orders has no good copy on any other running server and is"),
    ),
    "an old copy and one as new as the set: replicate back": (
        {"c1": down(), "c2": up(People=50), "c3": up(People=118)},
        ("c1", ["People"], {"People": 118}, False),
        (False, "replicate back", ["People:c3>c1"], "every folder of c1 has a good copy on another server (People on c3)"),
    ),
    "older than the set, another server is damaged, this is not the master: master first (PS-13)": (
        {"c1": up(People=BAD), "c2": down(), "c3": up(People=5)},
        ("c2", ["People"], {"People": 8}, False),
        (False, "master first", [], "People has no good copy as new as this set's on any server"),
    ),
}


@pytest.mark.parametrize("name", SETS)
def test_a_set_is_restored_for_what_it_holds(name: str) -> None:
    servers, (target, folders, stored, force), (restore, case, replicated, words) = SETS[name]
    decision = decide(target, servers, folders, "c1", force, stored=stored)
    assert (decision.restore, decision.case) == (restore, case), decision
    assert [f"{item['folder']}:{item['from']}>{item['to']}" for item in decision.replicate] == replicated
    assert decision.sentence.startswith(words)
    if case == "not in the set":
        assert "choose another set" in decision.hint
        assert ("playbooks/replicate.yml --limit c1" in decision.hint) is bool(replicated)


def test_what_stays_lost_is_named() -> None:
    decision = decide("c1", {"c1": down(), "c2": up(Printers=4)}, ["People", "Orders"], "", stored={"People": 5})
    assert decision.sentence.startswith("People has no good copy")
    assert "Orders has no good copy there either, is not in this set and is lost afterwards" in decision.sentence


COPIES = st.one_of(st.none(), st.tuples(st.sampled_from(["good", "damaged", "missing", "empty"]), st.integers(0, 9)))
SYSTEMS = st.fixed_dictionaries(
    {
        name: st.tuples(st.booleans(), st.fixed_dictionaries({folder: COPIES for folder in ("F", "G", "H")}))
        for name in ("c1", "c2", "c3")
    }
)


@given(
    system=SYSTEMS,
    target=st.sampled_from(["c1", "c2", "c3"]),
    folders=st.sets(st.sampled_from("FGH"), min_size=1),
    master=st.sampled_from(["", "c1"]),
    stored=st.none() | st.dictionaries(st.sampled_from("FGH"), st.integers(0, 9)),
)
def test_no_good_copy_is_ever_given_up_for_a_set(
    system: Any, target: str, folders: set[str], master: str, stored: dict[str, int] | None
) -> None:
    servers = {
        name: Server(running, {folder: Copy(*copy) for folder, copy in held.items() if copy})
        for name, (running, held) in system.items()
    }
    decision = decide(target, servers, sorted(folders), master, stored=stored)
    folders = folders | set(stored or ())
    good = {folder: catalog.good_copies(servers, folder, but=target) for folder in folders}
    in_set = dict.fromkeys(folders, 0) if stored is None else stored
    version = {folder: servers[names[0]].folders[folder].version for folder, names in good.items() if names}
    living = {folder for folder, newest in version.items() if newest >= in_set.get(folder, 0)}
    brings = (folders - living) & set(in_set)
    if not brings:
        assert not decision.restore, "the set brings nothing back"
    for item in decision.replicate:
        source, folder = item["from"], item["folder"]
        assert source != item["to"]
        if source == target:
            assert decision.restore and folder in brings, "a restored folder would replace a good copy"
        else:
            assert folder in living, "an old copy would replace the set's newer one"
            assert source == good[folder][0], "not the newest good copy is replicated"
            assert item["to"] == target
    if decision.restore:
        back = {item["folder"] for item in decision.replicate if item["to"] == target}
        assert back == living, "an old folder stays although a newer one lives"
        out = {(item["folder"], item["to"]) for item in decision.replicate if item["from"] == target}
        assert out >= {(folder, name) for folder in brings for name in good[folder]}, "an old copy stays on another server"


def test_the_answers_of_the_query_commands_are_read() -> None:
    said = {"server": "c1", "running": True, "folders": {"Orders 24/7": {"state": "good", "version": 3, "head": "x"}}}
    assert catalog.parse_server(json.dumps(said)) == up(**{"Orders 24/7": 3})
    system = {"servers": {"c1": said, "c2": {"running": False, "folders": {}}}}
    assert catalog.parse_system(json.dumps(system)) == {"c1": up(**{"Orders 24/7": 3}), "c2": down()}


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"running": true}', '{"running": true, "folders": {"F": {}}}', '{"folders": []}']
)
def test_any_other_answer_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="the query of the catalog"):
        catalog.parse_server(text)
    with pytest.raises(BadInput, match="the query of the catalog"):
        catalog.parse_system(text)
