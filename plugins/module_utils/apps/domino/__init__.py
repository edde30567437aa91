# SPDX-License-Identifier: GPL-3.0-or-later
"""Lotus and HCL Domino servers. Procedure and sources: docs/systems/domino.md."""

from __future__ import annotations

from .calls import CALLS
from .capture import consumes
from .inspection import preflight
from .planning import judge
from .sealing import seal

KINDS = ("full", "log")

__all__ = ["CALLS", "KINDS", "consumes", "judge", "preflight", "seal"]
