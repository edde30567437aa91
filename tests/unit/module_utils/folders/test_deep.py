# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders that are deeper than a process may have files open, and folders whose names change while a walk is deep in them."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.errors import Refused
from ansible_collections.backstay.fleet.plugins.module_utils.files import remove_folder
from ansible_collections.backstay.fleet.plugins.module_utils.folders import manifest
from ansible_collections.backstay.fleet.plugins.module_utils.folders import walk as walking
from ansible_collections.backstay.fleet.plugins.module_utils.folders.walk import LONGEST_PATH, order, walk
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.support.copies import copy_of, nobody
from unit.support.folders import NOTHING, archived, unpacked


@contextmanager
def few_files() -> Iterator[None]:
    """Let this process have a hundred files more open than it has."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def deep(root: Path, names: list[str]) -> Path:
    """Make a chain of folders with a file in each tenth, and one at the end whose name is three bytes long."""
    root.mkdir()
    held = os.open(root, os.O_RDONLY)
    for level, name in enumerate(names):
        os.mkdir(name, dir_fd=held)
        if level % 10 == 0:
            os.close(os.open("z", os.O_CREAT | os.O_WRONLY, dir_fd=held))
        below = os.open(name, os.O_RDONLY, dir_fd=held)
        os.close(held)
        held = below
    os.close(os.open("end", os.O_CREAT | os.O_WRONLY, dir_fd=held))
    os.close(held)
    return root


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Give a folder that goes whatever is in it; pytest itself cannot remove what is that deep."""
    yield tmp_path
    subprocess.run(["rm", "-rf", tmp_path], check=True)


def test_the_longest_path_comes_back_as_it_was(place: Path) -> None:
    root = deep(place / "it", ["d"] * 1200 + ["d" * 199] * 7 + ["d" * (LONGEST_PATH - 3 - 2400 - 1400 - 1)])
    with few_files():
        found = [entry.path for entry in walk(os.fsencode(root), NOTHING, pytest.fail)]
        assert found == sorted(found, key=order)
        assert max(map(len, found)) == LONGEST_PATH
        taken = copy_of(root)
        taken.ahead(nobody)
        taken.finish(nobody)
        archive = archived(place / "copy")
        assert archived(root) == archive
        into = unpacked(archive, place / "back")
        assert manifest.prove(into).entries == len(found)
        for folder in (root, place / "copy", into):
            remove_folder(folder)
            assert not folder.exists()


def test_a_path_that_could_not_be_restored_is_refused_before_anything_is_taken(place: Path) -> None:
    root = deep(place / "it", ["d"] * 3000)
    with few_files(), pytest.raises(Refused, match=r"it/d/d/.* is too deep: a path of more than 4000 bytes in .*/it could not"):
        list(walk(os.fsencode(root), NOTHING, pytest.fail))
    with few_files():
        remove_folder(root)
    assert not root.exists()


_trees = st.recursive(
    st.just({}), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, min_size=1, max_size=3), max_leaves=12
)


def _plant(path: Path, tree: dict) -> Path:
    path.mkdir()
    (path / "m").touch()
    for name, below in tree.items():
        _plant(path / name, below)
    return path


@settings(max_examples=40)
@given(tree=_trees, data=st.data())
def test_a_folder_that_moves_away_while_the_walk_is_below_it_is_told_and_nothing_else_is_lost(
    tmp_path_factory: pytest.TempPathFactory, tree: dict, data: st.DataObject
) -> None:
    root = _plant(tmp_path_factory.mktemp("walk") / "it", tree)
    everything = [entry.path for entry in walk(os.fsencode(root), NOTHING, pytest.fail)]
    folders = [path for path in everything if path and not path.endswith(b"m")]
    moved = data.draw(st.sampled_from(folders)) if folders else b""
    at = data.draw(st.sampled_from(everything), label="the walk is here")
    gone: list[bytes] = []
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walking, "_OPEN", 2)
        for entry in walk(os.fsencode(root), NOTHING, gone.append):
            found.append(entry.path)
            assert Path(os.fsdecode(entry.place)).lstat().st_ino == entry.status.st_ino
            if moved and entry.path == at:
                (root / os.fsdecode(moved)).rename(root.parent / "away")
    assert found == [path for path in everything if path in found]
    for path in {*everything} - {*found} | {*gone}:
        assert path == moved or path.startswith(moved + b"/")
