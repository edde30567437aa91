# SPDX-License-Identifier: GPL-3.0-or-later
"""An Oracle database (its stand-in) with its ledger, whose writer commits all the time; one module of tests is its own."""

from __future__ import annotations

from typing import Any

from faults import subjects
from lab_tools import oracle
from lab_tools.waiting import wait_until


class Subject(subjects.Subject):
    """See ``faults.subjects.Subject``."""

    staging_waits = True  # RMAN counts every set as made, so every kind is salvaged
    app = "oracle"
    module = "test_oracle"
    host = oracle.HOST
    service = f"oracle@{oracle.SID}.service"
    capture_step = "Take the data files"
    landing_step = "land full"
    start_step = "Start the database"
    datadir = f"/u02/oradata/{oracle.SID}"
    yard = "/var/lib/backstay/work/oracle1+oracle/landing"

    def prepare(self) -> None:
        """Have the database and its application running, whatever ran before."""
        if not oracle.ask_check(self._fleet, self.host)["ok"]:
            self._fleet.run(self.host, "rm", "-rf", self.datadir)
            self._fleet.up(only=[self.host])
        oracle.start_writer(self._fleet, self.host)

    def mark(self) -> oracle.Commit:
        """Return the last transaction that the application knows to be committed: it must never be missed again."""
        return oracle.commits(self._fleet, self.host, newest=1)[0]

    def prove(self, known: oracle.Commit) -> dict[str, Any]:
        """Prove that the application runs, commits, and has lost nothing. Raise AssertionError otherwise."""
        before = self.mark()
        wait_until(lambda: self.mark() != before, "the application commits", 90)
        return oracle.check(self._fleet, self.host, known=known)
