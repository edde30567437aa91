# SPDX-License-Identifier: GPL-3.0-or-later
"""Schedules: what an entry may say, and which of its due times nobody met. Pure functions.

Calendars are systemd's; ``systemd-analyze calendar`` computes the due times (time zones and summer time included) and
``read_elapses`` reads its answer.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, Iterable, List, NamedTuple, Optional

from .moment import parse_moment
from .schema import problems

Entry = Dict[str, Any]
Summary = Dict[str, Any]

# From the weakest to the strongest: a stronger set meets the schedule of a weaker kind, because it holds at least as much.
STRENGTH = ("log", "incremental", "differential", "full")
ENTRY_SCHEMA: Dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "calendar"],
    "properties": {
        # Part of names of units and of files in /etc/cron.d, where cron takes no other characters.
        "name": {"type": "string", "pattern": r"^[a-z0-9][a-z0-9-]{0,39}\Z"},
        "calendar": {"type": "string", "pattern": r"^[^\x00-\x1f]+\Z"},
        "cron": {"type": "string", "pattern": r"^([0-9A-Za-z*/,-]+ ){4}[0-9A-Za-z*/,-]+\Z"},
        "playbook": {"type": "string", "pattern": r"^[a-z][a-z0-9_-]*\Z"},
        "limit": {"type": "string", "pattern": r"^[^\x00-\x1f]*\Z"},
        "variables": {"type": "object"},
        "jitter": {"type": "integer", "minimum": 0},
        "grace": {"type": "integer", "minimum": 0},
        "catch_up": {"type": "boolean"},
    },
}
DEFAULTS: Dict[str, Any] = {
    "playbook": "backup",
    "limit": "all",
    "variables": {},
    "jitter": 0,
    "grace": 3600,
    "catch_up": True,
}
_UTC_TIME = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.\d+)? UTC$")


class Outcome(NamedTuple):
    """What became of a due time: ``met``, ``pending``, ``late`` (before the next due time) or ``missed``.

    ``came`` is the first set that holds data of the due time or later, None while there is none.
    """

    due: datetime
    state: str
    came: Optional[Summary]


def whole(entry: Entry) -> Entry:
    """Return ``entry`` with the defaults for what it leaves out."""
    return {**DEFAULTS, **{key: value for key, value in entry.items() if value is not None}}


def entry_problems(entries: Iterable[Entry]) -> List[str]:
    """Return one sentence for everything that is wrong with the list of entries; each names its entry."""
    found: List[str] = []
    names = set()
    for number, entry in enumerate(entries, 1):
        name = entry.get("name") if isinstance(entry, dict) else None
        label = f"schedule entry '{name}'" if isinstance(name, str) and name else f"schedule entry number {number}"
        plain = {key: value for key, value in entry.items() if value is not None} if isinstance(entry, dict) else entry
        found += [f"{label}: {problem}" for problem in problems(ENTRY_SCHEMA, plain)]
        if name in names:
            found.append(f"{label}: there are two entries of this name")
        names.add(name)
    return found


def kind_of(entry: Entry) -> str:
    """Return the kind of the sets that ``entry`` asks for."""
    return str(entry["variables"].get("backstay_kind") or "full")


def read_elapses(text: str) -> List[datetime]:
    """Return the moments, in UTC, that ``systemd-analyze calendar --iterations`` printed; empty for 'never'."""
    found: List[datetime] = []
    for line in text.splitlines():
        label, _colon, value = line.strip().partition(": ")
        match = _UTC_TIME.search(value.strip())
        if match and (label in ("Next elapse", "(in UTC)") or label.startswith("Iter")):
            found.append(datetime.strptime(match[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc))
    return found


def judge(entry: Entry, dues: List[datetime], sets: List[Summary], now: datetime) -> List[Outcome]:
    """Return what became of each of the past ``dues`` (oldest first) of a whole ``entry`` for one app of one host.

    A due time is met by a set of the kind or a stronger one that holds data of it or later and was begun within jitter and
    grace. A schedule counts from the first such set on: before, nobody had asked for it. Without any, the newest due
    time whose grace is over speaks for all.
    """
    fitting = sorted((item for item in sets if _fits(entry, item)), key=begun)
    allowance = timedelta(seconds=entry["jitter"] + entry["grace"])
    dues = (
        [due for due in dues if due + allowance >= begun(fitting[0])]
        if fitting
        else [due for due in dues if due + allowance < now][-1:]
    )
    outcomes, index = [], 0
    for number, due in enumerate(dues):
        while index < len(fitting) and _reached(fitting[index]) < due:
            index += 1
        came = fitting[index] if index < len(fitting) else None
        following = dues[number + 1] if number + 1 < len(dues) else None
        outcomes.append(Outcome(due, _state(due + allowance, following, came, now), came))
    return outcomes


def _state(deadline: datetime, following: Optional[datetime], came: Optional[Summary], now: datetime) -> str:
    if came is not None and begun(came) <= deadline:
        return "met"
    if now <= deadline:
        return "pending"
    return "late" if came is not None and (following is None or begun(came) < following) else "missed"


def _fits(entry: Entry, item: Summary) -> bool:
    return STRENGTH.index(item["kind"]) >= STRENGTH.index(kind_of(entry))


def begun(item: Summary) -> datetime:
    """Return when a set was begun by the control node's clock, which is the one that due times are compared with."""
    return datetime.strptime(item["set"].split("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)


def _reached(item: Summary) -> datetime:
    """Return the moment up to which a set holds data; a server whose clock is slow does not make it older than its begin."""
    return max(begun(item), parse_moment(item["consistent_at"]))


def tell(entry: Entry, subject: str, outcomes: List[Outcome], sets: List[Summary]) -> List[str]:
    """Return one line for each unbroken row of missed due times and one for each that was caught up late."""
    lines: List[str] = []
    row: List[Outcome] = []
    what = f"{entry['name']}, {kind_of(entry)} of {subject},"
    for outcome in [*outcomes, None]:
        if outcome is not None and outcome.state == "missed":
            row.append(outcome)
            continue
        if row:
            lines.append(f"MISSED: {what} was due {_row(row)}, {_newest(kind_of(entry), sets)}")
            row = []
        if outcome is not None and outcome.state == "late" and outcome.came is not None:
            delay = str(begun(outcome.came) - outcome.due)
            lines.append(f"CAUGHT UP: {what} was due {spell(outcome.due)}, set {outcome.came['set']} came {delay} later")
    return lines


def _row(row: List[Outcome]) -> str:
    if len(row) == 1:
        return spell(row[0].due)
    return f"{len(row)} times from {spell(row[0].due)} to {spell(row[-1].due)}"


def _newest(kind: str, sets: List[Summary]) -> str:
    found = [item["consistent_at"] for item in sets if item["kind"] == kind]
    return f"newest {kind} is of {max(found)}" if found else f"there is no {kind}"


def spell(moment: datetime) -> str:
    """Return ``moment`` to the second, in UTC: due times have no fractions."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
