# SPDX-License-Identifier: GPL-3.0-or-later
"""Walk through a folder in one fixed order, with any bytes as names, never following a link or leaving the filesystem.

A folder may be deeper than a process may have files open, but no path in it longer than what can be unpacked again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Callable, Iterable, Iterator, List, NamedTuple, Optional, Set

from ..errors import BackstayError, CommandFailed, NoSpace, Refused
from ..yard import INSIDE
from .filesystem import EXT, kind

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_HEADERS = 1536  # of one member with its pax records, and its line in the manifest
_OPEN = 64  # folders that a walk holds open at once
# The kernel takes 4096 (PATH_MAX): GNU tar unpacks by the whole path, a copy is written by one with a little before it.
LONGEST_PATH = 4000


class Entry(NamedTuple):
    """One thing below a folder: its path relative to it (empty: the folder itself) and what lstat says.

    ``place`` is where to reach it, whatever becomes of the names above it; it is good until the walk goes on.
    """

    path: bytes
    status: os.stat_result
    place: bytes


class Selection(NamedTuple):
    """What of a folder does not belong to its content.

    ``own``: names at its top that are the filesystem's or Backstay's. ``patterns``: shell patterns of the operator, see
    ``excluded``.
    """

    own: Set[bytes]
    patterns: List[bytes]


def selection(folder: Path, patterns: Iterable[str]) -> Selection:
    """Return what is left out of ``folder``: the operator's ``patterns``, and at a mount point what is not content."""
    return Selection(kept_at_top(folder), [os.fsencode(pattern) for pattern in patterns])


def kept_at_top(folder: Path) -> Set[bytes]:
    """Return the names in ``folder`` that are no content of it: a mount point holds some of the filesystem's and Backstay's."""
    if not os.path.ismount(str(folder)):
        return set()
    # Elsewhere lost+found is a name like another: content that was brought from ext, say.
    return {os.fsencode(INSIDE), *([b"lost+found"] if kind(folder) == EXT else [])}


def excluded(path: bytes, patterns: Iterable[bytes]) -> bool:
    """Return whether a relative ``path`` is left out, with all below it.

    A pattern without a slash is held against the last name, one with a slash against the whole path, name by name:
    ``*.tmp``, ``cache``, ``logs/*.old``.
    """
    names = path.split(b"/")
    for pattern in patterns:
        wanted = pattern.strip(b"/").split(b"/")
        held = names if b"/" in pattern.rstrip(b"/") else names[-1:]
        if len(held) == len(wanted) and all(fnmatchcase(*pair) for pair in zip(held, wanted)):
            return True
    return False


def walk(root: bytes, leave_out: Selection, vanished: Callable[[bytes], None], name: Optional[bytes] = None) -> Iterator[Entry]:
    """Yield ``root`` and everything below it, folders before their content, names in the order of their bytes.

    ``vanished`` is told what was listed and is gone, also when a link took the place of a folder: none is followed. ``name`` is
    that of the root in sentences. Raise Refused at another filesystem and for a path that is too long, OSError for what cannot
    be read.
    """
    top = os.lstat(root)
    yield Entry(b"", top, root)
    way = _Way(leave_out, os.open(root, _FOLDER), top)
    try:
        while way.listings:
            listing = way.listings[-1]
            path = next(listing.paths, None)
            if path is None:
                way.leave(vanished)
                continue
            own = path[listing.skip :]
            try:
                status = os.lstat(own, dir_fd=listing.descriptor)
                _require_same_filesystem(name or root, path, status, top)
                _require_short(name or root, path)
                yield Entry(path, status, listing.place + own)
                if stat.S_ISDIR(status.st_mode):
                    way.enter(_open_same(own, listing.descriptor, status), path, status)
            except (FileNotFoundError, NotADirectoryError):
                vanished(path)
            except OSError as error:
                error.filename = os.path.join(name or root, path)  # it has only the last name, or a descriptor's
                raise
    finally:
        way.close()


class _Listing:
    """A folder in which a walk is, and the relative paths in it that are still to come."""

    def __init__(self, descriptor: int, path: bytes, status: os.stat_result, leave_out: Selection) -> None:
        """List an open folder, in order; it is read at once."""
        self.descriptor, self.path, self.status = descriptor, path, status  # -1: it is not open now
        self.skip = len(path) + 1 if path else 0  # so much of each path is not its own name
        names = sorted(os.listdir(self.place))
        if not path:
            names = [name for name in names if name not in leave_out.own]
        paths = [os.path.join(path, name) for name in names]
        self.paths = iter([found for found in paths if not excluded(found, leave_out.patterns)])

    @property
    def place(self) -> bytes:
        """Where its entries are reached while it is open."""
        return b"/proc/self/fd/%d/" % self.descriptor


