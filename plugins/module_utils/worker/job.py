# SPDX-License-Identifier: GPL-3.0-or-later
"""A job at work: what its steps share - specification, folder, repository access, progress, the stall watch."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

from .. import layout, restic
from ..errors import BackstayError, CommandFailed, Refused, Stalled
from ..executors import open_executor
from ..files import empty_directory, write_json
from ..process import Finished, Tail, kill_group, spawn
from ..redact import redact
from .folder import JobFolder

_TICK_SECONDS = 0.2
_STATE_SECONDS = 0.5
_PROGRESS_BYTES = 1 << 20
_RESTIC_PROGRAMS = ("/usr/local/lib/backstay/restic", "/usr/local/bin/restic", "/usr/bin/restic")


def find_restic() -> str:
    """Return the restic program of this host: the pinned one of roles/repository before the distribution's."""
    for candidate in _RESTIC_PROGRAMS:
        if Path(candidate).exists():
            return candidate
    raise CommandFailed("restic is not installed on this host", "run playbooks/offsite.yml")


def open_access(directory: Path) -> restic.Access:
    """Return the access to the repository whose files lie in ``directory``. Raise Refused when they are not there."""
    if not (directory / "url").exists() or not (directory / "password").exists():
        raise Refused(f"this host has no access to a repository ({directory})", "run playbooks/offsite.yml")
    ca_file = directory / "ca.pem"
    variables = {"RESTIC_PROGRESS_FPS": "1"}
    if (directory / "environment").exists():
        for line in (directory / "environment").read_text(encoding="utf-8").splitlines():
            name, separator, value = line.partition("=")
            if separator:
                variables[name] = value
    return restic.Access(
        program=find_restic(),
        url_file=str(directory / "url"),
        password_file=str(directory / "password"),
        ca_file=str(ca_file) if ca_file.exists() else None,
        environment=variables,
        cache=str(layout.cache()),
    )


