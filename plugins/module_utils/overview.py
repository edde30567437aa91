# SPDX-License-Identifier: GPL-3.0-or-later
"""What is recoverable, for people: data sets line by line, log sets as the stretches of time that they open. Pure."""

from __future__ import annotations

from typing import Any, Dict, List

from .chain import data_chains, is_log, windows
from .files import human
from .moment import format_moment

Summary = Dict[str, Any]


def overview(summaries: List[Summary]) -> List[str]:
    """Return the lines for the sets of a host, oldest first; whatever can not be restored is said to be so."""
    lines = []
    for app in sorted({item["app"] for item in summaries}):
        of_app = [item for item in summaries if item["app"] == app]
        whole = data_chains(of_app)
        lines += [_data_line(item, item["set"] in whole) for item in of_app if not is_log(item)]
        lines += _log_lines(app, of_app)
    return lines


def _data_line(item: Summary, restorable: bool) -> str:
    base = f" after {item['parent']}" if item["parent"] else ""
    note = "" if restorable else "  NOT RESTORABLE: its chain is broken"
    note += f"  CLAIMED BY {1 + len(item['rivals'])} RECEIPTS" if item.get("rivals") else ""
    return f"{item['app']}  {item['consistent_at']}  {item['kind']}  {human(item['stored'])}  {item['set']}{base}{note}"


def _log_lines(app: str, summaries: List[Summary]) -> List[str]:
    """Return a line for every unbroken stretch of time that log sets open, and one for those that open none."""
    used: Dict[str, Summary] = {}
    stretches: List[List[Any]] = []
    for begin, end, line in windows(summaries):
        used.update((item["set"], item) for item in line)
        if stretches and begin <= stretches[-1][1]:
            stretches[-1][1] = max(stretches[-1][1], end)
        elif line:
            stretches.append([begin, end])
    logs = [item for item in summaries if is_log(item)]
    size = human(sum(item["stored"] for item in logs))
    lines = [
        f"{app}  every moment from {format_moment(begin)} to {format_moment(end)}  log  {len(logs)} sets, {size}"
        for begin, end in stretches
    ]
    lost = [item["set"] for item in logs if item["set"] not in used]
    if lost:
        lines.append(f"{app}  {len(lost)} log sets NOT RESTORABLE: no data set leads to {lost[0]}")
    return lines
