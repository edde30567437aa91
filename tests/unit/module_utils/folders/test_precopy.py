# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies ahead of a stop: whatever happens between the passes, the finished copy is the folder as it stands then."""

from __future__ import annotations

import mmap
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.errors import CommandFailed, NoSpace, Refused
from ansible_collections.backstay.fleet.plugins.module_utils.folders import precopy
from ansible_collections.backstay.fleet.plugins.module_utils.folders.walk import Selection
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.support.copies import copy_of, nobody, settle, small
from unit.support.folders import archived, make_rich, make_sparse


def test_a_copy_without_a_copy_ahead_is_whole(tmp_path: Path) -> None:
    source = make_rich(tmp_path / "it")
    settle()
    copy_of(source).finish(nobody)
    assert archived(tmp_path / "copy") == archived(source)


def test_what_did_not_change_is_not_read_again(tmp_path: Path) -> None:
    source = make_rich(tmp_path / "it")
    settle()
    copying = copy_of(source)
    assert copying.ahead(nobody) == 1
    (source / "journal").write_bytes(b"new")
    settle()
    assert copying.finish(nobody).files == 1
    assert archived(tmp_path / "copy") == archived(source)


CHANGES: dict[str, Callable[[Path], object]] = {
    "written": lambda root: (root / "index").write_bytes(b"another"),
    "same length": lambda root: (root / "index").write_bytes(b"INDEX" * 100),
    "times put back": lambda root: _rewritten_in_secret(root / "index"),
    "new": lambda root: (root / "messages" / "2").write_bytes(b"second"),
    "removed": lambda root: (root / "messages" / "1").unlink(),
    "folder removed": lambda root: shutil.rmtree(root / "messages"),
    "folder made": lambda root: (root / "more" / "and more").mkdir(parents=True),
    "renamed over": lambda root: (root / "index").rename(root / "accounts"),
    "folder renamed": lambda root: (root / "messages").rename(root / "letters"),
    "mode": lambda root: (root / "index").chmod(0o4750),
    "folder mode": lambda root: (root / "messages").chmod(0o711),
    "root mode": lambda root: root.chmod(0o711),
    "attribute": lambda root: os.setxattr(root / "index", "user.x", b"1"),
    "folder attribute": lambda root: os.setxattr(root / "messages", "user.x", b"1"),
    "linked": lambda root: os.link(root / "index", root / "messages" / "again"),
    "file to folder": lambda root: ((root / "index").unlink(), (root / "index").mkdir()),
    "folder to file": lambda root: (shutil.rmtree(root / "messages"), (root / "messages").write_bytes(b"1")),
    "to a link": lambda root: ((root / "index").unlink(), (root / "index").symlink_to("accounts")),
    "folder to a link": lambda root: (
        (root / "messages").rename(root / "letters"),
        (root / "messages").symlink_to("letters"),
    ),
    "hole": lambda root: make_sparse(root / "index", 1 << 20, (1 << 19, b"x")),
    "pipe": lambda root: os.mkfifo(root / "pipe"),
}


def _rewritten_in_secret(path: Path) -> None:
    times = path.stat()
    path.write_bytes(b"INDEX" * 100)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def _exchanged(root: Path) -> None:
    (root / "other").mkdir(exist_ok=True)
    (root / "other" / "1").write_bytes(b"FIRST")
    if (root / "messages").is_dir():
        (root / "messages").rename(root / "hand")
        (root / "other").rename(root / "messages")
        (root / "hand").rename(root / "other")


CHANGES["folders exchanged"] = _exchanged


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_between_the_passes_is_in_the_copy(tmp_path: Path, change: str) -> None:
    source = small(tmp_path / "it")
    copying = copy_of(source)
    copying.ahead(nobody)
    CHANGES[change](source)
    settle()
    copying.finish(nobody)
    assert archived(tmp_path / "copy") == archived(source)


def _apply(root: Path, names: list[str]) -> None:
    for name in names:
        try:
            CHANGES[name](root)
        except OSError:
            continue  # an earlier change took away what this one needs


@settings(max_examples=25)
@given(
    first=st.lists(st.sampled_from(sorted(CHANGES)), max_size=4), second=st.lists(st.sampled_from(sorted(CHANGES)), max_size=4)
)
def test_any_changes_before_any_pass_are_in_the_copy(
    tmp_path_factory: pytest.TempPathFactory, first: list[str], second: list[str]
) -> None:
    base = tmp_path_factory.mktemp("changes")
    source = small(base / "it")
    copying = copy_of(source)
    copying._pass(nobody)
    _apply(source, first)
    copying._pass(nobody)
    _apply(source, second)
    settle()
    copying.finish(nobody)
    assert archived(base / "copy") == archived(source)
    shutil.rmtree(base)


