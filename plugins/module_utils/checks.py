# SPDX-License-Identifier: GPL-3.0-or-later
"""Named checks, as a preflight returns them: what was looked at, how it is, what to do about it. Pure functions."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Union

from .files import human

Check = Dict[str, str]


def new_check(name: str, status: str, detail: str, hint: str = "") -> Check:
    """Return one check. ``status`` is ok, warning or failed."""
    return {"name": name, "status": status, "detail": detail, "hint": hint}


def space_check(name: str, place: Union[str, Path], needed: float, free: int, hint: str) -> Check:
    """Return the check that ``needed`` bytes, which the caller has rounded up as it likes, are ``free`` in ``place``."""
    if free < needed:
        return new_check(name, "failed", f"{human(needed)} are needed in {place}, {human(free)} are free", hint)
    return new_check(name, "ok", f"{human(free)} free in {place}")


def new_directory_check(place: Path, empty: bool) -> Check:
    """Return the check that the directory of a restore beside the live data holds nothing yet."""
    if not empty:
        return new_check("target", "failed", f"{place} is not empty", "restore to a directory that does not exist yet")
    return new_check("target", "ok", str(place))
