# SPDX-License-Identifier: GPL-3.0-or-later
"""Hot pre-copy and cold delta: a copy of a folder whose application stands still only while the last differences are taken.

The rule that makes it safe (docs/decisions/0008): a pass notes the moment S, *then* has the filesystem write back its dirty
pages, *then* reads. A write through mmap to a page that was dirty already moves no time of the file; after the write-back the
next write does. So whatever changes after it was read carries a time at or after S: the cold pass copies again what differs
from what was read, and what bears a time at or after S (minus the grain of the clock). Nothing else is read while stopped.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path
from typing import Callable, Dict, NamedTuple, Optional, Set, Tuple

from ..errors import BackstayError, CommandFailed, NoSpace
from ..files import free_bytes, remove_folder
from .filesystem import clone, copy_content, file_clock, write_back
from .metadata import apply_metadata, of_status, read_xattrs
from .walk import Entry, Selection, explained, show, walk

HOT_PASSES = 3
_SMALL_BYTES, _SMALL_FILES = 32 << 20, 500  # what is not worth another pass while the application runs
_RESERVE_BYTES = 8 << 20  # stays free for the application while it runs
_SLEW = 0.001  # the share by which a clock that is only slewed may run differently

Signature = Tuple[int, ...]


class Record(NamedTuple):
    """What was read of a path, and the moment S of the pass that read it."""

    signature: Signature
    since: int


class Copied(NamedTuple):
    """What a pass copied."""

    files: int
    bytes: int


class TreeCopy:
    """The copy of the folder ``source`` in ``target``, in passes. ``grain``: see ``time_grain``; ``cloning``: reflinks.

    ``by``: where the source is reached, if not by its name, which may come to mean another folder.
    """

    def __init__(
        self, source: Path, target: Path, leave_out: Selection, grain: int, *, cloning: bool, by: Optional[bytes] = None
    ) -> None:
        self._name, self._target = os.fsencode(str(source)), os.fsencode(str(target))
        self._source = by or self._name
        self._reach = Path(os.fsdecode(self._source))
        self._folder, self._leave_out, self._grain, self._cloning = source, leave_out, grain, cloning
        self._records: Dict[bytes, Record] = {}
        self._clocks: Optional[Tuple[int, float]] = None
        self._began = 0  # of the cold pass; 0 while the application runs
        self._files = self._bytes = 0
        self._tell: Callable[[int], None] = lambda _moved: None
        self._links: Dict[int, bytes] = {}  # in this pass: the first name of every file that has several
        self._folders: Dict[bytes, os.stat_result] = {}
        self._touched: Set[bytes] = set()  # folders of the copy that need their own metadata again
        self._lost = False  # whether something vanished in this pass, and its copy with it

    def ahead(self, tell: Callable[[int], None]) -> int:
        """Copy while the application runs, again while much has changed meanwhile; return the number of passes."""
        passes, much = 0, True
        while much and passes < HOT_PASSES:
            done = self._pass(tell)
            passes += 1
            much = done.bytes > _SMALL_BYTES or done.files > _SMALL_FILES
        write_back(self._reach)  # what the copy itself wrote is not to be written while the application is stopped
        return passes

    def finish(self, tell: Callable[[int], None]) -> Copied:
        """Complete the copy while nothing writes. Raise CommandFailed naming what is written nevertheless."""
        if self._clock_went_back():
            self._records = {}  # times from before say nothing: all is copied again
        self._began = time.time_ns()  # a write right before may bear a time that file_clock has not come to yet
        return self._pass(tell)

    def _pass(self, tell: Callable[[int], None]) -> Copied:
        self._files = self._bytes = 0
        self._tell = tell
        since = file_clock()
        self._clocks = self._clocks or (since, time.monotonic())
        write_back(self._reach)
        former, self._records = self._records, {}
        self._links, self._folders, self._touched, self._lost = {}, {}, set(), False
        for entry in walk(self._source, self._leave_out, self._vanished, self._name):
            self._refuse_change(entry)
            try:
                self._take(entry, former.get(entry.path), since)
            except OSError as error:
                self._judge(entry.path, error)
        self._remove_vanished(former)
        for path in self._touched & self._folders.keys():
            try:
                self._apply(path, self._folders[path], os.path.join(self._source, path))
            except OSError as error:
                self._judge(path, error)
        if self._lost:
            self._drop_orphans()
        return Copied(self._files, self._bytes)

    def _take(self, entry: Entry, former: Optional[Record], since: int) -> None:
        """Bring one entry up to date in the copy unless what was read of it before still holds."""
        path, status = entry.path, entry.status
        folder = stat.S_ISDIR(status.st_mode)
        if folder:
            self._folders[path] = status
        if self._began and former is not None and not os.path.lexists(self._copy_of(path)):
            former = None  # whatever took its copy away: there is no later pass to bring it back
        first = None if folder else self._links.get(status.st_ino)
        if former is not None and self._holds(former, status) and (first is None or self._is_one_copy(first, path)):
            self._records[path] = former
        elif folder:
            self._make_folder(path, former)
            self._records[path] = Record(signature(status), since)
        else:
            if first is None:
                self._records[path] = Record(self._copy_one(entry), since)
            else:
                self._clear(path)
                os.link(self._copy_of(first), self._copy_of(path), follow_symlinks=False)
                self._records[path] = self._records[first]  # what was read under that name
            self._files += 1
            self._touched.add(os.path.dirname(path))
        if status.st_nlink > 1 and not folder:
            self._links.setdefault(status.st_ino, path)

    def _holds(self, record: Record, status: os.stat_result) -> bool:
        newest = max(status.st_mtime_ns, status.st_ctime_ns)
        return record.signature == signature(status) and newest < record.since - self._grain

    def _is_one_copy(self, first: bytes, path: bytes) -> bool:
        """Return whether two names of a file are names of one copy: the first may be new, its folder was renamed."""
        return os.lstat(self._copy_of(first)).st_ino == os.lstat(self._copy_of(path)).st_ino

    def _make_folder(self, path: bytes, former: Optional[Record]) -> None:
        if former is None or not stat.S_ISDIR(former.signature[1]):
            self._clear(path)
            os.mkdir(self._copy_of(path), 0o700)
            self._touched.add(os.path.dirname(path))
        self._touched.add(path)

    def _copy_one(self, entry: Entry) -> Signature:
        """Copy what is no folder; return the signature of what was read."""
        self._clear(entry.path)
        if stat.S_ISREG(entry.status.st_mode):
            return self._copy_file(entry)
        target, mode = self._copy_of(entry.path), entry.status.st_mode
        if stat.S_ISLNK(mode):
            os.symlink(os.readlink(entry.place), target)
        else:
            os.mknod(target, mode, entry.status.st_rdev)
        self._apply(entry.path, entry.status, entry.place)
        return signature(entry.status)

    def _copy_file(self, entry: Entry) -> Signature:
        path, source = entry.path, os.open(entry.place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            status = os.fstat(source)
            if not stat.S_ISREG(status.st_mode):
                raise FileNotFoundError(errno.ENOENT, "it is no file any more")
            self._require_reserve(status)
            target = os.open(self._copy_of(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                if not (self._cloning and clone(source, target)):
                    copy_content(source, target, status.st_size)
            finally:
                os.close(target)
            self._apply(path, status, entry.place)
            self._bytes += status.st_blocks * 512
            self._tell(self._bytes)
            if self._began and signature(os.fstat(source)) != signature(status):
                raise self._still_written(path)
            return signature(status)
        finally:
            os.close(source)

    def _require_reserve(self, status: os.stat_result) -> None:
        """Raise NoSpace before the copy takes what the application needs, which goes on writing on the same filesystem."""
        if self._cloning or self._began or free_bytes(self._reach) >= status.st_blocks * 512 + _RESERVE_BYTES:
            return
        raise NoSpace(
            f"the filesystem of {self._folder} would run full while its picture is made, and the application needs some of it",
            "make room for a copy beside the data, then run again",
        )

    def _apply(self, path: bytes, status: os.stat_result, source: bytes) -> None:
        """Give the copy of ``path`` the metadata of its ``source``."""
        apply_metadata(self._copy_of(path), of_status(status, read_xattrs(source)))

    def _remove_vanished(self, former: Dict[bytes, Record]) -> None:
        for path in former.keys() - self._records.keys():
            if os.path.dirname(path) not in self._folders:
                continue  # it went with its folder; where a link took the folder's place, the path leads elsewhere by now
            self._clear(path)
            self._touched.add(os.path.dirname(path))

    def _drop_orphans(self) -> None:
        """Forget what lay in folders whose copy was removed: they may come back by a rename, which moves no time in them."""
        kept: Dict[bytes, Record] = {}
        for path, record in self._records.items():  # folders before their content
            if not path or os.path.dirname(path) in kept:
                kept[path] = record
        self._records = kept

    def _clear(self, path: bytes) -> None:
        """Remove what lies at ``path`` in the copy."""
        place = self._copy_of(path)
        try:
            if stat.S_ISDIR(os.lstat(place).st_mode):
                remove_folder(Path(os.fsdecode(place)))
            else:
                os.unlink(place)
        except (FileNotFoundError, NotADirectoryError):
            return

    def _copy_of(self, path: bytes) -> bytes:
        return os.path.join(self._target, path) if path else self._target

    # What goes wrong

    def _judge(self, path: bytes, error: OSError) -> None:
        """Raise what ``error`` at ``path`` means; return when it is ordinary while the application runs."""
        if isinstance(error, (FileNotFoundError, NotADirectoryError, IsADirectoryError)) or error.errno in (
            errno.ELOOP,
            errno.ESTALE,
            errno.ENXIO,
        ):
            return self._vanished(path)
        error.filename = os.path.join(self._name, path)
        raise explained(error, self._folder) from error

    def _vanished(self, path: bytes) -> None:
        if self._began:
            raise self._still_written(path)
        self._lost = True
        self._records.pop(path, None)
        self._clear(path)  # half of it may have been copied, and no record would ever remove that
        self._touched.add(os.path.dirname(path))

    def _refuse_change(self, entry: Entry) -> None:
        """While stopped nothing may change: raise for a time between the beginning of the cold pass and now."""
        if self._began and self._began + self._grain < entry.status.st_ctime_ns <= file_clock():
            raise self._still_written(entry.path)

    def _still_written(self, path: bytes) -> BackstayError:
        return CommandFailed(
            f"{show(os.path.join(self._name, path))} changed although the application is stopped",
            f"find what else writes to {self._folder} (fuser -vm) and stop it, too",
        )

    def _clock_went_back(self) -> bool:
        """Return whether the clock was set back since the first pass: then a later change may bear an earlier time."""
        if self._clocks is None:
            return False
        passed, real = time.monotonic() - self._clocks[1], (file_clock() - self._clocks[0]) / 1e9
        return real < passed * (1 - _SLEW) - 0.1


def signature(status: os.stat_result) -> Signature:
    """Return what changes whenever a thing, its content or its metadata is changed (writes to dirty mapped pages aside)."""
    return (status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_rdev)
