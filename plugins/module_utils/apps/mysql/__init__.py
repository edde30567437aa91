# SPDX-License-Identifier: GPL-3.0-or-later
"""MariaDB (and, later, MySQL) servers. Procedure and sources: docs/systems/mysql.md."""

from __future__ import annotations

from .calls import CALLS
from .inspection import preflight
from .physical import consumes, seal

KINDS = ("full",)

__all__ = ["CALLS", "KINDS", "consumes", "preflight", "seal"]
