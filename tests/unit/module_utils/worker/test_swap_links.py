# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever owns the directory above a data directory may exchange names in it at any moment: root is led nowhere by that."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError, Refused
from ansible_collections.backstay.fleet.plugins.module_utils.worker import swap
from ansible_collections.backstay.fleet.plugins.module_utils.yard import yard
from unit.support.trees import look, owner, plant

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has anything to lose to others")
RUN = "20261121T090000Z-mysql-1"
APPLICATION = 4711
FORMER = {"ibdata1": b"former", "shop": {"t.ibd": b"1"}}
LANDED = {"ibdata1": b"landed", "sub": {"deep": {"t.ibd": b"2"}}}
VICTIM = {
    "ibdata1": b"of others",
    "sub": {"deep": {"shadow": b"secret"}},
    f"aside-{RUN}": {"x": b"3"},
    "landing-1": {"y": b"4"},
}
_WATCHED = ("open", "rename", "mkdir", "listdir", "scandir", "lchown", "chown", "chmod", "rmdir", "unlink", "stat", "lstat")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here outlives a power cut, and the disk takes its time."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


class Scene:
    """The directory of an application's account with its data, landed data for it, and a victim elsewhere."""

    def __init__(self, base: Path) -> None:
        shutil.rmtree(base, ignore_errors=True)
        self.victim = plant(base / "victim", VICTIM)
        self.victim.chmod(0o700)
        self.job = plant(base / "job", {})
        self.home = plant(base / "home", {"data": FORMER})
        self.data = self.home / "data"
        for path in (self.home, self.data):
            os.chown(path, APPLICATION, APPLICATION)
        yard(self.data).mkdir(mode=0o711)
        self.landing = plant(yard(self.data) / "landing-1", LANDED)

    def exchange(self, **more: Any) -> None:
        swap.exchange(self.job, RUN, {"target": str(self.data), "landing": str(self.landing), "owner": "nobody", **more})

    def deceive(self, path: Path) -> None:
        """Put a link to the victim in the place of ``path``, as its owner may."""
        path.rename(path.with_name("away"))
        path.symlink_to(self.victim)

    def repent(self, path: Path) -> None:
        if path.is_symlink():
            path.unlink()
            path.with_name("away").rename(path)

    def require_unharmed(self) -> None:
        assert look(self.victim) == VICTIM
        assert self.victim.stat().st_mode & 0o777 == 0o700
        for path in (self.victim, *self.victim.rglob("*")):
            assert owner(path) == (0, 0), path


@contextmanager
def at_call(place: int, deed: Callable[[], None]) -> Iterator[list[int]]:
    """Do ``deed`` before the ``place``-th system call on files; yield the number of calls that are left until then."""
    left, patch = [place], pytest.MonkeyPatch()

    def counted(function: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] == -1:
                deed()
            return function(*arguments, **named)

        return call

    for name in _WATCHED:
        patch.setattr(os, name, counted(getattr(os, name)))
    try:
        yield left
    finally:
        patch.undo()


def at_every_call(base: Path, prepare: Callable[[Scene], None], act: Callable[[Scene], None], which: str) -> int:
    """Exchange the name of ``which`` for a link before each system call of ``act`` in turn; return how many there are."""
    for place in range(10_000):
        scene = Scene(base)
        prepare(scene)
        path = {"data": scene.data, "yard": yard(scene.data), "sub": scene.landing / "sub"}[which]
        with at_call(place, lambda scene=scene, path=path: scene.deceive(path)) as left, suppress(BackstayError, OSError):  # type: ignore[misc]
            act(scene)
        scene.require_unharmed()
        scene.repent(path)
        if left[0] >= 0:
            return place
        if swap.exchanged(scene.job):
            swap.put_back(scene.job)
            assert look(scene.data) == FORMER
    raise AssertionError("it never came to its end")


@pytest.mark.parametrize("which", ["data", "yard", "sub"])
def test_an_exchange_is_led_nowhere_whenever_a_name_becomes_a_link(tmp_path: Path, which: str) -> None:
    assert at_every_call(tmp_path / "a", lambda _scene: None, Scene.exchange, which) > 20


@pytest.mark.parametrize("which", ["data", "yard"])
def test_a_put_back_is_led_nowhere_whenever_a_name_becomes_a_link(tmp_path: Path, which: str) -> None:
    assert at_every_call(tmp_path / "b", Scene.exchange, lambda scene: print(swap.put_back(scene.job)), which) > 20


@pytest.mark.parametrize("which", ["data", "yard"])
def test_removing_what_lies_aside_is_led_nowhere(tmp_path: Path, which: str) -> None:
    assert at_every_call(tmp_path / "c", Scene.exchange, lambda scene: swap.forget_aside(scene.job), which) > 5


def test_a_target_that_became_a_link_of_others_is_refused(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "d")
    scene.deceive(scene.data)
    os.lchown(scene.data, APPLICATION, APPLICATION)
    with pytest.raises(Refused, match="data is a link, and others than root can let it lead elsewhere"):
        scene.exchange()
    scene.require_unharmed()
    assert swap.exchanged(scene.job) == []


def test_a_folder_aside_that_others_made_is_no_former_content(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "e")
    scene.exchange()
    yard(scene.data).rename(scene.home / "away")
    theirs = plant(yard(scene.data) / f"aside-{RUN}", {"shop": {"t.ibd": b"forged"}})
    for path in (theirs.parent, theirs):
        os.chown(path, APPLICATION, APPLICATION)
    with pytest.raises(Refused, match=r"\.backstay-data was made by somebody else"):
        swap.put_back(scene.job)
    assert look(scene.data) == LANDED


def test_a_file_of_others_with_a_name_in_the_landing_is_not_given_away(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "f")
    os.link(scene.victim / "ibdata1", scene.landing / "sub" / "trap")
    with pytest.raises(Refused, match="sub/trap has further names elsewhere"):
        scene.exchange()
    scene.require_unharmed()
    assert look(scene.data) == FORMER
