# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder of one job: the files through which a job, its release and its watchers talk.

==================  =====================================================================================
spec.json           the specification, validated
alive               locked by whoever works on the job; a free lock means that nobody does
state.json          what the operator sees: ``{seq, step, bytes, total, rate, done}``
events.jsonl        the ordered events, one JSON object a line (G-1)
undo.json           what the release must undo, written before it is done
made.json           what a failure must remove, written before it is made
swap.json           how far a directory exchange is (``begun``, ``done``, ``put back``, ``kept``); swap-2.json: the second
result.json         the end; its existence ends the job
secrets/            access files that came with the job; removed when it ends
==================  =====================================================================================
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

from .. import layout
from ..errors import Busy
from ..files import private_directory, read_json, write_atomic, write_json
from ..moment import format_moment, now
from ..undo import identity

_START_SECONDS = 60
_LOOK_SECONDS = 5  # longer than anybody looks at a lock
KEPT_FOLDERS = 20  # collected jobs kept for each host and app, for the operator who asks what happened


class JobFolder:
    """One job's folder on the worker."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, specification: Dict[str, Any], secrets: Dict[str, str]) -> JobFolder:
        """Make the folder of a new job. ``secrets`` are the contents of access files by file name."""
        folder = cls(layout.job(specification["run"]))
        private_directory(folder.path)
        write_json(folder.path / "spec.json", specification)  # first: a folder without it is never found and cleaned
        write_secrets(folder.secrets, secrets)
        return folder

    @property
    def secrets(self) -> Path:
        """Return the folder of access files that came with the job."""
        return self.path / "secrets"

    def specification(self) -> Dict[str, Any]:
        """Return the job's specification."""
        found = read_json(self.path / "spec.json")
        if found is None:
            raise FileNotFoundError(str(self.path / "spec.json"))
        return dict(found)

    def result(self) -> Optional[Dict[str, Any]]:
        """Return how the job ended, None while it has not."""
        return read_json(self.path / "result.json")

    def finish(self, result: Dict[str, Any]) -> None:
        """Write the result once (the first one stands) and remove secrets; the job is over."""
        shutil.rmtree(str(self.secrets), ignore_errors=True)
        if self.result() is None:
            write_json(self.path / "result.json", result)

    def event(self, name: str) -> Dict[str, str]:
        """Append an event with its moment and return it; it is on disk before this returns."""
        entry = {"at": format_moment(now()), "event": name}
        with (self.path / "events.jsonl").open("ab+") as stream:
            if stream.tell() > 0:
                stream.seek(-1, os.SEEK_END)
                if stream.read(1) != b"\n":
                    stream.write(b"\n")  # what a crash cut off stays a line of its own
            stream.write(json.dumps(entry).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        return entry

    def events(self) -> List[Dict[str, str]]:
        """Return the events so far, oldest first; a line cut off by a crash does not count."""
        try:
            lines = (self.path / "events.jsonl").read_bytes().splitlines()
        except FileNotFoundError:
            return []
        found = []
        for line in lines:
            with contextlib.suppress(ValueError):
                found.append(dict(json.loads(line)))
        return found

    def undo_entries(self) -> List[Dict[str, Any]]:
        """Return what is still to be undone, oldest first."""
        return list(read_json(self.path / "undo.json") or [])

    def push_undo(self, entry: Dict[str, Any]) -> None:
        """Remember ``entry`` (see ``undo.py``) durably *before* the thing that it undoes is done."""
        write_json(self.path / "undo.json", [*self.undo_entries(), entry])

    def drop_undo(self, entry: Dict[str, Any]) -> None:
        """Forget everything that undoes the same as ``entry``: it was undone."""
        left = [item for item in self.undo_entries() if identity(item) != identity(entry)]
        write_json(self.path / "undo.json", left)

    def made(self) -> List[Dict[str, str]]:
        """Return what the job made outside its own folder, oldest first.

        ``{directory}`` is the job's own with all that is in it, ``{parent}`` a folder above it that others may use meanwhile,
        ``{unit}`` a transient unit, ``{hold}`` a service that is kept from starting, ``{snapshot}`` one of btrfs.
        """
        return list(read_json(self.path / "made.json") or [])

    def note_made(self, kind: str, name: str) -> None:
        """Remember durably, *before* it is made, what a failure of this job must remove; see ``made``."""
        entry = {kind: name}
        if entry not in self.made():
            write_json(self.path / "made.json", [*self.made(), entry])


def write_secrets(folder: Path, secrets: Dict[str, str]) -> None:
    """Write access files (0600) into the private ``folder``; nothing is made when there are none."""
    if not secrets:
        return
    private_directory(folder)
    for name, content in secrets.items():
        write_atomic(folder / name, content.encode())


def all_folders() -> List[JobFolder]:
    """Return every job folder on this worker, oldest first."""
    if not layout.jobs().is_dir():
        return []
    found = []
    for path in layout.jobs().iterdir():
        with contextlib.suppress(FileNotFoundError):  # it never came to a specification, or is collected and removed meanwhile
            found.append(((path / "spec.json").stat().st_mtime, path))
    return [JobFolder(path) for _moment, path in sorted(found)]


def jobs_of(host: str, app: str) -> List[JobFolder]:
    """Return the job folders of one host's app on this worker, oldest first."""
    found = []
    for folder in all_folders():
        with contextlib.suppress(FileNotFoundError):  # removed meanwhile
            specification = folder.specification()
            found += [folder] if (specification["host"], specification["app"]) == (host, app) else []
    return found


def prune_collected(host: str, app: str) -> None:
    """Remove the oldest collected folders of a host's app beyond ``KEPT_FOLDERS``; one that holds a put-back stays."""
    mine = [folder for folder in jobs_of(host, app) if (folder.path / "collected").exists()]
    mine = [folder for folder in mine if not (folder.path / "swap.json").exists()]
    for folder in mine[:-KEPT_FOLDERS]:
        shutil.rmtree(str(folder.path))


class Lock:
    """An exclusive lock on a file, held for the life of the process or until ``release``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        private_directory(path.parent)
        self._descriptor: Optional[int] = os.open(str(path), os.O_RDWR | os.O_CREAT, 0o600)

    def take(self, holder: Dict[str, Any], wait: float = 0) -> bool:
        """Take the lock within ``wait`` seconds and write who holds it; return whether that worked.

        Somebody who only looks whether it is taken (a poll, ``lock_holder``) shares it for a moment; that is waited for.
        """
        assert self._descriptor is not None
        begun = time.monotonic()
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                patience = wait if self._is_held() else max(wait, _LOOK_SECONDS)
                if time.monotonic() - begun >= patience:
                    return False
                time.sleep(0.02)
        with contextlib.suppress(OSError):  # on a full disk nobody is told who holds it, and it is held all the same
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, json.dumps(holder).encode(), 0)
        return True

    def _is_held(self) -> bool:
        """Return whether somebody holds the lock for himself, not just looks."""
        assert self._descriptor is not None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        return False

    def release(self) -> None:
        """Give the lock back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def lock_holder(path: Path) -> Optional[Dict[str, Any]]:
    """Return who holds the lock file ``path`` at this moment, None when it is free."""
    if not path.exists():
        return None
    probe = os.open(str(path), os.O_RDWR)
    try:
        fcntl.flock(probe, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        content = os.pread(probe, 4096, 0)
        return dict(json.loads(content)) if content else {"run": "unknown"}
    finally:
        os.close(probe)


@contextlib.contextmanager
def start_lock(run_id: str) -> Iterator[None]:
    """Keep other jobs of this worker from being started meanwhile: one that is just being launched looks abandoned."""
    starting = Lock(layout.ROOT / "start.lock")
    try:
        if not starting.take({"run": run_id}, wait=_START_SECONDS):
            hint = "look at /var/lib/backstay/jobs"
            raise Busy("another job is being started on this host and does not come to an end", hint)
        yield
    finally:
        starting.release()


def about(specification: Dict[str, Any]) -> Dict[str, Any]:
    """Return what a result says of its job.

    ``worker`` where that is another machine than the protected host: there the job's folder is, and what is run on it.
    """
    found = {name: specification[name] for name in ("run", "host", "source", "app", "action")}
    remote = (specification.get("executor") or {}).get("name", "local") != "local"
    return dict(found, worker=socket.gethostname()) if remote else found


def holder_of(specification: Dict[str, Any]) -> Dict[str, Any]:
    """Return what a lock says of the job that holds it."""
    return {**{name: specification[name] for name in ("run", "host", "action")}, "worker": socket.gethostname()}


def resource_lock(specification: Dict[str, Any]) -> Path:
    """Return the file whose lock the job holds on this worker.

    Two hosts that it works for may both have a database ORCL, so a resource of another machine has that in its name.
    """
    way = specification.get("executor") or {}
    place = f"{way['account']}@{way['address']}:{way.get('port', 22)} " if "address" in way else ""
    return layout.resource_lock(place + specification["resource"])


def lock_resource(specification: Dict[str, Any]) -> Lock:
    """Take the lock of the job's resource. Raise Busy naming the run that holds it."""
    path = resource_lock(specification)
    lock = Lock(path)
    if not lock.take(dict(holder_of(specification), pid=os.getpid())):
        other = lock_holder(path) or {"run": "unknown"}
        raise Busy(
            f"{specification['resource']} is in use by run {other['run']}"
            f" ({other.get('action', 'job')} of {other.get('host', '?')})",
            "wait for it, or attach to it with -e backstay_run=" + str(other["run"]),
        )
    return lock
