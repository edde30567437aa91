# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of a server, written by a test as shell scripts."""

from __future__ import annotations

from pathlib import Path


def program(folder: Path, name: str, script: str) -> None:
    """Make the program ``name`` of a shell ``script``; the fixture ``programs`` gives a folder that is searched first."""
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
