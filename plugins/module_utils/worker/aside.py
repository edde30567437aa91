# SPDX-License-Identifier: GPL-3.0-or-later
"""Set single files aside by renames, where a server's files share their directories with others.

A form of exchange beside ``swap``, with the same journal: ``swap.json`` in the job folder lists under ``files`` what was moved,
or was about to be, and where something was to come. Every entry is written before its rename, so ``put_back`` reverses it from
any state.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Optional, Sequence

from ..errors import Refused
from ..executors import Executor, LocalExecutor
from ..files import read_json, write_json

_JOURNAL = "swap.json"


def set_aside(
    folder: Path, run: str, owner: str, paths: Sequence[str], *, account: Optional[str] = None, host: Optional[Executor] = None
) -> None:
    """Move the files ``paths`` of ``owner`` (a word for people) aside by the rights of ``account``, each in its filesystem.

    They lie on ``host`` (default: this one). A path without a file is remembered, too: something will come there. One that was
    set aside before is left alone. Raise Refused where a rename could not be a rename.
    """
    host = host or LocalExecutor()
    empty: Dict[str, Any] = {"target": owner, "aside": "", "places": [], "files": [], "state": "begun"}
    empty.update({"elsewhere": True} if host.remote else {})
    state = read_json(folder / _JOURNAL) or empty
    known = {entry["path"] for entry in state["files"]}
    nowhere = [name for name in paths if not Path(name).is_absolute()]
    if nowhere:
        raise Refused(f"{nowhere[0]} is no file of this host and cannot be moved aside", "restore to a directory of its own")
    for path in [Path(name) for name in dict.fromkeys(paths) if name not in known]:
        was = host.exists(path)
        aside = host.place_aside(path, f"aside-{run}", account)
        if was:
            host.make_room(path, aside, account)
            state["places"] = sorted({*state["places"], str(aside.parent)})
            state["aside"] = ", ".join(state["places"])
        state["files"].append({"path": str(path), "aside": str(aside), "was": was, "account": account})
        write_json(folder / _JOURNAL, state)
        if was:
            host.rename(path, aside, account)


def finish(folder: Path) -> str:
    """Remember that everything that was to come is in its place; return where the former files lie."""
    state = read_json(folder / _JOURNAL) or {"aside": ""}
    write_json(folder / _JOURNAL, dict(state, state="done"))
    return str(state["aside"])


def put_back(journal: Path, state: Dict[str, Any], host: Optional[Executor] = None) -> str:
    """Put every former file back and return one sentence. What came in goes to a folder ``restored-RUN`` beside it."""
    host = host or LocalExecutor()
    gone = [entry["path"] for entry in state["files"] if entry["was"] and not host.exists(Path(entry["aside"]))]
    if state["state"] == "done" and gone:
        raise Refused(f"the former {gone[0]} is gone from its place aside", "nothing was moved; the restored files stay")
    came = set()
    for entry in state["files"]:
        place = _put_one_back(entry, f"restored-{journal.parent.name}", host)
        came.update([str(place)] if place else [])
    write_json(journal, dict(state, state="put back"))
    rest = f"; the restored ones lie in {', '.join(sorted(came))}" if came else ""
    return f"the former files of {state['target']} are back in their places{rest}"


def _put_one_back(entry: Dict[str, Any], name: str, host: Executor) -> Optional[Path]:
    """Put one former file back; return the folder ``name`` that took what had come in its place, if anything had.

    By the rights of the server's account: whose directories these are may lead a rename anywhere.
    """
    path, aside, account, place = Path(entry["path"]), Path(entry["aside"]), entry.get("account"), None
    former_is_aside = host.exists(aside)
    if host.exists(path) and (former_is_aside or not entry["was"]):
        away = _free(host.place_aside(path, name, account), host)
        host.make_room(path, away, account)
        host.rename(path, away, account)
        place = away.parent
    if former_is_aside:
        host.rename(aside, path, account)
    host.remove_empty(aside.parent, account)
    return place


def _free(path: Path, host: Executor) -> Path:
    """Return ``path``, or one like it that nobody uses."""
    free, number = path, 1
    while host.exists(free):
        free, number = path.with_name(f"{path.name}.{number}"), number + 1
    return free
