# SPDX-License-Identifier: GPL-3.0-or-later
"""Exchange the content of a directory without copying and without destroying anything.

Entries move by rename inside one filesystem: live ones into an *aside* folder, landed ones into their place. The directory
itself stays, with its owner, mode and labels, so a mount point works like any other directory. ``swap.json`` in the job
folder says how far the exchange is; ``put_back`` reverses it from any state, also after a crash in the middle.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
from pathlib import Path
from typing import Any, Dict, List, Optional

from ..errors import BadInput, Refused
from ..files import private_directory, read_json, sync_directory, write_json
from ..yard import INSIDE, is_yard, open_yard

_OF_THE_FILESYSTEM = (INSIDE, "lost+found")  # what a mount point keeps for itself


def exchange(folder: Path, run: str, arguments: Dict[str, Any]) -> Path:
    """Move the content of ``target`` aside and that of ``landing`` in; return the aside folder.

    ``arguments`` are those of the ``swap`` step. Names in ``leave_out`` (a tool's own notes) are not taken over. Raise
    Refused when a rename could not be a rename (other filesystem) or there is nothing landed.
    """
    target, landing = Path(arguments["target"]), Path(arguments["landing"])
    leave_out = set(arguments.get("leave_out", []))
    entries = [name for name in _entries(landing) if name not in leave_out]
    if not entries:
        raise Refused(f"there is nothing in {landing} to put into {target}")
    aside = private_directory(open_yard(target) / f"aside-{run}")
    if not _same_filesystem(target, landing, aside):
        raise Refused(f"{landing} and {target} lie on different filesystems", "restore into a directory of the same filesystem")
    _own(landing, arguments.get("owner"), arguments.get("group"))
    leaving = _entries(target)
    state: Dict[str, Any] = {"target": str(target), "landing": str(landing), "aside": str(aside), "state": "begun"}
    state.update(moved_aside=leaving, moved_in=entries)
    write_json(folder / "swap.json", state)
    _move(leaving, target, aside)
    _move(entries, landing, target)
    write_json(folder / "swap.json", dict(state, state="done"))
    return aside


def put_back(folder: Path) -> str:
    """Reverse the exchange of a job and return one sentence about it. What came in goes back to the landing folder."""
    state = read_json(folder / "swap.json")
    if state is None:
        raise BadInput(f"{folder.name} exchanged no data: there is nothing to put back")
    if state["state"] == "put back":
        return f"{state['target']} already holds its former content again"
    if state["state"] == "verified" or not Path(state["aside"]).is_dir():
        raise Refused(f"the former content of {state['target']} was removed after a verified restore")
    target, landing, aside = Path(state["target"]), Path(state["landing"]), Path(state["aside"])
    private_directory(landing)
    # Renames leave a name in exactly one place: what is not in the aside folder is in the target, still or again. All else
    # in the target came in, or was made by the restored server since; it must not mix with the former content.
    former = {name for name in state["moved_aside"] if not os.path.lexists(str(aside / name))}
    _move_out([name for name in _entries(target) if name not in former], target, landing)
    _move([name for name in state["moved_aside"] if name not in former], aside, target)
    write_json(folder / "swap.json", dict(state, state="put back"))
    with contextlib.suppress(OSError):
        aside.rmdir()
    return f"{target} holds its former content again; the restored data lies in {landing}"


def exchanged(folder: Path) -> Optional[Dict[str, Any]]:
    """Return the state of the job's exchange when live data lies aside because of it, else None."""
    state = read_json(folder / "swap.json")
    return state if state and state["state"] in ("begun", "done") else None


def settle(folder: Path) -> None:
    """Remember that somebody chose the data that came in; what lies aside stays where it is."""
    write_json(folder / "swap.json", dict(read_json(folder / "swap.json") or {}, state="kept"))


def forget_aside(folder: Path) -> None:
    """Remove what was moved aside: only after the restore has verified, and only when asked to."""
    state = read_json(folder / "swap.json")
    if state and state["state"] == "done":
        # First the note: half of the former data must never be offered as the way back.
        write_json(folder / "swap.json", dict(state, state="verified"))
        remove_tree(Path(state["aside"]))


def remove_tree(path: Path) -> None:
    """Remove ``path`` and, when it is empty then, the yard that it lay in."""
    if path.exists():
        shutil.rmtree(str(path))
    if is_yard(path.parent) and path.parent.is_dir() and not any(path.parent.iterdir()):
        path.parent.rmdir()


def _entries(path: Path) -> List[str]:
    return sorted(name for name in os.listdir(str(path)) if name not in _OF_THE_FILESYSTEM)


def _same_filesystem(*paths: Path) -> bool:
    return len({path.stat().st_dev for path in paths}) == 1


def _move(names: List[str], source: Path, target: Path) -> None:
    """Move ``names`` by rename. Raise Refused instead of overwriting anything."""
    for name in names:
        if os.path.lexists(str(target / name)):
            raise Refused(f"{target / name} is in the way", "move it away, then try again")
        (source / name).rename(target / name)
    sync_directory(source)
    sync_directory(target)


def _move_out(names: List[str], source: Path, target: Path) -> None:
    """Move ``names`` by rename, under another name where theirs is taken."""
    for name in names:
        free, number = name, 1
        while os.path.lexists(str(target / free)):
            free, number = f"{name}.{number}", number + 1
        (source / name).rename(target / free)
    sync_directory(source)
    sync_directory(target)


def _own(root: Path, owner: Optional[str], group: Optional[str]) -> None:
    """Give everything below ``root`` to ``owner`` and ``group``."""
    if owner is None and group is None:
        return
    user = pwd.getpwnam(owner).pw_uid if owner else -1
    team = grp.getgrnam(group).gr_gid if group else -1
    for folder, folders, names in os.walk(str(root)):
        for name in folders + names:
            os.lchown(os.path.join(folder, name), user, team)
