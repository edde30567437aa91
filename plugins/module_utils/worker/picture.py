# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps that save folders of a stopped application: ``copy_ahead``, ``picture``, ``archive``, ``prove``.

The application is stopped for the moment of the picture only; the archive is read from the picture after the start. A picture
lies in the folder's yard, on its own filesystem, and is made by one of METHODS, which the receipt names.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from .. import layout, pinned
from ..errors import BadInput, CommandFailed, NoSpace, Refused
from ..files import free_bytes, human, read_json, write_json
from ..folders import filesystem, manifest
from ..folders.precopy import Copied, TreeCopy
from ..folders.walk import Selection, explained, measure, selection
from ..moment import format_moment, now
from ..yard import hold_yard, yard
from . import services
from .capture import capture
from .job import Job
from .swap import remove_tree

# snapshot: of the btrfs subvolume. clone: files that share their blocks. copy: files of their own.
METHODS = ("snapshot", "clone", "copy")
_MARGIN = 16 << 20


class Picture:
    """The picture of one folder on its way. ``report`` is what the receipt says of it."""

    def __init__(self, job: Job, arguments: Dict[str, Any]) -> None:
        self._source = _open_source(job, arguments["folder"])
        self.folder = Path(os.readlink(pinned.place(self._source)))
        self.exclude: List[str] = list(arguments.get("exclude", []))
        self.leave_out: Selection = selection(self.folder, self.exclude)
        self._named, self._held = self._make_place(job)
        self.place = Path(pinned.place(self._held))  # never by its name: who owns the directory above may exchange the yard
        if self.place.stat().st_dev != os.fstat(self._source).st_dev:
            raise Refused(f"{self._named} and {self.folder} lie on different filesystems", "list the mounted folder itself")
        self.subvolume = filesystem.subvolume_of(self.folder)
        self.method = self._choose(job, arguments.get("method", "auto"))
        self.complete = False
        self.report: Dict[str, Any] = {"folder": arguments["folder"], "method": self.method}
        self._copy = self._prepared_copy()

    def _make_place(self, job: Job) -> Tuple[Path, int]:
        """Make the folder that the picture lies in, root's alone; return its name and a descriptor of it."""
        name = f"picture-{job.specification['run']}"
        with hold_yard(self.folder) as held:
            job.folder.note_made("directory", str(yard(self.folder) / name))
            os.mkdir(name, 0o700, dir_fd=held)  # what is there already is somebody else's
            descriptor = pinned.make_folder(held, name)
        job.cleanups.append(lambda: os.close(descriptor))
        return yard(self.folder) / name, descriptor

    @property
    def tree(self) -> Path:
        """Where the picture of the folder itself lies."""
        if self.method == "snapshot" and self.subvolume:
            return self.place / "snapshot" / self.folder.relative_to(self.subvolume)
        return self.place / "tree"

    def tree_elsewhere(self) -> str:
        """Return a path by which other processes of root reach the picture of the folder while this one lives."""
        with pinned.opened_below(self._held, self.tree.relative_to(self.place)) as tree:
            if self.method == "snapshot" and os.fstat(tree).st_ino != os.fstat(self._source).st_ino:
                raise CommandFailed(f"{self.folder} was exchanged while its picture was made", "find out who did that")
        return f"/proc/{os.getpid()}/fd/{self._held}/{self.tree.relative_to(self.place)}"

    def _choose(self, job: Job, wanted: str) -> str:
        """Return the best method that this filesystem really offers: each is tried, while the application still runs."""
        tries: Dict[str, Callable[[Job], bool]] = {
            "snapshot": self._can_snapshot,
            "clone": lambda _job: filesystem.can_clone(self.place),
            "copy": lambda _job: True,
        }
        offered = (method for method in METHODS if wanted in ("auto", method) and tries[method](job))
        method = next(offered, None)
        if method is None:
            raise Refused(f"there is no {wanted} of {self.folder} on {filesystem.kind(self.folder)}", "choose the method auto")
        return method

    def _can_snapshot(self, job: Job) -> bool:
        if self.subvolume is None:
            return False
        try:
            self._snapshot(job)
            filesystem.remove_snapshot(self.place / "snapshot")
        except OSError:
            return False
        return True

    def _snapshot(self, job: Job) -> None:
        assert self.subvolume is not None
        job.folder.note_made("snapshot", str(self._named / "snapshot"))
        up = "/.." * len(self.folder.relative_to(self.subvolume).parts)  # of the folder that is held, not of its name
        filesystem.take_snapshot(Path(pinned.place(self._source) + up), self.place / "snapshot")

    def _prepared_copy(self) -> Optional[TreeCopy]:
        if self.method == "snapshot":
            return None
        grain = filesystem.time_grain(self.place)
        source = os.fsencode(pinned.place(self._source)) + b"/."
        return TreeCopy(self.folder, self.tree, self.leave_out, grain, cloning=self.method == "clone", by=source)

    def ahead(self, job: Job) -> None:
        """Do what can be done while the application runs."""
        if self._copy is None:
            filesystem.write_back(self.folder)  # what is written now does not lengthen the outage
            return
        if self.method == "copy":
            self._require_space(job)
        if filesystem.kind(self.folder) in filesystem.TIMES_TRUSTED:
            self.report["hot_passes"] = self._copy.ahead(job.tell)

    def _require_space(self, job: Job) -> None:
        """Raise NoSpace, before anything is stopped, when a copy (and staging, if it lies here, too) does not fit."""
        needed = measure(self.folder, self.leave_out).occupied + _MARGIN
        staging = layout.staging(job.specification["source"], job.specification["app"])
        if job.specification.get("transport") == "stage" and _device(staging) == self.place.stat().st_dev:
            steps = job.specification["steps"]
            needed += sum(int(step["archive"].get("estimate_bytes", 0)) for step in steps if "archive" in step)
        free = free_bytes(self.place)
        if free < needed:
            raise NoSpace(
                f"a copy of {self.folder} needs about {human(needed)} beside it, {human(free)} are free",
                "make room, or keep the folder on btrfs or XFS, which need none",
            )

    def take(self, job: Job) -> None:
        """Complete the picture of this moment; the application is stopped."""
        self.report["begun_at"] = format_moment(now())
        if self._copy is None:
            filesystem.write_back(self.folder)
            self._snapshot(job)
        else:
            self._note_copied(self._copy.finish(job.tell))
        self.report["taken_at"] = format_moment(now())
        self.complete = True

    def _note_copied(self, copied: Copied) -> None:
        self.report.update(stopped_files=copied.files, stopped_bytes=copied.bytes)

    def remove(self) -> None:
        """Remove the picture; its archive was taken."""
        filesystem.remove_snapshot(self.place / "snapshot")
        remove_tree(self._named)


