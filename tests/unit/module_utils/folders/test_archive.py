# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives are unpacked by GNU tar, as at a restore, and held against their manifest."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Callable
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.errors import CaptureFailed, IntegrityError
from ansible_collections.backstay.fleet.plugins.module_utils.folders import archive, manifest
from ansible_collections.backstay.fleet.plugins.module_utils.folders.metadata import read_metadata
from ansible_collections.backstay.fleet.plugins.module_utils.folders.walk import Selection
from unit.support.folders import apple_double, archived, make_rich, make_sparse, unpacked


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_rich(tmp_path_factory.mktemp("rich") / "it")


@pytest.fixture(scope="module")
def packed(rich: Path) -> bytes:
    return archived(rich)


def lines_of(packed: bytes) -> list[dict[str, Any]]:
    with tarfile.open(fileobj=BytesIO(packed)) as members:
        last = members.getmembers()[-1]
        assert last.name == manifest.MEMBER
        content = members.extractfile(last)
        assert content is not None
        return [json.loads(line) for line in content]


def test_everything_survives_gnu_tar_and_is_proved(rich: Path, packed: bytes, tmp_path: Path) -> None:
    into = unpacked(packed, tmp_path / "into")
    proved = manifest.prove(into)
    assert proved.entries == len(lines_of(packed)) - 2
    assert not (into / manifest.MEMBER).exists()
    assert lines_of(archived(into))[1:-1] == lines_of(packed)[1:-1]
    assert read_metadata(os.fsencode(into)) == read_metadata(os.fsencode(rich))
    assert (into / "sparse").stat().st_blocks * 512 < 4 << 20
    assert (into / "a b").stat().st_ino == (into / "sub" / "hard").stat().st_ino


def test_an_archive_depends_on_nothing_but_the_folder(rich: Path, packed: bytes) -> None:
    assert archived(rich) == packed


def test_a_socket_is_left_out_and_named(packed: bytes) -> None:
    assert lines_of(packed)[-1]["sockets"] == ["socket"]
    assert "socket" not in [line.get("path") for line in lines_of(packed)]


def test_macintosh_files_are_described(packed: bytes) -> None:
    lines = {line.get("path"): line for line in lines_of(packed)}
    said = lines["._Queue 1"]["mac"]
    assert (said["type"], said["creator"], said["resource_bytes"]) == ("PSmq", "PSml", 20000)
    assert lines["Queue 1"]["mac"]["resource_bytes"] == len(b"in an attribute")
    assert "mac" not in lines["a b"]


def test_a_resource_fork_is_hashed_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "it"
    folder.mkdir()
    fork = bytes(range(256)) * 50
    (folder / "._x").write_bytes(apple_double(fork))
    whole = lines_of(archived(folder))[2]["mac"]
    monkeypatch.setattr(manifest, "BLOCK", 500)
    assert lines_of(archived(folder))[2]["mac"] == whole
    assert whole["resource_bytes"] == len(fork)


def test_what_is_excluded_stays_out(rich: Path) -> None:
    lines = lines_of(archived(rich, Selection(set(), [b"sub/hard", b"p" * 120, b"._*"])))
    paths = {line.get("path") for line in lines}
    assert "sub/link" in paths
    assert not {"sub/hard", "p" * 120, "._Queue 1"} & paths
    assert lines[0]["exclude"] == ["sub/hard", "p" * 120, "._*"]


def test_a_file_with_the_name_of_the_manifest_is_refused(tmp_path: Path) -> None:
    (tmp_path / manifest.MEMBER).touch()
    with pytest.raises(CaptureFailed, match="bears the name of the manifest"):
        archived(tmp_path)


def test_a_file_that_cannot_be_read_fails_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "good").write_bytes(b"1")
    (tmp_path / "ledger").write_bytes(b"2")
    real = os.open

    def refuse(path: Any, *arguments: Any, **more: Any) -> int:
        if os.fsencode(path).endswith(b"ledger"):
            raise PermissionError(13, "Permission denied", path)
        return real(path, *arguments, **more)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(CaptureFailed, match="cannot read /srv/it/ledger: Permission denied"):
        archived(tmp_path)


def test_a_file_that_shrinks_fails_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ledger").write_bytes(b"1" * 5000)
    monkeypatch.setattr(os, "pread", lambda *_arguments: b"")
    with pytest.raises(IntegrityError, match="became shorter"):
        archived(tmp_path)


@pytest.mark.parametrize("moment", [0, 1, -1, -1_500_000_000, 1_700_000_000_123_456_789])
def test_times_are_spelled_in_decimal_seconds(moment: int) -> None:
    assert Decimal(archive._seconds(moment)) * 10**9 == moment


def test_a_sparse_file_with_many_pieces(tmp_path: Path) -> None:
    folder = tmp_path / "it"
    folder.mkdir()
    make_sparse(folder / "many", 64 << 20, *((n << 19, b"piece") for n in range(100)))
    packed = archived(folder)
    assert len(packed) < 2 << 20
    into = unpacked(packed, tmp_path / "into")
    manifest.prove(into)
    assert (into / "many").stat().st_size == 64 << 20


def _taken_in_advance(path: Path) -> None:
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 1 << 20)


