# SPDX-License-Identifier: GPL-3.0-or-later
"""Durations from a record's events, and the few statistics the tables need."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from statistics import median
from typing import Any


def seconds_between(events: Sequence[dict[str, str]], first: str, last: str) -> float:
    """Return the seconds from the event named ``first`` to the one named ``last``. Raise KeyError when one is missing."""
    times = {item["event"]: datetime.fromisoformat(item["at"]) for item in events}
    return round((times[last] - times[first]).total_seconds(), 3)


def middle(runs: Sequence[dict[str, Any]], field: str = "seconds") -> float | None:
    """Return the median of ``field`` over ``runs``, None when nobody measured it."""
    values = [run[field] for run in runs if run.get(field) is not None]
    return median(values) if values else None


def slope(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return (increment, base) of the straight line that fits ``points`` (x, y) best. Needs two different x."""
    count = len(points)
    mean_x = sum(x for x, _y in points) / count
    mean_y = sum(y for _x, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _y in points)
    increment = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    return increment, mean_y - increment * mean_x
