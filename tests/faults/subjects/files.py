# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders of the tally on three filesystems, which stands still for the moment of the picture only."""

from __future__ import annotations

from typing import Any

from faults import subjects
from lab_tools import tally
from lab_tools.waiting import wait_until


class Subject(subjects.Subject):
    """See ``faults.subjects.Subject``."""

    app = "files"
    module = "test_folders"
    host = tally.HOST
    service = tally.SERVICE
    yard = "/srv/ext4/#sql-backstay"
    seed_mib = 90

    def prepare(self) -> None:
        """Have the application booking, and enough data that a copy can be hit in its middle."""
        tally.repair(self._fleet)
        tally.start_writing(self._fleet)
        held = int(self._fleet.shell(self.host, "ls /srv/ext4/archive | wc -l"))
        tally.seed(self._fleet, max(self.seed_mib // 3 - held, 0) * 3)

    def mark(self) -> tally.Transaction:
        """Return the last transaction that was booked: it must never be missed again."""
        return tally.committed(self._fleet)

    def prove(self, known: tally.Transaction) -> dict[str, Any]:
        """Prove that the application runs, books, and has lost nothing, and that no picture is left in any yard."""
        wait_until(lambda: tally.running(self._fleet), "the tally runs", 90)
        before = self.mark()
        wait_until(lambda: self.mark() != before, "the tally books", 90)
        places = " ".join(f"'{yard}'/{kind}-*" for yard in tally.YARDS for kind in ("picture", "landing"))
        left = self._fleet.shell(self.host, f"ls -d {places} 2>/dev/null || true")
        assert not left.strip(), f"left: {left}"
        return tally.check(self._fleet, known=known)
