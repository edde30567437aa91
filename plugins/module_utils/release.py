# SPDX-License-Identifier: GPL-3.0-or-later
"""Install one program from a published release: fetched, compared with its SHA-256, unpacked, put in place in one move."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import os
import tarfile
import tempfile
from pathlib import Path
from typing import Callable

from .errors import BadInput, IntegrityError
from .files import sync_directory


def source_file(path: Path) -> Path:
    """Return the file beside the program ``path`` that keeps the checksum of the release it came from."""
    return path.with_name(path.name + ".sha256")


def is_installed(path: Path, checksum: str) -> bool:
    """Whether ``path`` was installed from the release with this checksum and is unchanged since."""
    try:
        kept = source_file(path).read_text(encoding="ascii").split()
        return kept == [checksum.lower(), _sha256(path.read_bytes())] and os.access(str(path), os.X_OK)
    except FileNotFoundError:
        return False


def install(path: Path, url: str, checksum: str, member: str, fetch: Callable[[str], bytes]) -> None:
    """Install the program from ``url`` (plain, .gz, .bz2, .tar.gz or .tgz) as ``path``, mode 0755.

    ``checksum`` is the SHA-256 of the fetched file, ``member`` the base name of the program inside a tar archive, ``fetch``
    returns the bytes behind a URL. Raise IntegrityError when the checksum differs, BadInput for an archive without it.
    """
    blob = fetch(url)
    found = _sha256(blob)
    if found != checksum.lower():
        raise IntegrityError(f"the release file {url} has the SHA-256 {found}, expected {checksum}", "nothing was installed")
    program = unpack(url, blob, member)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    _replace(path, program, 0o755)
    _replace(source_file(path), f"{found} {_sha256(program)}\n".encode("ascii"), 0o644)
    sync_directory(path.parent)


def unpack(url: str, blob: bytes, member: str) -> bytes:
    """Return the program inside ``blob``; the end of ``url`` tells how it is packed."""
    name = url.partition("?")[0].lower()
    try:
        if name.endswith((".tar.gz", ".tgz")):
            return _member(blob, member)
        if name.endswith(".bz2"):
            return bz2.decompress(blob)
        if name.endswith(".gz"):
            return gzip.decompress(blob)
    except (OSError, EOFError, ValueError, tarfile.TarError) as error:
        raise BadInput(f"the release file {url} cannot be unpacked: {error}") from error
    return blob


def _member(blob: bytes, member: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(blob), mode="r:gz") as archive:
        for item in archive:
            if item.isfile() and item.name.rsplit("/", 1)[-1] == member:
                file = archive.extractfile(item)
                assert file is not None
                return file.read()
    raise BadInput(f"the archive holds no file named {member}")


def _replace(path: Path, content: bytes, mode: int) -> None:
    # A name of its own: several protected hosts may share one worker and be set up at the same time.
    descriptor, temporary = tempfile.mkstemp(prefix=path.name + ".", dir=str(path.parent))
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
