# SPDX-License-Identifier: GPL-3.0-or-later
"""Set single files aside by renames, where a server's files share their directories with others.

A form of exchange beside ``swap``, with the same journal: ``swap.json`` in the job folder lists under ``files`` what was moved,
or was about to be, and where something was to come. Every entry is written before its rename, so ``put_back`` reverses it from
any state.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, Dict, Optional, Sequence

from ..errors import Refused
from ..files import private_directory, read_json, sync_directory, write_json
from ..process import acting_as
from ..yard import open_yard, yard

_JOURNAL = "swap.json"


def set_aside(folder: Path, run: str, owner: str, paths: Sequence[str], account: Optional[str] = None) -> None:
    """Move the files ``paths`` of ``owner`` (a word for people) aside by the rights of ``account``, each in its filesystem.

    A path without a file is remembered, too: something will come there. One that was set aside before is left alone. Raise
    Refused where a rename could not be a rename.
    """
    empty: Dict[str, Any] = {"target": owner, "aside": "", "places": [], "files": [], "state": "begun"}
    state = read_json(folder / _JOURNAL) or empty
    known = {entry["path"] for entry in state["files"]}
    nowhere = [name for name in paths if not Path(name).is_absolute()]
    if nowhere:
        raise Refused(f"{nowhere[0]} is no file of this host and cannot be moved aside", "restore to a directory of its own")
    for path in [Path(name) for name in dict.fromkeys(paths) if name not in known]:
        with acting_as(account):
            was = os.path.lexists(str(path))
        aside = yard(path.parent) / f"aside-{run}" / path.name
        if was:
            with acting_as(account):
                _require_room(path, aside)
            state["places"] = sorted({*state["places"], str(aside.parent)})
            state["aside"] = ", ".join(state["places"])
        state["files"].append({"path": str(path), "aside": str(aside), "was": was, "account": account})
        write_json(folder / _JOURNAL, state)
        if was:
            with acting_as(account):
                _rename(path, aside)


def _require_room(path: Path, aside: Path) -> None:
    """Make the folder for ``aside``. Raise Refused where ``path`` cannot get there by a rename."""
    try:
        open_yard(path.parent)
        private_directory(aside.parent)
    except PermissionError as error:
        hint = f"the account that runs the server has to own {path.parent} and what is above it"
        raise Refused(f"{path} may not be moved aside: {error.strerror}", hint) from error
    if not os.access(str(path.parent), os.W_OK, effective_ids=True):
        raise Refused(f"{path} is not the server's to move", "look at what the set wants to be written there")
    if path.parent.stat().st_dev != aside.parent.stat().st_dev:
        raise Refused(f"{path} and {aside.parent} lie on different filesystems", "restore to another directory")
    if os.path.lexists(str(aside)):
        raise Refused(f"{aside} is in the way", "move it away, then try again")


def finish(folder: Path) -> str:
    """Remember that everything that was to come is in its place; return where the former files lie."""
    state = read_json(folder / _JOURNAL) or {"aside": ""}
    write_json(folder / _JOURNAL, dict(state, state="done"))
    return str(state["aside"])


def put_back(journal: Path, state: Dict[str, Any]) -> str:
    """Put every former file back and return one sentence. What came in goes to a folder ``restored-RUN`` beside it."""
    gone = [entry["path"] for entry in state["files"] if entry["was"] and not os.path.lexists(entry["aside"])]
    if state["state"] == "done" and gone:
        raise Refused(f"the former {gone[0]} is gone from its place aside", "nothing was moved; the restored files stay")
    came = set()
    for entry in state["files"]:
        with acting_as(entry.get("account")):  # whose directories these are may lead a rename anywhere
            place = _put_one_back(entry, f"restored-{journal.parent.name}")
        came.update([str(place)] if place else [])
    write_json(journal, dict(state, state="put back"))
    rest = f"; the restored ones lie in {', '.join(sorted(came))}" if came else ""
    return f"the former files of {state['target']} are back in their places{rest}"


def _put_one_back(entry: Dict[str, Any], name: str) -> Optional[Path]:
    """Put one former file back; return the folder ``name`` that took what had come in its place, if anything had."""
    path, aside, place = Path(entry["path"]), Path(entry["aside"]), None
    former_is_aside = os.path.lexists(str(aside))
    if os.path.lexists(str(path)) and (former_is_aside or not entry["was"]):
        place = private_directory(open_yard(path.parent) / name)
        _rename(path, _free(place / path.name))
    if former_is_aside:
        _rename(aside, path)
    with contextlib.suppress(OSError):
        aside.parent.rmdir()
    return place


def _free(path: Path) -> Path:
    """Return ``path``, or one like it that nobody uses."""
    free, number = path, 1
    while os.path.lexists(str(free)):
        free, number = path.with_name(f"{path.name}.{number}"), number + 1
    return free


def _rename(source: Path, target: Path) -> None:
    source.rename(target)
    sync_directory(source.parent)
    sync_directory(target.parent)
