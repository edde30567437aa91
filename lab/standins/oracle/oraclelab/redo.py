# SPDX-License-Identifier: GPL-3.0-or-later
"""Redo logs, online and archived: a header of 512 bytes and records, each the block changes of one transaction.

A record's checksum includes the log's sequence number, so what an earlier use of an online log left behind is never read.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HEADER_SIZE = 512
MAGIC = b"ORRDLOG1"
FRAME = struct.Struct("<IIQQ")
BLOCK_SIZE = 512


class CorruptLogError(Exception):
    """Not a redo log, or a damaged one."""


def packed_header(header: dict[str, Any]) -> bytes:
    """The first 512 bytes of a log."""
    text = json.dumps(header, separators=(",", ":")).encode()
    return (MAGIC + struct.pack("<II", len(text), zlib.crc32(text)) + text).ljust(HEADER_SIZE, b"\0")


def read_header(path: str | Path) -> dict[str, Any]:
    """Fields of a log's header: dbid, thread, sequence, resetlogs_*, first_* and next_*, each with scn and time."""
    with Path(path).open("rb") as handle:
        data = handle.read(HEADER_SIZE)
    if len(data) < HEADER_SIZE or not data.startswith(MAGIC):
        raise CorruptLogError(str(path))
    length, checksum = struct.unpack_from("<II", data, len(MAGIC))
    text = data[len(MAGIC) + 8 : len(MAGIC) + 8 + length]
    if zlib.crc32(text) != checksum:
        raise CorruptLogError(str(path))
    return json.loads(text)


def format_online(path: str | Path, header: dict[str, Any], size: int) -> None:
    """Make an online log empty and ready for a sequence; OSError when the file cannot be made."""
    with Path(path).open("r+b" if Path(path).exists() else "w+b") as handle:
        handle.truncate(size)
        handle.write(packed_header(header) + bytes(FRAME.size))
        handle.flush()
        os.fsync(handle.fileno())


def close_online(path: str | Path, next_scn: int, next_time: int) -> None:
    """Note in an online log's header where the next one begins."""
    header = {**read_header(path), "next_scn": next_scn, "next_time": next_time}
    with Path(path).open("r+b") as handle:
        handle.write(packed_header(header))


def packed_record(sequence: int, scn: int, moment: int, changes: list[Any]) -> bytes:
    """One record as bytes; changes are [file, block, key, row]."""
    payload = json.dumps(changes, separators=(",", ":")).encode()
    checksum = zlib.crc32(payload, zlib.crc32(b"%d %d %d" % (sequence, scn, moment)))
    return FRAME.pack(len(payload), checksum, scn, moment) + payload


def append(path: str | Path, offset: int, record: bytes) -> None:
    """Write a record durably at an offset, with an end mark behind it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.pwrite(descriptor, record + bytes(FRAME.size), offset)
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def parse_records(body: bytes, sequence: int) -> Iterator[tuple[int, int, list[Any], int]]:
    """(scn, time, changes, end offset in the body) of every record, up to the first that is not of this sequence."""
    position = 0
    while position + FRAME.size <= len(body):
        length, checksum, scn, moment = FRAME.unpack_from(body, position)
        payload = body[position + FRAME.size : position + FRAME.size + length]
        if not length or zlib.crc32(payload, zlib.crc32(b"%d %d %d" % (sequence, scn, moment))) != checksum:
            return
        position += FRAME.size + length
        yield scn, moment, json.loads(payload), position


def records(path: str | Path) -> Iterator[tuple[int, int, list[Any], int]]:
    """Records of an online or archived log; CorruptLogError when an archived log is not whole."""
    header = read_header(path)
    with Path(path).open("rb") as handle:
        handle.seek(HEADER_SIZE)
        body = handle.read()
    if "body_crc" in header and (len(body) != header["body_bytes"] or zlib.crc32(body) != header["body_crc"]):
        raise CorruptLogError(str(path))
    yield from parse_records(body, header["sequence"])


def end_of(path: str | Path) -> tuple[int, int]:
    """(offset behind the last record, SCN of the last record or 0) of an online log."""
    end, last = 0, 0
    for scn, _, _, position in records(path):
        end, last = position, scn
    return HEADER_SIZE + end, last


def archived_bytes(online: str | Path, next_scn: int, next_time: int) -> bytes:
    """What the archiver writes for a filled online log."""
    header = read_header(online)
    end, _ = end_of(online)
    with Path(online).open("rb") as handle:
        handle.seek(HEADER_SIZE)
        body = handle.read(end - HEADER_SIZE)
    header.update(next_scn=next_scn, next_time=next_time, body_bytes=len(body), body_crc=zlib.crc32(body))
    return packed_header(header) + body
