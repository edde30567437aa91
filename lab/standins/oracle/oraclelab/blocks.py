# SPDX-License-Identifier: GPL-3.0-or-later
"""Data files: blocks of 8 KiB, each with its number, the SCN of its last change and a checksum; block 0 is the header.

A block of zeros was never used. The rows of a block are a JSON object, key to row.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SIZE = 8192
HEADER = struct.Struct("<4sIQII")
MAGIC = b"ORBK"
ZERO = bytes(SIZE)


class CorruptBlockError(Exception):
    """A block whose number or checksum is not what it has to be."""


def packed(number: int, scn: int, rows: dict[str, Any]) -> bytes:
    """One block as bytes."""
    payload = json.dumps(rows, separators=(",", ":")).encode()
    if len(payload) > SIZE - HEADER.size:
        raise OverflowError(f"block {number} is full")
    checksum = zlib.crc32(payload, zlib.crc32(b"%d %d" % (number, scn)))
    return (HEADER.pack(MAGIC, number, scn, checksum, len(payload)) + payload).ljust(SIZE, b"\0")


def unpacked(data: bytes, number: int) -> tuple[int, dict[str, Any]]:
    """SCN and rows of a block; (0, {}) for one never used; CorruptBlockError when it is damaged."""
    if data == ZERO:
        return 0, {}
    if len(data) < SIZE:
        raise CorruptBlockError(number)
    magic, own, scn, checksum, length = HEADER.unpack_from(data)
    payload = data[HEADER.size : HEADER.size + length]
    damaged = magic != MAGIC or own != number or zlib.crc32(payload, zlib.crc32(b"%d %d" % (own, scn))) != checksum
    if damaged or data[HEADER.size + length :].strip(b"\0"):
        raise CorruptBlockError(number)
    return scn, json.loads(payload)


class DataFile:
    """One data file, opened for a while."""

    def __init__(self, path: str | Path, *, create: bool = False, write: bool = True) -> None:
        self.path = str(path)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL if create else (os.O_RDWR if write else os.O_RDONLY)
        self.descriptor = os.open(self.path, flags | os.O_CLOEXEC, 0o640)

    def __enter__(self) -> DataFile:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    @property
    def blocks(self) -> int:
        """Number of blocks, the header among them."""
        return os.fstat(self.descriptor).st_size // SIZE

    def raw(self, number: int) -> bytes:
        """The bytes of a block; empty behind the end of the file."""
        return os.pread(self.descriptor, SIZE, number * SIZE)

    def put_raw(self, number: int, data: bytes) -> None:
        """Write the bytes of a block."""
        written = os.pwrite(self.descriptor, data, number * SIZE)
        if written != len(data):
            raise OSError(28, "No space left on device")

    def read(self, number: int) -> tuple[int, dict[str, Any]]:
        """SCN and rows of a block."""
        data = self.raw(number)
        return unpacked(data, number) if data else (0, {})

    def write(self, number: int, scn: int, rows: dict[str, Any]) -> None:
        """Replace the rows of a block."""
        self.put_raw(number, packed(number, scn, rows))

    def header(self) -> dict[str, Any]:
        """The file header: dbid, file, ckp_scn, ckp_time, fuzzy, fuzzy_scn, resetlogs_scn, resetlogs_time and names."""
        return self.read(0)[1]

    def set_header(self, **changes: Any) -> dict[str, Any]:
        """Change fields of the header."""
        header = {**self.header(), **changes}
        self.write(0, 0, header)
        return header

    def used(self) -> Iterator[tuple[int, bytes]]:
        """Blocks that hold something, without the header."""
        for number in range(1, self.blocks):
            data = self.raw(number)
            if data != ZERO:
                yield number, data

    def sync(self) -> None:
        """Make writes durable."""
        os.fsync(self.descriptor)


def create(path: str | Path, header: dict[str, Any], size: int) -> None:
    """Make a data file of a number of blocks with nothing but a header; OSError when that is not possible."""
    with DataFile(path, create=True) as file:
        os.ftruncate(file.descriptor, size * SIZE)
        file.write(0, 0, header)


def header_of(path: str | Path) -> dict[str, Any]:
    """The header of the data file at that path; OSError or CorruptBlockError when there is none."""
    with DataFile(path, write=False) as file:
        return file.header()
