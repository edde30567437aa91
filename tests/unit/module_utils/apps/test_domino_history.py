# SPDX-License-Identifier: GPL-3.0-or-later
"""Domino: what a set continues, which extents and databases a log set takes, what a plan makes of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.apps.domino import extents, logs, planning
from ansible_collections.backstay.fleet.plugins.module_utils.apps.domino.extents import State
from ansible_collections.backstay.fleet.plugins.module_utils.apps.domino.inventory import Entry
from ansible_collections.backstay.fleet.plugins.module_utils.chain import follow
from ansible_collections.backstay.fleet.plugins.module_utils.errors import CaptureFailed, IntegrityError, PlanRefused
from hypothesis import given
from hypothesis import strategies as st

AT = "2026-11-30T10:00:0{}.000000Z"


def receipt(kind: str, extent: int, log_id: str = "L1", **facts: Any) -> dict[str, Any]:
    stretch = extents.data_stretch("s1", extent, AT.format(1))
    if kind == "log":
        stretch = {"id": "s1", "first": extents.order(0, AT.format(0)), "last": extents.order(extent, AT.format(5))}
    return {
        "set": f"{kind}-{extent}",
        "kind": kind,
        "started_at": AT.format(1),
        "consistent_at": AT.format(2),
        "stream": stretch,
        "position": {"not_after": {"log_id": log_id, "extent": extent}},
        "facts": {"covered": AT.format(1), **facts},
    }


# What a set continues


def test_a_set_continues_the_newest_log_set_first() -> None:
    newest = {"data": receipt("full", 9), "log": receipt("log", 7)}
    found, reason = extents.link(newest, State([9, 10], [7, 8], "L1"))
    assert found is not None and reason == ""
    assert (found.parent, found.extent, found.end) == ("log-7", 7, extents.order(7, AT.format(5)))


def test_when_extents_after_the_log_set_are_gone_the_data_set_is_continued() -> None:
    newest = {"data": receipt("full", 9), "log": receipt("log", 7)}
    found, _reason = extents.link(newest, State([9, 10], [8], "L1"))
    assert found is not None and (found.parent, found.extent) == ("full-9", 9)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State([9, 10], [], "L2"), "was made anew"),
        (State([0, 1], [], "L1"), "set back"),
        (State([], [], "L1"), "set back"),
        (State([11], [9], "L1"), "S0000010.TXN is neither"),
    ],
)
def test_a_log_that_does_not_go_on_is_told(state: State, words: str) -> None:
    found, reason = extents.link({"data": receipt("full", 9)}, state)
    assert found is None and words in reason


def test_a_set_without_extents_knows_no_log_yet_and_goes_on_with_the_first() -> None:
    assert extents.broken_because(State([4, 5], [], "L7"), {"log_id": "", "extent": 4}) == ""


def test_a_full_set_without_logs_is_no_beginning() -> None:
    data = receipt("full", 9)
    del data["stream"]
    assert extents.link({"data": data}, State([9], [], "L1")) == (
        None,
        "the newest full backup was made without archive-style logs",
    )


# The order of the history


@given(st.lists(st.tuples(st.integers(0, 9_999_999), st.integers(0, 59)), min_size=2, max_size=6))
def test_text_order_is_the_order_of_the_history(places: list[tuple[int, int]]) -> None:
    texts = [extents.order(number, f"2026-11-30T10:00:{second:02d}.000000Z") for number, second in places]
    assert sorted(texts) == [text for _place, text in sorted(zip(places, texts, strict=True))]


def test_logs_that_do_not_hold_the_extent_of_a_full_set_are_of_no_use_to_it() -> None:
    data = dict(receipt("full", 5), **extents.data_stretch("s1", 5, AT.format(1)))
    short = {"set": "a", "first": data["first"], "last": extents.order(5, AT.format(7))}
    far = {"set": "b", "first": short["last"], "last": extents.order(6, AT.format(8))}
    assert follow(data, [short], lambda _item: False) == []
    assert [item["set"] for item in follow(data, [short, far], lambda _item: False)] == ["a", "b"]


@pytest.mark.parametrize("log_id", ["L1", "OF85257CD3:006B7A11-ON85256A5D:0056C1D8", "", "a;b/c"])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_mark_says_the_gaps(count: int, log_id: str) -> None:
    gaps = [(AT.format(1), AT.format(4)), (AT.format(5), AT.format(6))][:count]
    assert extents.gaps_in(extents.mark(log_id, 7, gaps)) == gaps


# What a log set takes


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "backup" / "node" / "TRANSLOG"


def saved(target: Path, start: str, number: int, log_id: str = "L1", size: int = 8) -> Entry:
    file = target / start / extents.name_of(number)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x" * size)
    return Entry("TRANSLOG", start, file.name, log_id, str(file), size)


def test_extents_of_earlier_runs_that_no_set_holds_are_taken(target: Path) -> None:
    shelf = logs.shelf_of([saved(target, "1", 3), saved(target, "2", 4), saved(target, "2", 5)])
    taken = logs.take_extents(shelf, 4, 6, "L1")
    assert (sorted(taken.files), taken.next, taken.unlisted) == ([4, 5], 6, [])


def test_without_a_full_extent_a_set_holds_none(target: Path) -> None:
    assert logs.take_extents(logs.shelf_of([saved(target, "1", 3)]), 4, 4, "L1") == logs.Taken({}, [], 4)


def test_an_extent_that_was_full_and_is_in_no_backup_is_missed(target: Path) -> None:
    with pytest.raises(CaptureFailed, match=r"S0000005\.TXN was full"):
        logs.take_extents(logs.shelf_of([saved(target, "1", 4), saved(target, "1", 6)]), 4, 7, "L1")


def test_an_extent_that_the_server_marked_and_did_not_note_is_found_in_the_target(target: Path) -> None:
    entries = [saved(target, "1", 4)]
    saved(target, "2", 5)
    taken = logs.take_extents(logs.shelf_of(entries), 4, 6, "L1")
    assert (sorted(taken.files), taken.unlisted) == ([4, 5], [5])


def test_one_that_was_cut_off_is_not_taken_for_whole(target: Path) -> None:
    entries = [saved(target, "1", 4)]
    saved(target, "2", 5, size=3)
    with pytest.raises(CaptureFailed, match=r"S0000005\.TXN"):
        logs.take_extents(logs.shelf_of(entries), 4, 6, "L1")


def test_extents_of_another_log_and_those_that_are_gone_do_not_count(target: Path) -> None:
    gone = saved(target, "1", 4)
    Path(gone.file).unlink()
    shelf = logs.shelf_of([saved(target, "0", 9, "L0"), gone, saved(target, "2", 5)])
    assert (sorted(shelf.files), shelf.log_id) == ([5], "L1")
    with pytest.raises(CaptureFailed, match="the transaction log was made anew"):
        logs.take_extents(shelf, 5, 6, "L2")


def test_a_set_that_begins_a_history_takes_what_its_own_run_wrote_and_nothing_of_a_log_before(target: Path) -> None:
    """After a restore inventory and target still tell of the log that was replaced."""
    former = [saved(target, "1", number, "L1") for number in (0, 1, 2)]
    shelf = logs.of_present_log(former, logs.Run("2", []), "", None)
    assert logs.take_extents(shelf, 0, 0, "") == logs.Taken({}, [], 0) and shelf.log_id == ""
    fresh = saved(target, "3", 0, "L2")
    shelf = logs.of_present_log([*former, fresh], logs.Run("3", [fresh]), "", None)
    assert (logs.take_extents(shelf, 0, 1, "").files, shelf.log_id) == ({0: (fresh.file, 8)}, "L2")


def test_a_set_without_extents_is_continued_by_what_was_saved_after_it(target: Path) -> None:
    former = [saved(target, "1", number, "L1") for number in (0, 1, 2)]
    saved(target, "1", 3, "L1")  # in no inventory either: that was set back with the server
    again = [saved(target, "3", 0, "L2"), saved(target, "4", 1, "L2")]
    shelf = logs.of_present_log([*former, *again], logs.Run("4", again[1:]), "", "2")
    assert sorted(logs.take_extents(shelf, 0, 2, "").files) == [0, 1] and shelf.log_id == "L2"
    with pytest.raises(CaptureFailed, match=r"S0000002\.TXN was full"):
        logs.take_extents(shelf, 0, 4, "")


def test_a_set_that_begins_a_history_takes_what_somebody_else_saved_since_its_copies(target: Path) -> None:
    entries = [saved(target, "1", 3, "L0"), saved(target, "5", 4), saved(target, "6", 5)]
    shelf = logs.of_present_log(entries, logs.Run("6", entries[2:]), "", "4")
    assert sorted(logs.take_extents(shelf, 4, 6, "").files) == [4, 5]
    with pytest.raises(CaptureFailed, match=r"S0000003\.TXN was full"):
        logs.take_extents(shelf, 3, 6, "")


def test_a_log_that_was_made_anew_does_not_continue_the_one_before(target: Path) -> None:
    entries = [saved(target, "1", 4, "L1"), saved(target, "3", 5, "L2")]
    shelf = logs.of_present_log(entries, logs.Run("3", entries[1:]), "L1", "2")
    with pytest.raises(CaptureFailed, match=r"made anew \(LogID L2 instead of L1\)"):
        logs.take_extents(shelf, 5, 6, "L1")


def test_full_extents_say_until_when_all_is_in_them(tmp_path: Path) -> None:
    for number, second in ((3, 10), (4, 20)):
        (tmp_path / extents.name_of(number)).touch()
        os.utime(tmp_path / extents.name_of(number), (second, second))
    found = logs.covered_by(tmp_path, [3, 4], "root")
    assert found == {3: "1970-01-01T00:00:09.900000Z"}


# What a plan makes of them


def landed(*items: dict[str, Any], stop_at: str | None = None) -> dict[str, Any]:
    return {"receipts": list(items), "stop_at": stop_at}


def index(numbers: list[int], changed: tuple[str, ...] = (), until: str = AT.format(4), to: int = 0) -> dict[str, Any]:
    databases = [{"path": path, "reference": "x"} for path in changed]
    return {"log_id": "L1", "extents": numbers, "databases": databases, "changed_until": until, "changed_to": to}


FULL = dict(receipt("full", 5), facts={"active": 5})
LOG = {"set": "log-8", "kind": "log", "consistent_at": AT.format(8), "stream": {"id": "s1", "mark": "L1:8"}}


def test_to_a_full_set_nothing_is_rolled_forward() -> None:
    found = planning.bases(landed(FULL), ["a"], {"full-5": index([3, 4])})
    assert found == {"a": planning.Base("full-5", False)}


def test_the_newest_copy_that_is_not_younger_than_the_goal_is_the_base() -> None:
    indexes = {"full-5": index([4]), "log-8": index([5, 6, 7], ("b",), until=AT.format(4), to=7)}
    late = planning.bases(landed(FULL, LOG, stop_at=AT.format(6)), ["a", "b"], indexes)
    assert late == {"a": planning.Base("full-5", True), "b": planning.Base("log-8", True)}
    early = planning.bases(landed(FULL, LOG, stop_at=AT.format(3)), ["a", "b"], indexes)
    assert early["b"] == planning.Base("full-5", True)


def test_a_copy_that_is_ahead_of_all_logs_comes_back_as_it_is() -> None:
    indexes = {"full-5": index([4]), "log-8": index([5, 6, 7], ("b", "new"), to=8)}
    found = planning.bases(landed(FULL, LOG), ["a", "b"], indexes)
    assert (found["b"], found["new"]) == (planning.Base("log-8", False), planning.Base("log-8", False))


@pytest.mark.parametrize(("stop_at", "until"), [(AT.format(7), AT.format(7)), (AT.format(8), AT.format(8)), (None, "latest")])
def test_recovery_stops_at_the_moment_also_where_the_last_set_ends_or_at_the_end_of_the_logs(
    stop_at: str | None, until: str
) -> None:
    assert planning.until_of(landed(FULL, LOG, stop_at=stop_at)) == until


def test_extents_of_two_logs_or_with_a_gap_are_refused() -> None:
    with pytest.raises(IntegrityError, match="2 logs"):
        planning.require_one_log({}, {"a": index([1]), "b": dict(index([2]), log_id="L2")})
    with pytest.raises(IntegrityError, match=r"S0000002\.TXN is missing"):
        planning.require_one_log({}, {"a": index([1]), "b": index([3])})
    assert planning.require_one_log({}, {"a": index([1, 2]), "b": index([2, 3])}) == [1, 2, 3]


def test_a_moment_in_the_gap_of_a_database_is_refused_with_the_nearest_ones() -> None:
    gap = dict(LOG, stream={"id": "s1", "mark": extents.mark("L1", 8, [(AT.format(3), AT.format(6))])})
    planning.judge(landed(FULL, gap, stop_at=AT.format(3)))
    planning.judge(landed(FULL, gap, stop_at=AT.format(6)))
    planning.judge(landed(FULL, gap))
    with pytest.raises(PlanRefused, match="new DBIID") as refused:
        planning.judge(landed(FULL, gap, stop_at=AT.format(5)))
    assert AT.format(3) in refused.value.hint and AT.format(6) in refused.value.hint


def test_everything_comes_below_the_landing_of_its_folder() -> None:
    places = planning.Layout(
        [("/d", "/y/data"), ("/local/archive", "/z/linked-1"), ("/d/sub/daos", "/y/daos")],
        "/d",
        {"archive": "/local/archive", "archive/deep": "/d/deep"},
        {"apps/parts.nsf": "/local/linked/parts.nsf"},
    )
    assert places.landing(places.file_of("mail/a.nsf")) == "/y/data/mail/a.nsf"
    assert places.landing(places.file_of("archive/b.nsf")) == "/z/linked-1/b.nsf"
    assert places.landing(places.file_of("archive/deep/c.nsf")) == "/y/data/deep/c.nsf"
    assert places.landing(places.file_of("apps/parts.nsf")) == ""
    assert places.landing("/d/sub/daos/1.nlo") == "/y/daos/1.nlo"


def test_a_command_names_every_database_once() -> None:
    words = ["recover", "={ini}", "{database}={file}", "--until", "{until}"]
    argv = planning.roll_forward_argv(words, {"ini": "/r/notes.ini", "until": "latest"}, [("a", "/a"), ("b c", "/b c")])
    assert argv == ["recover", "=/r/notes.ini", "a=/a", "b c=/b c", "--until", "latest"]


@given(st.lists(st.tuples(st.text(max_size=30), st.text(max_size=30)), max_size=30))
def test_batches_hold_everything_in_order(items: list[tuple[str, str]]) -> None:
    groups = planning.batches(items, room=100)
    assert [item for group in groups for item in group] == items
    assert all(groups)
