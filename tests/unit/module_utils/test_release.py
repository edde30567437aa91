# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput, IntegrityError
from ansible_collections.backstay.fleet.plugins.module_utils.release import install, is_installed, unpack

PROGRAM = b"#!/bin/sh\necho restic 0.18.0\n"


def tar_gz(name: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(PROGRAM)
        archive.addfile(member, io.BytesIO(PROGRAM))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("url", "blob"),
    [
        ("https://x/restic", PROGRAM),
        ("https://x/restic.bz2", bz2.compress(PROGRAM)),
        ("https://x/restic.GZ?token=1", gzip.compress(PROGRAM)),
        ("https://x/r.tar.gz", tar_gz("r_0.13_linux/restic")),
        ("https://x/r.tgz", tar_gz("restic")),
    ],
    ids=["plain", "bz2", "gz", "tar.gz", "tgz"],  # without ids the packed bytes, and with them the time, become names
)
def test_every_packing_gives_the_program(tmp_path: Path, url: str, blob: bytes) -> None:
    checksum = hashlib.sha256(blob).hexdigest()
    path = tmp_path / "lib" / "restic"
    install(path, url, checksum.upper(), "restic", {url: blob}.__getitem__)
    assert path.read_bytes() == PROGRAM
    assert path.stat().st_mode & 0o777 == 0o755
    assert is_installed(path, checksum)
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["restic", "restic.sha256"]


def test_a_wrong_checksum_installs_nothing(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="has the SHA-256"):
        install(tmp_path / "restic", "https://x/restic", "0" * 64, "restic", lambda _: PROGRAM)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("url", "blob"), [("x.bz2", b"no"), ("x.gz", b"no"), ("x.tar.gz", b"no"), ("x.tgz", tar_gz("other"))])
def test_a_damaged_or_wrong_archive_is_an_error(url: str, blob: bytes) -> None:
    with pytest.raises(BadInput):
        unpack(url, blob, "restic")


def test_a_changed_or_other_program_is_not_installed(tmp_path: Path) -> None:
    path, checksum = tmp_path / "restic", hashlib.sha256(PROGRAM).hexdigest()
    assert not is_installed(path, checksum)
    install(path, "restic", checksum, "restic", lambda _: PROGRAM)
    assert is_installed(path, checksum.upper())
    assert not is_installed(path, "0" * 64)
    path.write_bytes(PROGRAM + b"x")
    assert not is_installed(path, checksum)
