# SPDX-License-Identifier: GPL-3.0-or-later
"""Applying redo to data files."""

from __future__ import annotations

from typing import Any

from oraclelab import redo
from oraclelab.blocks import CorruptBlockError, DataFile
from oraclelab.control import Control
from oraclelab.errors import OracleError


class Applier:
    """Applies records to data files; keeps blocks in memory until flush()."""

    def __init__(self, datafiles: list[dict[str, Any]]) -> None:
        self.names = {entry["file"]: entry["name"] for entry in datafiles}
        self.starts: dict[int, int] = {}
        self.cache: dict[tuple[int, int], tuple[int, dict[str, Any]]] = {}
        self.dirty: set[tuple[int, int]] = set()

    def apply(self, scn: int, changes: list[Any]) -> None:
        """Bring the blocks of one record to its SCN, unless they are there already."""
        for number, block, key, row in changes:
            if number not in self.names:
                continue
            place = (number, block)
            if place not in self.cache:
                with DataFile(self.names[number], write=False) as file:
                    self.cache[place] = self._read(file, number, block)
            now, rows = self.cache[place]
            # Equal: another change of the same record to the same block.
            if now <= scn:
                rows[key] = row
                self.cache[place] = (scn, rows)
                self.dirty.add(place)
        if len(self.cache) > 5000:
            self.flush()

    def _read(self, file: DataFile, number: int, block: int) -> tuple[int, dict[str, Any]]:
        try:
            return file.read(block)
        except CorruptBlockError as error:
            raise OracleError(
                f"ORA-01578: ORACLE data block corrupted (file # {number}, block # {block})",
                f"ORA-01110: data file {number}: '{file.path}'",
            ) from error

    def flush(self) -> None:
        """Write what was changed."""
        for number in sorted({place[0] for place in self.dirty}):
            with DataFile(self.names[number]) as file:
                for place in sorted(place for place in self.dirty if place[0] == number):
                    scn, rows = self.cache[place]
                    file.write(place[1], scn, rows)
                file.sync()
        self.cache.clear()
        self.dirty.clear()


def write_changes(scn: int, changes: list[Any]) -> None:
    """Bring blocks to the SCN of a committed transaction; changes are [path, block, key, row]."""
    for path, block, key, row in changes:
        with DataFile(path) as file:
            _, rows = file.read(block)
            file.write(block, scn, {**rows, key: row})


def online_logs(content: Control) -> list[tuple[dict[str, Any], str]]:
    """(header, path) of the online logs that are really there and hold what the header says, oldest first."""
    found = {}
    for group in content["groups"]:
        for member in group["members"]:
            try:
                header = redo.read_header(member)
            except (OSError, redo.CorruptLogError):
                continue
            if header["dbid"] == content["dbid"] and header["sequence"]:
                found[header["resetlogs_scn"], header["sequence"]] = (header, member)
    return [found[key] for key in sorted(found)]


def crash_recovery(content: Control, end: int) -> None:
    """Apply the online logs to files that were open when the instance died, and prove that nothing is newer than the redo."""
    applier = Applier(content["datafiles"])
    for header, path in online_logs(content):
        if header["resetlogs_scn"] == content["resetlogs_scn"]:
            for scn, _, changes, _ in redo.records(path):
                applier.apply(scn, changes)
    applier.flush()
    for entry in content["datafiles"]:
        if newest_block(entry["name"]) > end:
            raise OracleError(
                f"ORA-01113: file {entry['file']} needs media recovery",
                f"ORA-01110: data file {entry['file']}: '{entry['name']}'",
            )


def newest_block(path: str) -> int:
    """The highest SCN of a data file's blocks; ORA-01578 for a damaged block."""
    newest = 0
    with DataFile(path, write=False) as file:
        for number in range(1, file.blocks):
            try:
                newest = max(newest, file.read(number)[0])
            except CorruptBlockError as error:
                raise OracleError(
                    f"ORA-01578: ORACLE data block corrupted (file # ?, block # {number})", f"ORA-01110: data file: '{path}'"
                ) from error
    return newest
