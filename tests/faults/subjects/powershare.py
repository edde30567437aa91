# SPDX-License-Identifier: GPL-3.0-or-later
"""The PowerShare mail server, which routes mail all the time except when it is quit."""

from __future__ import annotations

from typing import Any

from faults import subjects
from lab_tools import powershare
from lab_tools.fleet import Fleet
from lab_tools.waiting import wait_until


class Subject(subjects.Subject):
    """See ``faults.subjects.Subject``."""

    app = "powershare"
    module = "test_powershare"
    host = "mail1"
    service = "powershare-mail.service"
    yard = "/Volumes/Mail HD/.backstay-PowerShare Mail Data"

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet)
        self._server = powershare.mail(fleet)

    def prepare(self) -> None:
        """Have the server routing."""
        self._server.repair()

    def mark(self) -> str:
        """Return a message that the server confirms from now on: it must never be missed again."""
        return self._server.goes_on()

    def prove(self, known: str) -> dict[str, Any]:
        """Prove that the server runs and confirms, then quit it and prove that nothing it ever confirmed is missing."""
        wait_until(self._server.running, "the mail server runs", 90)
        self.mark()
        self._fleet.run(self.host, "systemctl", "stop", self.service)
        try:
            return self._server.prove(None, known, confirmed=True)
        finally:
            self._fleet.run(self.host, "systemctl", "start", self.service)