def _begun(path: Path) -> None:
    _taken_in_advance(path)
    with path.open("r+b") as file:
        file.write(b"begun")
        os.fsync(file.fileno())


def _written(path: Path) -> None:
    path.write_bytes(b"x" * 5000)


@pytest.mark.parametrize("make", [_taken_in_advance, _begun, _written, Path.touch])
def test_a_file_of_any_room_comes_back(tmp_path: Path, make: Callable[[Path], None]) -> None:
    folder = tmp_path / "it"
    folder.mkdir()
    make(folder / "journal")
    into = unpacked(archived(folder), tmp_path / "into")
    manifest.prove(into)
    assert (into / "journal").read_bytes() == (folder / "journal").read_bytes()


def test_a_small_hole_is_seen_whatever_room_the_file_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On ext4 and XFS the blocks of a file may hold its attributes, too."""
    folder = tmp_path / "it"
    folder.mkdir()
    (folder / "ledger").write_bytes(bytes(4096) + b"x" * 4096)
    for module in (archive, manifest):
        monkeypatch.setattr(module, "data_ranges", lambda _descriptor, size: iter([(4096, size)]))
    into = unpacked(archived(folder), tmp_path / "into")
    monkeypatch.undo()
    manifest.prove(into)
    assert (into / "ledger").read_bytes() == bytes(4096) + b"x" * 4096


# What the proof notices

DAMAGE: dict[str, tuple[str, Any]] = {
    "content": ("a b differs in sha256", lambda into: _keep_times(into / "a b", lambda: (into / "a b").write_bytes(b"hellp"))),
    "length": ("differs in mtime, sha256, size", lambda into: (into / ".hidden").write_bytes(b"longer than before")),
    "missing file": (".hidden is missing", lambda into: (into / ".hidden").unlink()),
    "missing end": ("is missing", lambda into: (into / "ünï:c\\n").unlink()),
    "missing folder": ("empty is missing", lambda into: (into / "empty").rmdir()),
    "one more": ("more is not in the manifest", lambda into: (into / "sub" / "more").touch()),
    "mode": ("-rf differs in mode", lambda into: (into / "-rf").chmod(0o600)),
    "owner": ("differs in", lambda into: os.chown(into / ".hidden", 7, 7)),
    "time": ("sub differs in mtime", lambda into: os.utime(into / "sub", ns=(1, 987_654_321_123_456_788))),
    "attribute": ("sub differs in xattrs", lambda into: os.setxattr(into / "sub", "user.text", b"another")),
    "lost attribute": ("a b differs in xattrs", lambda into: os.removexattr(into / "a b", "user.x=y%z")),
    "resource fork": (
        "Queue 1 differs in mac, xattrs",
        lambda into: os.removexattr(into / "Queue 1", "user.com.apple.ResourceFork"),
    ),
    "companion": ("._Queue 1 is missing", lambda into: (into / "._Queue 1").unlink()),
    "hard link": ("sub/hard differs in", lambda into: _separate(into / "sub" / "hard")),
    "link": ("sub/link differs in target", lambda into: _relink(into / "sub" / "link")),
    "type": ("pipe differs in", lambda into: _retype(into / "pipe")),
    "root": ("the folder itself differs in mode", lambda into: into.chmod(0o755)),
}


def _keep_times(path: Path, change: Any) -> None:
    """Change a thing and nothing else: neither its own times nor those of its folder."""
    own, above = path.lstat(), path.parent.lstat()
    change()
    if os.path.lexists(path):
        os.utime(path, ns=(1, own.st_mtime_ns), follow_symlinks=False)
    os.utime(path.parent, ns=(1, above.st_mtime_ns))


def _separate(path: Path) -> None:
    def separate() -> None:
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)

    _keep_times(path, separate)


def _relink(path: Path) -> None:
    _keep_times(path, lambda: (path.unlink(), path.symlink_to("elsewhere")))


def _retype(path: Path) -> None:
    _keep_times(path, lambda: (path.unlink(), path.touch()))


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_proof_notices(packed: bytes, tmp_path: Path, damage: str) -> None:
    said, change = DAMAGE[damage]
    into = unpacked(packed, tmp_path / "into")
    change(into)
    with pytest.raises(IntegrityError, match="is not what was saved") as refusal:
        manifest.prove(into, "mail")
    assert said in refusal.value.message
    assert "of mail" in refusal.value.message
    assert (into / manifest.MEMBER).exists()


def test_a_folder_without_its_manifest_proves_nothing(packed: bytes, tmp_path: Path) -> None:
    into = unpacked(packed, tmp_path / "into")
    whole = (into / manifest.MEMBER).read_bytes()
    (into / manifest.MEMBER).write_bytes(whole[: whole.rindex(b'{"end')])
    with pytest.raises(IntegrityError, match="is cut off"):
        manifest.prove(into)
    (into / manifest.MEMBER).write_bytes(b"{}\n")
    with pytest.raises(IntegrityError, match="none of backstay"):
        manifest.prove(into)
    (into / manifest.MEMBER).unlink()
    with pytest.raises(IntegrityError, match="holds no manifest"):
        manifest.prove(into)
