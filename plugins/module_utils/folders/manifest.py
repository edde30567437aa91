# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest of an archived folder: one JSON line for everything in it, and the proof of what was unpacked against it.

First line ``{schema, folder, exclude}``, then one line an entry in the order of ``walk``, last ``{end, entries, sockets}``.
An entry: ``path`` (bytes that are no UTF-8 as lone surrogates), ``type``, ``uid``, ``gid``, ``mode``, ``mtime`` (ns),
``xattrs`` (name to SHA-256 of the value); files ``size``, ``sha256`` (holes read as zeros) and, where they are Macintosh
files, ``mac``; further names of a file only ``link``, its first name; links ``target``, devices ``device``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from pathlib import Path
from typing import IO, Any, Dict, Iterable, Iterator, List, NamedTuple, NoReturn, Optional, Tuple

from .. import appledouble
from ..errors import IntegrityError
from ..pinned import opened, place
from .filesystem import data_ranges
from .metadata import Metadata, of_status, read_xattrs
from .walk import Entry, Selection, order, show, walk

SCHEMA_NAME = "backstay.manifest/1"
MEMBER = ".backstay-manifest.jsonl"
BLOCK = 1 << 20
_ZEROS = bytes(BLOCK)
_NAMED = 5  # differences that a sentence lists
_TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}


class ContentHash:
    """Hash the content of one file as it passes, and the resource fork in it when it is a Macintosh companion file."""

    def __init__(self, path: bytes, size: int) -> None:
        self._whole = hashlib.sha256()
        self._size, self._position = size, 0
        self._companion = appledouble.is_companion(path)
        self._double: Optional[appledouble.AppleDouble] = None
        self._fork = hashlib.sha256()

    def add(self, block: Any) -> None:
        """Take the next ``block`` of content."""
        self._whole.update(block)
        if self._companion and self._position == 0:
            self._double = appledouble.parse(bytes(block), self._size)
        if self._double:
            start, length = self._double.fork
            first, last = max(start - self._position, 0), min(start + length - self._position, len(block))
            if first < last:
                self._fork.update(block[first:last])
        self._position += len(block)

    def add_zeros(self, count: int) -> None:
        """Take ``count`` zeros, which a hole reads as."""
        while count > 0:
            self.add(memoryview(_ZEROS)[: min(count, BLOCK)])
            count -= BLOCK

    def fields(self, xattrs: Dict[str, bytes]) -> Dict[str, Any]:
        """Return what a manifest says of the file, whose extended attributes are ``xattrs``."""
        said: Dict[str, Any] = {"size": self._position, "sha256": self._whole.hexdigest()}
        attributes = appledouble.in_attributes(xattrs)
        if self._double:
            said["mac"] = appledouble.described(self._double.fork[1], self._fork.hexdigest(), self._double.finder)
        elif attributes:
            fork, finder = attributes
            said["mac"] = appledouble.described(len(fork), hashlib.sha256(fork).hexdigest(), finder)
        return said


def described(entry: Entry, metadata: Metadata) -> Dict[str, Any]:
    """Return the manifest's line of an entry without what its content says."""
    kind = stat.S_IFMT(metadata.mode)
    line: Dict[str, Any] = {
        "path": entry.path.decode("utf-8", "surrogateescape"),
        "type": _TYPES[kind],
        "uid": metadata.uid,
        "gid": metadata.gid,
        "mode": stat.S_IMODE(metadata.mode),
        "mtime": metadata.mtime,
    }
    if metadata.xattrs:
        line["xattrs"] = {name: hashlib.sha256(value).hexdigest() for name, value in metadata.xattrs.items()}
    if kind == stat.S_IFLNK:
        line["target"] = os.readlink(entry.place).decode("utf-8", "surrogateescape")
    if kind in (stat.S_IFCHR, stat.S_IFBLK):
        line["device"] = [os.major(entry.status.st_rdev), os.minor(entry.status.st_rdev)]
    return line


class FirstNames:
    """Tells the further names of a file from its first one."""

    def __init__(self) -> None:
        self._names: Dict[int, bytes] = {}

    def of(self, entry: Entry) -> Optional[bytes]:
        """Return the first name of the same file, None when ``entry`` is the first (or only) one."""
        if entry.status.st_nlink < 2 or stat.S_ISDIR(entry.status.st_mode):
            return None
        first = self._names.setdefault(entry.status.st_ino, entry.path)
        return None if first == entry.path else first


class Proved(NamedTuple):
    """What was held against its manifest and found whole."""

    entries: int
    bytes: int


def prove(directory: Path, artifact: str = "", held: Optional[int] = None) -> Proved:
    """Hold everything in ``directory`` (``held``: where it is open) against the manifest in it and remove the manifest.

    The folder keeps its times. Raise IntegrityError that names the first of what is missing, more, or different.
    """
    with contextlib.ExitStack() as way:
        itself = Path(place(way.enter_context(opened(directory)) if held is None else held))
        times = itself.stat()
        try:
            lines = way.enter_context(open(str(itself / MEMBER), "rb", opener=_open_plain))
        except OSError as error:
            sentence = f"{directory} holds no manifest to be proved against"
            raise IntegrityError(sentence, "this set is damaged; restore another one") from error
        done = _Proof(os.fsencode(str(directory)), os.fsencode(str(itself)) + b"/.", lines, artifact).run()
        (itself / MEMBER).unlink()
        os.utime(str(itself), ns=(times.st_atime_ns, times.st_mtime_ns))
    return done


