# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operator sees of running jobs: pure text from reports."""

from __future__ import annotations

import os
from typing import Any

from ansible_collections.backstay.fleet.plugins.module_utils.files import human


def line(report: dict[str, Any]) -> str:
    """Return one line about a job: who, step, bytes, rate, time left."""
    parts = [f"{report['host']} {report['app']} {report['action']}: {report.get('step', 'starting')}"]
    moved, total, rate = report.get("bytes", 0), report.get("total", 0), report.get("rate", 0)
    if moved:
        parts.append(f"{human(moved)} of about {human(total)}" if total else human(moved))
        parts.append(f"{human(rate)}/s")
        if total > moved and rate:
            parts.append(f"{clock((total - moved) / rate)} left")
    return "  ".join(parts)


def clock(seconds: float) -> str:
    """Return a duration as ``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Board:
    """All running jobs. ``live`` redraws a line for each, as many as fit; else one is due every ``interval`` seconds."""

    def __init__(self, live: bool, interval: float) -> None:
        self._live = live
        self._interval = interval
        self._reports: dict[str, dict[str, Any]] = {}
        self._told: dict[str, tuple[str, float]] = {}
        self._drawn = 0

    def report(self, report: dict[str, Any], moment: float) -> None:
        """Take in a report; a job that is done leaves the board."""
        if report.get("done"):
            self._reports.pop(report["run"], None)
        else:
            self._reports[report["run"]] = report

    def draw(self, moment: float, screen: os.terminal_size) -> str:
        """Return what is to be written now to a terminal of the size ``screen``, empty when nothing is."""
        return self._redraw(screen) if self._live else self._due(moment)

    def _redraw(self, screen: os.terminal_size) -> str:
        if not self._reports and not self._drawn:
            return ""
        rows = [line(report)[: screen.columns - 1] for _run, report in sorted(self._reports.items())]
        most = max(screen.lines - 1, 1)  # rows that have scrolled away cannot be drawn again
        if len(rows) > most:
            rows[most - 1 :] = [f"... and {len(rows) - most + 1} more jobs"]
        self._drawn = len(rows)
        # The cursor goes back to the first row: what others print next takes its place and is never erased by us.
        up = f"\x1b[{len(rows) - 1}A" if len(rows) > 1 else ""
        return "\r\x1b[J" + "\n".join(rows) + up + "\r"

    def _due(self, moment: float) -> str:
        text = ""
        for run, report in sorted(self._reports.items()):
            step, told = self._told.get(run, ("", -self._interval))
            if report.get("step") != step or moment - told >= self._interval:
                self._told[run] = (report.get("step", ""), moment)
                text += line(report) + "\n"
        return text
