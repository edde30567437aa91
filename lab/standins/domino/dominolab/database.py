# SPDX-License-Identifier: GPL-3.0-or-later
"""One open database: notes are appended, and with each the tally page changes."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any

from dominolab import nsf
from dominolab.errors import DominoError


def now_text() -> str:
    """Return this moment in UTC, to the microsecond."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Database:
    """A file that the server holds open; the caller writes the log first."""

    def __init__(self, path: str, file: Path, header: dict[str, Any]) -> None:
        self.path = path
        self.file = file
        self.header = header
        self.descriptor = os.open(file, os.O_RDWR)
        self.inode = os.fstat(self.descriptor).st_ino
        self.backup: list[list[Any]] | None = None  # changes since the backup began: [page, content, generation]
        self._pending: dict[int, bytes] = {}
        self._generation, self.tally = nsf.read_page(self.descriptor, nsf.TALLY)

    @property
    def dbiid(self) -> str:
        """Return what ties the database to its records in the log."""
        return self.header["dbiid"]

    @property
    def count(self) -> int:
        """Return the number of notes."""
        return self.tally["count"]

    def next_note(self, fields: dict[str, Any]) -> tuple[dict[str, Any], list[list[Any]]]:
        """Return (note, changes of pages) that append a note."""
        note = {"id": self.count + 1, "time": now_text(), **fields}
        note["hash"] = nsf.note_hash(self.tally["last"], note)
        return note, self.with_note(note)

    def with_note(self, note: dict[str, Any]) -> list[list[Any]]:
        """Return the changes of pages that make this note the last one."""
        generation = self._generation + 1
        tally = {"count": note["id"], "last": note["hash"]}
        return [[nsf.TALLY + note["id"], note, generation], [nsf.TALLY, tally, generation]]

    def apply(self, changes: list[list[Any]]) -> None:
        """Write the first halves of changed pages; the rest follows at the checkpoint."""
        for number, content, generation in changes:
            page = nsf.pack_page(content, generation)
            os.pwrite(self.descriptor, page[: nsf.HALF], number * nsf.PAGE)
            self._pending[number] = page
            if number == nsf.TALLY:
                self.tally, self._generation = content, generation
        os.ftruncate(self.descriptor, (nsf.TALLY + 1 + self.count) * nsf.PAGE)
        if self.backup is not None:
            self.backup += changes

    def flush(self) -> None:
        """Write pages whole."""
        for number, page in self._pending.items():
            os.pwrite(self.descriptor, page, number * nsf.PAGE)
        if self._pending:
            os.fdatasync(self.descriptor)
        self._pending = {}

    def page(self, number: int) -> dict[str, Any]:
        """Return a page as the server sees it."""
        if number in self._pending:
            return nsf.unpack_page(self._pending[number])[1]
        return nsf.read_page(self.descriptor, number)[1]

    def notes(self) -> list[dict[str, Any]]:
        """Return all notes."""
        return [self.page(nsf.TALLY + number) for number in range(1, self.count + 1)]

    def save_header(self) -> None:
        """Write the header with the state that fits."""
        nsf.write_header(self.descriptor, nsf.OPEN if self.backup is None else nsf.BACKUP_MODE, self.header)

    def replaced(self) -> bool:
        """Return whether somebody put another file in the place of this one."""
        try:
            return self.file.stat().st_ino != self.inode
        except OSError:
            return True

    def close(self, state: bytes = nsf.CLOSED) -> None:
        """Flush and close."""
        self.flush()
        self.header["session"] = ""
        nsf.write_header(self.descriptor, state, self.header)
        os.fsync(self.descriptor)
        os.close(self.descriptor)


def redo(file: Path, changes: list[list[Any]]) -> None:
    """Write logged pages into a database that is not open; its length follows the tally."""
    with file.open("r+b") as handle:
        for number, content, generation in changes:
            nsf.write_page(handle.fileno(), number, content, generation)
        tally = nsf.read_page(handle.fileno(), nsf.TALLY)[1]
        handle.truncate((nsf.TALLY + 1 + tally["count"]) * nsf.PAGE)
        os.fsync(handle.fileno())


def fix_up(file: Path) -> int:
    """Cut a database after its last whole note and count anew; the number of notes kept."""
    with file.open("r+b") as handle:
        descriptor = handle.fileno()
        number, previous, generation = 0, nsf.GENESIS, 0
        while True:
            try:
                generation, note = nsf.read_page(descriptor, nsf.TALLY + number + 1)
                if note["hash"] != nsf.note_hash(previous, note):
                    break
            except (DominoError, KeyError):
                break
            number, previous = number + 1, note["hash"]
        nsf.write_page(descriptor, nsf.TALLY, {"count": number, "last": previous}, generation + 1)
        handle.truncate((nsf.TALLY + 1 + number) * nsf.PAGE)
    return number
