# SPDX-License-Identifier: GPL-3.0-or-later
"""Transaction log extents ``S0000000.TXN``: their numbers, what continues what, positions in the history. Pure functions.

Within one log (one LogID) extents are numbered without a gap. A set of logs holds whole extents; its position is the number of
the first extent that it does not hold.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple

from ...chain import continued
from ...errors import IntegrityError
from ...names import quote_name

EXTENT_MEGABYTES = 64
CONTROL = "nlogctrl.lfh"
_NAME = re.compile(r"^S([0-9]{7})\.TXN\Z", re.IGNORECASE)
_LATEST = "9" * 20


def number_of(name: str) -> Optional[int]:
    """Return the number of the extent that a file ``name`` is, None for other files."""
    match = _NAME.match(name)
    return int(match[1]) if match else None


def name_of(number: int) -> str:
    """Return the file name of an extent."""
    return f"S{number:07d}.TXN"


def numbers_in(names: Iterable[str]) -> List[int]:
    """Return the numbers of the extents among file names, in order."""
    return sorted(number for number in map(number_of, names) if number is not None)


class State(NamedTuple):
    """What is there of the transaction log: numbers in the log directory, numbers that the backup target holds, the LogID of
    the newest extent that was backed up (empty: none was yet)."""

    live: List[int]
    kept: List[int]
    log_id: str

    @property
    def active(self) -> int:
        """Return the number of the extent that is being written; -1 when there is none."""
        return self.live[-1] if self.live else -1


def broken_because(state: State, place: Dict[str, Any]) -> str:
    """Return why the log no longer continues ``place``, the ``{log_id, extent}`` at which a set ends; empty when it does."""
    if place.get("log_id") and state.log_id and place["log_id"] != state.log_id:
        return f"the transaction log was made anew (LogID {state.log_id} instead of {place['log_id']})"
    if state.active < place["extent"]:
        return f"the transaction log was set back or made anew (it writes {name_of(max(state.active, 0))}," + (
            f" the newest set ends before {name_of(place['extent'])})"
        )
    missing = set(range(place["extent"], state.active)) - set(state.live) - set(state.kept)
    if missing:
        return f"log extent {name_of(min(missing))} is neither in the log directory nor in the backup target"
    return ""


class Link(NamedTuple):
    """What a new set continues: its stream, the set before, the stream's text at its end, the extent that comes next, the
    moment up to which all is covered."""

    stream: str
    parent: str
    end: str
    extent: int
    log_id: str
    covered: str
    consistent_at: str


def link(newest: Optional[Dict[str, Any]], state: State) -> Tuple[Optional[Link], str]:
    """Return what the next set of this server continues, or why it continues nothing; see ``chain.continued``."""
    item, reason = continued(
        newest,
        lambda position: broken_because(state, position["not_after"]),
        "the newest full backup was made without archive-style logs",
    )
    if item is None:
        return None, reason
    end, stream = item["position"]["not_after"], item["stream"]
    at = stream["last"] if item["kind"] == "log" else stream["first"]
    covered = item["facts"]["covered"]
    return Link(stream["id"], item["set"], at, end["extent"], end["log_id"], covered, item["consistent_at"]), ""


def order(extent: int, moment: str) -> str:
    """Return a place in the history as text whose order is its order: before ``extent``, as seen at ``moment`` (UTC)."""
    return f"{extent:07d}.{''.join(filter(str.isdigit, moment)):0<20}"


def data_stretch(stream: str, extent: int, moment: str) -> Dict[str, str]:
    """Return the stretch of a data set made while ``extent`` was written.

    Its copies need that extent to go on, so logs that do not hold it are of no use.
    """
    return {"id": stream, "first": order(extent, moment), "last": f"{extent:07d}.{_LATEST}"}


def mark(log_id: str, extent: int, gaps: Iterable[Tuple[str, str]]) -> str:
    """Return what a log set says of its end, and of times that it cannot bring back: ``LOGID:EXTENT[:FROM/UNTIL[;...]]``.

    The plan of a restore knows log sets by this only.
    """
    told = ";".join(f"{begin}/{end}" for begin, end in gaps)
    return f"{quote_name(log_id)}:{extent}" + (f":{told}" if told else "")  # Notes ids are written with colons


def gaps_in(text: str) -> List[Tuple[str, str]]:
    """Return the times ``(from, until)`` that ``mark`` says cannot be brought back."""
    parts = text.split(":", 2)
    found = [gap.partition("/") for gap in parts[2].split(";")] if len(parts) == 3 else []
    return [(begin, end) for begin, _separator, end in found]


def require_unbroken(numbers: List[int], first: int) -> None:
    """Raise IntegrityError unless sorted ``numbers`` begin with ``first`` and none is missing."""
    for expected, number in enumerate(numbers, first):
        if number != expected:
            raise IntegrityError(f"log extent {name_of(expected)} is missing", "the next backup is a full one")
