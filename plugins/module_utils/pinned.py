# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders held by descriptor: whoever owns a directory above may rename them, and cannot put anything else in their place.

Root works in directories of accounts that it does not trust. A path is looked up anew by every call, and what it leads to may
have been exchanged for a link since the last one; a descriptor stays what it is. ``place`` makes a path of one.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import Iterator, List

from .errors import Refused
from .files import sync_directory

_LINKS = 40  # as many as the kernel follows
_LOOK = getattr(os, "O_PATH", 0) | os.O_NOFOLLOW | os.O_CLOEXEC


def place(descriptor: int) -> str:
    """Return a path of this process for what is open; with ``/.`` behind it, it is no link to the folder but the folder."""
    return f"/proc/self/fd/{descriptor}"


def open_folder(path: Path) -> int:
    """Return a descriptor of the folder ``path`` (absolute); it serves to reach things, not to list them.

    Raise Refused for a link on the way that anybody but root could exchange, OSError when there is no such folder.
    """
    names, followed = [name for name in reversed(str(path).split("/")) if name], 0
    held = os.open("/", _LOOK)
    try:
        while names:
            name = names.pop()
            further = os.open(name, _LOOK, dir_fd=held)
            status = os.fstat(further)
            if stat.S_ISLNK(status.st_mode):
                followed += 1
                try:
                    _require_roots(status, os.fstat(held), os.path.join(os.readlink(place(held)), name))
                    target = os.readlink("", dir_fd=further)
                finally:
                    os.close(further)
                if followed > _LINKS:
                    raise Refused(f"{path} leads through too many links", "name the folder itself")
                names += [part for part in reversed(target.split("/")) if part]
                further = os.open("/", _LOOK) if target.startswith("/") else os.dup(held)
            held, left = further, held
            os.close(left)
        if not stat.S_ISDIR(os.fstat(held).st_mode):
            raise NotADirectoryError(20, "Not a directory", str(path))
    except BaseException:
        os.close(held)
        raise
    return held


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    """Hold the folder ``path`` open; see ``open_folder``."""
    descriptor = open_folder(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def opened_below(above: int, path: Path) -> Iterator[int]:
    """Hold the folder ``path``, relative to an open one, open. Raise OSError for any link on the way."""
    held = os.dup(above)
    try:
        for name in path.parts:
            further = os.open(name, _LOOK | os.O_DIRECTORY, dir_fd=held)
            held, left = further, held
            os.close(left)
        yield held
    finally:
        os.close(held)


@contextlib.contextmanager
def opened_or_made(path: Path) -> Iterator[int]:
    """Hold the folder ``path`` open, which is made with all that is missing above it; what is made is this account's alone."""
    with contextlib.ExitStack() as way:
        missing: List[str] = []
        while True:
            try:
                held = way.enter_context(opened(path))
                break
            except FileNotFoundError:
                missing.append(path.name)
                path = path.parent
        for name in reversed(missing):
            held = make_folder(held, name)
            way.callback(os.close, held)
        yield held


def make_folder(above: int, name: str) -> int:
    """Make the folder ``name`` in an open one if need be and return a descriptor of it, which can be listed.

    Raise Refused when it is no folder of this account's own.
    """
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=above)
    return open_own(above, name)


def open_own(above: int, name: str) -> int:
    """Return a descriptor of the folder ``name`` in an open one. Raise Refused when it is no folder of this account's own."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
    except OSError as error:
        raise _not_ours(above, name) from error
    if os.fstat(descriptor).st_uid != os.geteuid():
        os.close(descriptor)
        raise _not_ours(above, name)
    return descriptor


def names_in(held: int) -> List[str]:
    """Return the names in an open folder, sorted."""
    return sorted(os.listdir(place(held)))


def has(held: int, name: str) -> bool:
    """Return whether an open folder holds ``name``; a link counts, wherever it leads."""
    try:
        os.lstat(name, dir_fd=held)
        return True
    except FileNotFoundError:
        return False


def sync(held: int) -> None:
    """Make renames in an open folder survive a power cut."""
    sync_directory(Path(place(held)))


def _not_ours(above: int, name: str) -> Refused:
    where = os.path.join(os.readlink(place(above)), name)
    return Refused(f"{where} was made by somebody else; it is left alone", "look at it, and move it away")


def _require_roots(link: os.stat_result, folder: os.stat_result, name: str) -> None:
    """Raise Refused unless only root (or the account that works) can exchange the link ``name`` in ``folder``."""
    own = (0, os.geteuid())
    others_write = folder.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not folder.st_mode & stat.S_ISVTX
    if link.st_uid not in own or folder.st_uid not in own or others_write:
        raise Refused(
            f"{name} is a link, and others than root can let it lead elsewhere",
            "name the folder that it leads to, or have root own the link and the folder that it is in",
        )
