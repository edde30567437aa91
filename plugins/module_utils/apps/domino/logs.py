# SPDX-License-Identifier: GPL-3.0-or-later
"""What a log set takes from the backup target: extents without a gap, and databases newer than what the sets hold."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple

from ...errors import CaptureFailed, IntegrityError
from ...moment import format_moment
from ...process import acting_as
from . import places
from .extents import name_of, number_of, numbers_in, require_unbroken
from .inventory import Entry, newest

# A record is as old as the clock when it was made; it is written a moment later.
_WRITING = timedelta(milliseconds=100)


class Shelf(NamedTuple):
    """The extents of one log that the backup target holds: file and bytes by number, the LogID, and the folders (one for each
    backup of extents) in which they lie. Extents that no inventory lists are looked for in folders ``after`` this START."""

    files: Dict[int, Tuple[str, int]]
    log_id: str
    roots: List[str]
    after: str = ""


class Run(NamedTuple):
    """A run of the backup task for extents: its START, and what it wrote."""

    start: str
    entries: List[Entry]


class Taken(NamedTuple):
    """Extents for a set: file and bytes by number; ``unlisted``: those that no inventory lists; ``next``: the first number
    that is not taken."""

    files: Dict[int, Tuple[str, int]]
    unlisted: List[int]
    next: int


class Changed(NamedTuple):
    """Databases for a log set; ``renewed``: those of which older sets hold copies that cannot go on past a moment; ``in_full``:
    the same, but that the newest full set holds the copy that goes on."""

    entries: List[Entry]
    renewed: List[str]
    in_full: List[str]


def newest_log_id(entries: Iterable[Entry]) -> str:
    """Return the LogID of the newest extent that was backed up, empty when none was."""
    found = [entry.reference for entry in entries if entry.mode == "TRANSLOG"]
    return found[-1] if found else ""


def shelf_of(entries: Iterable[Entry]) -> Shelf:
    """Return the extents of the present log that the backup target still holds whole."""
    listed = list(entries)
    log_id = newest_log_id(listed)
    files: Dict[int, Tuple[str, int]] = {}
    roots = []
    for entry in listed:
        if entry.mode != "TRANSLOG":
            continue
        roots.append(str(Path(entry.file).parent))
        number, size = number_of(entry.database), places.regular(Path(entry.file))
        if entry.reference == log_id and number is not None and size > 0 and entry.bytes in (-1, size):
            files[number] = (entry.file, size)
    return Shelf(files, log_id, list(dict.fromkeys(roots)))


def of_present_log(entries: Iterable[Entry], made: Run, log_id: str, after: Optional[str]) -> Shelf:
    """Return the extents in the backup target that are known to be of the present log.

    ``made``: the run of the backup task that just ended; ``log_id``: that of the set to continue, empty when it holds no
    extent; ``after``: START of the backup of extents that this set made, None when there is no set to continue. Inventory and
    target may tell of another log: a restore makes the log anew, and brings back an inventory of the one before.
    """
    if after is None:
        return shelf_of(made.entries)._replace(after=made.start)
    listed = [entry for entry in entries if entry.mode == "TRANSLOG"]
    mine = [entry for entry in listed if entry.start > after or (log_id and entry.reference == log_id)]
    return shelf_of(mine)._replace(roots=shelf_of(listed).roots, after=after)


def take_extents(shelf: Shelf, first: int, active: int, log_id: str) -> Taken:
    """Return the extents from ``first`` on that the backup target holds. ``active``: the one written before they were saved;
    ``log_id``: that of the set to continue, empty when it is not known.

    Raise CaptureFailed when one is missing that was full before, IntegrityError when there is a gap between them.
    """
    if shelf.log_id and log_id and shelf.log_id != log_id:
        told = f"the transaction log was made anew (LogID {shelf.log_id} instead of {log_id})"
        raise CaptureFailed(told, "run a full backup")
    files = {number: item for number, item in shelf.files.items() if number >= first}
    missing = sorted(set(range(first, active)) - set(files))
    unlisted = _unlisted(missing, shelf)
    files.update(unlisted)
    lacking = [number for number in missing if number not in unlisted]
    if lacking:
        raise CaptureFailed(
            f"log extent {name_of(lacking[0])} was full, and the backup target does not hold it",
            "was it removed there, or does the backup task say that it finished and save nothing?",
        )
    numbers = sorted(files)
    require_unbroken(numbers, first)
    return Taken(files, sorted(unlisted), (numbers[-1] if numbers else first - 1) + 1)


def _unlisted(missing: List[int], shelf: Shelf) -> Dict[int, Tuple[str, int]]:
    """Return those of ``missing`` that lie in the backup target although no inventory lists them.

    The server marked them as archived and died before it noted them; nobody offers them again. Only one that is as long as the
    others is taken for whole.
    """
    sizes = {size for _file, size in shelf.files.values()}
    found: Dict[int, Tuple[str, int]] = {}
    for folder in _siblings(shelf.roots, shelf.after):
        for number in set(missing) & set(numbers_in(os.listdir(folder))):
            size = places.regular(Path(folder, name_of(number)))
            if size > 0 and (not sizes or sizes == {size}):
                found[number] = (str(Path(folder, name_of(number))), size)
    return found


def _siblings(roots: List[str], after: str) -> List[str]:
    """Return the folders of backups of extents after START ``after``, oldest first, in the places of those that are known."""
    above = list(dict.fromkeys(str(Path(root).parent) for root in roots))
    listed = [os.path.join(folder, name) for folder in above if Path(folder).is_dir() for name in sorted(os.listdir(folder))]
    return [folder for folder in listed if Path(folder).is_dir() and Path(folder).name > after]


def covered_by(folder: Path, numbers: List[int], account: str) -> Dict[int, str]:
    """Return for each full extent in the log directory the moment before which everything committed is in it or before it.

    That is its last write, less the time between a record and its write; the next extent is written only after it. The newest
    is still written and is none of them.
    """
    found = {}
    with acting_as(account):
        for number in numbers[:-1]:
            try:
                written = (folder / name_of(number)).stat().st_mtime_ns
            except OSError:
                continue
            moment = datetime.fromtimestamp(written // 10**9, timezone.utc) + timedelta(microseconds=written % 10**9 // 1000)
            found[number] = format_moment(moment - _WRITING)
    return found


def held_starts(sets: Optional[Dict[str, Any]]) -> List[str]:
    """Return the backups (``MODE/START``) whose databases the newest sets hold."""
    found: List[str] = []
    for item in ((sets or {}).get("data"), (sets or {}).get("log")):
        found += (item or {}).get("facts", {}).get("starts", [])
    return list(dict.fromkeys(found))


def changed_databases(
    entries: Iterable[Entry], sets: Optional[Dict[str, Any]], databases: Dict[str, str], exclude: List[str]
) -> Changed:
    """Return the databases whose newest copy in the inventory is in no set. Raise IntegrityError when such a copy is gone."""
    held, listed = held_starts(sets), list(entries)
    latest = newest(listed, ("FULL", "INCR"))
    known = {entry.database for entry in listed if f"{entry.mode}/{entry.start}" in held}
    found = []
    for path in databases:
        entry = latest.get(path)
        if entry is None or f"{entry.mode}/{entry.start}" in held or places.left_out(path, exclude):
            continue
        size = places.regular(Path(entry.file))
        if size <= 0 or entry.bytes not in (-1, size):
            said = f"the newest copy of {path}, {entry.file}, is gone from the backup target"
            raise IntegrityError(said, "run a full backup")
        found.append(entry)
    renewed = [entry.database for entry in found if entry.database in known]
    return Changed(found, renewed, _renewed_in_full(listed, sets, databases))


def unsaved(renewed: Iterable[str], changed: Changed, entries: Iterable[Entry], task: str) -> List[str]:
    """Return those of ``renewed``, which got a new DBIID since the newest set began, of which no backup followed.

    One that the newest set's own ``task`` (``MODE/START``) copied may have got it before that: the inventory decides.
    """
    taken = {entry.database for entry in changed.entries}
    latest = newest(entries, ("FULL", "INCR"))
    own = {path for path, entry in latest.items() if f"{entry.mode}/{entry.start}" == task}
    return sorted(set(renewed) - taken - own)


def _renewed_in_full(entries: List[Entry], sets: Optional[Dict[str, Any]], databases: Dict[str, str]) -> List[str]:
    """Return the databases that the newest full set saved under another DBIID than the backup before it, where a log set older
    than it is continued: its history leads up to the full set, and those databases do not follow."""
    data, log = (sets or {}).get("data"), (sets or {}).get("log")
    starts = (data or {}).get("facts", {}).get("starts", [])
    if not data or not log or not starts or log["started_at"] > data["started_at"]:
        return []
    former: Dict[str, str] = {}
    found = []
    for entry in entries:
        if entry.mode not in ("FULL", "INCR"):
            continue
        if f"{entry.mode}/{entry.start}" in starts and former.get(entry.database, entry.reference) != entry.reference:
            found.append(entry.database)
        former[entry.database] = entry.reference
    return [path for path in found if path in databases]
