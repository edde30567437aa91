# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies ahead of a stop, and a small folder to copy."""

from __future__ import annotations

import time
from pathlib import Path

from ansible_collections.backstay.fleet.plugins.module_utils.folders.filesystem import time_grain
from ansible_collections.backstay.fleet.plugins.module_utils.folders.precopy import TreeCopy
from ansible_collections.backstay.fleet.plugins.module_utils.folders.walk import Selection
from unit.support.folders import NOTHING


def nobody(_moved: int) -> None:
    """Progress that nobody watches."""


def copy_of(source: Path, leave_out: Selection = NOTHING) -> TreeCopy:
    grain = time_grain(source.parent)
    return TreeCopy(source, source.parent / "copy", leave_out, grain, cloning=False)


def settle() -> None:
    """Let the clock of the files move on, so that what was made before counts as old."""
    time.sleep(0.03)


def small(path: Path) -> Path:
    path.mkdir()
    for name in ("accounts", "index", "journal"):
        (path / name).write_bytes(name.encode() * 100)
    (path / "messages").mkdir()
    (path / "messages" / "1").write_bytes(b"first")
    settle()
    return path
