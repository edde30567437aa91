# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.folders.walk import excluded, order, selection, show, walk
from unit.support.folders import NOTHING, make_rich


@pytest.mark.parametrize(
    ("pattern", "path", "answer"),
    [
        (b"*.tmp", b"a.tmp", True),
        (b"*.tmp", b"deep/down/a.tmp", True),
        (b"*.tmp", b"a.tmp.keep", False),
        (b"cache", b"cache", True),
        (b"cache", b"a/cache", True),
        (b"/cache", b"a/cache", False),
        (b"/cache", b"cache", True),
        (b"cache/", b"cache", True),
        (b"logs/*.old", b"logs/1.old", True),
        (b"logs/*.old", b"logs/a/1.old", False),
        (b"logs/*.old", b"more/logs/1.old", False),
        (b"\xff*", b"\xff\xfe", True),
        (b"[ab]", b"b", True),
    ],
)
def test_a_pattern_excludes(pattern: bytes, path: bytes, answer: bool) -> None:
    assert excluded(path, [pattern]) is answer


def test_the_order_is_that_of_its_key_and_holds_everything(tmp_path: Path) -> None:
    root = make_rich(tmp_path / "it")
    (root / "sub!").touch()  # sorts between a folder and its content when names are taken for text
    found = [entry.path for entry in walk(os.fsencode(root), NOTHING, lambda _path: None)]
    assert found == sorted(found, key=order)
    assert found[0] == b""
    assert len(found) == 1 + sum(len(folders) + len(files) for _root, folders, files in os.walk(os.fsencode(root)))


def test_no_link_that_takes_the_place_of_a_folder_is_followed(tmp_path: Path) -> None:
    root, victim = tmp_path / "it", tmp_path / "victim"
    (root / "sub").mkdir(parents=True)
    victim.mkdir()
    for folder in (root / "sub", victim):
        (folder / "shadow").write_text(folder.name)
    gone: list[bytes] = []
    found = []
    for entry in walk(os.fsencode(root), NOTHING, gone.append):
        found.append(entry.path)
        if entry.path == b"sub":  # it was looked at, and is listed next
            (root / "sub").rename(root / "away")
            (root / "sub").symlink_to(victim)
    assert (found, gone) == ([b"", b"sub"], [b"sub"])


def test_the_place_of_an_entry_holds_whatever_becomes_of_the_names_above(tmp_path: Path) -> None:
    root, victim = tmp_path / "it", tmp_path / "victim"
    (root / "sub").mkdir(parents=True)
    victim.mkdir()
    for folder in (root / "sub", victim):
        (folder / "shadow").write_text(folder.name)
    for entry in walk(os.fsencode(root), NOTHING, lambda _path: None):
        if entry.path == b"sub/shadow":
            (root / "sub").rename(root / "away")
            (root / "sub").symlink_to(victim)
            assert Path(os.fsdecode(entry.place)).read_text() == "sub"


def test_a_walk_leaves_nothing_open(tmp_path: Path) -> None:
    root = make_rich(tmp_path / "it")
    before = len(list(Path("/proc/self/fd").iterdir()))
    walking = walk(os.fsencode(root), NOTHING, lambda _path: None)
    while next(walking).path != b"sub/link":
        pass
    walking.close()
    list(walk(os.fsencode(root), NOTHING, lambda _path: None))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_mount_point_keeps_what_is_no_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert selection(tmp_path, ["x"]).own == set()
    monkeypatch.setattr(os.path, "ismount", lambda _path: True)
    assert b"#sql-backstay" in selection(tmp_path, []).own


def test_bytes_that_are_no_text_are_spelled_out() -> None:
    assert show(b"a\xff\xc3\xa4") == "a\\xffä"
