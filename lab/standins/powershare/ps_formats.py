# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stand-in's files look like: names, AppleDouble resource forks, set markers, records. All formats are ours.

Every file has a set marker (id of the data folder, quit number) in its resource fork; files that change carry it in
their data fork as well. Each orderly quit counts the quit number up in all of them: files of two moments do not fit.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

LONGEST_NAME = 31
HEADER = struct.Struct(">4s4s16sQ16s16x")  # magic, role, set id, quit number, session (zeros when closed)
RECORD = struct.Struct(">4sQI32s")  # magic, number, length of the body in bytes, chain hash
ENTRY = struct.Struct(">QIIQ32s8s")  # number, log, length, offset, chain hash, "complete"
SUMMARY = struct.Struct(">QQQ32s8x")  # records, newest number, end offset, chain hash of the newest
TALLY = struct.Struct(">QQ32s16x")  # records, bytes of their bodies, exclusive or of their hashes
HEADER_MAGIC, RECORD_MAGIC, COMPLETE = b"PSdt", b"PSrc", b"complete"
FIRST_SUMMARY, FIRST_ENTRY = 128, 4096
CLOSED = bytes(16)
INVISIBLE = 0x4000
_DOUBLE_MAGIC, _DOUBLE_VERSION = 0x00051607, 0x00020000
_FINDER_INFO, _RESOURCE_FORK = 9, 2


def encode_name(name: str) -> bytes:
    """Return the bytes of a Macintosh name on the staging host: MacRoman, ``/`` as ``:2f``. ValueError for no such name."""
    raw = name.encode("mac_roman")
    if not raw or len(raw) > LONGEST_NAME or b":" in raw or b"\0" in raw or raw in (b".", b".."):
        raise ValueError(f"'{name}' is no Macintosh name")
    return raw.replace(b"/", b":2f")


def decode_name(raw: bytes) -> str:
    """Return the Macintosh name of a file of the staging host."""
    return raw.replace(b":2f", b"/").decode("mac_roman")


def encode_path(path: str) -> bytes:
    """Return the relative path on the staging host of a Macintosh path, whose separator is ``:``."""
    return b"/".join(encode_name(name) for name in path.strip(":").split(":"))


def decode_path(raw: bytes) -> str:
    """Return the Macintosh path of a relative path on the staging host."""
    return ":".join(decode_name(name) for name in raw.split(b"/"))


def fork_path(path: bytes) -> bytes:
    """Return where the resource fork of a file lies: AppleDouble, ``._`` before the name."""
    folder, slash, name = path.rpartition(b"/")
    return folder + slash + b"._" + name


@dataclass(frozen=True)
class Marker:
    """Which data folder a file belongs to, and how many times the server had quit when it was written (0: never changes)."""

    set_id: bytes
    quit_number: int


@dataclass(frozen=True)
class Fork:
    """What an AppleDouble file says: type, creator, Finder flags, resource fork."""

    kind: bytes
    creator: bytes
    flags: int
    resources: bytes


def resource_fork(marker: Marker) -> bytes:
    """Return a resource fork with one resource, ``PSst`` 128: the set marker."""
    content = marker.set_id + struct.pack(">Q", marker.quit_number)
    data = struct.pack(">I", len(content)) + content
    types = struct.pack(">H4sHH", 0, b"PSst", 0, 10)
    reference = struct.pack(">hHII", 128, 0xFFFF, 0, 0)
    end = 28 + len(types) + len(reference)
    head = struct.pack(">IIII", 256, 256 + len(data), len(data), end)
    return head + bytes(256 - 16) + data + head + struct.pack(">IHHHH", 0, 0, 0, 28, end) + types + reference


def marker_of(resources: bytes) -> Marker:
    """Return the set marker in a resource fork; ValueError when there is none."""
    try:
        (start,) = struct.unpack_from(">I", resources)
        length, set_id, number = struct.unpack_from(">I16sQ", resources, start)
    except struct.error:
        raise ValueError("its resource fork is cut off") from None
    if length != 24 or b"PSst" not in resources:
        raise ValueError("its resource fork has no set marker")
    return Marker(set_id, number)


def apple_double(fork: Fork) -> bytes:
    """Return the content of a ``._`` file."""
    finder = struct.pack(">4s4sH22x", fork.kind, fork.creator, fork.flags)
    start = 26 + 2 * 12
    head = struct.pack(">II16xH", _DOUBLE_MAGIC, _DOUBLE_VERSION, 2)
    head += struct.pack(">III", _FINDER_INFO, start, len(finder))
    head += struct.pack(">III", _RESOURCE_FORK, start + len(finder), len(fork.resources))
    return head + finder + fork.resources


def parse_apple_double(content: bytes) -> Fork:
    """Read the content of a ``._`` file; ValueError when it is none."""
    try:
        magic, version, count = struct.unpack_from(">II16xH", content)
        if (magic, version) != (_DOUBLE_MAGIC, _DOUBLE_VERSION):
            raise ValueError("its resource fork is not AppleDouble")
        parts = {}
        for place in range(count):
            kind, start, length = struct.unpack_from(">III", content, 26 + 12 * place)
            parts[kind] = content[start : start + length]
            if len(parts[kind]) != length:
                raise ValueError("its resource fork is cut off")
        return Fork(*struct.unpack_from(">4s4sH", parts[_FINDER_INFO]), parts[_RESOURCE_FORK])
    except (struct.error, KeyError):
        raise ValueError("its resource fork is cut off") from None


def genesis(role: str, log: str) -> bytes:
    """Return the hash before the first record of a log; the same on every server."""
    return hashlib.sha256(f"{role}/{log}".encode()).digest()


def chain_hash(previous: bytes, number: int, body: bytes) -> bytes:
    """Return the hash of a record: over its predecessor's, its number and its body."""
    return hashlib.sha256(previous + struct.pack(">Q", number) + body).digest()


def cold_content(set_id: bytes, number: int, size: int) -> bytes:
    """Return the content of a file that never changes; it does not compress."""
    return hashlib.shake_128(set_id + struct.pack(">Q", number)).digest(size)


def exclusive_or(one: bytes, other: bytes) -> bytes:
    """Return the exclusive or of two hashes."""
    return bytes(a ^ b for a, b in zip(one, other))
