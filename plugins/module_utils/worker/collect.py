# SPDX-License-Identifier: GPL-3.0-or-later
"""Collect: files that a server's own tool wrote into staging become the artifacts of a set.

Some tools only write files, through an account of their own. They get a folder in the staging of the set; when they are done
nobody else can reach it any more, every file is hashed (the one second pass over data that an engine wrote), and a manifest
beside the folder says what must come back.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from pathlib import Path
from typing import Any, Dict, List

from .. import layout
from ..errors import CaptureFailed, NoSpace
from ..executors import Executor
from ..files import free_bytes, human, let_through, private_directory, sync_directory, write_json
from ..schema import problems
from .job import Job

MANIFEST = "manifest.json"
MANIFEST_SCHEMA = "backstay.files/1"
_BLOCK = 1 << 20
_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.,=+~@-]{0,254}\Z"
# What a manifest may say: it is held against this before the set is made, and again before anything of it lands.
FILES_SCHEMA: Dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["schema", "directory", "files"],
    "properties": {
        "schema": {"enum": [MANIFEST_SCHEMA]},
        "directory": {"type": "string"},
        "files": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "bytes", "sha256"],
                "properties": {
                    "name": {"type": "string", "pattern": _NAME},
                    "bytes": {"type": "integer", "minimum": 1},
                    "sha256": {"type": "string", "pattern": r"^[0-9a-f]{64}\Z"},
                },
            },
        },
    },
}


def folder_of_set(job: Job, directory: str) -> Path:
    """Return the folder ``directory`` in the staging of the job's set."""
    specification = job.specification
    return layout.staging(specification["source"], specification["app"]) / specification["set"] / directory


def open_for_server(executor: Executor, folder: Path, account: str) -> Path:
    """Make ``folder`` of the worker's staging writable for the server's ``account`` only; return where the server finds it.

    On another machine than the worker that is a folder of its own, or the same one on a share.
    """
    place = executor.staging(folder)
    if executor.pulls:
        executor.open_folder(place, account)
        return place
    user, group = executor.ids(account)
    private_directory(folder)
    os.chown(str(folder), user, group)
    folder.chmod(0o700)
    if layout.ROOT in folder.parents:
        let_through(folder.parent, layout.ROOT)
    return place


def open_folder(job: Job, directory: str, account: str) -> Path:
    """Make the folder ``directory`` in the staging of the job's set for ``account``; return where the server writes."""
    return open_for_server(job.executor, folder_of_set(job, directory), account)


def collect(job: Job, arguments: Dict[str, Any]) -> None:
    """Make every file in ``directory`` of the set's staging an artifact, the manifest of them first.

    Raise CaptureFailed when there is none, one is empty, or something else than a regular file lies there.
    """
    folder = folder_of_set(job, arguments["directory"])
    if job.executor.pulls:
        _pull(job, job.executor.staging(folder), folder)
    if not folder.is_dir():
        raise CaptureFailed(f"nothing was written into {folder}")
    _take_away(folder)
    names = sorted(os.listdir(str(folder)))
    if not names:
        raise CaptureFailed(f"the server's tool wrote no file into {folder}")
    job.begin_step("hash what was written", sum(_size(folder / name) for name in names))
    counted = [0]
    found = [_artifact(job, folder / name, name, counted) for name in names]
    sync_directory(folder)
    manifest = folder.parent / MANIFEST
    listed = [{key: item[key] for key in ("name", "bytes", "sha256")} for item in found]
    told = {"schema": MANIFEST_SCHEMA, "directory": arguments["directory"], "files": listed}
    wrong = list(problems(FILES_SCHEMA, told, "files"))
    if wrong or MANIFEST in names:
        raise CaptureFailed(
            f"what the server's tool wrote into {folder} could never be restored: {'; '.join(wrong) or MANIFEST + ' is taken'}",
            "have it write files with plain names",
        )
    write_json(manifest, told)
    job.seen["artifacts"] += [_artifact(job, manifest, "manifest", counted), *found]


def _pull(job: Job, place: Path, folder: Path) -> None:
    """Bring what the server wrote into ``place`` on its own machine to the worker; there it is gone when the job ends."""
    sizes = {name: job.executor.size(place / name) for name in job.executor.names(place)}
    irregular = [name for name, size in sizes.items() if size < 0 or "/" in name]
    if irregular:
        raise CaptureFailed(f"{place / irregular[0]} is no regular file", "only the server's tool may write there")
    _require_room(folder, sum(sizes.values()))
    private_directory(folder)
    job.begin_step("pull what was written", sum(sizes.values()))
    moved = 0
    for name, size in sizes.items():
        before = moved
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with job.executor.fetch(place / name) as source, os.fdopen(os.open(str(folder / name), flags, 0o600), "wb") as target:
            for block in iter(lambda: source.read(_BLOCK), b""):
                target.write(block)
                moved += len(block)
                job.tell(moved)
        if moved - before != size:
            raise CaptureFailed(f"{name} arrived with {moved - before} of its {size} bytes", "run again")


def _require_room(folder: Path, needed: int) -> None:
    """Raise NoSpace unless ``needed`` bytes fit into the filesystem of ``folder``."""
    free = free_bytes(folder)
    if free < needed:
        raise NoSpace(f"{human(needed)} are to be pulled into {folder}, {human(free)} are free", "make room, then run again")


def _take_away(folder: Path) -> None:
    """Take the folder from the account that wrote to it: what is hashed now is what will be uploaded."""
    os.chown(str(folder), 0 if os.geteuid() == 0 else -1, 0 if os.geteuid() == 0 else -1)
    folder.chmod(0o700)


def _size(path: Path) -> int:
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise CaptureFailed(f"{path} is no regular file", "only the server's tool may write there")
    if status.st_size == 0:
        raise CaptureFailed(f"{path} is empty")
    return status.st_size


def _artifact(job: Job, path: Path, name: str, counted: List[int]) -> Dict[str, Any]:
    """Return the artifact for ``path``, hashed and on disk. ``counted`` holds the bytes of all so far."""
    started, hasher, size = time.monotonic(), hashlib.sha256(), 0
    descriptor = os.open(str(path), os.O_RDONLY | os.O_NOFOLLOW)
    try:
        for block in iter(lambda: os.read(descriptor, _BLOCK), b""):
            hasher.update(block)
            size += len(block)
            counted[0] += len(block)
            job.tell(counted[0])
        os.fsync(descriptor)  # a server may leave that to the kernel; salvage after a power cut wants all of it
    finally:
        os.close(descriptor)
    seconds = round(time.monotonic() - started, 3)
    return {
        "name": name,
        "path": str(path),
        "bytes": size,
        "sha256": hasher.hexdigest(),
        "exit": 0,
        "snapshot": "",
        "seconds": seconds,
    }
