# SPDX-License-Identifier: GPL-3.0-or-later
"""The protected host is the worker itself: processes and files of this machine, touched by the rights of their account."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import stat
import subprocess
import time
from pathlib import Path
from typing import IO, Any, Dict, List, Optional, Tuple

from .. import layout
from ..errors import CommandFailed, Refused
from ..files import free_bytes, let_through, private_directory, sync_directory, tree_bytes, write_atomic
from ..names import quote_name
from ..process import TAIL_BYTES, Finished, acting_as, run, spawn
from ..yard import open_yard, yard
from .base import Command, Executor, taken

LOCKS = ".backstay"  # in the home directory of the server's account
_WAIT_SECONDS = 10  # for a job before this one, which still cleans up


class LocalExecutor(Executor):
    """See ``Executor``. The unit of the job ends what it leaves behind, its release undoes the rest."""

    def __init__(self) -> None:
        self._lock: Any = None

    def start(self, argv: List[str], environment: Dict[str, str], account: str) -> Any:
        return spawn(argv, environment, account, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/")

    def run(
        self,
        argv: List[str],
        timeout: Optional[float] = None,
        *,
        environment: Optional[Dict[str, str]] = None,
        account: Optional[str] = None,
        feed: Optional[bytes] = None,
        stderr_limit: int = TAIL_BYTES,
    ) -> Finished:
        return run(argv, timeout, extra_environment=environment, account=account, feed=feed, stderr_limit=stderr_limit)

    def clock(self) -> float:
        return time.time()

    def hold(self, resource: str, account: Optional[str], holder: Dict[str, Any]) -> None:
        from ..worker.folder import Lock, lock_holder

        if not account:
            return
        path = Path(self.home(account)) / LOCKS / f"{quote_name(resource)}.lock"
        with acting_as(account):
            self._lock = Lock(path)
            if not self._lock.take(holder, wait=_WAIT_SECONDS):
                raise taken(resource, json.dumps(lock_holder(path) or {}))

    def on_loss(self, commands: List[Command]) -> None:
        """Nothing: the release of the job runs on this host."""

    def end(self) -> None:
        if self._lock:
            self._lock.release()
            self._lock = None

    def staging(self, folder: Path) -> Path:
        return folder

    def work(self, folder: Path) -> Path:
        return folder

    def ids(self, account: str) -> Tuple[int, int]:
        entry = _entry(account)
        return entry.pw_uid, entry.pw_gid

    def home(self, account: str) -> str:
        return _entry(account).pw_dir

    def read(self, path: Path, account: Optional[str] = None) -> bytes:
        with acting_as(account):
            return path.read_bytes()

    def write(self, path: Path, content: bytes, account: str) -> None:
        with acting_as(account):
            write_atomic(path, content)

    def create(self, path: Path, account: Optional[str]) -> IO[bytes]:
        descriptor = os.open(str(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        if account:
            os.fchown(descriptor, *self.ids(account))
        return os.fdopen(descriptor, "wb")

    def fetch(self, path: Path) -> IO[bytes]:
        return os.fdopen(os.open(str(path), os.O_RDONLY | os.O_NOFOLLOW), "rb")

    def size(self, path: Path) -> int:
        status = path.lstat()
        return status.st_size if stat.S_ISREG(status.st_mode) else -1

    def exists(self, path: Path) -> bool:
        return os.path.lexists(str(path))

    def runs(self, path: Path) -> bool:
        return path.is_file() and os.access(str(path), os.X_OK)

    def names(self, folder: Path) -> List[str]:
        return sorted(os.listdir(str(folder))) if folder.is_dir() else []

    def open_folder(self, folder: Path, account: str) -> None:
        private_directory(folder)
        os.chown(str(folder), *self.ids(account))
        folder.chmod(0o700)
        if layout.ROOT in folder.parents:
            let_through(folder.parent, layout.ROOT)

    def give_directory(self, folder: Path, account: str) -> None:
        with acting_as(account):
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)

    def remove(self, path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(str(path))
        else:
            path.unlink(missing_ok=True)

    def free(self, path: Path) -> int:
        return free_bytes(path)

    def used(self, folder: Path) -> int:
        return tree_bytes(folder)

    def place_aside(self, path: Path, name: str, account: Optional[str]) -> Path:
        return yard(path.parent) / name / path.name

    def make_room(self, path: Path, aside: Path, account: Optional[str]) -> None:
        with acting_as(account):
            _make_room(path, aside)

    def rename(self, source: Path, target: Path, account: Optional[str]) -> None:
        with acting_as(account):
            source.rename(target)
            sync_directory(source.parent)
            sync_directory(target.parent)

    def remove_empty(self, folder: Path, account: Optional[str]) -> None:
        with acting_as(account), contextlib.suppress(OSError):
            folder.rmdir()


def _entry(account: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(account)
    except KeyError:
        raise CommandFailed(f"this host has no account '{account}'", "check the account variable of the role") from None


def _make_room(path: Path, aside: Path) -> None:
    try:
        open_yard(path.parent)
        private_directory(aside.parent)
    except PermissionError as error:
        hint = f"the account that runs the server has to own {path.parent} and what is above it"
        raise Refused(f"{path} may not be moved aside: {error.strerror}", hint) from error
    if not os.access(str(path.parent), os.W_OK, effective_ids=True):
        raise Refused(f"{path} is not the server's to move", "look at what the set wants to be written there")
    if path.parent.stat().st_dev != aside.parent.stat().st_dev:
        raise Refused(f"{path} and {aside.parent} lie on different filesystems", "restore to another directory")
    if os.path.lexists(str(aside)):
        raise Refused(f"{aside} is in the way", "move it away, then try again")
