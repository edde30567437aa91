# SPDX-License-Identifier: GPL-3.0-or-later
"""The history of a database: whether its redo still is what a set of ours ends in. Pure functions.

Within one DBID, one OPEN RESETLOGS and one thread, logs are numbered without a gap and each begins at the SCN at which the one
before ends. A database that was set back (a copied disk, a restored machine) keeps all its names, so the SCNs decide.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ...chain import continued
from ...errors import BadInput, CaptureFailed, IntegrityError
from .dictionary import Log, State

_POSITION = re.compile(r"^scn:([0-9]{1,20})\Z")


class Link(NamedTuple):
    """What a new set continues: the stream, the set before it, the first sequence of each thread that follows that set."""

    stream: str
    parent: str
    first: Dict[str, int]


def order(scn: int) -> str:
    """Return an SCN as text whose order is the order of SCNs."""
    return f"{scn:020d}"


def mark(place: Dict[str, Any]) -> str:
    """Return the end of a set in the words of the log files: ``resetlogs:thread.sequence,...``."""
    threads = ".".join(f"{thread}-{item['sequence']}" for thread, item in sorted(place["threads"].items()))
    return f"{place['resetlogs']}:{threads}"


def parse_position(position: str) -> int:
    """Return the SCN of ``scn:12345``. Raise BadInput for anything else."""
    match = _POSITION.match(position)
    if not match:
        raise BadInput(f"'{position}' is no position of an Oracle database", "write scn:12345")
    return int(match.group(1))


def covers(position: str, summary: Dict[str, Any]) -> bool:
    """Return whether a set ends at or after ``scn:12345``; the restore ends before that SCN, like RMAN's UNTIL SCN."""
    return bool(summary.get("last", "") >= order(parse_position(position)))


def broken_because(state: State, place: Dict[str, Any]) -> str:
    """Return why the database does not continue ``place``, the end of a set; empty when it does.

    ``place``: ``{dbid, resetlogs, scn, threads: {thread: {sequence, next}}}`` of the last log in the set.
    """
    database = state.database
    if place["dbid"] != database["dbid"]:
        return f"the database is another one (DBID {database['dbid']} instead of {place['dbid']})"
    if place["resetlogs"] != database["resetlogs"]:
        return f"the database was opened with RESETLOGS (at SCN {database['resetlogs']})"
    if database["scn"] < place["scn"]:
        return f"the database was set back (its SCN is {database['scn']}, the set ends at {place['scn']})"
    for thread in sorted({*place["threads"], *state.current}):
        if thread not in place["threads"]:
            return f"redo thread {thread} is new"
        if thread not in state.current:
            return f"redo thread {thread} is gone"
        reason = _thread_broken(state, thread, place["threads"][thread])
        if reason:
            return reason
    return ""


def _thread_broken(state: State, thread: str, end: Dict[str, int]) -> str:
    logs, current = state.archived.get(thread, {}), state.current[thread]
    known = logs.get(end["sequence"])
    if known and known.next != end["next"]:
        return (
            f"log {end['sequence']} of thread {thread} ends at SCN {known.next}, the one that was backed up at {end['next']}"
            " (the database was set back)"
        )
    if current["sequence"] <= end["sequence"]:
        return f"the database was set back (thread {thread} writes log {current['sequence']}, {end['sequence']} is backed up)"
    cursor = end["next"]
    for sequence in range(end["sequence"] + 1, current["sequence"]):
        log = logs.get(sequence)
        if log is None or not log.available:
            return f"archived log {sequence} of thread {thread} is gone"
        if log.first != cursor:
            return f"archived log {sequence} of thread {thread} begins at SCN {log.first}, not at {cursor}"
        cursor = log.next
    if current["first"] != cursor:
        return f"log {current['sequence']} of thread {thread} begins at SCN {current['first']}, not at {cursor}"
    return ""


def link(newest: Optional[Dict[str, Any]], state: State) -> Tuple[Optional[Link], str]:
    """Return what the next set of this database continues, or why it continues nothing; see ``chain.continued``."""
    item, reason = continued(
        newest, lambda position: broken_because(state, position["not_after"]), "the newest full backup has no position"
    )
    if item is None:
        return None, reason
    first = {thread: end["sequence"] + 1 for thread, end in item["position"]["not_after"]["threads"].items()}
    return Link(item["stream"]["id"], item["set"], first), ""


