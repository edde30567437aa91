# SPDX-License-Identifier: GPL-3.0-or-later
"""Named checks, as a preflight returns them: what was looked at, how it is, what to do about it. They change nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, Iterable, List, Tuple, Union

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


def full_instead(wanted: str, because: str, allowed: bool) -> Tuple[Check, Dict[str, Any]]:
    """Return check and facts of a backup of kind ``wanted`` that continues no set, which would be worth nothing.

    A full one is due, at once, and says why; unless that is ``allowed``, the check fails and there are no facts.
    """
    if not allowed:
        return new_check("chain", "failed", because, "make a full backup: -e backstay_kind=full"), {}
    detail = f"{wanted} was asked for, a full backup is made: {because}"
    return new_check("chain", "warning", detail), {"kind": "full", "because": detail}


def history_checks(because: str, reason: str, lost: str) -> List[Check]:
    """Return what the receipt of a data set says of its history: ``because``, why it is a full set, or else ``reason``, why
    its history is a new one, in the words of ``lost`` with ``{}`` for it. Nothing when both are empty."""
    found = [("full instead", because)] if because else [("history", lost.format(reason))] if reason else []
    return [{"name": name, "status": "warning", "detail": detail} for name, detail in found]


def new_directory_check(place: Path, empty: bool) -> Check:
    """Return the check that the directory of a restore beside the live data holds nothing yet."""
    if not empty:
        return new_check("target", "failed", f"{place} is not empty", "restore to a directory that does not exist yet")
    return new_check("target", "ok", str(place))


def side_check(place: str, live: Iterable[str]) -> Check:
    """Return the check of the directory ``place`` of a restore beside the live data, which lies in the folders ``live``.

    Nothing may be laid down among live data: a server would take it for its own, and the next backup would save it.
    """
    plain = os.path.normpath(os.path.join("/", place.lstrip("/")))
    if place != plain:
        return new_check("target", "failed", f"{place} is not a plain absolute path", f"write it like {plain}")
    nearest = next(path for path in (Path(place), *Path(place).parents) if os.path.lexists(str(path)))
    if not nearest.is_dir():
        return new_check("target", "failed", f"{nearest} is not a directory", "restore to a directory that does not exist yet")
    real = os.path.join(os.path.realpath(place), "")
    among = next((folder for folder in live if real.startswith(os.path.join(os.path.realpath(folder), ""))), None)
    if among is not None:
        return new_check("target", "failed", f"{place} lies in {among}, among live data", "restore to a directory elsewhere")
    return new_directory_check(Path(place), empty=not Path(place).is_dir() or not os.listdir(place))
