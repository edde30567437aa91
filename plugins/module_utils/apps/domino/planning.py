# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore makes of planned sets: which copy of each database, how far the logs go, where all comes. Pure functions.

Source: HCL's and IBM's descriptions of recovery. Logs roll a backup copy forward only, only within one DBIID, and only
through an unbroken run of extents from the one that was written when the copy was made.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple

from ...chain import log_sets
from ...errors import IntegrityError, PlanRefused
from . import extents
from .places import below

LATEST = "latest"


def judge(plan: Dict[str, Any]) -> None:
    """Raise PlanRefused for a moment at which a database had a new DBIID and no backup yet: nothing leads there."""
    moment = plan.get("stop_at")
    gaps = [gap for item in log_sets(plan) for gap in extents.gaps_in(item["stream"].get("mark") or "")]
    inside = [gap for gap in gaps if moment and gap[0] < moment < gap[1]]
    if inside:
        raise PlanRefused(
            f"{moment} cannot be restored: a database had a new DBIID then, and no backup of it was made before {inside[0][1]}",
            f"nearest earlier: {inside[0][0]}; nearest later: {inside[0][1]}, where a set reaches that far",
        )


class Base(NamedTuple):
    """The copy that a database comes back from: the set that holds it, and whether logs are applied to it."""

    set: str
    roll: bool


def until_of(plan: Dict[str, Any]) -> str:
    """Return where recovery stops: the moment of the plan, or ``latest`` where it names none."""
    stop_at: Optional[str] = plan["stop_at"]
    return stop_at or LATEST


def bases(plan: Dict[str, Any], saved: Iterable[str], indexes: Dict[str, Dict[str, Any]]) -> Dict[str, Base]:
    """Return the copy for each database. ``saved``: databases in the full set; ``indexes``: what each landed set of logs holds.

    A copy that is younger than the goal is of no use. One that was made when a later extent than the last landed one was
    written is ahead of the logs already and comes back as it is.
    """
    data, rolls = plan["receipts"][0], bool(log_sets(plan))
    last = max((number for index in indexes.values() for number in index["extents"]), default=-1)
    active = data["facts"].get("active", 0)
    found = {path: Base(data["set"], rolls and last >= active) for path in saved}
    for item in log_sets(plan):
        index = indexes.get(item["set"], {})
        if not plan["stop_at"] or index.get("changed_until", "") <= plan["stop_at"]:
            ahead = last < int(index.get("changed_to", 0))
            found.update({entry["path"]: Base(item["set"], not ahead) for entry in index["databases"]})
    return found


def require_one_log(plan: Dict[str, Any], indexes: Dict[str, Dict[str, Any]]) -> List[int]:
    """Return the numbers of all landed extents. Raise IntegrityError for a gap, or for extents of more than one log."""
    ids = sorted({index["log_id"] for index in indexes.values() if index["log_id"]})
    if len(ids) > 1:
        raise IntegrityError(f"the extents of the planned sets belong to {len(ids)} logs (LogIDs {', '.join(ids)})")
    numbers = sorted({number for index in indexes.values() for number in index["extents"]})
    if numbers:
        extents.require_unbroken(numbers, numbers[0])
    return numbers


class Layout(NamedTuple):
    """Where the content of folders lies while it is put together: pairs of a folder of the server and its landing, and the
    links of the set."""

    folders: List[Tuple[str, str]]
    data: str
    linked_folders: Dict[str, str]
    links: Dict[str, str]

    def landing(self, path: str) -> str:
        """Return where a path of the server lies in a landing; empty when it is in none of the folders."""
        inside = [(folder, place) for folder, place in self.folders if below(path, folder)]
        if not inside:
            return ""
        folder, place = max(inside, key=lambda pair: len(pair[0]))
        return str(PurePosixPath(place, PurePosixPath(path).relative_to(folder)))

    def file_of(self, database: str) -> str:
        """Return the path on the server of the file that a database is in."""
        return self.links.get(database) or self.entry_of(database)

    def entry_of(self, database: str) -> str:
        """Return the path on the server of the directory entry of a database, be it a link."""
        names = [name for name in self.linked_folders if database.startswith(name + "/")]
        if names:
            name = max(names, key=len)
            return str(PurePosixPath(self.linked_folders[name], database[len(name) + 1 :]))
        return str(PurePosixPath(self.data, database))


def roll_forward_argv(words: List[str], values: Dict[str, str], databases: List[Tuple[str, str]]) -> List[str]:
    """Return the command line of media recovery: words that name a database or its file are repeated for each."""
    result = []
    for template in words:
        word = filled(template, values)
        if "{database}" in word or "{file}" in word:
            result += [word.replace("{database}", path).replace("{file}", file) for path, file in databases]
        else:
            result.append(word)
    return result


def filled(word: str, values: Dict[str, str]) -> str:
    """Return a word of a command of the operator's with ``{name}`` replaced by its value."""
    for name, value in values.items():
        word = word.replace("{" + name + "}", value)
    return word


def batches(databases: List[Tuple[str, str]], room: int = 1 << 19) -> List[List[Tuple[str, str]]]:
    """Return ``databases`` in as few groups as a command line has ``room`` (bytes) for."""
    groups: List[List[Tuple[str, str]]] = []
    size = room + 1
    for item in databases:
        length = len(item[0].encode()) + len(item[1].encode()) + 16
        if size + length > room:
            groups.append([])
            size = 0
        groups[-1].append(item)
        size += length
    return groups
