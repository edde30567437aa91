# SPDX-License-Identifier: GPL-3.0-or-later
"""Collect: files that a server's own tool wrote into staging become the artifacts of a set.

Some tools only write files, through an account of their own. They get a folder in the staging of the set; when they are done
nobody else can reach it any more, every file is hashed (the one second pass over data that an engine wrote), and a manifest
beside the folder says what must come back.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import stat
import time
from pathlib import Path
from typing import Any, Dict, List

from .. import layout
from ..errors import CaptureFailed, CommandFailed
from ..files import let_through, private_directory, write_json
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


def open_folder(job: Job, directory: str, account: str) -> Path:
    """Make the folder ``directory`` in the staging of the job's set, reachable and writable for ``account`` only."""
    folder = private_directory(folder_of_set(job, directory))
    try:
        entry = pwd.getpwnam(account)
    except KeyError as error:
        raise CommandFailed(f"this host has no account '{account}'", "check the account variable of the role") from error
    os.chown(str(folder), entry.pw_uid, entry.pw_gid)
    folder.chmod(0o700)
    let_through(folder.parent, layout.ROOT)
    return folder


def collect(job: Job, arguments: Dict[str, Any]) -> None:
    """Make every file in ``directory`` of the set's staging an artifact, the manifest of them first.

    Raise CaptureFailed when there is none, one is empty, or something else than a regular file lies there.
    """
    folder = folder_of_set(job, arguments["directory"])
    if not folder.is_dir():
        raise CaptureFailed(f"nothing was written into {folder}")
    _take_away(folder)
    names = sorted(os.listdir(str(folder)))
    if not names:
        raise CaptureFailed(f"the server's tool wrote no file into {folder}")
    job.begin_step("hash what was written", sum(_size(folder / name) for name in names))
    counted = [0]
    found = [_artifact(job, folder / name, name, counted) for name in names]
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
