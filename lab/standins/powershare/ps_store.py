# SPDX-License-Identifier: GPL-3.0-or-later
"""An open data folder: append records, keep index and tallies, close in order.

Records and tallies are written at once, the index by halves: what belongs to a record's second half, and every
summary, stays in memory until the server quits. So a copy made meanwhile is torn, whatever order it reads in.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import ps_folder
import ps_formats as formats
from ps_formats import COMPLETE, ENTRY, FIRST_ENTRY, FIRST_SUMMARY, HEADER, HEADER_MAGIC, RECORD, RECORD_MAGIC, SUMMARY, TALLY


@dataclass
class Log:
    """A log while it is open: where its records begin, and the end of its chain."""

    name: str
    descriptor: int
    first: int
    head: bytes
    end: int = HEADER.size
    number: int = 0
    places: list[tuple[int, bytes]] = field(default_factory=list)  # offset and chain hash of every record, in order


class Store:
    """The open data folder of one server; its user keeps other threads out while it calls."""

    def __init__(self, root: bytes, state: dict[str, Any], quit_number: int, session: bytes):
        self.root, self.state, self.quit_number = root, state, quit_number
        self.set_id = bytes.fromhex(state["set"])
        self.index_file = os.open(self._path(state["index"]), os.O_RDWR)
        self.index = mmap.mmap(self.index_file, 0)
        self.tallies = [self._mapped(path) for path in state["tallies"]]
        self.logs = [self._opened(log) for log in state["logs"]]
        self.entries = 0
        self.halves: list[tuple[int, bytes]] = []
        self._put_header(self.index, session)

    def _path(self, path: str) -> bytes:
        return ps_folder.path_of(self.root, path)

    def _mapped(self, path: str) -> mmap.mmap:
        descriptor = os.open(self._path(path), os.O_RDWR)
        try:
            return mmap.mmap(descriptor, HEADER.size + TALLY.size)
        finally:
            os.close(descriptor)

    def _opened(self, log: dict[str, Any]) -> Log:
        descriptor = os.open(self._path(log["path"]), os.O_RDWR)
        return Log(log["name"], descriptor, log["first"], formats.genesis(self.state["role"], log["name"]))

    def _put_header(self, target: mmap.mmap, session: bytes) -> None:
        role = self.state["role"].encode()[:4]
        target[: HEADER.size] = HEADER.pack(HEADER_MAGIC, role, self.set_id, self.quit_number, session)

    def load(self) -> None:
        """Take the logs as the index of an orderly quit has them."""
        for slot, log in enumerate(self.logs):
            count, log.number, log.end, log.head = SUMMARY.unpack_from(self.index, FIRST_SUMMARY + slot * SUMMARY.size)
            self.entries += count
        for place in range(self.entries):
            _, slot, _, offset, digest, _ = ENTRY.unpack_from(self.index, FIRST_ENTRY + place * ENTRY.size)
            self.logs[slot].places.append((offset, digest))

    def recover(self) -> None:
        """Make index and tallies anew from the logs, after a crash or when a log was replaced; a torn end is cut off."""
        self.entries, self.halves = 0, []
        for tally in self.tallies:
            tally[HEADER.size :] = TALLY.pack(0, 0, bytes(32))
        for slot, log in enumerate(self.logs):
            log.end, log.number, log.places = HEADER.size, 0, []
            log.head = formats.genesis(self.state["role"], log.name)
            for number, digest, body in list(read_log(log.descriptor)):
                if digest != formats.chain_hash(log.head, number, body):
                    break
                self._account(slot, number, digest, body)
            os.ftruncate(log.descriptor, log.end)
        self._complete()

    def newest(self) -> int:
        """Return the number of the newest record of a mail server, which counts over all its logs."""
        return max(log.number for log in self.logs)

    def append(self, slot: int, number: int, body: bytes) -> bytes:
        """Add a record to a log and return its chain hash; not durable before ``sync``."""
        log = self.logs[slot]
        digest = formats.chain_hash(log.head, number, body)
        record = RECORD.pack(RECORD_MAGIC, number, len(body), digest) + body
        if os.pwrite(log.descriptor, record, log.end) != len(record):
            os.ftruncate(log.descriptor, log.end)
            raise OSError(28, "dskFulErr (-34)")
        self._account(slot, number, digest, body)
        if len(self.halves) > 16:
            self._complete(8)
        return digest

    def _account(self, slot: int, number: int, digest: bytes, body: bytes) -> None:
        log, place = self.logs[slot], FIRST_ENTRY + self.entries * ENTRY.size
        if place + ENTRY.size > len(self.index):
            self.index.resize(len(self.index) + ps_folder.GROWTH)
        self.index[place : place + ENTRY.size] = ENTRY.pack(number, slot, len(body), log.end, bytes(32), bytes(8))
        self.halves.append((place, digest))
        tally = self.tallies[digest[0] % len(self.tallies)]
        count, size, mixed = TALLY.unpack_from(tally, HEADER.size)
        tally[HEADER.size :] = TALLY.pack(count + 1, size + len(body), formats.exclusive_or(mixed, digest))
        log.places.append((log.end, digest))
        log.end, log.number, log.head = log.end + RECORD.size + len(body), number, digest
        self.entries += 1

    def _complete(self, most: int | None = None) -> None:
        """Write second halves of index entries, the oldest first."""
        for place, digest in self.halves[:most]:
            self.index[place + 24 : place + ENTRY.size] = digest + COMPLETE
        self.halves = self.halves[most:] if most else []

    def sync(self) -> None:
        """Return when all records are on the disk."""
        for log in self.logs:
            os.fdatasync(log.descriptor)

    def read(self, slot: int, after: int, most: int) -> list[tuple[int, bytes, bytes]]:
        """Return up to ``most`` records of a catalog folder behind version ``after``: number, chain hash, body."""
        places = self.logs[slot].places[after : after + most]
        return list(read_log(self.logs[slot].descriptor, places[0][0], len(places))) if places else []

    def replace(self, slot: int, records: list[tuple[int, bytes, bytes]]) -> None:
        """Give a log other content altogether."""
        log = self.logs[slot]
        os.ftruncate(log.descriptor, HEADER.size)
        content = b"".join(RECORD.pack(RECORD_MAGIC, number, len(body), digest) + body for number, digest, body in records)
        os.pwrite(log.descriptor, content, HEADER.size)
        self.recover()

    def close(self) -> None:
        """Write what is still in memory, count the quit number up in every file, and close; the index is the last."""
        self._complete()
        self.quit_number += 1
        for slot, log in enumerate(self.logs):
            summary = SUMMARY.pack(len(log.places), log.number, log.end, log.head)
            self.index[FIRST_SUMMARY + slot * SUMMARY.size : FIRST_SUMMARY + (slot + 1) * SUMMARY.size] = summary
            role = self.state["role"].encode()[:4]
            os.pwrite(log.descriptor, HEADER.pack(HEADER_MAGIC, role, self.set_id, self.quit_number, formats.CLOSED), 0)
        for tally in self.tallies:
            self._put_header(tally, formats.CLOSED)
        for path in ps_folder.changing(self.state):
            with open(formats.fork_path(self._path(path)), "r+b") as handle:
                handle.write(ps_folder.fork_of(self.state, path, self.quit_number))
        for log in self.logs:
            os.close(log.descriptor)
        for tally in self.tallies:
            tally.close()
        self._put_header(self.index, formats.CLOSED)
        self.index.close()
        os.close(self.index_file)


def read_log(descriptor: int, start: int = HEADER.size, most: int | None = None) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield number, chain hash and body of the records of a log; ends at the first that is not whole."""
    while most is None or most > 0:
        head = os.pread(descriptor, RECORD.size, start)
        if len(head) < RECORD.size:
            return
        magic, number, length, digest = RECORD.unpack(head)
        body = os.pread(descriptor, length, start + RECORD.size)
        if magic != RECORD_MAGIC or len(body) != length:
            return
        yield number, digest, body
        start += RECORD.size + length
        most = None if most is None else most - 1
