# SPDX-License-Identifier: GPL-3.0-or-later
"""Domino: which databases a log set takes, and what a set may promise of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.apps.domino import logs
from ansible_collections.backstay.fleet.plugins.module_utils.apps.domino.inventory import Entry
from ansible_collections.backstay.fleet.plugins.module_utils.errors import CaptureFailed, IntegrityError

AT = "2026-11-30T10:00:0{}.000000Z"


def database(run: str, path: str, folder: Path, dbiid: str = "D1") -> Entry:
    mode, start = run.split("/")
    file = folder / run / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x")
    return Entry(mode, start, path, dbiid, str(file), 1)


def held(kind: str, second: int, dbiids: dict[str, str], **facts: Any) -> dict[str, Any]:
    return {"kind": kind, "started_at": AT.format(second), "facts": {"dbiids": dbiids, **facts}}


def here(*paths: str) -> dict[str, str]:
    return {path: f"/d/{path}" for path in paths}


GOOD = {"FULL/1", "INCR/2", "INCR/3"}


def test_databases_are_taken_when_no_set_holds_their_dbiid(tmp_path: Path) -> None:
    entries = [database("FULL/1", path, tmp_path) for path in ("a.nsf", "b.nsf", "c.nsf")]
    entries += [database("INCR/2", "a.nsf", tmp_path, "D2"), database("INCR/3", "b.nsf", tmp_path, "D3")]
    entries += [database("INCR/3", "new.nsf", tmp_path)]
    data = held("full", 1, dict.fromkeys(("a.nsf", "b.nsf", "c.nsf"), "D1"))
    sets = {"data": data, "log": held("log", 2, {"a.nsf": "D2"})}
    found = logs.changed_databases(logs.Copies(entries, GOOD, ""), sets, here("a.nsf", "b.nsf", "c.nsf", "new.nsf"), ["x"])
    assert [entry.database for entry in found.entries] == ["b.nsf", "new.nsf"]
    assert found.renewed == ["b.nsf"], "of the new one nothing older is held"
    assert logs.changed_databases(logs.Copies(entries, GOOD, ""), sets, here("a.nsf", "b.nsf"), ["b"]).renewed == []
    assert logs.changed_dbiids(sets, found.entries) == {"a.nsf": "D2", "b.nsf": "D3", "new.nsf": "D1"}


def test_copies_of_others_under_the_same_dbiid_are_no_change(tmp_path: Path) -> None:
    entries = [database(run, "a.nsf", tmp_path) for run in ("FULL/1", "FULL/2")]
    sets = {"data": held("full", 1, {"a.nsf": "D1"})}
    assert logs.changed_databases(logs.Copies(entries, {"FULL/1", "FULL/2"}, ""), sets, here("a.nsf"), []) == logs.Changed(
        [], [], [], []
    )


def test_what_retention_removed_from_the_inventory_still_is_known_to_be_renewed(tmp_path: Path) -> None:
    entries = [database("INCR/2", "a.nsf", tmp_path, "D2")]
    found = logs.changed_databases(
        logs.Copies(entries, GOOD, ""), {"data": held("full", 1, {"a.nsf": "D1"})}, here("a.nsf"), []
    )
    assert (found.entries, found.renewed) == (entries, ["a.nsf"])


def test_copies_of_a_run_that_did_not_end_well_prove_nothing(tmp_path: Path) -> None:
    entries = [database("FULL/1", "a.nsf", tmp_path), database("FULL/9", "a.nsf", tmp_path, "D2")]
    sets = {"data": held("full", 1, {"a.nsf": "D1"})}
    with pytest.raises(
        IntegrityError, match=r"a\.nsf has a new DBIID, and the backup that copied it, FULL/9, did not end well"
    ):
        logs.changed_databases(logs.Copies(entries, GOOD, ""), sets, here("a.nsf"), [])
    same = [entries[0], entries[1]._replace(reference="D1")]
    assert logs.changed_databases(logs.Copies(same, GOOD, ""), sets, here("a.nsf"), []).entries == []
    newer = {"data": sets["data"], "log": held("log", 2, {"a.nsf": "D2"})}
    assert logs.changed_databases(logs.Copies(entries, GOOD, ""), newer, here("a.nsf"), []).entries == [], (
        "an older copy is no change either"
    )


@pytest.mark.parametrize("dbiids", [{}, {"a.nsf": "", "b.nsf": ""}])
def test_a_full_set_that_knows_no_dbiids_is_continued_by_no_log_set(tmp_path: Path, dbiids: dict[str, str]) -> None:
    with pytest.raises(CaptureFailed, match="does not say the DBIIDs"):
        logs.changed_databases(logs.Copies([], GOOD, ""), {"data": held("full", 1, dbiids)}, here("a.nsf"), [])


def test_a_database_without_a_dbiid_is_not_logged_and_named(tmp_path: Path) -> None:
    sets = {"data": held("full", 1, {"a.nsf": "", "b.nsf": "D1"})}
    entries = [database("FULL/1", "a.nsf", tmp_path, ""), database("FULL/1", "b.nsf", tmp_path)]
    found = logs.changed_databases(logs.Copies(entries, GOOD, ""), sets, here("a.nsf", "b.nsf"), [])
    assert found == logs.Changed([], [], [], ["a.nsf"])


def test_what_only_a_log_set_before_the_newest_full_one_holds_is_taken_again(tmp_path: Path) -> None:
    """A restore to the newest begins with the full set."""
    entries = [database("FULL/1", "a.nsf", tmp_path), database("INCR/2", "a.nsf", tmp_path, "D2")]
    sets = {"data": held("full", 3, {"b.nsf": "D1"}), "log": held("log", 2, {"a.nsf": "D2"})}
    found = logs.changed_databases(logs.Copies(entries, GOOD, "1"), sets, here("a.nsf"), [])
    assert [entry.start for entry in found.entries] == ["2"]
    with pytest.raises(IntegrityError, match="of INCR/2, is older than the set that is continued"):
        logs.changed_databases(logs.Copies(entries, GOOD, "2"), sets, here("a.nsf"), [])


def test_a_database_with_a_new_dbiid_that_no_backup_followed_is_missed(tmp_path: Path) -> None:
    entries = [database("FULL/1", path, tmp_path) for path in ("a.nsf", "b.nsf", "c.nsf")]
    entries += [database("INCR/2", "b.nsf", tmp_path, "D2"), database("INCR/3", "c.nsf", tmp_path, "D2")]
    changed = logs.Changed([entries[-1]], [], [], [])
    every, first = {"a.nsf", "b.nsf", "c.nsf"}, held("full", 1, dict.fromkeys(("a.nsf", "b.nsf", "c.nsf"), "D1"))
    second = {"data": first, "log": held("log", 2, {"b.nsf": "D2"})}
    assert logs.unsaved(every, set(), changed, entries, second) == [], "it may have got it before its copy"
    assert logs.unsaved(every, {"a.nsf", "c.nsf"}, changed, entries, second) == ["a.nsf"], "but not after the run"
    assert logs.unsaved({"b.nsf"}, set(), changed, entries, {"data": first}) == ["b.nsf"], "no set holds its newest copy"
    assert logs.unsaved({"a.nsf"}, set(), changed, [], {"data": first}) == [], "retention removed it from the inventory"
    assert logs.unsaved({"new.nsf"}, set(), changed, [], {"data": first}) == ["new.nsf"]


def test_databases_that_a_full_set_in_between_saved_anew_make_a_gap_before_it() -> None:
    log = held("log", 2, {"b.nsf": "D1"})
    before = {"data": held("full", 1, {"a.nsf": "D1", "b.nsf": "D0"}), "log": log}
    renewed = logs.renewed_in_full(before, {"a.nsf": "D2", "b.nsf": "D1", "new.nsf": "D9"})
    assert renewed == ["a.nsf"]
    second = held("full", 3, {"a.nsf": "D2", "b.nsf": "D1"}, renewed=renewed)
    assert logs.renewed_in_full({"data": second, "log": log}, {"a.nsf": "D2", "b.nsf": "D3"}) == ["a.nsf", "b.nsf"]
    found = logs.changed_databases(logs.Copies([], GOOD, ""), {"data": second, "log": log}, here("a.nsf", "b.nsf"), [])
    assert (found.entries, found.renewed, found.in_full) == ([], [], ["a.nsf"])
    later = held("log", 4, {"b.nsf": "D1"})
    assert logs.changed_databases(logs.Copies([], GOOD, ""), {"data": second, "log": later}, here("a.nsf"), []).in_full == []
    assert logs.renewed_in_full(None, {"a.nsf": "D2"}) == []


def test_a_copy_that_no_set_holds_and_that_is_gone_is_missed(tmp_path: Path) -> None:
    gone = database("INCR/2", "a.nsf", tmp_path, "D2")
    Path(gone.file).unlink()
    with pytest.raises(IntegrityError, match="gone from the backup target"):
        logs.changed_databases(logs.Copies([gone], GOOD, ""), {"data": held("full", 1, {"a.nsf": "D1"})}, here("a.nsf"), [])


@pytest.mark.parametrize(
    ("copies", "last", "held_back"),
    [([5, 5], 4, False), ([5, 5], 5, False), ([5, 7], 4, False), ([5, 7], 5, True), ([5, 7], 6, True), ([5, 7], 7, False)],
)
def test_extents_that_may_lead_past_a_copy_or_not_promise_nothing(copies: list[int], last: int, held_back: bool) -> None:
    assert logs.holds_back(copies, last) is held_back
    assert not logs.holds_back(None, last)
