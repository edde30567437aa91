# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies ahead of a stop while folders are renamed: the files in them change no time by that."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.folders import precopy
from unit.support.copies import copy_of, nobody, settle, small
from unit.support.folders import archived


def away_and_back(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Have ``folder`` renamed away when a pass returns to it for its metadata, and back before the next one."""
    read, away = precopy.read_xattrs, folder.with_name("away")

    def rename(path: bytes) -> None:
        if path == os.fsencode(folder) and folder.exists():
            folder.rename(away)

    monkeypatch.setattr(precopy, "read_xattrs", lambda path: (rename(path), read(path))[1])


@pytest.mark.parametrize("name", ["messages", "deep", "deep/er"])
def test_a_folder_that_was_away_for_a_moment_comes_back_with_all_that_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    source = small(tmp_path / "it")
    (source / "deep" / "er").mkdir(parents=True)
    (source / "deep" / "er" / "1").write_bytes(b"1")
    settle()
    copying = copy_of(source)
    away_and_back(monkeypatch, source / name)
    copying._pass(nobody)
    monkeypatch.undo()
    (source / name).with_name("away").rename(source / name)
    settle()
    copying.finish(nobody)
    assert archived(tmp_path / "copy") == archived(source)


@pytest.mark.parametrize("passes", [1, 2])
def test_names_of_one_file_stay_so_when_a_folder_is_renamed(tmp_path: Path, passes: int) -> None:
    source = small(tmp_path / "it")
    (source / "z").mkdir()
    for name in ("x", "y"):
        os.link(source / "messages" / "1", source / "z" / name)
    settle()
    copying = copy_of(source)
    copying._pass(nobody)
    (source / "messages").rename(source / "archive")
    settle()
    for _more in range(1, passes):
        copying._pass(nobody)
    copying.finish(nobody)
    assert archived(tmp_path / "copy") == archived(source)
    assert (tmp_path / "copy" / "archive" / "1").stat().st_nlink == 3


@pytest.mark.parametrize("name", ["index", "messages"])
def test_the_last_pass_misses_what_was_taken_from_the_copy(tmp_path: Path, name: str) -> None:
    source = small(tmp_path / "it")
    copying = copy_of(source)
    copying.ahead(nobody)
    lost = tmp_path / "copy" / name
    shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
    copying.finish(nobody)
    assert archived(tmp_path / "copy") == archived(source)
