# SPDX-License-Identifier: GPL-3.0-or-later
"""A Domino server with archive-style logs (its stand-in), to which mail keeps arriving; one module of tests is its own."""

from __future__ import annotations

from typing import Any

from faults import subjects
from lab_tools import domino
from lab_tools.domino_standin import Document
from lab_tools.fleet import Fleet
from lab_tools.waiting import wait_until


class Subject(subjects.Subject):
    """See ``faults.subjects.Subject``."""

    staging_waits = True  # the backup task counts what it wrote as archived, so every kind with logs is salvaged
    logs_may_precede = True  # a set of logs ends with its last full extent
    app = "domino"
    module = "test_domino"
    host = domino.ARCHIVE
    service = domino.SERVICE
    yard = "/local/.backstay-notesdata"

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet)
        self._server = domino.Server(fleet, self.host)

    def prepare(self) -> None:
        """Have the server running in good order and mail arriving, whatever ran before."""
        self._server.repair()
        self._server.forget_confirmed()
        self._server.start_writer()

    def mark(self) -> Document:
        """Return a document that is confirmed from now on: it must never be missed again."""
        return self._server.goes_on()

    def prove(self, known: Document) -> dict[str, Any]:
        """Prove that the server runs, that mail arrives, that nothing that it ever confirmed is missing."""
        wait_until(self._server.running, "the server runs", 90)
        self.mark()
        return self._server.prove(known, confirmed=True)

    def main_process(self) -> str:
        """Return the process id of the server."""
        return self._server.main_process()