def _open_plain(path: str, flags: int) -> int:
    """Open a file that somebody else may have put there: no link is followed, and no pipe is waited for."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


class _Proof:
    def __init__(self, root: bytes, by: bytes, lines: IO[bytes], artifact: str) -> None:
        self._root, self._by, self._lines, self._artifact = root, by, lines, artifact
        self._first, self._bytes, self._problems, self._count = FirstNames(), 0, [], 0  # type: ignore[var-annotated]

    def run(self) -> Proved:
        """Walk through folder and manifest side by side: both have one order."""
        promised = self._promised()
        wanted = next(promised, None)
        for entry in walk(self._by, Selection({os.fsencode(MEMBER)}, []), _gone, self._root):
            while wanted is not None and order(_path(wanted)) < order(entry.path):
                self._note(_path(wanted), "is missing")
                wanted = next(promised, None)
            if wanted is None or _path(wanted) != entry.path:
                self._note(entry.path, "is not in the manifest")
                continue
            self._compare(wanted, entry)
            wanted = next(promised, None)
        while wanted is not None:
            self._note(_path(wanted), "is missing")
            wanted = next(promised, None)
        if self._count:
            named, which = "; ".join(self._problems), f" of {self._artifact}" if self._artifact else ""
            raise IntegrityError(
                f"{self._count} of what came back{which} is not what was saved: {named}",
                "this set is damaged; restore another one",
            )
        return Proved(self._entries, self._bytes)

    def _promised(self) -> Iterator[Dict[str, Any]]:
        """Yield the entries of the manifest. Raise IntegrityError unless it is whole."""
        head = json.loads(self._lines.readline() or b"{}")
        if head.get("schema") != SCHEMA_NAME:
            raise IntegrityError(f"the manifest in {show(self._root)} is none of {SCHEMA_NAME}", "restore another set")
        for count, text in enumerate(self._lines):
            line = json.loads(text)
            if "end" in line:
                if line["entries"] == count:
                    self._entries = count
                    return
                break
            yield line
        raise IntegrityError(f"the manifest in {show(self._root)} is cut off", "this set is damaged; restore another one")

    def _compare(self, wanted: Dict[str, Any], entry: Entry) -> None:
        if stat.S_IFMT(entry.status.st_mode) not in _TYPES:
            self._note(entry.path, "is of another type")
            return
        xattrs = read_xattrs(entry.place)
        if "security.selinux" not in wanted.get("xattrs", {}):
            xattrs.pop("security.selinux", None)  # this host labels by itself, the one backed up did not
        found = described(entry, of_status(entry.status, xattrs))
        first = self._first.of(entry)
        if first is not None:
            found["link"] = first.decode("utf-8", "surrogateescape")
        elif found["type"] == "file":
            found.update(self._hash(entry, xattrs))
        differing = sorted(key for key in {*wanted, *found} if wanted.get(key) != found.get(key))
        if differing:
            self._note(entry.path, f"differs in {', '.join(differing)}")

    def _hash(self, entry: Entry, xattrs: Dict[str, bytes]) -> Dict[str, Any]:
        content = ContentHash(entry.path, entry.status.st_size)
        descriptor = os.open(entry.place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            ranges = data_ranges(descriptor, entry.status.st_size)
            for block in blocks(descriptor, entry.status.st_size, content, ranges):
                content.add(block)
        finally:
            os.close(descriptor)
        self._bytes += entry.status.st_size
        return content.fields(xattrs)

    def _note(self, path: bytes, what: str) -> None:
        self._count += 1
        if len(self._problems) < _NAMED:
            self._problems.append(f"{show(path) or 'the folder itself'} {what}")


def blocks(descriptor: int, size: int, content: ContentHash, ranges: Iterable[Tuple[int, int]]) -> Iterator[bytes]:
    """Yield the data of an open file, which lies in ``ranges``, telling ``content`` of the holes between.

    The caller adds each block.
    """
    position = 0
    for start, end in ranges:
        content.add_zeros(start - position)
        position = start
        while position < end:
            block = os.pread(descriptor, min(end - position, BLOCK), position)
            if not block:
                raise IntegrityError("it became shorter while it was read")
            yield block
            position += len(block)
    content.add_zeros(size - position)


def _path(line: Dict[str, Any]) -> bytes:
    return str(line["path"]).encode("utf-8", "surrogateescape")


def _gone(path: bytes) -> NoReturn:
    raise IntegrityError(f"{show(path)} vanished while it was proved", "find what else works there")


def end_line(entries: int, sockets: List[bytes]) -> Dict[str, Any]:
    """Return the last line of a manifest."""
    return {"end": True, "entries": entries, "sockets": [item.decode("utf-8", "surrogateescape") for item in sockets]}
