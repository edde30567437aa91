# SPDX-License-Identifier: GPL-3.0-or-later
"""The same app, release 9 without a backup task and without logging: stopped for the moment of a picture."""

from __future__ import annotations

from integration.apps import domino
from lab_tools.domino import DATA, LOGS, OFFLINE

LONG = domino.LONG


class Adapter(domino.Adapter):
    """See ``integration.apps.App``."""

    host = OFFLINE
    exchanged = (f"{DATA}/names.nsf", LOGS)  # no DAOS
    bare = ("/local/.backstay-translog",)  # it logs nothing
