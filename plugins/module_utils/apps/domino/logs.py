# SPDX-License-Identifier: GPL-3.0-or-later
"""What a log set takes from the backup target: extents without a gap, and databases newer than what the sets hold."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Set, Tuple

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


class Copies(NamedTuple):
    """The copies that the inventory lists. ``good``: the runs (``MODE/START``) that ended without an error, a copy of any other
    proves nothing; ``after``: START of the backup of extents that the continued set made, an older copy needs extents that the
    next sets do not hold."""

    entries: List[Entry]
    good: Set[str]
    after: str


class Changed(NamedTuple):
    """Databases for a log set; ``renewed``: those of which older sets hold copies that cannot go on past a moment; ``in_full``:
    the same, but that the newest full set holds the copy that goes on; ``unlogged``: those that no log set can hold."""

    entries: List[Entry]
    renewed: List[str]
    in_full: List[str]
    unlogged: List[str]


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
    extent; ``after``: START of the backup of extents that this set made, or of the backup of databases that begins a history,
    None where neither is known. Inventory and target may tell of another log: a restore makes the log anew, and brings back an
    inventory of the one before.
    """
    if after is None:
        return shelf_of(made.entries)._replace(after=made.start)
    listed = [entry for entry in entries if entry.mode == "TRANSLOG"]
    mine = [entry for entry in listed if after < entry.start or entry in made.entries or (log_id and entry.reference == log_id)]
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


def in_order(sets: Optional[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """Return the newest data and log set, the later one last."""
    found = [item for item in ((sets or {}).get("data"), (sets or {}).get("log")) if item]
    return sorted(found, key=lambda item: str(item["started_at"]))


def held_dbiids(sets: Optional[Dict[str, Any]]) -> Dict[str, str]:
    """Return the DBIID under which the newest full set and the log sets after it hold each database; a log set before it does
    not count, for a restore to the newest does without. Raise CaptureFailed where they do not say it."""
    held: Dict[str, str] = {}
    for item in in_order(sets):
        held = {**({} if item["kind"] == "full" else held), **(item["facts"].get("dbiids") or {})}
    if not any(held.values()):
        raise CaptureFailed("the newest full set does not say the DBIIDs of its databases", "run a full backup")
    return held


def changed_dbiids(sets: Dict[str, Any], entries: Iterable[Entry]) -> Dict[str, str]:
    """Return what a log set says of DBIIDs: those that changed since the newest data set, with those of its ``entries``."""
    earlier = in_order(sets)[-1]
    found = dict(earlier["facts"].get("dbiids") or {}) if earlier["kind"] == "log" else {}
    return {**found, **{entry.database: entry.reference for entry in entries}}


def renewed_in_full(sets: Optional[Dict[str, Any]], dbiids: Dict[str, str]) -> List[str]:
    """Return the databases that a full set saves under another DBIID than the newest log set of its history: the logs lead up
    to the full set, and those databases do not follow."""
    held: Dict[str, str] = {}
    for item in in_order(sets):
        held.update(item["facts"].get("dbiids") or {})
    found = {path for path, dbiid in dbiids.items() if held.get(path, dbiid) != dbiid}
    if sets and in_order(sets)[-1]["kind"] == "full":  # no log set came after that one either
        found.update(path for path in in_order(sets)[-1]["facts"].get("renewed") or [] if path in dbiids)
    return sorted(found)


def changed_databases(copies: Copies, sets: Optional[Dict[str, Any]], databases: Dict[str, str], exclude: List[str]) -> Changed:
    """Return the databases whose newest copy in the inventory has another DBIID than the sets hold.

    Raise IntegrityError where the newest DBIID is in no copy that can go on. A database without a DBIID is not logged.
    """
    held, latest = held_dbiids(sets), newest(copies.entries, ("FULL", "INCR"))
    proved = newest((entry for entry in copies.entries if run_of(entry) in copies.good), ("FULL", "INCR"))
    found, unlogged = [], []
    for path in databases:
        if path not in latest or places.left_out(path, exclude):
            continue
        if not latest[path].reference:
            unlogged.append(path)
        elif latest[path].reference != held.get(path):
            found.append(_proved(latest[path], proved.get(path), copies.after))
    renewed = [entry.database for entry in found if entry.database in held]
    return Changed(found, renewed, _followed_by_full(sets, databases), unlogged)


def run_of(entry: Entry) -> str:
    """Return the run of the backup task that made a copy: ``MODE/START``."""
    return f"{entry.mode}/{entry.start}"


def _proved(entry: Entry, copy: Optional[Entry], after: str) -> Entry:
    """Return the newest proved ``copy`` of a database; IntegrityError unless it is whole and has the DBIID of ``entry``."""
    if copy is None or copy.reference != entry.reference:
        said = f"{entry.database} has a new DBIID, and the backup that copied it, {run_of(entry)}, did not end well"
        raise IntegrityError(said, "run a full backup")
    if copy.start <= after:
        said = f"the newest copy of {copy.database}, of {run_of(copy)}, is older than the set that is continued"
        raise IntegrityError(said, "run a full backup")
    size = places.regular(Path(copy.file))
    if size <= 0 or copy.bytes not in (-1, size):
        said = f"the newest copy of {copy.database}, {copy.file}, is gone from the backup target"
        raise IntegrityError(said, "run a full backup")
    return copy


def unsaved(
    before: Set[str], after: Set[str], changed: Changed, entries: Iterable[Entry], sets: Optional[Dict[str, Any]]
) -> List[str]:
    """Return those databases that got a new DBIID since the newest set began of which no backup followed.

    ``before``: those of which the console said so before the copies of the newest set were made; of one whose newest copy has
    the DBIID that the sets hold, the inventory decides. ``after``: those of which it said so later; they have to be in
    ``changed``.
    """
    taken = {entry.database for entry in changed.entries}
    latest, held = newest(entries, ("FULL", "INCR")), held_dbiids(sets)
    same = {path for path in before if path in held and (path not in latest or latest[path].reference == held[path])}
    return sorted((after - taken) | (before - taken - same))


def _followed_by_full(sets: Optional[Dict[str, Any]], databases: Dict[str, str]) -> List[str]:
    """Return the databases that the newest full set saved under a new DBIID, where a log set older than it is continued."""
    line = in_order(sets)
    if len(line) < 2 or line[-1]["kind"] == "log":
        return []
    return [path for path in line[-1]["facts"].get("renewed") or [] if path in databases]


def holds_back(copies: Optional[List[int]], last: int) -> bool:
    """Return whether it is open if extents up to ``last`` lead past copies: they were made while one of the extents from the
    first to the second number in ``copies`` was written, and nothing tells which.

    Those made before the end of ``last`` would have to be rolled forward, the others cannot be. A restore brings them back as
    they are, so nothing after them may be promised until an extent is full that was begun after them all.
    """
    return copies is not None and copies[0] <= last < copies[1]
