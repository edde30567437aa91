# SPDX-License-Identifier: GPL-3.0-or-later
"""Exchange the content of directories without copying and without destroying anything.

Entries move by rename inside one filesystem: live ones into an *aside* folder, landed ones into their place. The directory
itself stays, with its owner, mode and labels, so a mount point works like any other directory. A journal in the job folder
says how far an exchange is (``swap.json``, ``swap-2.json`` ... for the further ones of the job); ``put_back`` reverses them all
from any state, newest first, also after a crash in the middle.

Every folder is held by descriptor (``pinned``) and looked up once: an application's account may own what is above its data.
"""

from __future__ import annotations

import contextlib
import grp
import itertools
import os
import pwd
import stat
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, NoReturn, Optional, Set

from ..errors import BadInput, Refused
from ..executors import Executor
from ..files import read_json, remove_folder, write_json
from ..folders.metadata import apply_metadata, from_plain, read_metadata, to_plain
from ..folders.walk import Selection, kept_at_top, show, walk
from ..pinned import has, names_in, open_own, opened, opened_or_made, place, sync
from ..yard import hold_yard, is_yard, yard
from . import aside as aside_files


class _Place(NamedTuple):
    """A folder of an exchange: its name, for sentences, and its descriptor."""

    path: Path
    held: int

    @property
    def itself(self) -> bytes:
        """Return a path that leads to the folder, whatever becomes of its name."""
        return os.fsencode(place(self.held)) + b"/."


class _Places(NamedTuple):
    """The folders of one exchange; ``kept``: names in ``live`` that are no content of it."""

    live: _Place
    landing: _Place
    aside: _Place
    kept: Set[bytes]


def exchange(folder: Path, run: str, arguments: Dict[str, Any], landed: Optional[int] = None) -> Path:
    """Move the content of ``target`` aside and that of ``landing`` in; return the aside folder.

    ``arguments`` are those of the ``swap`` step, ``landed`` is the landing where it is held open. Names in ``leave_out`` (a
    tool's own notes) are not taken over. Raise Refused when a rename could not be a rename (other filesystem), there is nothing
    landed, a landed name is one that the target keeps for itself, or the target does not become empty: restored data never
    mixes with other data.
    """
    target, path = Path(arguments["target"]), Path(arguments["landing"])
    with contextlib.ExitStack() as way:
        landing = _Place(path, landed if landed is not None else way.enter_context(opened(path)))
        entries = [name for name in _entries(landing, kept_at_top(path)) if name not in arguments.get("leave_out", [])]
        if not entries and not arguments.get("with_root"):
            raise Refused(f"there is nothing in {path} to put into {target}")
        kept = kept_at_top(target)
        _refuse_kept(target, entries, kept)
        made = not target.exists()  # the whole directory was lost
        live = _Place(target, way.enter_context(opened_or_made(target)))
        aside = way.enter_context(_made_aside(target, run))
        _require_same_filesystem(landing, live, aside)
        _own(landing, live if made else None, arguments.get("owner"), arguments.get("group"))
        state = {"target": str(target), "landing": str(path), "aside": str(aside.path), "made": made, "moved_in": entries}
        _move_both(_next_journal(folder), state, _Places(live, landing, aside, kept), bool(arguments.get("with_root")))
    return aside.path


def _move_both(journal: Path, state: Dict[str, Any], places: _Places, with_root: bool) -> None:
    """Move what is live aside and what landed (``moved_in`` of ``state``) in; the journal says so before and after."""
    live, landing, aside, kept = places
    state.update(moved_aside=_entries(live, kept), state="begun")
    if with_root:
        state["root"] = to_plain(read_metadata(live.itself))
    write_json(journal, state)
    _move(state["moved_aside"], live, aside)
    _require_empty(live, kept)
    root = read_metadata(landing.itself)
    _move(state["moved_in"], landing, live)
    if with_root:
        apply_metadata(live.itself, root)
    write_json(journal, dict(state, state="done"))


@contextlib.contextmanager
def _made_aside(target: Path, run: str) -> Iterator[_Place]:
    """Make the folder in the yard of ``target`` that takes its content. Raise Refused for one that is there already."""
    name = f"aside-{run}"
    with hold_yard(target) as held:
        try:
            os.mkdir(name, 0o700, dir_fd=held)
        except FileExistsError as error:
            raise Refused(f"{yard(target) / name} is there already", "look at it, and move it away") from error
        sync(held)
        with _own_place(held, yard(target) / name) as aside:
            yield aside


@contextlib.contextmanager
def _own_place(above: int, path: Path) -> Iterator[_Place]:
    """Hold the folder ``path``, which lies in an open one, open. Raise Refused when it is not ours."""
    held = open_own(above, path.name)
    try:
        yield _Place(path, held)
    finally:
        os.close(held)


