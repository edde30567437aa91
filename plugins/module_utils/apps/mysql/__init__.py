# SPDX-License-Identifier: GPL-3.0-or-later
"""MariaDB and MySQL servers. Procedure and sources: docs/systems/mysql.md."""

from __future__ import annotations

from .calls import CALLS
from .inspection import preflight
from .logs import covers
from .methods import consumes, seal
from .tools import TOOLS

KINDS = ("full", "incremental", "log")

__all__ = ["CALLS", "KINDS", "TOOLS", "consumes", "covers", "preflight", "seal"]
