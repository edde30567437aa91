# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a folder as one pax archive that GNU tar reads, with its manifest as the last member.

Pax records hold what the plain header cannot: times in ns, any bytes as names, extended attributes (``SCHILY.xattr.``), holes
(GNU sparse 1.0). The order is that of ``walk`` and nothing depends on the run, so that the next archive repeats what did not
change. Content is hashed as it passes. Whatever cannot be read ends the whole archive.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import IO, Any, Dict, List, NamedTuple, NoReturn, Optional, Tuple

from ..errors import BackstayError, CaptureFailed
from ..files import read_json, write_json
from .filesystem import data_ranges
from .manifest import MEMBER, SCHEMA_NAME, ContentHash, FirstNames, blocks, described, end_line
from .metadata import Metadata, of_status, read_xattrs
from .walk import Entry, Selection, show, walk

# Brings an archive back from standard input into the current directory; who owned what is decided by number.
UNPACK = [
    *("tar", "--extract", "--file=-", "--xattrs", "--xattrs-include=*", "--same-owner", "--numeric-owner"),
    *("--preserve-permissions", "--delay-directory-restore", "--warning=no-unknown-keyword", "--warning=no-timestamp"),
]
_RECORD = 10240  # what tar pads an archive to
_UNIT = 512
_PLACEHOLDER_INODE = 2  # an empty folder that stands for another subvolume in a btrfs snapshot
_TAR_TYPES = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
}


class Source(NamedTuple):
    """What to archive: the picture's ``tree`` of ``folder``, without ``leave_out``; ``snapshot``: it is one of btrfs;
    ``required``: files by relative path that have to be there, with their bytes (-1: whatever they have)."""

    folder: str
    tree: bytes
    leave_out: Selection
    snapshot: bool
    required: Optional[Dict[str, int]] = None


