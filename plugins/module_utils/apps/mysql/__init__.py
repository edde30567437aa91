# SPDX-License-Identifier: GPL-3.0-or-later
"""MariaDB (and, later, MySQL) servers. Procedure and sources: docs/systems/mysql.md."""

from __future__ import annotations

from .calls import CALLS
from .inspection import preflight
from .logs import covers
from .physical import consumes, seal

KINDS = ("full", "incremental", "log")

__all__ = ["CALLS", "KINDS", "consumes", "covers", "preflight", "seal"]