def foreign_base(parent: Dict[str, Any], bases: Dict[str, int]) -> str:
    """Return why a level 1 backup would not build on set ``parent``: somebody else made a base since; empty when it would.

    ``bases``: for each file the SCN of the newest base that RMAN knows.
    """
    ours = parent["facts"].get("files") or {}
    for file in sorted(bases, key=int):
        if file in ours and bases[file] > ours[file]:
            return (
                f"RMAN knows a newer incremental backup of file {file} (SCN {bases[file]}) than set {parent['set']} holds"
                f" (SCN {ours[file]}): another backup was made, or one of ours did not arrive"
            )
    missing = sorted((file for file in ours if file not in bases), key=int)
    return f"RMAN no longer knows the backup of file {missing[0]} in set {parent['set']}" if missing else ""


def first_to_take(state: State, found: Optional[Link]) -> Dict[str, int]:
    """Return for each thread the first log of a data set: all that are not offsite yet and still there (ORA-4).

    The open log is needed in any case. Before it go as far back as logs are there without a gap, and not behind those that
    the newest set holds.
    """
    result = {}
    for thread, current in state.current.items():
        logs, sequence, cursor = state.archived.get(thread, {}), current["sequence"], current["first"]
        floor = found.first.get(thread, 0) if found else 0
        while sequence > floor:
            log = logs.get(sequence - 1)
            if log is None or not log.available or log.next != cursor:
                break
            sequence, cursor = sequence - 1, log.first
        result[thread] = sequence
    return result


def reach_back(state: State, first: Dict[str, int], scn: int) -> Dict[str, int]:
    """Return ``first`` moved back, thread by thread, to the log that holds ``scn``: data files are as old as their checkpoint.

    Raise CaptureFailed when a log between is gone.
    """
    result = {}
    for thread, chosen in first.items():
        logs, current, sequence = state.archived.get(thread, {}), state.current[thread], chosen
        cursor = current["first"] if sequence == current["sequence"] else logs[sequence].first
        while cursor > scn:
            sequence -= 1
            log = logs.get(sequence)
            if log is None or not log.available or log.next != cursor:
                raise CaptureFailed(
                    f"the data files need redo from SCN {scn} on, and archived log {sequence} of thread {thread} is gone",
                    "run ALTER SYSTEM CHECKPOINT, then back up again",
                )
            cursor = log.first
        result[thread] = sequence
    return result


def stretch(logs: Sequence[Log]) -> Dict[str, Dict[str, Log]]:
    """Return ``{thread: {first, last}}`` of backed up logs. Raise IntegrityError when they do not follow each other."""
    result: Dict[str, Dict[str, Log]] = {}
    for log in sorted(logs, key=lambda item: (item.thread, item.sequence)):
        if log.thread not in result:
            result[log.thread] = {"first": log, "last": log}
            continue
        before = result[log.thread]["last"]
        if log == before:
            continue
        if log.sequence != before.sequence + 1 or log.first != before.next:
            raise IntegrityError(
                f"log {log.sequence} of thread {log.thread} does not continue log {before.sequence}",
                "a log is missing between them",
            )
        result[log.thread]["last"] = log
    return result


def end_of(database: Dict[str, Any], ends: Dict[str, Dict[str, Log]]) -> Dict[str, Any]:
    """Return the place where a set ends: behind the last log of each thread, at the SCN that all of them reach."""
    threads = {thread: {"sequence": item["last"].sequence, "next": item["last"].next} for thread, item in ends.items()}
    scn = min(item["next"] for item in threads.values())
    return {"dbid": database["dbid"], "resetlogs": database["resetlogs"], "scn": scn, "threads": threads}


def begin_of(database: Dict[str, Any], ends: Dict[str, Dict[str, Log]]) -> Dict[str, Any]:
    """Return the place where a set begins: before the first log of each thread."""
    threads = {thread: {"sequence": item["first"].sequence, "first": item["first"].first} for thread, item in ends.items()}
    scn = min(item["first"] for item in threads.values())
    return {"dbid": database["dbid"], "resetlogs": database["resetlogs"], "scn": scn, "threads": threads}


def unbroken(line: List[Dict[str, Any]]) -> None:
    """Raise IntegrityError unless the log sets of a plan continue its data set; ``line``: their ``stream`` stretches."""
    for before, after in zip(line, line[1:]):
        if after["id"] != before["id"] or after["first"] > before["last"]:
            raise IntegrityError(
                f"the logs from SCN {int(after['first'])} on do not continue what ends at {int(before['last'])}"
            )
