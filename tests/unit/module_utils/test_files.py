# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import files
from hypothesis import given
from hypothesis import strategies as st


def test_a_written_file_is_private_whole_and_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(b"old")
    path.chmod(0o644)
    files.write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [item.name for item in tmp_path.iterdir()] == ["state.json"]


def test_a_write_in_small_strides_is_still_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel may take fewer bytes than offered (a signal, a nearly full disk)."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: write(descriptor, bytes(content)[:7]))
    files.write_atomic(tmp_path / "x", bytes(range(256)) * 4)
    monkeypatch.undo()
    assert (tmp_path / "x").read_bytes() == bytes(range(256)) * 4


def test_a_failed_write_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int, _content: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "state.json"
    files.write_json(path, {"a": 1})
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_json(path, {"a": 2})
    monkeypatch.undo()
    assert files.read_json(path) == {"a": 1}


@given(value=st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_json_comes_back(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "value.json"
    files.write_json(path, value, durable=False)
    assert files.read_json(path) == value


def test_names_that_are_no_text_survive_in_json(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    files.write_json(tmp_path / "x.json", {"path": name})
    assert files.read_json(tmp_path / "x.json") == {"path": name}


def test_no_file_is_no_value(tmp_path: Path) -> None:
    assert files.read_json(tmp_path / "absent.json") is None


def test_a_torn_file_is_an_error_and_not_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a": ')
    with pytest.raises(ValueError, match="Expecting value"):
        files.read_json(tmp_path / "x.json")


def test_private_and_empty_directories(tmp_path: Path) -> None:
    made = files.private_directory(tmp_path / "a" / "b")
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    (made / "old").mkdir()
    (made / "old" / "file").touch()
    assert list(files.empty_directory(made).iterdir()) == []
    assert files.empty_directory(tmp_path / "new").is_dir()


def test_free_bytes_asks_the_nearest_existing_parent(tmp_path: Path) -> None:
    free = files.free_bytes(tmp_path / "not" / "yet" / "there")
    status = os.statvfs(tmp_path)
    assert abs(free - status.f_bavail * status.f_frsize) < 1 << 30
    assert free > 0


def test_tree_bytes_counts_what_lies_on_disk(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "data").write_bytes(os.urandom(100_000))
    with (tmp_path / "hole").open("wb") as stream:
        stream.truncate(1 << 30)
    os.sync()
    assert 100_000 <= files.tree_bytes(tmp_path) < 1_000_000
    assert files.tree_bytes(tmp_path / "absent") == 0
    subprocess.run(["mkdir", "-p", tmp_path / "a" / "/".join(["d"] * 1900)], check=True)
    assert 100_000 <= files.tree_bytes(tmp_path) < 10_000_000
    files.remove_folder(tmp_path / "a")


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536 << 10, "1.5 MiB"), (1 << 30, "1.0 GiB"), (3 << 52, "12288.0 TiB")],
)
def test_bytes_for_people(count: int, text: str) -> None:
    assert files.human(count) == text