class _Way:
    """The folders from the root of a walk to where it is. The root and the deepest are open, the others as they come up."""

    def __init__(self, leave_out: Selection, descriptor: int, status: os.stat_result) -> None:
        self.listings: List[_Listing] = []
        self._leave_out = leave_out
        self.enter(descriptor, b"", status)

    def enter(self, descriptor: int, path: bytes, status: os.stat_result) -> None:
        """Go down into an open folder, which is closed when it cannot be read."""
        try:
            self.listings.append(_Listing(descriptor, path, status, self._leave_out))
        except BaseException:
            os.close(descriptor)
            raise
        if len(self.listings) > _OPEN:
            self._close(self.listings[-_OPEN])

    def leave(self, vanished: Callable[[bytes], None]) -> None:
        """Go up; what cannot be reached any more, with all that was still to come in it, is told to ``vanished``."""
        left = self.listings.pop()
        try:
            while self.listings and self.listings[-1].descriptor < 0:
                try:
                    self.listings[-1].descriptor = self._open_again(left.descriptor)
                except (FileNotFoundError, NotADirectoryError):
                    vanished(self.listings.pop().path)
        finally:
            self._close(left)

    def _open_again(self, below: int) -> int:
        """Open the deepest folder again: it is above the one ``below``, unless that was moved; then by the names of the way."""
        wanted = self.listings[-1].status
        with contextlib.suppress(FileNotFoundError):
            return _same(os.open(b"..", _FOLDER, dir_fd=below), wanted)
        held = os.dup(self.listings[0].descriptor)
        for above, listing in zip(self.listings, self.listings[1:]):
            try:
                further = _open_same(listing.path[above.skip :], held, listing.status)
            finally:
                os.close(held)
            held = further
        return held

    def close(self) -> None:
        """Leave nothing open."""
        for listing in self.listings:
            self._close(listing)

    @staticmethod
    def _close(listing: _Listing) -> None:
        if listing.descriptor >= 0:
            os.close(listing.descriptor)
            listing.descriptor = -1


def _open_same(name: bytes, above: int, status: os.stat_result) -> int:
    """Open the folder ``name`` in an open one. Raise FileNotFoundError when it is not that of ``status`` any more."""
    try:
        descriptor = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=above)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise FileNotFoundError(errno.ENOENT, "it is no folder any more") from error
        raise
    return _same(descriptor, status)


def _same(descriptor: int, status: os.stat_result) -> int:
    """Return the descriptor of a folder. Close it and raise FileNotFoundError when it is not that of ``status``."""
    found = os.fstat(descriptor)
    if (found.st_dev, found.st_ino) != (status.st_dev, status.st_ino):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, "it is another folder by now")
    return descriptor


def _require_short(root: bytes, path: bytes) -> None:
    if len(path) > LONGEST_PATH:
        raise Refused(
            f"{show(os.path.join(root, path[:60]))}... is too deep: a path of more than {LONGEST_PATH} bytes in {show(root)}"
            " could not be restored",
            "move it up, or exclude it",
        )


def _require_same_filesystem(root: bytes, path: bytes, status: os.stat_result, top: os.stat_result) -> None:
    if status.st_dev != top.st_dev:
        raise Refused(
            f"{show(os.path.join(root, path))} is another filesystem inside {show(root)}",
            "exclude it, and list it as a folder of its own when it is wanted",
        )


class Size(NamedTuple):
    """How large a folder is: entries below it, bytes that they occupy (files with several names once), bytes of an archive."""

    entries: int
    occupied: int
    archive: int


def measure(folder: Path, leave_out: Selection) -> Size:
    """Return the size of ``folder``; what vanishes meanwhile does not count."""
    entries, occupied, archive, seen = -1, 0, 0, set()  # the folder itself is no entry of it
    for entry in walk(os.fsencode(str(folder)), leave_out, lambda _path: None):
        entries += 1
        archive += _HEADERS
        if entry.status.st_nlink < 2 or stat.S_ISDIR(entry.status.st_mode) or entry.status.st_ino not in seen:
            seen.add(entry.status.st_ino if entry.status.st_nlink > 1 else 0)
            blocks = entry.status.st_blocks * 512
            occupied += blocks
            archive += min(entry.status.st_size, blocks)
    return Size(entries, occupied, archive)


def explained(error: OSError, folder: Path) -> BackstayError:
    """Return what ``error`` at work on the picture of ``folder`` means for the operator."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpace(
            f"the filesystem of {folder} ran full while its picture was made",
            "make room for a copy beside the data, then run again",
        )
    place = show(os.fsencode(error.filename)) if isinstance(error.filename, (str, bytes)) else str(folder)
    return CommandFailed(f"cannot copy {place}: {error.strerror}", "mend it, or leave it out on purpose")


def show(path: bytes) -> str:
    """Return ``path`` for a sentence; bytes that are no text are spelled out."""
    return path.decode("utf-8", "backslashreplace")


def order(path: bytes) -> List[bytes]:
    """Return the key by which ``walk`` orders paths."""
    return path.split(b"/") if path else []
