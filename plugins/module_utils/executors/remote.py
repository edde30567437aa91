# SPDX-License-Identifier: GPL-3.0-or-later
"""Files, processes and the life sign of a job on another machine, over the channels of one SSH connection."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Callable, List, Optional

from . import guard

if TYPE_CHECKING:
    from .ssh import SshExecutor

_END_SECONDS = 120


class RemoteFile:
    """A file on the protected host, open for reading or writing; what fails says whether the connection did."""

    def __init__(self, executor: SshExecutor, file: Any, path: Path) -> None:
        self._executor, self._file, self._path = executor, file, path

    def read(self, size: int = -1) -> bytes:
        """Return the next ``size`` bytes, or all that are left."""
        with self._executor.talking(f"reading {self._path}"):
            return bytes(self._file.read(None if size < 0 else size))

    def write(self, block: bytes) -> None:
        """Write ``block``; it has arrived when ``close`` returned."""
        with self._executor.talking(f"writing {self._path}"):
            self._file.write(block)

    def close(self) -> None:
        """Close the file. Raise what became of bytes that were still on their way."""
        with self._executor.talking(f"closing {self._path}"):
            self._file.close()

    def __enter__(self) -> RemoteFile:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class RemoteProcess:
    """A command on the protected host, with the part of ``subprocess.Popen`` that a job uses."""

    def __init__(self, executor: SshExecutor, argv: List[str], channel: Any, note: str) -> None:
        self.args = argv
        self.returncode: Optional[int] = None
        self._executor, self._channel, self._note = executor, channel, note
        self.stdout, self.stderr = as_pipe(channel.recv), as_pipe(channel.recv_stderr)

    def feed(self, content: bytes) -> None:
        """Give ``content`` to the standard input of the command, and its end."""
        with contextlib.suppress(OSError):  # it may have ended before it read everything
            self._channel.sendall(content)
            self._channel.shutdown_write()

    def poll(self) -> Optional[int]:
        """Return how the command ended, None while it runs. Raise ConnectionLost when that can no longer be learned."""
        if self.returncode is None and self._channel.exit_status_ready():
            status = self._channel.recv_exit_status()
            if status < 0:
                raise self._executor.lost(f"{self.args[0]} was running")
            # sh says it so when a signal ended what it ran.
            self.returncode = 128 - status if 128 < status <= 128 + signal.SIGRTMAX else status
        return self.returncode

    def wait(self, timeout: Optional[float] = None) -> int:
        """Return how the command ended. Raise subprocess.TimeoutExpired when it has not within ``timeout`` seconds."""
        begun = time.monotonic()
        while self.poll() is None:
            if timeout is not None and time.monotonic() - begun > timeout:
                raise subprocess.TimeoutExpired(self.args, timeout)
            self._channel.status_event.wait(0.2)
        assert self.returncode is not None
        return self.returncode

    def end_group(self) -> None:
        """Kill the command and what it started. Raise ConnectionLost when the host cannot be told so."""
        if self._note:
            self._executor.kill(self._note)
        if self.returncode is None:  # no status comes of what a signal ended: that would pass for a lost connection
            self.returncode = -signal.SIGKILL
        self._channel.close()


def as_pipe(receive: Callable[[int], bytes]) -> IO[bytes]:
    """Return a pipe that gives what ``receive`` gives, so that it is read as that of any process."""
    reading, writing = os.pipe()

    def pump() -> None:
        with contextlib.suppress(OSError, EOFError), os.fdopen(writing, "wb", buffering=0) as target:
            for block in iter(lambda: receive(1 << 16), b""):
                target.write(block)

    threading.Thread(target=pump, daemon=True).start()
    return os.fdopen(reading, "rb", buffering=0)


class Beats:
    """Tells the guard on the host every few seconds that the worker lives, until ``stop``."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._over = threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self) -> None:
        while not self._over.wait(guard.BEAT_SECONDS):
            try:
                self._channel.sendall(b"\n")
            except (OSError, EOFError):
                return  # whoever talks to the host next says so

    def stop(self) -> None:
        """End the guard and wait until it has cleaned up."""
        self._over.set()
        with contextlib.suppress(OSError, EOFError):
            self._channel.shutdown_write()
            self._channel.status_event.wait(_END_SECONDS)


def first_line(channel: Any) -> str:
    """Return the first line that a command says."""
    said = b""
    while b"\n" not in said:
        block = channel.recv(4096)
        if not block:
            break
        said += block
    return said.split(b"\n")[0].decode("utf-8", "replace").strip()
