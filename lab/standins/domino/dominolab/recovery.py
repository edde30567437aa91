# SPDX-License-Identifier: GPL-3.0-or-later
"""Media recovery: bring a backup copy that was never opened forward through the log. No console, no server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dominolab import nsf
from dominolab.database import redo
from dominolab.errors import DominoError
from dominolab.translog import START, extent_name, extents_in, log_id_of, records_of

LATEST = "latest"


def tied_header(copy: Path) -> dict[str, Any]:
    """Return the header of a backup copy that can be rolled forward; DominoError says why it cannot."""
    state, header = nsf.read_header(copy)
    if state == nsf.COPY_WITHOUT_DELTA:
        raise DominoError("the backup copy is inconsistent: its change information (.DELTA) is missing")
    if state != nsf.COPY or not header["tied"]:
        raise DominoError("the copy is no longer tied to the log: it was opened, fixed up, or is no backup copy")
    return header


def run_of_extents(header: dict[str, Any], folders: list[Path]) -> list[Path]:
    """Return the unbroken run of extents from the one that was current at the backup; DominoError at a gap or another log."""
    found: dict[int, Path] = {}
    for folder in folders:
        for number, path in extents_in(folder).items():
            found.setdefault(number, path)
    first = header["upto"][0]
    wanted = [number for number in sorted(found) if number >= first]
    if not wanted or wanted[0] != first:
        raise DominoError(f"log extent {extent_name(first)} is missing, recovery begins with it")
    for number in wanted:
        if log_id_of(found[number]) != header["log_id"]:
            raise DominoError(f"log extent {extent_name(number)} belongs to another log (LogID {log_id_of(found[number])})")
    for earlier, later in zip(wanted, wanted[1:]):
        if later != earlier + 1:
            raise DominoError(f"log extent {extent_name(earlier + 1)} is missing: there is a gap before {extent_name(later)}")
    return [found[number] for number in wanted]


def _records(header: dict[str, Any], extents: list[Path]) -> Iterator[dict[str, Any]]:
    for place, path in enumerate(extents):
        for _, record in records_of(path, header["upto"][1] if place == 0 else START):
            yield record


def changes_until(header: dict[str, Any], path: str, extents: list[Path], until: str, now: str) -> list[list[Any]]:
    """Return the pages that bring the copy of a database to a moment (UTC text) or to ``latest``.

    now: how far the log is known to reach when its current extent is among the extents; empty when only saved ones are.
    """
    changes: list[list[Any]] = []
    reached = now
    for record in _records(header, extents):
        reached = max(reached, record["time"])
        if until != LATEST and record["time"] > until:
            continue
        if record["database"] == path and record["dbiid"] == header["dbiid"]:
            if "new_dbiid" in record:
                raise DominoError(f"the database got a new DBIID at {record['time']}: recovery across it is not possible")
            changes += record["pages"]
    if until != LATEST and until > reached:
        raise DominoError(f"the log ends at {reached or 'its beginning'}, before the moment that was asked for")
    return changes


def roll_forward(copy: Path, path: str, folders: list[Path], until: str, now: str = "") -> None:
    """Bring the copy of database ``path`` forward; DominoError leaves it as it was."""
    header = tied_header(copy)
    if until != LATEST and until < header["at"]:
        raise DominoError(f"the backup is of {header['at']}, after the moment that was asked for: recovery goes forward only")
    changes = changes_until(header, path, run_of_extents(header, folders), until, now)
    redo(copy, changes)


def cut_loose(copy: Path) -> None:
    """Close a recovered copy: it is a database like any other now, and gets a new DBIID where it is opened."""
    header = nsf.read_header(copy)[1]
    with copy.open("r+b") as handle:
        nsf.write_header(handle.fileno(), nsf.CLOSED, {**header, "tied": False, "log_id": ""})
