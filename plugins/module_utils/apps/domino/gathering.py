# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring files of several places into one folder, which becomes one artifact.

The folder lies on the filesystem of the backup target, where a file gets a second name instead of a copy; only root reaches it.
"""

from __future__ import annotations

import os
import shutil
import stat
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple

from ... import pinned
from ...errors import CaptureFailed
from ...files import private_directory, write_json
from ...moment import parse_moment
from ...yard import hold_yard, yard

if TYPE_CHECKING:
    from ...worker.job import Job

INDEX = "index.json"
_SLACK = timedelta(hours=1)  # attachments are chosen by their times; better some twice than one missing


class Wanted(NamedTuple):
    """A file for the folder: where it comes, where it lies, its bytes (-1: whatever it has)."""

    name: str
    path: str
    bytes: int


def gather(job: Job, wanted: List[Wanted], index: Dict[str, Any], daos: str, since: str) -> Path:
    """Return the folder with all ``wanted`` files, the attachments in ``daos`` changed ``since``, and the index.

    Raise CaptureFailed for a file that is not what was promised.
    """
    place = _place(job, wanted)
    for item in wanted:
        _take(item, place / item.name)
    index["daos"] = _take_attachments(Path(daos), since, place / "daos") if daos else 0
    write_json(private_directory(place) / INDEX, index)
    return place


def _place(job: Job, wanted: List[Wanted]) -> Path:
    """Make the folder: beside that of the first file, so on its filesystem; in the scratch folder when there is none."""
    if not wanted:
        return private_directory(job.work / "logs")
    beside = Path(wanted[0].path).parent
    name = f"logs-{job.specification['run']}"
    job.folder.note_made("directory", str(yard(beside) / name))
    with hold_yard(beside) as held:
        os.mkdir(name, 0o700, dir_fd=held)
    job.cleanups.append(lambda: _remove(yard(beside) / name))
    return yard(beside) / name


def _remove(place: Path) -> None:
    from ...worker.swap import remove_tree

    remove_tree(place)


def _take(item: Wanted, target: Path) -> None:
    if ".." in PurePosixPath(item.name).parts:
        raise CaptureFailed(f"the inventory lists {item.name!r}, which is no path below the data directory")
    source = Path(item.path)
    private_directory(target.parent)
    try:
        with pinned.opened(source.parent) as folder:
            _link_or_copy(source.name, folder, target)
    except OSError as error:
        raise CaptureFailed(f"{source} cannot be read: {error.strerror}", "was it removed from the backup target?") from error
    size = target.lstat().st_size
    if item.bytes not in (-1, size):
        raise CaptureFailed(f"{source} has {size} bytes, the inventory says {item.bytes}", "run again")


def _link_or_copy(name: str, folder: int, target: Path) -> None:
    """Give a file in an open folder a second name, or copy it where that cannot be. No link is followed."""
    try:
        os.link(name, str(target), src_dir_fd=folder, follow_symlinks=False)
        return
    except OSError:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as reader, target.open("xb") as writer:
        shutil.copyfileobj(reader, writer, 1 << 20)
        status = os.fstat(reader.fileno())
        os.fchown(writer.fileno(), status.st_uid, status.st_gid)
        os.fchmod(writer.fileno(), status.st_mode & 0o7777)


def _take_attachments(daos: Path, since: str, target: Path) -> int:
    """Copy what was stored in the DAOS folder since a moment; return how many files that were."""
    from ...folders.walk import selection, walk

    oldest = (parse_moment(since) - _SLACK).timestamp()
    count = 0
    with pinned.opened(daos) as held:
        for entry in walk(os.fsencode(f"{pinned.place(held)}/."), selection(daos, []), lambda _path: None):
            status = entry.status
            if status.st_size and stat.S_ISREG(status.st_mode) and _changed(status) >= oldest:
                place = target / os.fsdecode(entry.path)
                private_directory(place.parent)
                shutil.copyfile(os.fsdecode(entry.place), str(place), follow_symlinks=False)
                os.chown(str(place), status.st_uid, status.st_gid)
                place.chmod(status.st_mode & 0o7777)
                count += 1
    return count


def _changed(status: os.stat_result) -> float:
    return max(status.st_mtime, status.st_ctime)
