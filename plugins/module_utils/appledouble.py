# SPDX-License-Identifier: GPL-3.0-or-later
"""AppleDouble: what a Macintosh file has beside its data, in a second file or in extended attributes.

Format: RFC 1740, appendix B. A header (magic, version, 16 bytes filler, number of entries, all big-endian) is followed by
entries ``(id, offset, length)``. macOS and Samba keep it as ``._name``, older servers as ``.AppleDouble/name``; netatalk 3
keeps one in an attribute and the resource fork in another.
"""

from __future__ import annotations

import struct
from typing import Any, Dict, NamedTuple, Optional, Tuple

MAGIC = 0x00051607
_HEADER = struct.Struct(">IIxxxxxxxxxxxxxxxxH")
_ENTRY = struct.Struct(">III")
_RESOURCE_FORK, _FINDER_INFO = 2, 9
_FINDER_BYTES = 10  # type, creator, flags; what follows is of no interest here

# By the names without the namespace that Linux demands.
FORK_ATTRIBUTES = ("com.apple.ResourceFork", "org.netatalk.ResourceFork")
FINDER_ATTRIBUTE = "com.apple.FinderInfo"
METADATA_ATTRIBUTE = "org.netatalk.Metadata"


class FinderInfo(NamedTuple):
    """Type and creator of a file, four characters each (MacRoman), and the Finder's flags."""

    type: str
    creator: str
    flags: int


class AppleDouble(NamedTuple):
    """The header of an AppleDouble file: where its resource fork lies ``(offset, length)``, and its Finder information."""

    fork: Tuple[int, int]
    finder: Optional[FinderInfo]


def parse(head: bytes, size: int) -> Optional[AppleDouble]:
    """Return what the beginning ``head`` of a file of ``size`` bytes says; None when it is no whole AppleDouble file."""
    if len(head) < _HEADER.size:
        return None
    magic, version, count = _HEADER.unpack_from(head)
    end = _HEADER.size + count * _ENTRY.size
    if magic != MAGIC or version not in (0x00010000, 0x00020000) or len(head) < end:
        return None
    places: Dict[int, Tuple[int, int]] = {}
    for number in range(count):
        name, offset, length = _ENTRY.unpack_from(head, _HEADER.size + number * _ENTRY.size)
        if offset + length > size or (length and offset < end):
            return None
        places[name] = (offset, length)
    offset, length = places.get(_FINDER_INFO, (0, 0))
    return AppleDouble(places.get(_RESOURCE_FORK, (0, 0)), finder_info(head[offset : offset + length]))


def finder_info(raw: bytes) -> Optional[FinderInfo]:
    """Return the Finder information in ``raw``, None when it is too short for any."""
    if len(raw) < _FINDER_BYTES:
        return None
    return FinderInfo(raw[:4].decode("mac_roman"), raw[4:8].decode("mac_roman"), int.from_bytes(raw[8:10], "big"))


def is_companion(path: bytes) -> bool:
    """Return whether a file of this name holds the second half of another by convention."""
    names = path.split(b"/")
    return names[-1].startswith(b"._") or b".AppleDouble" in names[-2:-1]


def in_attributes(xattrs: Dict[str, bytes]) -> Optional[Tuple[bytes, Optional[FinderInfo]]]:
    """Return resource fork and Finder information that lie in extended attributes, None when there are none."""
    plain = {name[len("user.") :] if name.startswith("user.") else name: value for name, value in xattrs.items()}
    forks = [plain[name] for name in FORK_ATTRIBUTES if name in plain]
    finder = finder_info(plain.get(FINDER_ATTRIBUTE, b"")) or _netatalk_finder(plain.get(METADATA_ATTRIBUTE, b""))
    if not forks and finder is None:
        return None
    return (forks[0] if forks else b""), finder


def _netatalk_finder(metadata: bytes) -> Optional[FinderInfo]:
    """Return the Finder information in netatalk's attribute, whose fork entry points into another place."""
    found = parse(metadata, 1 << 40)
    return found.finder if found else None


def described(fork_bytes: int, fork_sha256: str, finder: Optional[FinderInfo]) -> Dict[str, Any]:
    """Return what a manifest says of a Macintosh file: length and hash of its resource fork, type, creator, flags."""
    said: Dict[str, Any] = {"resource_bytes": fork_bytes, "resource_sha256": fork_sha256}
    if finder:
        said.update(type=finder.type, creator=finder.creator, flags=finder.flags)
    return said
