# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders with everything that a filesystem can hold, and how to hold two of them against each other."""

from __future__ import annotations

import io
import os
import subprocess
import tempfile
from pathlib import Path

from ansible_collections.backstay.fleet.plugins.module_utils.folders.archive import UNPACK, Archive, Source
from ansible_collections.backstay.fleet.plugins.module_utils.folders.walk import Selection
from lab_tools.rich_folder import apple_double, make_rich, make_sparse

__all__ = ["NOTHING", "apple_double", "archived", "make_rich", "make_sparse", "unpacked"]

NOTHING = Selection(set(), [])


def archived(folder: Path, leave_out: Selection = NOTHING) -> bytes:
    """Return the archive of ``folder``: equal archives are equal in everything that is saved."""
    target = io.BytesIO()
    with tempfile.TemporaryFile() as notes:
        Archive(Source("/srv/it", os.fsencode(folder), leave_out, snapshot=False), target, notes).write()
    return target.getvalue()


def unpacked(archive: bytes, into: Path) -> Path:
    """Unpack ``archive`` into the new directory ``into`` as a restore does."""
    into.mkdir(mode=0o700)
    done = subprocess.run(UNPACK, input=archive, cwd=into, check=True, capture_output=True)
    assert done.stderr == b""
    return into
