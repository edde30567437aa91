# SPDX-License-Identifier: GPL-3.0-or-later
"""The same app, release 12 with circular logging: backed up while it runs, its logs are of no use. NOTES.INI lies elsewhere."""

from __future__ import annotations

from integration.apps import domino
from lab_tools.domino import CIRCULAR

LONG = domino.LONG


class Adapter(domino.Adapter):
    """See ``integration.apps.App``."""

    host = CIRCULAR
