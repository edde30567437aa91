# SPDX-License-Identifier: GPL-3.0-or-later
"""Landing of collected files: every file of a set comes back under its name, one restic call a set.

The manifest, whose hash the receipt or its tags promise, says what must be there. Only names that it lists are written, so a
hostile repository cannot leave the landing folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import tarfile
import threading
from pathlib import Path
from typing import IO, Any, Callable, Dict, Optional

from .. import layout, restic
from ..errors import BackstayError, IntegrityError, NoSpace
from ..files import let_through
from ..process import Tail, spawn
from ..schema import problems
from .collect import FILES_SCHEMA, MANIFEST
from .job import Job
from .land import made_landing, planned, require_space, told_of

_MANIFEST_BYTES = 64 << 20
_BLOCK = 1 << 20


def land_files(job: Job, arguments: Dict[str, Any]) -> None:
    """Land the files of every planned set of the given kinds, oldest first; ``{set}`` in ``into`` is replaced.

    Raise IntegrityError when a file is missing, more than promised, or has other bytes.
    """
    plan = planned(job.specification)
    wanted = [item for item in plan["receipts"] if item["kind"] in arguments["kinds"]]
    totals = {item["set"]: sum(artifact["bytes"] for artifact in item["artifacts"]) for item in wanted}
    require_space(Path(arguments["into"].replace("{set}", "")), sum(totals.values()), job.executor)
    for item in wanted:
        with made_landing(job, arguments, item, totals[item["set"]]) as into, told_of(plan, item):
            above = Path(arguments["into"].replace("{set}", item["set"])).parent
            if layout.ROOT in [above, *above.parents] and not job.executor.remote:
                let_through(above, layout.ROOT)
            _land_set(job, item, into, arguments.get("account"))
        job.seen.setdefault("landed", []).append(item["set"])


def _land_set(job: Job, item: Dict[str, Any], into: Path, account: Optional[str]) -> None:
    promised = item["artifacts"][0]
    if Path(promised["path"]).name != MANIFEST:
        raise IntegrityError("it does not hold collected files")
    argv = restic.dump_argv(job.access, promised["snapshot"], str(Path(promised["path"]).parent))
    source = spawn(argv, job.access.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert source.stdout and source.stderr
    said = Tail(source.stderr)
    unpacking = Unpacking(source.stdout, into, lambda path: job.executor.create(path, account))
    job.watch([source], lambda: unpacking.count)
    unpacking.join()
    if source.returncode != 0 and not unpacking.gave_up:
        raise restic.error_for(source.returncode, said.text())
    if unpacking.error:
        raise unpacking.error
    compare(promised, unpacking)
    rest = {artifact["name"]: artifact["sha256"] for artifact in item["artifacts"][1:]}
    if rest and rest != {name: digest for name, (_size, digest) in unpacking.found.items()}:
        raise IntegrityError("its receipt and its manifest list different files")


def compare(promised: Dict[str, Any], unpacking: Unpacking) -> None:
    """Raise IntegrityError unless the manifest is the ``promised`` one and what came back is exactly what it lists."""
    raw = unpacking.manifest
    if raw is None or hashlib.sha256(raw).hexdigest() != promised["sha256"]:
        raise IntegrityError("its manifest came back with another content than promised", "restore another set")
    manifest = json.loads(raw.decode("utf-8"))
    broken = list(problems(FILES_SCHEMA, manifest, "manifest"))
    if broken:
        raise IntegrityError("its manifest is not valid: " + "; ".join(broken[:3]))
    listed = {file["name"]: (file["bytes"], file["sha256"]) for file in manifest["files"]}
    differing = sorted(name for name in {*listed, *unpacking.found} if listed.get(name) != unpacking.found.get(name))
    if differing:
        raise IntegrityError(
            f"{len(differing)} of {len(listed)} files are damaged, missing or not promised: {', '.join(differing[:3])}",
            "this set is damaged; restore another one",
        )


class Unpacking:
    """Write the files of a tar stream into a folder, in a thread; count and hash them. The end closes the stream."""

    def __init__(self, stream: IO[bytes], into: Path, create: Callable[[Path], IO[bytes]]) -> None:
        self.count = 0
        self.manifest: Optional[bytes] = None
        self.found: Dict[str, Any] = {}
        self.error: Optional[BackstayError] = None
        self.gave_up = False  # the end of the sender is then our doing
        self._into = into
        self._create = create
        self._thread = threading.Thread(target=self._run, args=(stream,), daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait until everything is written."""
        self._thread.join()

    def _run(self, stream: IO[bytes]) -> None:
        try:
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    if not member.isdir():
                        self._take(archive, member)
            while stream.read(_BLOCK):  # what pads the archive; its sender wants to be rid of it
                pass
        except BackstayError as error:
            self.error, self.gave_up = error, True
        except tarfile.TarError as error:
            self.error = IntegrityError(f"what came back is no archive: {error}")
        except OSError as error:
            self.error, self.gave_up = (
                NoSpace(f"{self._into.resolve()} cannot be written: {error.strerror}", "make room, then run again"),
                True,
            )
        finally:
            with contextlib.suppress(OSError):
                stream.close()  # the sender must learn that nobody listens

    def _take(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        name = Path(member.name).name
        content = archive.extractfile(member) if member.isreg() else None
        if content is None or name in self.found or name in ("", ".", ".."):
            raise IntegrityError(f"what came back holds {member.name!r}, which no tool of ours stored")
        if name == MANIFEST:
            self.manifest = content.read(_MANIFEST_BYTES)
            return
        self.found[name] = self._write(content, name)

    def _write(self, content: IO[bytes], name: str) -> Any:
        hasher, size = hashlib.sha256(), 0
        with self._create(self._into / name) as target:
            for block in iter(lambda: content.read(_BLOCK), b""):
                target.write(block)
                hasher.update(block)
                size += len(block)
                self.count += len(block)
        return size, hasher.hexdigest()
