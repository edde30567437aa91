# SPDX-License-Identifier: GPL-3.0-or-later
"""Oracle databases through RMAN. Procedure and sources: docs/systems/oracle.md."""

from __future__ import annotations

from .calls import CALLS
from .capture import consumes, seal
from .history import covers
from .inspection import preflight
from .restore import judge

KINDS = ("full", "incremental", "log")
EXECUTORS = ("local", "ssh")
EXECUTOR_ACCOUNT = "oracle"

__all__ = ["CALLS", "EXECUTORS", "EXECUTOR_ACCOUNT", "KINDS", "consumes", "covers", "judge", "preflight", "seal"]
