# SPDX-License-Identifier: GPL-3.0-or-later
"""Files set aside one by one, in directories that others share; put back from any state."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.errors import Refused
from ansible_collections.backstay.fleet.plugins.module_utils.executors import LocalExecutor
from ansible_collections.backstay.fleet.plugins.module_utils.files import read_json
from ansible_collections.backstay.fleet.plugins.module_utils.worker import aside, swap
from unit.support.trees import look, plant

RUN = "run-1"
LIVE = {"data": {"system.dbf": b"live", "users.dbf": b"live too", "of-another.dbf": b"not mine"}, "dbs": {}}


@pytest.fixture
def job(tmp_path: Path) -> Path:
    made = tmp_path / RUN
    made.mkdir()
    return made


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return plant(tmp_path / "disk", LIVE)


def mine(disk: Path) -> list[str]:
    return [str(disk / "data" / "system.dbf"), str(disk / "data" / "users.dbf"), str(disk / "dbs" / "spfile.ora")]


def test_only_the_named_files_move_and_come_back(job: Path, disk: Path) -> None:
    aside.set_aside(job, RUN, "the database X", mine(disk))
    assert look(disk / "data") == {"of-another.dbf": b"not mine"}
    for path in mine(disk):
        Path(path).write_bytes(b"restored")
    assert "aside-run-1" in aside.finish(job)
    sentence = swap.put_back(job)
    assert "the database X" in sentence and "restored-run-1" in sentence
    assert look(disk / "data") == LIVE["data"]
    assert look(disk / "dbs") == {}, "what had no former file is gone as well"
    assert look(disk / ".backstay-data") == {"restored-run-1": {"system.dbf": b"restored", "users.dbf": b"restored"}}
    assert "already" in swap.put_back(job)


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_a_crash_between_the_renames_loses_nothing(job: Path, disk: Path, moved: int, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    real = LocalExecutor.rename

    def rename(self: LocalExecutor, source: Path, target: Path, account: str | None) -> None:
        if len(done) == moved:
            raise KeyboardInterrupt
        done.append(source.name)
        real(self, source, target, account)

    monkeypatch.setattr(LocalExecutor, "rename", rename)
    with pytest.raises(KeyboardInterrupt):
        aside.set_aside(job, RUN, "X", [*mine(disk)[:2], str(disk / "data" / "of-another.dbf")])
    monkeypatch.setattr(LocalExecutor, "rename", real)
    assert swap.exchanged(job)
    swap.put_back(job)
    assert look(disk / "data") == LIVE["data"]


def test_files_may_be_set_aside_in_several_turns(job: Path, disk: Path) -> None:
    first, second, third = mine(disk)
    aside.set_aside(job, RUN, "X", [first])
    Path(first).write_bytes(b"restored")
    aside.set_aside(job, RUN, "X", [first, second, third])
    assert Path(first).read_bytes() == b"restored", "what came in is not taken for the former file"
    swap.put_back(job)
    assert look(disk / "data") == LIVE["data"]


def test_after_a_proved_restore_the_former_files_can_be_removed(job: Path, disk: Path) -> None:
    aside.set_aside(job, RUN, "X", mine(disk))
    aside.finish(job)
    swap.forget_aside(job)
    assert not (disk / ".backstay-data").exists()
    assert (read_json(job / "swap.json") or {})["state"] == "verified"
    with pytest.raises(Refused, match="was removed after a verified restore"):
        swap.put_back(job)


def test_something_in_the_way_is_not_overwritten(job: Path, disk: Path) -> None:
    plant(disk / ".backstay-data", {"aside-run-1": {"system.dbf": b"older"}})
    with pytest.raises(Refused, match="in the way"):
        aside.set_aside(job, RUN, "X", mine(disk))
    assert look(disk / "data") == LIVE["data"]


def test_files_that_lie_aside_in_several_places_are_still_aside(job: Path, disk: Path) -> None:
    """A backup of what a failed restore left would be the newest set; one place or many, it is refused."""
    plant(disk / "more", {"control.ctl": b"c"})
    aside.set_aside(job, RUN, "X", [*mine(disk), str(disk / "more" / "control.ctl")])
    (state,) = swap.exchanged(job)
    assert len(state["places"]) == 2
    assert swap.lies_aside(state)
    for place in state["places"]:
        swap.remove_tree(Path(place))
    assert not swap.lies_aside(state)
