# SPDX-License-Identifier: GPL-3.0-or-later
"""Transaction log: extents S0000000.TXN ... and the control file nlogctrl.lfh. The formats are ours, the names are not."""

from __future__ import annotations

import json
import os
import secrets
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dominolab.errors import DominoError, PanicError
from dominolab.places import Places

CONTROL = "nlogctrl.lfh"
START = 128  # where the records of an extent begin
_FRAME = struct.Struct(">II")  # bytes of the record, CRC-32 of it


def extent_name(number: int) -> str:
    """Return the file name of an extent."""
    return f"S{number:07d}.TXN"


def extents_in(folder: Path) -> dict[int, Path]:
    """Return number -> file of the extents in a folder."""
    found = sorted(folder.glob("S[0-9][0-9][0-9][0-9][0-9][0-9][0-9].TXN"))
    return {int(path.stem[1:]): path for path in found}


def log_id_of(path: Path) -> str:
    """Return the LogID in an extent; DominoError when the file is none."""
    try:
        with path.open("rb") as handle:
            return json.loads(handle.read(START))["log_id"]
    except (ValueError, KeyError):
        raise DominoError(f"{path.name} is not a transaction log extent") from None


def records_of(path: Path, start: int = START) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (offset after it, record) of an extent, up to the first that is not whole."""
    data = path.read_bytes()
    while start + _FRAME.size <= len(data):
        size, checksum = _FRAME.unpack_from(data, start)
        body = data[start + _FRAME.size : start + _FRAME.size + size]
        if not size or zlib.crc32(body) != checksum:
            return
        start += _FRAME.size + size
        yield start, json.loads(body)


class TransactionLog:
    """The log of the running server."""

    def __init__(self, places: Places, control: dict[str, Any]) -> None:
        self.places = places
        self.folder = places.log_folder
        self.control = control
        self._offset = 0
        self._file = -1

    # Opening

    @classmethod
    def opened(cls, places: Places, *, used_before: bool) -> TransactionLog:
        """Open the log, or make the first one; PanicError where Domino would not start.

        used_before: databases of this server were logged already, so a log has to be there.
        """
        folder = places.log_folder
        folder.mkdir(parents=True, exist_ok=True)
        recreate = places.ini.get("TRANSLOG_Recreate_Logctrl") == "1"
        there, extents = (folder / CONTROL).exists(), extents_in(folder)
        if recreate:
            if there or not extents or not places.archive_style:
                raise PanicError("TRANSLOG_Recreate_Logctrl needs archive style, extents, and no control file")
            control = cls._recreated(extents)
            places.ini.set("TRANSLOG_Recreate_Logctrl", "0")
        elif there:
            control = json.loads((folder / CONTROL).read_text(encoding="utf-8"))
        elif extents or used_before:
            raise PanicError(f"Log control file {CONTROL} is missing in {folder}")
        else:
            control = {"log_id": secrets.token_hex(8), "active": 0, "archived": [], "checkpoint": [0, START], "session": ""}
        log = cls(places, control)
        log._go_on(make=not extents or recreate)
        return log

    @staticmethod
    def _recreated(extents: dict[int, Path]) -> dict[str, Any]:
        """Return a control file for saved extents; new records go to an extent of their own."""
        ids = {log_id_of(path) for path in extents.values()}
        if len(ids) != 1:
            raise PanicError("Extents of several logs lie in the log directory")
        return {
            "log_id": ids.pop(),
            "active": max(extents) + 1,
            "archived": sorted(extents),
            "checkpoint": [max(extents) + 1, START],
            "session": "",
        }

    def _go_on(self, *, make: bool) -> None:
        path = self.folder / extent_name(self.control["active"])
        if make:
            self._make_extent()
            return
        if not path.exists() or log_id_of(path) != self.control["log_id"]:
            raise PanicError(f"Log extent {path.name} is missing or belongs to another log")
        self._offset = max((offset for offset, _ in records_of(path)), default=START)
        self._file = os.open(path, os.O_RDWR)

    def _make_extent(self) -> None:
        path = self.folder / extent_name(self.control["active"])
        head = json.dumps({"log_id": self.control["log_id"], "extent": self.control["active"]}).encode()
        if self._file >= 0:
            os.close(self._file)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o640)
        try:
            os.posix_fallocate(self._file, 0, self.places.settings["extent_bytes"])
        except OSError as error:
            raise PanicError(f"Log extent {path.name} cannot be made: {error.strerror}") from None
        os.pwrite(self._file, head.ljust(START), 0)
        self._offset = START
        self.save()

    # Writing

    @property
    def log_id(self) -> str:
        """Return what names this log."""
        return self.control["log_id"]

    @property
    def position(self) -> list[int]:
        """Return [extent, offset] where the next record goes."""
        return [self.control["active"], self._offset]

    def save(self) -> None:
        """Write the control file."""
        fresh = self.folder / (CONTROL + ".new")
        fresh.write_text(json.dumps(self.control), encoding="utf-8")
        fresh.replace(self.folder / CONTROL)

    def fits(self, record: dict[str, Any]) -> bool:
        """Return whether the record fits the current extent."""
        size = len(json.dumps(record).encode()) + 2 * _FRAME.size
        return self._offset + size <= self.places.settings["extent_bytes"]

    def append(self, record: dict[str, Any]) -> None:
        """Write a record durably; the caller saw that it fits."""
        body = json.dumps(record).encode()
        os.pwrite(self._file, _FRAME.pack(len(body), zlib.crc32(body)) + body, self._offset)
        os.fdatasync(self._file)
        self._offset += _FRAME.size + len(body)

    def checkpointed(self) -> None:
        """Note that everything before the current position is in the databases."""
        self.control["checkpoint"] = self.position
        self.save()

    def switch(self) -> None:
        """Go to the next extent; everything before it is in the databases. PanicError when there is no room."""
        kept = extents_in(self.folder)
        if self.places.archive_style:
            archived = set(self.control["archived"])
            if len(set(kept) - archived) >= self.places.extents:
                raise PanicError(f"Transaction log is full: {len(kept)} extents wait for being archived")
            old = archived & set(kept)
        else:
            old = set(sorted(kept)[: max(0, len(kept) - self.places.extents + 1)])
        self.control["active"] += 1
        self._make_extent()
        for number in old:
            kept[number].unlink()

    # Archiving

    def full_extents(self) -> list[int]:
        """Return the full extents that wait for being archived; the one being written is none of them."""
        return [n for n in extents_in(self.folder) if n < self.control["active"] and n not in self.control["archived"]]

    def archived(self, number: int) -> None:
        """Mark an extent as saved by the backup program."""
        self.control["archived"].append(number)
        self.save()

    def since_checkpoint(self) -> Iterator[dict[str, Any]]:
        """Yield the records that the databases may lack."""
        first, start = self.control["checkpoint"]
        for number, path in extents_in(self.folder).items():
            if number >= first:
                for _, record in records_of(path, start if number == first else START):
                    yield record
