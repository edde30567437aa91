# SPDX-License-Identifier: GPL-3.0-or-later
"""Exchange the content of directories without copying and without destroying anything.

Entries move by rename inside one filesystem: live ones into an *aside* folder, landed ones into their place. The directory
itself stays, with its owner, mode and labels, so a mount point works like any other directory. A journal in the job folder
says how far an exchange is (``swap.json``, ``swap-2.json`` ... for the further ones of the job); ``put_back`` reverses them all
from any state, newest first, also after a crash in the middle.
"""

from __future__ import annotations

import contextlib
import grp
import itertools
import os
import pwd
import shutil
from pathlib import Path
from typing import Any, Dict, List, Optional

from ..errors import BadInput, Refused
from ..executors import Executor
from ..files import private_directory, read_json, sync_directory, write_json
from ..folders.metadata import apply_metadata, from_plain, read_metadata, to_plain
from ..folders.walk import kept_at_top
from ..yard import is_yard, open_yard
from . import aside as aside_files


def exchange(folder: Path, run: str, arguments: Dict[str, Any]) -> Path:
    """Move the content of ``target`` aside and that of ``landing`` in; return the aside folder.

    ``arguments`` are those of the ``swap`` step. Names in ``leave_out`` (a tool's own notes) are not taken over. Raise
    Refused when a rename could not be a rename (other filesystem), there is nothing landed, a landed name is one that the
    target keeps for itself, or the target does not become empty: restored data never mixes with other data.
    """
    target, landing = Path(arguments["target"]), Path(arguments["landing"])
    leave_out = set(arguments.get("leave_out", []))
    entries = [name for name in _entries(landing) if name not in leave_out]
    if not entries and not arguments.get("with_root"):
        raise Refused(f"there is nothing in {landing} to put into {target}")
    _refuse_kept(target, entries)
    made = not target.exists()
    if made:
        target.mkdir()  # the whole directory was lost
    aside = private_directory(open_yard(target) / f"aside-{run}")
    if not _same_filesystem(target, landing, aside):
        raise Refused(f"{landing} and {target} lie on different filesystems", "restore into a directory of the same filesystem")
    _own(landing, arguments.get("owner"), arguments.get("group"))
    leaving = _entries(target)
    journal = _next_journal(folder)
    state: Dict[str, Any] = {"target": str(target), "landing": str(landing), "aside": str(aside), "state": "begun"}
    state.update(moved_aside=leaving, moved_in=entries, made=made)
    if arguments.get("with_root"):
        state["root"] = to_plain(read_metadata(os.fsencode(str(target))))
    write_json(journal, state)
    _move(leaving, target, aside)
    _require_empty(target)
    root = read_metadata(os.fsencode(str(landing)))
    _move(entries, landing, target)
    if arguments.get("with_root"):
        apply_metadata(os.fsencode(str(target)), root)
    write_json(journal, dict(state, state="done"))
    return aside


def _require_empty(target: Path) -> None:
    """Raise Refused for anything that appeared in ``target`` while its content moved aside (PS-7)."""
    left = _entries(target)
    if left:
        raise Refused(
            f"{target} is not empty after its content was moved aside: {', '.join(left[:5])}",
            "something writes there; stop it before you put back",
        )


def journals(folder: Path) -> List[Path]:
    """Return the journals of the job's exchanges, oldest first."""
    found = [folder / "swap.json", *(folder / f"swap-{number}.json" for number in range(2, 1000))]
    return list(itertools.takewhile(Path.exists, found))


def _next_journal(folder: Path) -> Path:
    number = len(journals(folder)) + 1
    return folder / ("swap.json" if number == 1 else f"swap-{number}.json")


def put_back(folder: Path, host: Optional[Executor] = None) -> str:
    """Reverse the exchanges of a job, newest first, and return a sentence about each.

    What came in goes back to its landing folder. ``host``: where single files were set aside, if not here.
    """
    found = journals(folder)
    if not found:
        raise BadInput(f"{folder.name} exchanged no data: there is nothing to put back")
    return "; ".join([_put_one_back(journal, host) for journal in reversed(found)])


def _put_one_back(journal: Path, host: Optional[Executor]) -> str:
    state = read_json(journal)
    if state is None:
        raise BadInput(f"{journal} is gone: there is nothing to put back")
    if state["state"] == "put back":
        return f"{state['target']} already holds its former content again"
    if "files" in state and state["state"] != "verified":
        return aside_files.put_back(journal, state, host)
    if state["state"] == "verified" or not Path(state["aside"]).is_dir():
        raise Refused(f"the former content of {state['target']} was removed after a verified restore")
    target, landing, aside = Path(state["target"]), Path(state["landing"]), Path(state["aside"])
    private_directory(landing)
    # Renames leave a name in exactly one place: what is not in the aside folder is in the target, still or again. All else
    # in the target came in, or was made by the restored server since; it must not mix with the former content.
    former = {name for name in state["moved_aside"] if not os.path.lexists(str(aside / name))}
    _move_out([name for name in _entries(target) if name not in former], target, landing)
    _move([name for name in state["moved_aside"] if name not in former], aside, target)
    if state.get("root"):
        apply_metadata(os.fsencode(str(target)), from_plain(state["root"]))
    write_json(journal, dict(state, state="put back"))
    with contextlib.suppress(OSError):
        aside.rmdir()
    if state.get("made"):
        with contextlib.suppress(OSError):
            target.rmdir()
    return f"{target} holds its former content again; the restored data lies in {landing}"


def exchanged(folder: Path) -> List[Dict[str, Any]]:
    """Return the states of the job's exchanges because of which live data lies aside, oldest first."""
    states = [read_json(journal) for journal in journals(folder)]
    return [state for state in states if state and state["state"] in ("begun", "done")]


def settle(folder: Path) -> None:
    """Remember that somebody chose the data that came in; what lies aside stays where it is."""
    for journal in journals(folder):
        write_json(journal, dict(read_json(journal) or {}, state="kept"))


def forget_aside(folder: Path, host: Optional[Executor] = None) -> None:
    """Remove what was moved aside: only after the restore has verified, and only when asked to."""
    for journal in journals(folder):
        state = read_json(journal)
        if state and state["state"] == "done":
            # First the note: half of the former data must never be offered as the way back.
            write_json(journal, dict(state, state="verified"))
            for place in state.get("places", [state["aside"]]):
                host.remove(Path(place)) if host and host.remote else remove_tree(Path(place))


def lies_aside(state: Dict[str, Any]) -> bool:
    """Return whether the former data of an exchange is still where it was put; on another host it is taken to be."""
    places = state.get("places", [state["aside"]])
    return bool(state.get("elsewhere")) or any(Path(place).is_dir() for place in places)


def remove_tree(path: Path) -> None:
    """Remove ``path`` and, when it is empty then, the yard that it lay in."""
    if path.exists():
        shutil.rmtree(str(path))
    if is_yard(path.parent) and path.parent.is_dir() and not any(path.parent.iterdir()):
        path.parent.rmdir()


def _entries(path: Path) -> List[str]:
    own = kept_at_top(path)
    return sorted(name for name in os.listdir(str(path)) if os.fsencode(name) not in own)


def _refuse_kept(target: Path, entries: List[str]) -> None:
    """Raise Refused for a name among ``entries`` that ``target`` keeps for itself: it could not be exchanged."""
    for name in sorted({os.fsencode(name) for name in entries} & kept_at_top(target)):
        raise Refused(
            f"the saved content has a {os.fsdecode(name)}, and the filesystem mounted at {target} keeps that name for itself",
            "restore to a directory below it (backstay_restore_to)",
        )


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