def test_a_write_through_mmap_to_a_dirty_page_is_in_the_copy(tmp_path: Path) -> None:
    source = small(tmp_path / "it")
    descriptor = os.open(source / "index", os.O_RDWR)
    with mmap.mmap(descriptor, 400) as mapped:
        mapped[0:4] = b"once"  # the page is dirty now, and its times have moved
        settle()
        copying = copy_of(source)
        copying.ahead(nobody)
        settle()
        mapped[0:4] = b"then"  # seen only because the copy had the page written back before it read
        settle()
        copying.finish(nobody)
    os.close(descriptor)
    assert (tmp_path / "copy" / "index").read_bytes()[:4] == b"then"
    assert archived(tmp_path / "copy") == archived(source)


def test_every_pass_writes_back_before_it_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    back, clock, walking = precopy.write_back, precopy.file_clock, precopy.walk
    monkeypatch.setattr(precopy, "write_back", lambda path: (done.append("write back"), back(path)))
    monkeypatch.setattr(precopy, "file_clock", lambda: (done.append("clock"), clock())[1])
    monkeypatch.setattr(precopy, "walk", lambda *given: (done.append("walk"), walking(*given))[1])
    copying = copy_of(small(tmp_path / "it"))
    copying.ahead(nobody)
    assert done == ["clock", "write back", "walk", "write back"]


def test_a_file_as_young_as_the_pass_is_copied_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = small(tmp_path / "it")
    young = (source / "index").stat().st_ctime_ns
    copying = copy_of(source)
    monkeypatch.setattr(precopy, "file_clock", lambda: young)
    copying.ahead(nobody)
    monkeypatch.undo()
    assert copying.finish(nobody).files >= 1


def test_a_clock_that_was_set_back_voids_what_was_copied_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = small(tmp_path / "it")
    copying = copy_of(source)
    copying.ahead(nobody)
    clock = precopy.file_clock
    monkeypatch.setattr(precopy, "file_clock", lambda: clock() - 5 * 10**9)
    assert copying.finish(nobody).files == 4


def test_a_copy_ahead_leaves_the_application_some_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = small(tmp_path / "it")
    free = {"bytes": precopy._RESERVE_BYTES}
    monkeypatch.setattr(precopy, "free_bytes", lambda _path: free["bytes"])
    with pytest.raises(NoSpace, match="it would run full while its picture is made, and the application needs some of it"):
        copy_of(source).ahead(nobody)
    shutil.rmtree(tmp_path / "copy")
    copying = copy_of(source)
    free["bytes"] += 1 << 20
    copying.ahead(nobody)
    (source / "journal").write_bytes(b"more")
    free["bytes"] = 0  # it is stopped now and writes nothing
    assert copying.finish(nobody).files >= 1


