# SPDX-License-Identifier: GPL-3.0-or-later
"""Small files that must survive a crash whole: written beside, synced, renamed."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any, Optional

from .process import last_line, run, spell_status


def write_atomic(path: Path, content: bytes, durable: bool = True) -> None:
    """Replace ``path`` by ``content`` with mode 0600; readers see the old or the new file, never a part.

    ``durable`` also survives a power cut; progress files do without.
    """
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(str(temporary), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(path)
    if durable:
        sync_directory(path.parent)


def write_json(path: Path, value: Any, durable: bool = True) -> None:
    """Replace ``path`` by ``value`` as JSON; see ``write_atomic``."""
    write_atomic(path, json.dumps(value, sort_keys=True).encode("utf-8", "surrogateescape") + b"\n", durable)


def read_json(path: Path) -> Optional[Any]:
    """Return the JSON value in ``path``, None when there is no such file."""
    try:
        return json.loads(path.read_bytes().decode("utf-8", "surrogateescape"))
    except FileNotFoundError:
        return None


def read_plain(path: Path, limit: int = 4096) -> str:
    """Return the text of a small file that somebody else may have put there; empty when there is no such plain file.

    No link is followed and nothing is waited for. What lies behind ``limit`` bytes is left out.
    """
    try:
        descriptor = os.open(str(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        plain = stat.S_ISREG(os.fstat(descriptor).st_mode)
        return os.read(descriptor, limit).decode("utf-8", "replace") if plain else ""
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Make renames in ``path`` survive a power cut."""
    descriptor = os.open(str(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def private_directory(path: Path) -> Path:
    """Make ``path`` (and parents) for root only and return it; what is made survives a power cut."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    for made in reversed(missing):
        sync_directory(made.parent)
    return path


def let_through(path: Path, top: Path) -> None:
    """Let every account pass through ``path`` and the folders above it up to ``top``, so that one may reach what it owns.

    Nobody can list them or read what lies in them because of it.
    """
    for folder in [path, *path.parents]:
        mode = folder.stat().st_mode & 0o777
        if mode & 0o111 != 0o111:
            folder.chmod(mode + (~mode & 0o111))
        if folder == top:
            return


def empty_directory(path: Path) -> Path:
    """Make ``path`` exist, private and empty, and return it."""
    if path.exists():
        remove_folder(path)
    return private_directory(path)


def remove_folder(path: Path) -> None:
    """Remove the folder ``path`` with everything in it, however deep; no link is followed. Raise OSError where it cannot."""
    try:
        shutil.rmtree(str(path))
    except (RecursionError, OSError) as error:  # it takes a call and a descriptor for every level
        if isinstance(error, OSError) and error.errno != errno.EMFILE:
            raise
        done = run(["rm", "-rf", "--", str(path)])
        if done.status != 0:
            raise OSError(errno.EIO, f"rm {spell_status(done.status)}: {last_line(done.stderr)}", str(path)) from error


def free_bytes(path: Path) -> int:
    """Return the bytes that may still be written to the filesystem of ``path`` (or of its nearest existing parent)."""
    while not path.exists():
        path = path.parent
    status = os.statvfs(str(path))
    return status.f_bavail * status.f_frsize


def tree_bytes(path: Path) -> int:
    """Return the bytes that the files below ``path`` occupy on disk; what vanishes or cannot be read does not count."""
    total, folders = 0, [str(path)]
    while folders:  # os.walk of older Pythons takes a call for every level
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(entry.path)
                        else:
                            total += entry.stat(follow_symlinks=False).st_blocks * 512
        except OSError:
            continue
    return total


def human(count: float) -> str:
    """Return ``count`` bytes for people: '1.3 GiB'."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