class Archive:
    """One archive on its way to ``target``; the manifest grows in the file ``notes`` meanwhile."""

    def __init__(self, source: Source, target: IO[bytes], notes: IO[bytes]) -> None:
        self._source, self._target, self._notes = source, target, notes
        self._missing = dict(source.required or {})
        self._first, self._sockets, self._entries, self._written = FirstNames(), [], 0, 0  # type: ignore[var-annotated]

    def write(self) -> Dict[str, Any]:
        """Write everything; return ``{entries, sockets, skipped}``: skipped are the first sockets by name."""
        patterns = [pattern.decode("utf-8", "surrogateescape") for pattern in self._source.leave_out.patterns]
        self._note({"schema": SCHEMA_NAME, "folder": self._source.folder, "exclude": patterns})
        for entry in walk(self._source.tree, self._source.leave_out, _vanished):
            try:
                self._add(entry)
            except OSError as error:
                raise CaptureFailed(f"cannot read {self._name(entry.path)}: {error.strerror}") from error
            except UnicodeError as error:
                raise CaptureFailed(f"cannot archive {self._name(entry.path)}: {error}") from error
        if self._missing:
            raise CaptureFailed(f"{self._name(os.fsencode(min(self._missing)))} is not what was saved there", "run again")
        self._note(end_line(self._entries, self._sockets))
        self._add_manifest()
        self._put(bytes(2 * _UNIT))
        self._put(bytes(-self._written % _RECORD))
        return {
            "entries": self._entries,
            "sockets": len(self._sockets),
            "skipped": [show(path) for path in self._sockets[:5]],
        }

    def _add(self, entry: Entry) -> None:
        path, status = entry.path, entry.status
        if stat.S_ISSOCK(status.st_mode):
            self._sockets.append(path)
            return
        if path == os.fsencode(MEMBER):
            raise CaptureFailed(f"{self._name(path)} bears the name of the manifest", "rename it, or exclude it")
        if self._source.snapshot and stat.S_ISDIR(status.st_mode) and status.st_ino == _PLACEHOLDER_INODE:
            raise CaptureFailed(f"cannot archive {self._name(path)}: it is a subvolume of its own", "list it as a folder, too")
        if stat.S_ISREG(status.st_mode) and self._missing.get(os.fsdecode(path)) in (-1, status.st_size):
            del self._missing[os.fsdecode(path)]
        metadata = of_status(status, read_xattrs(entry.place))
        line = described(entry, metadata)
        first = self._first.of(entry)
        if first is not None:
            line["link"] = first.decode("utf-8", "surrogateescape")
            self._put_header(path, metadata, {}, type=tarfile.LNKTYPE, linkname=_member(first))
        elif stat.S_ISREG(status.st_mode):
            line.update(self._add_file(entry, metadata))
        else:
            more: Dict[str, Any] = {"type": _TAR_TYPES[stat.S_IFMT(status.st_mode)], "linkname": line.get("target", "")}
            if "device" in line:
                more.update(devmajor=line["device"][0], devminor=line["device"][1])
            self._put_header(path, metadata, {}, **more)
        self._note(line)
        self._entries += 1

    def _add_file(self, entry: Entry, metadata: Metadata) -> Dict[str, Any]:
        """Write one file with its holes; return what the manifest says of its content."""
        path, descriptor = entry.path, os.open(entry.place, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            status = os.fstat(descriptor)
            # Asked once, never guessed from st_blocks: room that was taken in advance is a hole, too, and which of it
            # reads as data depends on what the page cache holds at the moment.
            ranges = list(data_ranges(descriptor, status.st_size))
            sparse = status.st_size > 0 and ranges != [(0, status.st_size)]
            if sparse:
                self._put_sparse_header(path, metadata, status.st_size, ranges)
            else:
                self._put_header(path, metadata, {}, type=tarfile.REGTYPE, size=status.st_size)
            content, moved = ContentHash(path, status.st_size), 0
            for block in blocks(descriptor, status.st_size, content, ranges):
                content.add(block)
                self._put(block)
                moved += len(block)
            promised = sum(end - start for start, end in ranges) if sparse else status.st_size
            if moved != promised:
                raise CaptureFailed(f"cannot archive {self._name(path)}: {moved} bytes were read instead of {promised}")
            self._put(bytes(-moved % _UNIT))
            return content.fields(metadata.xattrs)
        finally:
            os.close(descriptor)

    def _put_sparse_header(self, path: bytes, metadata: Metadata, size: int, ranges: List[Tuple[int, int]]) -> None:
        """Write header and map of a file with holes (GNU sparse format 1.0)."""
        listed = [(start, end - start) for start, end in ranges]
        if not ranges or ranges[-1][1] < size:
            listed.append((size, 0))
        text = f"{len(listed)}\n" + "".join(f"{start}\n{length}\n" for start, length in listed)
        extents = text.encode("ascii") + bytes(-len(text) % _UNIT)
        records = {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.name": _member(path),
            "GNU.sparse.realsize": str(size),
        }
        folder, name = os.path.split(path)
        stored = len(extents) + sum(length for _start, length in listed)
        self._put_header(os.path.join(folder, b"GNUSparseFile.0", name), metadata, records, type=tarfile.REGTYPE, size=stored)
        self._put(extents)

    def _put_header(self, path: bytes, metadata: Metadata, records: Dict[str, str], **fields: Any) -> None:
        info = tarfile.TarInfo(_member(path))
        info.uid, info.gid, info.mode = metadata.uid, metadata.gid, stat.S_IMODE(metadata.mode)
        info.pax_headers = {"mtime": _seconds(metadata.mtime), **records, **_xattr_records(metadata.xattrs)}
        for name, value in fields.items():
            setattr(info, name, value)
        self._put(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))

    def _add_manifest(self) -> None:
        self._notes.flush()
        size = self._notes.tell()
        info = tarfile.TarInfo(MEMBER)
        info.size, info.mode = size, 0o600
        self._put(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
        self._notes.seek(0)
        for block in iter(lambda: self._notes.read(1 << 20), b""):
            self._put(block)
        self._put(bytes(-size % _UNIT))

    def _note(self, line: Dict[str, Any]) -> None:
        self._notes.write(json.dumps(line, sort_keys=True).encode("ascii") + b"\n")

    def _put(self, block: bytes) -> None:
        self._target.write(block)
        self._written += len(block)

    def _name(self, path: bytes) -> str:
        return show(os.path.join(os.fsencode(self._source.folder), path))


def _member(path: bytes) -> str:
    """Return the name of a member: relative, and never like an option or an absolute path."""
    return "./" + path.decode("utf-8", "surrogateescape")


def _seconds(moment: int) -> str:
    """Return ns since the epoch as decimal seconds."""
    whole, rest = divmod(abs(moment), 10**9)
    return f"{'-' if moment < 0 else ''}{whole}.{rest:09d}"


def _xattr_records(xattrs: Dict[str, bytes]) -> Dict[str, str]:
    """Return pax records for extended attributes as GNU tar spells them: a name may hold no equals sign."""
    return {
        "SCHILY.xattr." + name.replace("%", "%25").replace("=", "%3D"): value.decode("utf-8", "surrogateescape")
        for name, value in xattrs.items()
    }


def _vanished(path: bytes) -> NoReturn:
    raise CaptureFailed(f"cannot read {show(path)}: it vanished from the picture", "find what else works there")


def main(arguments: List[str]) -> int:
    """Run as the meter's tool: ``archive JOB_FOLDER ARTIFACT``; the archive goes to standard output, its outline to a file."""
    folder, artifact = Path(arguments[0]), arguments[1]
    wanted = read_json(folder / f"archive-{artifact}.json")
    if wanted is None:
        print(f"cannot archive: there is no archive-{artifact}.json in {folder}", file=sys.stderr)
        return 2
    own = {os.fsencode(name) for name in wanted["own"]}
    leave_out = Selection(own, [os.fsencode(pattern) for pattern in wanted["exclude"]])
    source = Source(wanted["folder"], os.fsencode(wanted["tree"]), leave_out, wanted["snapshot"], wanted.get("required"))
    try:
        with os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=1 << 18) as target:
            with tempfile.TemporaryFile(dir=str(folder)) as notes:
                outline = Archive(source, target, notes).write()
            target.flush()
    except BackstayError as error:
        print(error.message, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"cannot archive {wanted['folder']}: {error.strerror}", file=sys.stderr)
        return 1
    write_json(folder / f"archived-{artifact}.json", outline)
    return 0
