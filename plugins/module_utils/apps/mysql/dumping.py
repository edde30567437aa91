# SPDX-License-Identifier: GPL-3.0-or-later
"""What a dump holds, read from its lines as they pass: its place in the binary log, its objects, a hash of every table's rows.

Pure but for ``main`` and what it calls. The tools write each statement of data on lines of its own and no newline within a
value, so a table's rows can be told from anything else; the same rows give the same lines, in a dump of the restored server,
too.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, BinaryIO, Dict, List, Optional, Set

from ...errors import BackstayError
from ...files import read_json, write_json
from ...process import PIPE_BYTES, spawn
from .objects import object_names, unbearable

_USE = re.compile(rb"USE `((?:[^`]|``)*)`;")
_INSERT = re.compile(rb"INSERT (?:IGNORE )?INTO `((?:[^`]|``)*)` ")
_TABLE = re.compile(rb"CREATE (?:TABLE|SEQUENCE) `((?:[^`]|``)*)`")
_CREATED = ((b"CREATE TABLE `", "tables"), (b"CREATE SEQUENCE `", "tables"), (b"/*!50001 VIEW `", "views"))
_NAMES = re.compile(rb"`(?:[^`]|``)*`|'(?:[^'\\]|\\.|'')*'")
_BODY = re.compile(rb"\b(EVENT|TRIGGER|PROCEDURE|FUNCTION|PACKAGE)\b", re.IGNORECASE)
_KINDS = {b"EVENT": "events", b"TRIGGER": "triggers", b"PROCEDURE": "routines", b"FUNCTION": "routines", b"PACKAGE": "routines"}
CHANGED = "came or went while the dump ran"  # the step takes the dump again on these words
_HEAD_LINES = 200  # the coordinates stand before the first database


class Reader:
    """Reads a dump line by line; ``coordinates`` is the regular expression over the line that says file and position."""

    def __init__(self, coordinates: str) -> None:
        self._coordinates = re.compile(coordinates)
        self.place: Optional[Dict[str, Any]] = None
        self.counts = dict.fromkeys(("schemas", "tables", "views", "routines", "triggers", "events"), 0)
        self._tables: Dict[str, Any] = {}
        self._schemas: Set[str] = set()
        self.dumped: Set[str] = set()  # schemas and tables, as ``objects`` names them
        self._database = ""
        self._rows: Any = None  # the hash of the table whose statement goes on
        self._lines = 0
        self._awaited = False  # the text of a trigger, routine or event is about to begin

    def line(self, line: bytes) -> None:
        """Take the next line, with its end."""
        self._lines += 1
        if self._rows is None:
            inserted = _INSERT.match(line)
            if not inserted:
                self._other(line)
                return
            name = f"{self._database}.{_plain(inserted.group(1))}"
            self._rows = self._tables.setdefault(name, hashlib.sha256())
        self._rows.update(line)
        if line.endswith(b";\n"):
            self._rows = None

    def _other(self, line: bytes) -> None:
        if line.startswith(b"DELIMITER "):
            self._awaited = line == b"DELIMITER ;;\n"
        elif self._awaited and b"CREATE" in line[:20].upper():
            found = _BODY.search(_NAMES.sub(b"", line))
            self.counts[_KINDS[found.group(1).upper()] if found else "routines"] += 1
            self._awaited = False
        used = _USE.match(line)
        if used:
            self._database = _plain(used.group(1))
            self._schemas.add(self._database)
            self.dumped.add(f"schema {self._database}")
            self.counts["schemas"] = len(self._schemas)
        made = _TABLE.match(line)
        if made:
            self.dumped.add(f"table {self._database}.{_plain(made.group(1))}")
        for words, kind in _CREATED:
            if line.startswith(words):
                self.counts[kind] += 1
        if self.place is None and self._lines < _HEAD_LINES:
            match = self._coordinates.match(line.decode("utf-8", "replace"))
            if match:
                self.place = {"file": match.group("file"), "position": int(match.group("position"))}

    def found(self) -> Dict[str, Any]:
        """Return ``{place, counts, tables}``; ``tables`` are the SHA-256 of rows by ``database.table``."""
        digests = {name: digest.hexdigest() for name, digest in sorted(self._tables.items())}
        return {"place": self.place, "counts": self.counts, "tables": digests}


def _plain(name: bytes) -> str:
    return name.replace(b"``", b"`").decode("utf-8", "replace")


def differences(wanted: Dict[str, str], found: Dict[str, str]) -> List[str]:
    """Return sentences about the tables whose rows differ between two dumps."""
    return [
        f"{name}: {'no rows' if name not in found else 'other rows' if name in wanted else 'rows that were not there'}"
        for name in sorted({*wanted, *found})
        if wanted.get(name) != found.get(name)
    ]


def passed_on(argv: List[str], reader: Reader, target: Optional[BinaryIO]) -> int:
    """Run the dump tool ``argv``, let ``reader`` read what it writes, pass it on to ``target``; return its exit status."""
    process = spawn(argv, stdout=subprocess.PIPE, start_new_session=False, bufsize=PIPE_BYTES)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            reader.line(line)
            if target:
                target.write(line)
        if target:
            target.flush()
    except BrokenPipeError:
        process.kill()
    process.stdout.close()
    return process.wait()


def main(arguments: List[str]) -> int:
    """Run as the tool of a capture: ``NOTES BEFORE COORDINATES ARGV ...``; what was found goes to the file NOTES.

    The file BEFORE says how the server is reached and which objects it had. It fails when those changed in a way that a dump
    cannot bear, before anybody calls it good: the capture then takes the whole again.
    """
    notes, before, coordinates, argv = arguments[0], arguments[1], arguments[2], arguments[3:]
    reader = Reader(coordinates)
    status = passed_on(argv, reader, sys.stdout.buffer)
    write_json(Path(notes), reader.found())
    if status == 0:
        return _compared(read_json(Path(before)) or {}, reader.dumped)
    return status if status > 0 else 128 - status


def _compared(before: Dict[str, Any], dumped: Set[str]) -> int:
    try:
        changed = unbearable(before["objects"], object_names(before["options"]), dumped)
    except BackstayError as error:
        print(f"Error: the server cannot be asked for its objects: {error.message}", file=sys.stderr)
        return 1
    if changed:
        print(f"Error: {len(changed)} objects {CHANGED}: {', '.join(changed[:5])}", file=sys.stderr)
        return 1
    return 0
