# SPDX-License-Identifier: GPL-3.0-or-later
"""The yard of a directory: where data lies that goes into it or came out of it, one rename away."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Iterator

from .pinned import make_folder, opened

BESIDE = ".backstay-"
# Inside a mount point. MariaDB shows every directory of its data directory as a database, except those that begin like its own
# temporary tables; to any other server it is a name like another. (Measured on 11.8: neither listed nor removed at start.)
INSIDE = "#sql-backstay"


def yard(target: Path) -> Path:
    """Return the folder, on the filesystem of ``target``'s content, where landed and moved-aside data may lie.

    It is beside ``target``, or inside when ``target`` is a mount point. Landed trees lie two levels below a mount point,
    where no server looks for its files.
    """
    if os.path.ismount(str(target)):
        return target / INSIDE
    return target.parent / f"{BESIDE}{target.name}"


def is_yard(path: Path) -> bool:
    """Return whether ``path`` is named like a yard."""
    return path.name == INSIDE or path.name.startswith(BESIDE)


def open_yard(target: Path) -> Path:
    """Make the yard of ``target`` and return it: others may pass through to what they own, and list nothing."""
    with hold_yard(target):
        return yard(target)


@contextlib.contextmanager
def hold_yard(target: Path) -> Iterator[int]:
    """Make the yard of ``target`` and hold it open: whoever owns the directory that it is in cannot exchange it meanwhile."""
    wanted = yard(target)
    with opened(wanted.parent) as above:
        descriptor = make_folder(above, wanted.name)
    try:
        os.fchmod(descriptor, 0o711)
        yield descriptor
    finally:
        os.close(descriptor)
