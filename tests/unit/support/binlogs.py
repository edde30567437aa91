# SPDX-License-Identifier: GPL-3.0-or-later
"""Binary logs of both products, made by hand: the events that Backstay reads, with their checksums."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from uuid import UUID

SERVER = 7
FORMAT, STOP, ROTATE, QUERY, XID, GTID, GTID_LIST, ENCRYPTION = 15, 3, 4, 2, 16, 162, 163, 164


class BinaryLog:
    """A file under construction; ``marks`` are the positions at which each transaction begins."""

    VERSION = b"11.8.3-MariaDB"

    def __init__(self, checksums: bool = True, created: int = 1_000, in_use: bool = False, closed: int = 2_000_000_000) -> None:
        self._closed = closed
        self.raw = bytearray(b"\xfebin")
        self.marks: list[int] = []
        self._checksums = checksums
        body = struct.pack("<H50sIB", 4, self.VERSION, created, 19) + bytes(30) + bytes([int(checksums)])
        self._add(FORMAT, created, body, flags=int(in_use), checksum=True)

    def _add(self, kind: int, at: int, body: bytes, server: int = SERVER, flags: int = 0, checksum: bool | None = None) -> None:
        with_checksum = self._checksums if checksum is None else checksum
        size = 19 + len(body) + 4 * with_checksum
        header = struct.pack("<IBIIIH", at, kind, server, size, len(self.raw) + size, flags)
        plain = header[:-2] + struct.pack("<H", flags & ~1) if kind == FORMAT else header
        tail = struct.pack("<I", zlib.crc32(plain + body)) if with_checksum else b""
        self.raw += header + body + tail

    def gtids(self, *listed: tuple[int, int, int], at: int = 1_000) -> BinaryLog:
        """Add the list of GTIDs (domain, server, sequence) with which a file begins."""
        body = struct.pack("<I", len(listed)) + b"".join(struct.pack("<IIQ", *item) for item in listed)
        self._add(GTID_LIST, at, body)
        return self

    def commit(self, sequence: int, at: int, domain: int = 0, server: int = SERVER, payload: bytes = b"row") -> BinaryLog:
        """Add a transaction."""
        self.marks.append(len(self.raw))
        self._add(GTID, at, struct.pack("<QIB", sequence, domain, 0) + bytes(6), server)
        self._add(QUERY, at, payload, server)
        self._add(XID, at, struct.pack("<Q", sequence), server)
        return self

    def load_data(self) -> BinaryLog:
        """Add the beginning of a LOAD DATA that was logged as a statement."""
        self._add(17, 1_000, struct.pack("<I", 1) + b"rows")
        return self

    def encrypted(self) -> BinaryLog:
        """Say that all that follows is encrypted."""
        self._add(ENCRYPTION, 1_000, bytes(17))
        return self

    @property
    def end(self) -> int:
        """Return the position after the last event."""
        return len(self.raw)

    def write(self, path: Path, rotate: bool = True) -> Path:
        """Write the file, closed by a rotation or left as a dead server leaves it, and return its path."""
        if rotate:
            self._add(ROTATE, self._closed, struct.pack("<Q", 4) + b"next")
        path.write_bytes(self.raw)
        return path


class MysqlBinaryLog(BinaryLog):
    """The same of MySQL 9.7: another version in the format event, other events for GTIDs."""

    VERSION = b"9.7.4"

    def gtids(self, listed: dict[str, list[tuple[int, int]]], at: int = 1_000) -> MysqlBinaryLog:  # type: ignore[override]
        """Add the set of GTIDs with which a file begins: {uuid: ranges}."""
        body = struct.pack("<Q", len(listed))
        for uuid, ranges in listed.items():
            body += UUID(uuid).bytes + struct.pack("<Q", len(ranges))
            body += b"".join(struct.pack("<qq", first, last + 1) for first, last in ranges)
        self._add(35, at, body)
        return self

    def commit(  # type: ignore[override]
        self, uuid: str, number: int, at: int, committed: float = 0, kind: int = 33
    ) -> MysqlBinaryLog:
        """Add a transaction, whose statement began at ``at``."""
        self.marks.append(len(self.raw))
        moment = int((committed or at) * 1_000_000).to_bytes(7, "little")
        body = b"\x00" + UUID(uuid).bytes + struct.pack("<qBqq", number, 2, 0, 1) + moment + bytes(2)
        self._add(kind, at, body)
        self._add(QUERY, at, b"row")
        self._add(XID, at, struct.pack("<Q", number))
        return self