def copy_ahead(job: Job, arguments: Dict[str, Any]) -> None:
    """Prepare the picture of a folder while its application runs, so that the picture itself is short."""
    with _explained(arguments):
        _opened(job, arguments).ahead(job)


def picture(job: Job, arguments: Dict[str, Any]) -> None:
    """Complete the picture of a folder whose application is stopped, and prove that it was not started meanwhile."""
    with _explained(arguments):
        _opened(job, arguments).take(job)
    # Also what was down before the job: somebody may have started it since the job looked.
    for entry in [*job.folder.undo_entries(), *job.seen.get("found_down", {}).values()]:
        if "service" in entry and services.is_active(entry["service"], control=entry.get("control")):
            raise CommandFailed(
                f"service '{entry['service']}' was started while the picture was made",
                "something else starts it (a timer, a watchdog, somebody); keep that from doing so",
            )


def _open_source(job: Job, folder: str) -> int:
    """Return a descriptor of ``folder``, which is open until the job ends: what is saved is what it was at the beginning."""
    try:
        descriptor = pinned.open_folder(Path(folder))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CommandFailed(f"{folder} is not a folder on this host", "check the folder variable of the role") from error
    job.cleanups.append(lambda: os.close(descriptor))
    return descriptor


@contextlib.contextmanager
def _explained(arguments: Dict[str, Any]) -> Iterator[None]:
    """Turn what the operating system refuses into a sentence about the folder."""
    try:
        yield
    except OSError as error:
        raise explained(error, Path(arguments["folder"])) from error