def _require_empty(live: _Place, kept: Set[bytes]) -> None:
    """Raise Refused for anything that appeared in ``live`` while its content moved aside (PS-7)."""
    left = _entries(live, kept)
    if left:
        raise Refused(
            f"{live.path} is not empty after its content was moved aside: {', '.join(left[:5])}",
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
    if state["state"] == "verified":
        raise Refused(f"the former content of {state['target']} was removed after a verified restore")
    if not Path(state["aside"]).is_dir():
        raise Refused(
            f"the former content of {state['target']} is not in {state['aside']} any more",
            "nothing was moved; is its filesystem mounted?",
        )
    _return(state)
    write_json(journal, dict(state, state="put back"))
    aside, target = Path(state["aside"]), Path(state["target"])
    _remove_if_empty(aside)
    if state.get("made"):
        _remove_if_empty(target)
    return f"{target} holds its former content again; the restored data lies in {state['landing']}"


def _return(state: Dict[str, Any]) -> None:
    """Move what came in to the landing and what lies aside to the target."""
    path, place_of = Path(state["aside"]), Path(state["landing"])
    with contextlib.ExitStack() as way:
        live = _Place(Path(state["target"]), way.enter_context(opened(Path(state["target"]))))
        above = way.enter_context(opened(path.parent.parent))
        aside = way.enter_context(_own_place(way.enter_context(_own_place(above, path.parent)).held, path))
        landing = _Place(place_of, way.enter_context(opened_or_made(place_of)))
        # Renames leave a name in exactly one place: what is not in the aside folder is in the target, still or again. All else
        # in the target came in, or was made by the restored server since; it must not mix with the former content.
        former = {name for name in state["moved_aside"] if not has(aside.held, name)}
        own = kept_at_top(live.path)
        _move_out([name for name in _entries(live, own) if name not in former], live, landing)
        _move([name for name in state["moved_aside"] if name not in former], aside, live)
        if state.get("root"):
            apply_metadata(live.itself, from_plain(state["root"]))


def _remove_if_empty(path: Path) -> None:
    with contextlib.suppress(OSError, Refused), opened(path.parent) as above:
        os.rmdir(path.name, dir_fd=above)


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
    with contextlib.ExitStack() as way:
        try:
            above = way.enter_context(opened(path.parent))
        except (FileNotFoundError, NotADirectoryError):
            return
        if has(above, path.name):
            remove_folder(Path(place(above)) / path.name)
        left = names_in(above)
    if is_yard(path.parent) and not left:
        _remove_if_empty(path.parent)


def _entries(folder: _Place, own: Set[bytes]) -> List[str]:
    return [name for name in names_in(folder.held) if os.fsencode(name) not in own]


def _refuse_kept(target: Path, entries: List[str], kept: Set[bytes]) -> None:
    """Raise Refused for a name among ``entries`` that ``target`` keeps for itself: it could not be exchanged."""
    for name in sorted({os.fsencode(name) for name in entries} & kept):
        raise Refused(
            f"the saved content has a {os.fsdecode(name)}, and the filesystem mounted at {target} keeps that name for itself",
            "restore to a directory below it (backstay_restore_to)",
        )


def _require_same_filesystem(landing: _Place, live: _Place, aside: _Place) -> None:
    if len({os.fstat(folder.held).st_dev for folder in (landing, live, aside)}) > 1:
        raise Refused(
            f"{landing.path} and {live.path} lie on different filesystems", "restore into a directory of the same filesystem"
        )


def _move(names: List[str], source: _Place, target: _Place) -> None:
    """Move ``names`` by rename. Raise Refused instead of overwriting anything."""
    for name in names:
        if has(target.held, name):
            raise Refused(f"{target.path / name} is in the way", "move it away, then try again")
        os.rename(name, name, src_dir_fd=source.held, dst_dir_fd=target.held)
    sync(source.held)
    sync(target.held)


def _move_out(names: List[str], source: _Place, target: _Place) -> None:
    """Move ``names`` by rename, under another name where theirs is taken."""
    for name in names:
        free, number = name, 1
        while has(target.held, free):
            free, number = f"{name}.{number}", number + 1
        os.rename(name, free, src_dir_fd=source.held, dst_dir_fd=target.held)
    sync(source.held)
    sync(target.held)


def _own(root: _Place, made: Optional[_Place], owner: Optional[str], group: Optional[str]) -> None:
    """Give everything below ``root``, and the target when it was ``made``, to ``owner`` and ``group``.

    Raise Refused for a file of another account with further names: whoever could write here may have put it here to get it.
    """
    if owner is None and group is None:
        return
    user = pwd.getpwnam(owner).pw_uid if owner else -1
    team = grp.getgrnam(group).gr_gid if group else -1
    for entry in walk(root.itself, Selection(set(), []), _vanished, os.fsencode(str(root.path))):
        status = entry.status
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode) and user not in (-1, status.st_uid):
            raise Refused(f"{root.path / os.fsdecode(entry.path)} has further names elsewhere", "find out who made it")
        if entry.path:
            os.lchown(entry.place, user, team)
    if made:
        os.chown(made.itself, user, team)


def _vanished(path: bytes) -> NoReturn:
    raise Refused(f"{show(path)} vanished while it was given to its owner", "find what else works there")
