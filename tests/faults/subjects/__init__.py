# SPDX-License-Identifier: GPL-3.0-or-later
"""What the fault tests must know of an app: where it runs, what its procedure is called, how its data is proved.

A module here is a subject that ``make faults APP=...`` knows (hyphens as underscores); the tests themselves name no app.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from lab_tools.fleet import Fleet


class Subject:
    """What the scene and the fixtures ask; the ``Subject`` of each module adds what its own tests ask."""

    app: str
    host: str
    service: str
    yard: str
    module = ""  # the only module of tests for this subject; empty: all that belong to no other, and ``more``
    more: tuple[str, ...] = ()
    staging_waits = False  # whether what a failed run staged waits for the next run, which salvages or sweeps it
    logs_may_precede = False  # whether logs saved after a full set may be of a moment before it: sets are listed by moment

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def prepare(self) -> None:
        """Have the application running, whatever ran before, and enough data that a capture can be hit in its middle."""
        raise NotImplementedError

    def mark(self) -> Any:
        """Return the last transaction that the application knows to be committed: it must never be missed again."""
        raise NotImplementedError

    def prove(self, known: Any) -> dict[str, Any]:
        """Prove that the application runs, commits, and has lost nothing. Raise AssertionError otherwise."""
        raise NotImplementedError

    def main_process(self) -> str:
        """Return the process id of the server."""
        return self._fleet.run(self.host, "systemctl", "show", "--value", "--property=MainPID", self.service).strip()


def names() -> list[str]:
    """Return the subjects by the names that ``make faults`` takes."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__))


def load(name: str) -> type[Subject]:
    """Return the subject ``name``."""
    subject: type[Subject] = importlib.import_module(f"faults.subjects.{name.replace('-', '_')}").Subject
    return subject


def owned() -> set[str]:
    """Return the modules of tests that belong to some subject."""
    return {module for subject in map(load, names()) for module in (subject.module, *subject.more)}
