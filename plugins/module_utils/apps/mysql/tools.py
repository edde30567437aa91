# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of this app: ``worker.pyz tool mysql NAME ...``. ``dump`` is the tool of a capture, ``end-clone`` undoes a clone."""

from __future__ import annotations

from typing import Callable, Dict, List

from .clone import end_clone_main
from .dumping import main as dump

TOOLS: Dict[str, Callable[[List[str]], int]] = {"dump": dump, "end-clone": end_clone_main}
