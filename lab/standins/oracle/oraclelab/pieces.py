# SPDX-License-Identifier: GPL-3.0-or-later
"""Backup pieces: a header of 64 KiB that tells what is inside, then frames, all under one SHA-256.

Frames: F (a data file begins: JSON), B (block number and 8 KiB), L (an archived log begins: JSON), D (bytes of it),
C (control file), P (parameter file). The header is written last, so an interrupted piece has none.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from oraclelab.errors import OracleError, cannot_create, cannot_write, not_found

MAGIC = b"ORBKPC01"
HEADER_SIZE = 64 << 10
FRAME = struct.Struct("<cI")


class NotAPieceError(Exception):
    """Something else, or a header that is damaged."""


def _keystream(key: bytes, number: int, length: int) -> bytes:
    return hashlib.shake_128(key + struct.pack("<Q", number)).digest(length)


def _crypted(key: bytes, number: int, data: bytes) -> bytes:
    stream = int.from_bytes(_keystream(key, number, len(data)), "big")
    return (int.from_bytes(data, "big") ^ stream).to_bytes(len(data), "big")


@dataclasses.dataclass
class Budget:
    """Bytes a run may still write before the file system counts as full; None for no limit."""

    left: int | None = None

    def take(self, size: int) -> None:
        """OSError as from a full file system."""
        if self.left is not None:
            self.left -= size
            if self.left < 0:
                raise OSError(28, os.strerror(28))


class Writer:
    """Writes one piece; close() makes it whole, abandon() removes it."""

    def __init__(self, path: str, *, compressed: bool = False, key: bytes = b"", budget: Budget | None = None) -> None:
        self.path = path
        self.key = key
        self.compressed = compressed
        self.budget = budget or Budget()
        self.frames = 0
        self.digest = hashlib.sha256()
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise cannot_create(path, error) from error
        self.handle = os.fdopen(descriptor, "wb", buffering=1 << 20)
        self._put(bytes(HEADER_SIZE))

    def _put(self, data: bytes) -> None:
        try:
            self.budget.take(len(data))
            self.handle.write(data)
        except OSError as error:
            raise cannot_write(self.path, self.handle.raw.tell() // 8192, error) from error  # type: ignore[attr-defined]

    def frame(self, kind: bytes, data: bytes) -> None:
        """Add one frame."""
        if self.compressed:
            data = zlib.compress(data, 1)
        if self.key:
            data = _crypted(self.key, self.frames, data)
        self.frames += 1
        packed = FRAME.pack(kind, len(data)) + data
        self.digest.update(packed)
        self._put(packed)

    def close(self, header: dict[str, Any]) -> int:
        """Write the header and make the piece durable; returns its size in bytes."""
        header = {**header, "sha256": self.digest.hexdigest(), "compressed": self.compressed, "encrypted": bool(self.key)}
        if self.key:
            header["key_id"] = hashlib.sha256(self.key).hexdigest()[:16]
        try:
            self.handle.flush()
            header["bytes"] = self.handle.tell()
            text = json.dumps(header).encode()
            self.handle.seek(0)
            self.handle.write((MAGIC + struct.pack("<II", len(text), zlib.crc32(text)) + text).ljust(HEADER_SIZE, b"\0"))
            self.handle.flush()
            os.fsync(self.handle.fileno())
            self.handle.close()
        except OSError as error:
            raise cannot_write(self.path, 0, error) from error
        return int(header["bytes"])

    def abandon(self) -> None:
        """Remove what was written."""
        Path(self.path).unlink(missing_ok=True)
        try:
            self.handle.close()
        except OSError:
            return  # What could not be flushed belonged to the removed file.


def read_header(path: str) -> dict[str, Any]:
    """Header of a piece; OSError when it cannot be read, NotAPieceError when it is none."""
    with Path(path).open("rb") as handle:
        data = handle.read(HEADER_SIZE)
    if not data.startswith(MAGIC) or len(data) < HEADER_SIZE:
        raise NotAPieceError(path)
    length, checksum = struct.unpack_from("<II", data, len(MAGIC))
    text = data[len(MAGIC) + 8 : len(MAGIC) + 8 + length]
    if zlib.crc32(text) != checksum:
        raise NotAPieceError(path)
    return json.loads(text)


def verified_header(path: str, identity: dict[str, Any] | None = None) -> dict[str, Any]:
    """Header of a piece that exists, is the one the repository means and has every byte: ORA-19870 with its cause otherwise."""
    wrapper = f"ORA-19870: error while restoring backup piece {path}"
    try:
        header = read_header(path)
        with Path(path).open("rb") as handle:
            size = os.fstat(handle.fileno()).st_size
            handle.seek(HEADER_SIZE)
            digest = hashlib.sha256()
            while chunk := handle.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise OracleError(wrapper, f'ORA-19505: failed to identify file "{path}"', *not_found(path)) from error
        raise OracleError(wrapper, f'ORA-19505: failed to identify file "{path}"', "ORA-27041: unable to open file") from error
    except NotAPieceError as error:
        raise OracleError(wrapper, f"ORA-19608: {path} is not a backup piece") from error
    if identity and any(header[name] != value for name, value in identity.items()):
        raise OracleError(wrapper, f"ORA-19608: {path} is not a backup piece")
    if size != header["bytes"] or digest.hexdigest() != header["sha256"]:
        raise OracleError(
            wrapper,
            f"ORA-19587: error occurred reading 8192 bytes at block number {max(1, min(size, header['bytes']) // 8192)}",
        )
    return header


def frames(path: str, header: dict[str, Any], key: Callable[[], bytes]) -> Iterator[tuple[bytes, bytes]]:
    """(kind, data) of every frame of a verified piece; key() gives the keystore's key or raises."""
    secret = b""
    if header["encrypted"]:
        wrapper = (f"ORA-19870: error while restoring backup piece {path}", "ORA-19913: unable to decrypt backup")
        try:
            secret = key()
        except OracleError as error:
            raise OracleError(*wrapper, *error.lines) from error
        if hashlib.sha256(secret).hexdigest()[:16] != header["key_id"]:
            raise OracleError(*wrapper)
    with Path(path).open("rb") as handle:
        handle.seek(HEADER_SIZE)
        number = 0
        while head := handle.read(FRAME.size):
            kind, length = FRAME.unpack(head)
            data = handle.read(length)
            if secret:
                data = _crypted(secret, number, data)
            if header["compressed"]:
                data = zlib.decompress(data)
            number += 1
            yield kind, data
