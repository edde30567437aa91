# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of the collection with a mistake in them: roles that make worthless sets have to fail the tests of the right ones."""

from __future__ import annotations

import shutil
from pathlib import Path

from lab_tools.fleet import CHECKOUT


def mutant(base: Path, *changes: tuple[str, str, str]) -> dict[str, str]:
    """Return the environment of a copy of the collection with ``changes`` (file, text, other text) made to it."""
    place = base / "ansible_collections" / "backstay" / "fleet"
    for name in ("plugins", "roles", "meta"):
        shutil.copytree(CHECKOUT / name, place / name)
    shutil.copy(CHECKOUT / "galaxy.yml", place)
    for file, old, new in changes:
        text = (place / file).read_text()
        assert old in text, f"{file} has no {old!r}"
        (place / file).write_text(text.replace(old, new))
    return {"ANSIBLE_COLLECTIONS_PATH": str(base)}