def _opened(job: Job, arguments: Dict[str, Any]) -> Picture:
    """Return the picture of the folder that the job has begun, or begin it."""
    pictures: Dict[str, Picture] = job.seen.setdefault("pictures", {})
    if arguments["folder"] not in pictures:
        pictures[arguments["folder"]] = Picture(job, arguments)
    return pictures[arguments["folder"]]


def archive(job: Job, arguments: Dict[str, Any]) -> None:
    """Take the picture of a folder as an artifact, one archive with its manifest, and remove the picture."""
    taken: Optional[Picture] = job.seen.get("pictures", {}).get(arguments["folder"])
    if taken is None or not taken.complete:
        raise BadInput(f"there is no picture of {arguments['folder']} to archive", "add a picture step before")
    name = arguments["artifact"]
    with _explained(arguments):
        tree = taken.tree_elsewhere()
    wanted = {
        "folder": arguments["folder"],
        "tree": tree,
        "own": [os.fsdecode(own) for own in taken.leave_out.own],
        "exclude": taken.exclude,
        "snapshot": taken.method == "snapshot",
    }
    write_json(job.folder.path / f"archive-{name}.json", wanted)
    argv = [sys.executable, sys.argv[0], "archive", str(job.folder.path), name]
    capture(job, {"artifact": name, "argv": argv, "proof": {"exit": 0}})
    outline = read_json(job.folder.path / f"archived-{name}.json") or {}
    job.seen.setdefault("archived", []).append(
        dict(taken.report, artifact=name, bytes=job.seen["artifacts"][-1]["bytes"], **outline)
    )
    taken.remove()


def prove(job: Job, arguments: Dict[str, Any]) -> None:
    """Hold an unpacked folder against the manifest that came with it. Raise IntegrityError when they differ."""
    name = arguments.get("artifact", "")
    directory = Path(arguments["directory"])
    proved = manifest.prove(directory, name, job.open_folders.get(str(directory)))
    detail = f"{proved.entries} entries with {human(proved.bytes)} are what was saved"
    job.seen["checks"].append({"name": f"manifest {name}".strip(), "status": "ok", "detail": detail})


class Sealed(NamedTuple):
    """What a receipt says of the folders that a job archived; see ``apps``."""

    consistent_at: str
    position: Dict[str, Any]
    checks: List[Dict[str, str]]
    folders: List[Dict[str, Any]]


def sealed(job: Job) -> Sealed:
    """Return what the receipt of this job says of its folders. Nothing in the set is younger than its last picture."""
    folders: List[Dict[str, Any]] = job.seen["archived"]
    first = min(item["begun_at"] for item in folders)
    last = max(item["taken_at"] for item in folders)
    still = len(folders) == 1 or job.seen["outage_seconds"] > 0
    position = {"not_before": {"taken_at": first}, "not_after": {"taken_at": last}, "exact": still}
    return Sealed(last, position, [check for item in folders for check in _checks(item)], folders)


def _checks(item: Dict[str, Any]) -> List[Dict[str, str]]:
    name, detail = f"picture of {item['folder']}", _told(item)
    found = [{"name": name, "status": "ok", "detail": detail}]
    if item["method"] != "snapshot" and "hot_passes" not in item:
        found[0].update(status="warning", detail=f"{detail}; nothing was copied ahead, so the outage grows with the data")
    if item["sockets"]:
        listed = ", ".join(item["skipped"])
        found.append(
            {"name": f"sockets in {item['folder']}", "status": "ok", "detail": f"{item['sockets']} left out: {listed}"}
        )
    return found


def _told(item: Dict[str, Any]) -> str:
    if item["method"] == "snapshot":
        return "snapshot of its btrfs subvolume"
    return f"{item['method']}, {item['stopped_files']} files with {human(item['stopped_bytes'])} while stopped"


def _device(place: Path) -> int:
    while not place.exists():
        place = place.parent
    return place.stat().st_dev
