# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput, Refused
from ansible_collections.backstay.fleet.plugins.module_utils.files import read_json
from ansible_collections.backstay.fleet.plugins.module_utils.folders import walk
from ansible_collections.backstay.fleet.plugins.module_utils.worker import swap
from ansible_collections.backstay.fleet.plugins.module_utils.yard import INSIDE, yard
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.support.trees import NAMES, Tree, everything, look, owner, plant, trees

RUN = "20261121T090000Z-mysql-1"
landed_trees = trees.filter(bool)


class Crash(BaseException):
    """The worker was killed here."""


@contextmanager
def crash_at(place: int) -> Iterator[None]:
    """Kill the worker at its ``place``-th rename or note on disk (before it happens); 0 is the first."""
    left = [place]
    rename, note = os.rename, swap.write_json

    def counted(function: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            if left[0] == 0:
                raise Crash
            left[0] -= 1
            return function(*arguments, **named)

        return call

    os.rename, swap.write_json = counted(rename), counted(note)
    try:
        yield
    finally:
        os.rename, swap.write_json = rename, note


class Place:
    """A live directory, landed data for it and the folder of the job that exchanges them."""

    def __init__(self, base: Path, former: Tree, landed: Tree, inside: bool = False) -> None:
        shutil.rmtree(base, ignore_errors=True)
        self.job = plant(base / "job", {})
        self.target = plant(base / "mysql", former)
        self.yard = self.target / INSIDE if inside else yard(self.target)
        self.landing = plant(self.yard / "landing-1", landed)
        self.aside = self.yard / f"aside-{RUN}"

    def exchange(self, **more: Any) -> Path:
        return swap.exchange(self.job, RUN, dict({"target": str(self.target), "landing": str(self.landing)}, **more))

    def live(self) -> Tree:
        return look(self.target, leave_out=(INSIDE,))

    def all_entries(self) -> list[str]:
        return everything(self.live(), look(self.landing), look(self.aside))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("swap")


def _crash_or_not(call: Any, place: int) -> bool:
    """Run ``call`` with a crash at ``place``; return whether it crashed."""
    try:
        with crash_at(place):
            call()
    except Crash:
        return True
    return False


@given(former=trees, landed=landed_trees, leave_out=st.sets(st.sampled_from(NAMES), max_size=2))
def test_an_exchange_takes_the_landed_data_in_and_keeps_the_former_aside(
    base: Path, former: Tree, landed: Tree, leave_out: set[str]
) -> None:
    place = Place(base / "a", former, landed)
    wanted = {name: item for name, item in landed.items() if name not in leave_out}
    if not wanted:
        with pytest.raises(Refused, match="nothing in"):
            place.exchange(leave_out=sorted(leave_out))
        assert place.live() == former
        return
    assert place.exchange(leave_out=sorted(leave_out)) == place.aside
    assert place.live() == wanted
    assert look(place.aside) == former
    assert len(swap.exchanged(place.job)) == 1


@settings(max_examples=10)  # each one crashes at every place
@given(former=trees, landed=landed_trees, data=st.data())
def test_a_crash_anywhere_loses_nothing_and_put_back_restores_exactly(
    base: Path, former: Tree, landed: Tree, data: st.DataObject
) -> None:
    second = data.draw(st.integers(0, 12), label="place of a crash while putting back")
    for first in range(len(former) + len(landed) + 3):
        place = Place(base / "b", former, landed)
        before = place.all_entries()
        crashed = _crash_or_not(place.exchange, first)
        assert place.all_entries() == before
        if not (place.job / "swap.json").exists():
            assert place.live() == former
            continue
        _crash_or_not(lambda place=place: swap.put_back(place.job), second)  # type: ignore[misc]
        assert place.all_entries() == before
        swap.put_back(place.job)
        assert place.live() == former
        assert look(place.landing) == landed
        assert swap.exchanged(place.job) == []
        assert "already holds" in swap.put_back(place.job)
        if not crashed:
            break
    else:
        raise AssertionError("the exchange never came to its end")


LOST: Tree = {"lost+found": {}}


@contextmanager
def mounted(filesystem: str) -> Iterator[None]:
    """Have the target look like the mount point of a ``filesystem``."""
    patch = pytest.MonkeyPatch()
    patch.setattr(os.path, "ismount", lambda path: str(path).endswith("/mysql"))
    patch.setattr(walk, "kind", lambda _path: filesystem)
    try:
        yield
    finally:
        patch.undo()


@settings(max_examples=20)
@given(former=trees, landed=landed_trees)
def test_a_mount_point_keeps_what_is_the_filesystems(base: Path, former: Tree, landed: Tree) -> None:
    with mounted("ext2/ext3"):
        place = Place(base / "c", {**former, **LOST}, landed, inside=True)
        place.exchange()
        assert place.live() == {**landed, **LOST}
        swap.put_back(place.job)
        assert place.live() == {**former, **LOST}
        assert look(place.landing) == landed


def test_where_the_filesystem_has_no_lost_and_found_it_is_content(base: Path) -> None:
    with mounted("xfs"):
        place = Place(base / "n", {"shop": b"1", **LOST}, {"shop": b"2", "lost+found": {"from ext": b"3"}}, inside=True)
        place.exchange()
        assert place.live() == {"shop": b"2", "lost+found": {"from ext": b"3"}}
        swap.put_back(place.job)
        assert place.live() == {"shop": b"1", **LOST}


@pytest.mark.parametrize("name", ["lost+found", INSIDE])
def test_a_name_that_the_target_keeps_is_refused_before_anything_moves(base: Path, name: str) -> None:
    with mounted("ext2/ext3"):
        place = Place(base / "o", {"shop": b"1", **LOST}, {"shop": b"2", name: {}}, inside=True)
        with pytest.raises(Refused, match=f"has a {re.escape(name)}, and the filesystem mounted at"):
            place.exchange()
        assert place.live() == {"shop": b"1", **LOST}
        assert swap.exchanged(place.job) == []


@given(former=trees, landed=landed_trees, made=trees)
def test_what_the_restored_server_made_since_does_not_mix_with_the_former_content(
    base: Path, former: Tree, landed: Tree, made: Tree
) -> None:
    place = Place(base / "d", former, landed)
    place.exchange()
    made = {name: item for name, item in made.items() if name not in landed}
    plant(place.target, made)
    swap.put_back(place.job)
    assert place.live() == former
    assert everything(look(place.landing)) == everything(landed, made)


def test_a_name_that_is_taken_in_the_landing_folder_gets_another(base: Path) -> None:
    place = Place(base / "e", {"ibdata1": b"old"}, {"ibdata1": b"new", "shop": b"note"})
    place.exchange(leave_out=["shop"])
    (place.target / "shop").write_bytes(b"made since")
    swap.put_back(place.job)
    assert place.live() == {"ibdata1": b"old"}
    assert look(place.landing) == {"ibdata1": b"new", "shop": b"note", "shop.1": b"made since"}


def test_nothing_is_ever_overwritten(base: Path) -> None:
    place = Place(base / "f", {"ibdata1": b"old"}, {"ibdata1": b"new"})
    rename = os.rename

    def rename_while_a_server_starts(*names: str, **folders: int) -> None:
        rename(*names, **folders)
        if (place.aside / "ibdata1").exists():
            (place.target / "ibdata1").write_bytes(b"from a server that somebody started")

    patch = pytest.MonkeyPatch()
    patch.setattr(os, "rename", rename_while_a_server_starts)
    with pytest.raises(Refused, match="is not empty after its content was moved aside: ibdata1"):
        place.exchange()
    patch.undo()
    assert look(place.landing) == {"ibdata1": b"new"}
    swap.put_back(place.job)
    assert place.live() == {"ibdata1": b"old"}
    assert look(place.landing) == {"ibdata1": b"new", "ibdata1.1": b"from a server that somebody started"}


def test_the_directory_itself_stays(base: Path) -> None:
    place = Place(base / "g", {"shop": b"1"}, {"shop": b"2"})
    place.target.chmod(0o751)
    before = place.target.stat()
    place.exchange()
    after = place.target.stat()
    assert (after.st_ino, after.st_mode, after.st_uid) == (before.st_ino, before.st_mode, before.st_uid)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_landed_data_gets_its_owner_and_links_are_not_followed(base: Path) -> None:
    place = Place(base / "h", {}, {"shop": {"t.ibd": b"1"}, "out": ("link", "/etc/hostname")})
    before = owner(Path("/etc/hostname"))
    place.exchange(owner="nobody", group="nogroup")
    for path in (place.target / "shop", place.target / "shop" / "t.ibd", place.target / "out"):
        assert owner(path) == (65534, 65534)
    assert owner(Path("/etc/hostname")) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_directory_that_was_lost_is_its_owners_again(base: Path) -> None:
    """Else its server could not even enter it."""
    place = Place(base / "p", {}, {"shop": b"1"})
    place.target.rmdir()
    place.exchange(owner="nobody", group="nogroup")
    assert owner(place.target) == (65534, 65534)
    swap.put_back(place.job)
    assert not place.target.exists()


def test_data_of_another_filesystem_is_refused_before_anything_moves(base: Path) -> None:
    place = Place(base / "i", {"shop": b"1"}, {"shop": b"2"})
    elsewhere = Path("/dev/shm/backstay-test-landing")
    assert elsewhere.parent.stat().st_dev != base.stat().st_dev, "this test needs two filesystems"
    plant(elsewhere, {"shop": b"2"})
    try:
        with pytest.raises(Refused, match="different filesystems"):
            place.exchange(landing=str(elsewhere))
    finally:
        shutil.rmtree(elsewhere)
    assert place.live() == {"shop": b"1"}
    assert swap.exchanged(place.job) == []


def test_without_an_exchange_there_is_nothing_to_put_back(base: Path) -> None:
    with pytest.raises(BadInput, match="exchanged no data"):
        swap.put_back(plant(base / "j", {}))


def test_the_former_content_is_removed_only_after_a_whole_exchange(base: Path) -> None:
    place = Place(base / "k", {"shop": b"1"}, {"shop": b"2"})
    assert _crash_or_not(place.exchange, 3)
    swap.forget_aside(place.job)
    assert look(place.aside) == {"shop": b"1"}
    swap.put_back(place.job)
    place = Place(base / "k", {"shop": b"1"}, {"shop": b"2"})
    place.exchange()
    swap.remove_tree(place.landing)
    swap.forget_aside(place.job)
    assert not place.yard.exists()
    assert swap.exchanged(place.job) == []
    assert (read_json(place.job / "swap.json") or {})["state"] == "verified"
    with pytest.raises(Refused, match="was removed after a verified restore"):
        swap.put_back(place.job)


def test_a_put_back_leaves_no_empty_folder_aside(base: Path) -> None:
    place = Place(base / "l", {"shop": b"1"}, {"shop": b"2"})
    place.exchange()
    swap.put_back(place.job)
    assert not place.aside.exists()


def test_removing_a_tree_removes_an_empty_yard_only(base: Path) -> None:
    place = Place(base / "m", {}, {"shop": b"2"})
    plant(place.yard / "landing-2", {})
    swap.remove_tree(place.landing)
    assert place.yard.exists()
    swap.remove_tree(place.yard / "landing-2")
    assert not place.yard.exists()
    swap.remove_tree(base / "absent" / "x")
    assert base.exists()
