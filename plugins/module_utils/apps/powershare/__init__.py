# SPDX-License-Identifier: GPL-3.0-or-later
"""Apple PowerShare mail and catalog servers. Procedure, rules and sources: docs/systems/powershare.md."""

from __future__ import annotations

from .calls import CALLS
from .inspection import preflight
from .sealing import consumes, seal

KINDS = ("full",)

__all__ = ["CALLS", "KINDS", "consumes", "preflight", "seal"]