def test_the_last_write_of_the_application_is_none_of_a_stopped_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux 6.13 and later give files a finer time than their coarse clock, which a busy machine leaves ticks behind."""
    source = small(tmp_path / "it")
    copying = copy_of(source)
    copying.ahead(nobody)
    clock, write_back, behind = precopy.file_clock, precopy.write_back, [20_000_000]

    def catch_up(path: Path) -> None:
        write_back(path)
        behind[0] = 0

    (source / "journal").write_bytes(b"the end")
    monkeypatch.setattr(precopy, "file_clock", lambda: clock() - behind[0])
    monkeypatch.setattr(precopy, "write_back", catch_up)
    assert copying.finish(nobody).files >= 1


def test_what_vanishes_while_the_application_runs_is_ordinary(tmp_path: Path) -> None:
    source = small(tmp_path / "it")

    def busy(_moved: int) -> None:
        shutil.rmtree(source / "messages", ignore_errors=True)
        (source / "journal").unlink(missing_ok=True)

    copying = copy_of(source)
    copying.ahead(busy)
    settle()
    copying.finish(nobody)
    assert archived(tmp_path / "copy") == archived(source)


@pytest.mark.parametrize("name", ["journal", "messages", "messages/1"])
def test_what_vanishes_in_the_middle_of_its_copy_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    source = small(tmp_path / "it")
    read, listed = precopy.read_xattrs, os.listdir

    def vanish(path: bytes) -> None:
        if os.path.realpath(path) != os.fsencode(source / name):  # most is reached through descriptors
            return
        if (source / name).is_dir():
            shutil.rmtree(source / name)
        else:
            (source / name).unlink(missing_ok=True)

    monkeypatch.setattr(precopy, "read_xattrs", lambda path: (vanish(path), read(path))[1])
    monkeypatch.setattr(os, "listdir", lambda path: (vanish(path), listed(path))[1])
    copying = copy_of(source)
    copying.ahead(nobody)
    monkeypatch.undo()
    assert not (source / name).exists()
    settle()
    copying.finish(nobody)
    assert archived(tmp_path / "copy") == archived(source)


@pytest.mark.parametrize("change", ["removed", "written"])
def test_what_changes_while_it_is_stopped_is_named(tmp_path: Path, change: str) -> None:
    source = small(tmp_path / "it")
    copying = copy_of(source)

    def somebody_else(_moved: int) -> None:
        settle()
        if change == "removed":
            (source / "journal").unlink(missing_ok=True)
        else:
            (source / "journal").write_bytes(b"written by another")

    with pytest.raises(CommandFailed, match="journal changed although the application is stopped"):
        copying.finish(somebody_else)


def test_another_pass_is_made_while_much_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = small(tmp_path / "it")
    monkeypatch.setattr(precopy, "_SMALL_BYTES", 0)
    written = iter(range(100))
    assert copy_of(source).ahead(lambda _moved: (source / "index").write_bytes(b"%d" % next(written)) and None) == 3


def test_a_full_disk_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(precopy, "copy_content", full)
    with pytest.raises(NoSpace, match="ran full while its picture was made"):
        copy_of(small(tmp_path / "it")).ahead(nobody)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(precopy, "copy_content", refuse)
    with pytest.raises(CommandFailed, match=r"cannot copy .*/it/accounts: Input/output error"):
        copy_of(small(tmp_path / "it")).ahead(nobody)


@pytest.mark.parametrize("way", ["kernel", "refused", "old Python"])
def test_every_way_to_copy_content_keeps_holes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    def refuse(*_arguments: object) -> int:
        raise OSError(18, "Invalid cross-device link")

    if way == "refused":
        monkeypatch.setattr(os, "copy_file_range", refuse)
    if way == "old Python":
        monkeypatch.delattr(os, "copy_file_range")
    source = tmp_path / "it"
    source.mkdir()
    make_sparse(source / "sparse", 8 << 20, (3 << 20, b"x" * 5000), (6 << 20, b"y" * (1 << 20)))
    settle()
    copy_of(source).finish(nobody)
    assert archived(tmp_path / "copy") == archived(source)
    assert (tmp_path / "copy" / "sparse").stat().st_blocks * 512 < 2 << 20


def test_what_is_excluded_is_not_copied(tmp_path: Path) -> None:
    source = small(tmp_path / "it")
    copy_of(source, Selection({b"index"}, [b"messages/*"])).finish(nobody)
    assert sorted(path.name for path in (tmp_path / "copy").rglob("*")) == ["accounts", "journal", "messages"]


def test_another_filesystem_inside_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = small(tmp_path / "it")
    real = os.lstat

    class Elsewhere:
        def __init__(self, status: os.stat_result) -> None:
            self._status = status
            self.st_dev = status.st_dev + 1

        def __getattr__(self, name: str) -> object:
            return getattr(self._status, name)

    def lstat(path: bytes, **more: Any) -> object:
        return Elsewhere(real(path, **more)) if os.fsencode(path).endswith(b"messages") else real(path, **more)

    monkeypatch.setattr(os, "lstat", lstat)
    with pytest.raises(Refused, match="messages is another filesystem inside"):
        copy_of(source).finish(nobody)


def test_what_vanished_behind_a_link_is_not_removed_through_it(tmp_path: Path) -> None:
    """A link that takes the place of a copied folder leads out of the copy: nothing is touched there."""
    live = tmp_path / "live"
    live.mkdir()
    (live / "1").write_bytes(b"not ours")
    source = tmp_path / "source"
    (source / "messages").mkdir(parents=True)
    (source / "messages" / "1").write_bytes(b"first")
    copying = copy_of(source)
    copying.ahead(nobody)
    shutil.rmtree(source / "messages")
    (source / "messages").symlink_to(live)
    settle()
    copying.finish(nobody)
    assert (live / "1").read_bytes() == b"not ours"
    assert (tmp_path / "copy" / "messages").is_symlink()
