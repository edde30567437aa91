# SPDX-License-Identifier: GPL-3.0-or-later
"""What every executor can do. Paths are those of the protected host, ``account`` is whom a command or file belongs to."""

from __future__ import annotations

import abc
import json
from pathlib import Path
from typing import IO, Any, Dict, List, NamedTuple, Optional, Tuple

from ..errors import Busy, CommandFailed
from ..process import TAIL_BYTES, Finished, last_line, spell_status


class Command(NamedTuple):
    """A command that the host runs by itself: with more variables, ``feed`` on its standard input."""

    argv: List[str]
    environment: Optional[Dict[str, str]] = None
    feed: str = ""


class Executor(abc.ABC):
    """One protected host, seen from the worker. Missing files raise FileNotFoundError, others OSError, as on the worker."""

    remote = False  # whether the protected host is another machine than the worker
    pulls = False  # whether the worker has to fetch what the server wrote into ``staging``; it may see it there by another name

    # Commands

    @abc.abstractmethod
    def start(self, argv: List[str], environment: Dict[str, str], account: str) -> Any:
        """Start a command and return it as a process: ``stdout`` (with its errors), ``poll``, ``wait``, ``returncode``.

        It dies with the job, whatever becomes of the worker and of the way to the host.
        """

    @abc.abstractmethod
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
        """Run a command to its end, ``feed`` on its standard input, and keep the end of its errors.

        Never raise for an exit status; raise TookTooLong when it was killed after ``timeout`` seconds.
        """

    def require(self, argv: List[str], timeout: Optional[float] = None, **options: Any) -> str:
        """Run a command and return its standard output. Raise CommandFailed with its last words unless it exits 0."""
        done = self.run(argv, timeout, **options)
        if done.status != 0:
            raise CommandFailed(f"{argv[0]} {spell_status(done.status)}: {last_line(done.stderr or done.stdout)}")
        return done.stdout

    @abc.abstractmethod
    def clock(self) -> float:
        """Return the host's time in seconds since 1970, UTC; of another machine the second that has begun there."""

    # Life of a job

    @abc.abstractmethod
    def hold(self, resource: str, account: Optional[str], holder: Dict[str, Any]) -> None:
        """Begin a job: take the lock of ``resource`` on the host itself, so that several workers exclude each other.

        Raise Busy naming who holds it. Without an ``account`` nothing of the host is locked by a local executor.
        """

    @abc.abstractmethod
    def on_loss(self, commands: List[Command]) -> None:
        """Have the host run ``commands``, each after the other, by itself when the worker is lost from now on.

        They replace those of the call before. ``local`` leaves that to the unit of the job and its release.
        """

    @abc.abstractmethod
    def end(self) -> None:
        """End the job: whatever it still runs or keeps on the host is gone, the lock is free. Safe to call twice."""

    # Places

    @abc.abstractmethod
    def staging(self, folder: Path) -> Path:
        """Return where the server writes what the worker wants in its own staging ``folder``, by its name on the host."""

    @abc.abstractmethod
    def work(self, folder: Path) -> Path:
        """Return the scratch folder on the host that corresponds to the worker's own ``folder``; gone when the job ends."""

    @abc.abstractmethod
    def ids(self, account: str) -> Tuple[int, int]:
        """Return the user and group number of ``account`` on the host. Raise CommandFailed when there is none."""

    @abc.abstractmethod
    def home(self, account: str) -> str:
        """Return the home directory of ``account``."""

    # Files

    @abc.abstractmethod
    def read(self, path: Path, account: Optional[str] = None) -> bytes:
        """Return the content of a small file."""

    @abc.abstractmethod
    def write(self, path: Path, content: bytes, account: str) -> None:
        """Replace a small file, which only ``account`` may read, whole or not at all; by the rights of that account."""

    @abc.abstractmethod
    def create(self, path: Path, account: Optional[str]) -> IO[bytes]:
        """Return a new file, open for writing, that belongs to ``account``. Raise FileExistsError when it is there."""

    @abc.abstractmethod
    def fetch(self, path: Path) -> IO[bytes]:
        """Return a file of any size, open for reading."""

    @abc.abstractmethod
    def size(self, path: Path) -> int:
        """Return the bytes of a regular file; of anything else -1, so that nobody takes it for one."""

    @abc.abstractmethod
    def exists(self, path: Path) -> bool:
        """Return whether there is anything at ``path``, be it a broken link."""

    @abc.abstractmethod
    def runs(self, path: Path) -> bool:
        """Return whether ``path`` is a program that may be run."""

    @abc.abstractmethod
    def names(self, folder: Path) -> List[str]:
        """Return the names in a folder, sorted; none when there is no such folder."""

    @abc.abstractmethod
    def open_folder(self, folder: Path, account: str) -> None:
        """Make a folder of ours, with what is missing above it, that ``account`` alone reaches and writes to."""

    @abc.abstractmethod
    def give_directory(self, folder: Path, account: str) -> None:
        """Make a directory, with what is missing above it, by the rights of ``account``. Raise OSError where it may not."""

    @abc.abstractmethod
    def remove(self, path: Path) -> None:
        """Remove a file or a whole folder, if there is one."""

    @abc.abstractmethod
    def free(self, path: Path) -> int:
        """Return the bytes free in the filesystem of ``path`` (or of its nearest existing parent)."""

    @abc.abstractmethod
    def used(self, folder: Path) -> int:
        """Return the bytes in the files below ``folder``, for progress."""

    # Aside

    @abc.abstractmethod
    def place_aside(self, path: Path, name: str, account: Optional[str]) -> Path:
        """Return where the file ``path`` would lie aside, in a folder ``name`` of its own filesystem."""

    @abc.abstractmethod
    def make_room(self, path: Path, aside: Path, account: Optional[str]) -> None:
        """Make the folder of ``aside``. Raise Refused where ``path`` cannot get there by a rename, or something is there."""

    @abc.abstractmethod
    def rename(self, source: Path, target: Path, account: Optional[str]) -> None:
        """Rename a file so that the rename survives a power cut as far as the host can tell; ``target`` is free."""

    @abc.abstractmethod
    def remove_empty(self, folder: Path, account: Optional[str]) -> None:
        """Remove a folder if it is there and empty."""


def taken(resource: str, holder: str) -> Busy:
    """Return the error of a resource that is locked on its host; ``holder`` is what the lock file says of who has it."""
    try:
        found = dict(json.loads(holder))
    except ValueError:
        found = {}
    who = f"run {found.get('run', 'unknown')} ({found.get('action', 'job')}) of the worker {found.get('worker', 'unknown')}"
    return Busy(f"{resource} is in use on its host by {who}", "wait for its end")
