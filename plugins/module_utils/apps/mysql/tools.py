# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of this app that run as the tool of a capture: ``worker.pyz tool mysql NAME ...``."""

from __future__ import annotations

from typing import Callable, Dict, List

from .dumping import main as dump

TOOLS: Dict[str, Callable[[List[str]], int]] = {"dump": dump}