class Job:
    """A running job. Steps read ``specification`` and write what they learn to ``seen``."""

    def __init__(self, folder: JobFolder) -> None:
        self.folder = folder
        self.specification = folder.specification()
        host, app = self.specification["host"], self.specification["app"]
        self.work = layout.work(host, app)
        self.executor = open_executor(self.specification.get("executor"), host, app)
        self.seen: Dict[str, Any] = {"artifacts": [], "checks": [], "tools": {}, "facts": {}, "outage_seconds": 0.0}
        self.cleanups: List[Callable[[], None]] = []  # run in reverse when the job ends, however it ends
        self.open_folders: Dict[str, int] = {}  # see keep_open
        self._access: Optional[restic.Access] = None
        self._state: Dict[str, Any] = {"seq": 0, "step": "starting", "bytes": 0, "total": 0, "rate": 0, "done": False}
        self._told = 0.0
        self._step_started = time.monotonic()

    @property
    def access(self) -> restic.Access:
        """Return the access to the job's repository: pushed with the job, or the host's own."""
        if self._access is None:
            repository = self.specification["repository"]
            own = Path(repository["directory"]) if repository.get("directory") else self.folder.secrets
            self._access = open_access(own)
        return self._access

    def begin_step(self, name: str, total: int = 0) -> None:
        """Say which step runs; ``total`` bytes are expected to move (0: unknown)."""
        self._step_started = time.monotonic()
        self._state.update(step=name, bytes=0, total=total, rate=0)
        self.tell(force=True)

    def tell(self, moved: Optional[int] = None, force: bool = False) -> None:
        """Write the state for watchers, at most twice a second."""
        moment = time.monotonic()
        if moved is not None:
            self._state["bytes"] = moved
            self._state["rate"] = int(moved / max(moment - self._step_started, 0.001))
        if force or moment - self._told >= _STATE_SECONDS:
            self._state["seq"] += 1
            self._told = moment
            write_json(self.folder.path / "state.json", self._state, durable=False)

    def end(self) -> None:
        """Say that nothing more will come."""
        self._state["done"] = True
        self.tell(force=True)

    def prepare_work(self) -> None:
        """Make the scratch folder empty; what an interrupted job left there is worthless."""
        empty_directory(self.work)

    def keep_open(self, folder: Path, held: int) -> None:
        """Keep an open folder open for the steps that prove and exchange it: they mean what was landed, whatever is there then.

        Others are not kept, for there may be thousands.
        """
        steps = self.specification["steps"]
        later = [step["prove"]["directory"] for step in steps if "prove" in step]
        later += [step["swap"]["landing"] for step in steps if "swap" in step]
        if str(folder) in later:
            descriptor = os.dup(held)
            self.open_folders[str(folder)] = descriptor
            self.cleanups.append(lambda: os.close(descriptor))

    def clean_up(self) -> List[str]:
        """Run the clean-ups that steps registered, newest first; return a sentence for each that failed.

        Before anything stopped is started again, and before what the job made is removed: what the job itself runs is in the
        way of both.
        """
        problems = []
        while self.cleanups:
            try:
                self.cleanups.pop()()
            except (BackstayError, OSError) as error:  # the result must be written whatever cannot be cleaned up
                problems.append(str(error))
                with contextlib.suppress(OSError):  # a full disk
                    self.folder.event(f"release failed: {error}")
        return problems

    def clear_work(self) -> None:
        """Run the clean-ups that are left, then remove the scratch folder."""
        self.clean_up()
        self.executor.end()
        shutil.rmtree(str(self.work), ignore_errors=True)

    def watch(self, processes: List[subprocess.Popen[bytes]], count: Callable[[], int]) -> None:
        """Wait for ``processes`` while ``count`` (bytes so far) grows. Kill them and raise Stalled when it stands still.

        restic retries a dead server for a long time and ignores SIGTERM meanwhile, so only SIGKILL ends it.
        """
        limit = float(self.specification["stall_timeout"])
        last, changed = -1, time.monotonic()
        while True:
            running = [process for process in processes if process.poll() is None]
            moved = count()
            self.tell(moved)
            if not running:
                return
            if moved != last:
                last, changed = moved, time.monotonic()
            elif time.monotonic() - changed > limit:
                for process in running:
                    kill_group(process)
                    process.wait()
                raise Stalled(
                    f"no byte moved for {limit:g} s in step '{self._state['step']}', {last} bytes after its start",
                    "is the offsite server reachable, and does its disk or quota have room?",
                )
            with contextlib.suppress(subprocess.TimeoutExpired):
                running[0].wait(_TICK_SECONDS)

    def restic(self, argv: List[str], count: Optional[Callable[[], int]] = None) -> Finished:
        """Run restic under the stall watch and return how it ended; its own progress counts when ``count`` is None."""
        process = spawn(argv, self.access.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None and process.stderr is not None
        # An upload says every second how far it is, for days, and the end of that is enough.
        limit = restic.LISTING_BYTES if "snapshots" in argv else _PROGRESS_BYTES
        out, err = Tail(process.stdout, limit), Tail(process.stderr)
        self.watch([process], count or (lambda: _bytes_done(out.peek())))
        return Finished(process.returncode, out.text(), redact(err.text()))

    def require_restic(self, argv: List[str], count: Optional[Callable[[], int]] = None) -> str:
        """Run restic and return its standard output. Raise the error that its exit status means unless it is 0."""
        done = self.restic(argv, count)
        if done.status != 0:
            raise restic.error_for(done.status, done.stderr)
        return done.stdout


def _bytes_done(output: bytes) -> int:
    """Return the bytes that restic's newest status line reports, 0 before the first."""
    for line in reversed(output[-4096:].splitlines()):
        if b'"status"' in line and line.endswith(b"}"):
            with contextlib.suppress(ValueError):
                return int(json.loads(line).get("bytes_done", 0))
    return 0
