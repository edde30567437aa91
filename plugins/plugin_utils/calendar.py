# SPDX-License-Identifier: GPL-3.0-or-later
"""Due times of systemd calendars, computed by systemd itself."""

from __future__ import annotations

import os
import subprocess
from datetime import datetime

from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError, BadInput
from ansible_collections.backstay.fleet.plugins.module_utils.schedule import read_elapses, spell

PROGRAM = "systemd-analyze"
_ITERATIONS = 1000  # in one call; a calendar of every minute has 1440 due times a day
_SECONDS = 60


class NoCalendars(BackstayError):
    """This machine cannot compute calendars."""

    code = "preflight"


def due_times(calendar: str, since: datetime, until: datetime) -> list[datetime]:
    """Return every due time of ``calendar`` after ``since`` and up to ``until``, oldest first, in UTC.

    A calendar without a time zone is one of this machine's zone. Raise BadInput when systemd does not understand it,
    NoCalendars where there is no systemd-analyze.
    """
    found: list[datetime] = []
    while since < until:
        part = read_elapses(_ask(calendar, since))
        found += [moment for moment in part if since < moment <= until]
        if len(part) < _ITERATIONS:
            break
        since = part[-1]
    return found


def _ask(calendar: str, since: datetime) -> str:
    base = spell(since).replace("T", " ").replace("Z", " UTC")
    argv = [PROGRAM, "calendar", f"--iterations={_ITERATIONS}", f"--base-time={base}", "--", calendar]
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
            text=True,
            timeout=_SECONDS,
        )
    except FileNotFoundError as error:
        raise NoCalendars(
            f"this machine has no {PROGRAM} to compute due times with", "install the package systemd; it need not run"
        ) from error
    if done.returncode != 0:
        raise BadInput(f"'{calendar}' is not a calendar: {done.stderr.strip()}", "systemd-analyze calendar explains them")
    return done.stdout
