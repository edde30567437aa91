# SPDX-License-Identifier: GPL-3.0-or-later
"""The protected host is another machine: Fabric logs in as the server's own account, with a key and nothing else.

Root of that host is not needed and cannot be had. The host key has to be the known one. Commands are watched over by a guard on
the host (``guard.py``), files go through SFTP.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import stat
import subprocess
from pathlib import Path
from typing import IO, Any, Dict, Iterator, List, Optional, Tuple

from .. import layout
from ..errors import BackstayError, CommandFailed, ConnectionLost, Refused
from ..names import quote_name
from ..process import TAIL_BYTES, Finished, Tail, TookTooLong
from ..redact import redact
from ..yard import INSIDE
from . import guard
from .base import Command, Executor, taken
from .local import LOCKS
from .remote import Beats, RemoteFile, RemoteProcess, first_line

KEY, KNOWN_HOSTS = "key", "known_hosts"
_CONNECT_SECONDS = 20
_LOST_MILLISECONDS = 60000
_TCP_USER_TIMEOUT = 18
_ASK_SECONDS = 120


class SshExecutor(Executor):
    """See ``Executor``. ``settings`` as in ``executors.SETTINGS``; reaches the host when it is first needed."""

    remote = True

    def __init__(self, settings: Dict[str, Any], host: str, app: str) -> None:
        self._settings = settings
        self.pulls = settings.get("staging") != "share"
        self._place = f"{quote_name(host)}+{app}"
        self._folder = Path(settings["directory"]) / self._place
        self._connection: Any = None
        self._files: Any = None
        self._guard: Any = None
        self._numbers = itertools.count(1)

    # The way to the host

    def __str__(self) -> str:
        return f"{self._settings['account']}@{self._settings['address']}"

    def _open(self) -> Any:
        """Return the connection, made now if it is not there yet."""
        if self._connection is None:
            connection = self._made()
            try:
                connection.open()
            except Exception as error:  # of Fabric, of paramiko, of the network: all of them mean the same
                if type(error).__name__ == "BadHostKeyException":
                    hint = f"who answers there? If its key was changed on purpose, remove it from {self._settings['access']}"
                    raise ConnectionLost(f"the host key of {self} is not the known one", hint) from error
                hint = (
                    f"the key in {self._settings['access']} has to be allowed there, its host key known: playbooks/offsite.yml"
                )
                raise ConnectionLost(f"cannot log in to {self}: {_words(error)}", hint) from error
            connection.transport.set_keepalive(10)
            with contextlib.suppress(OSError):  # where the kernel does not know it, the stall watch notices instead
                connection.transport.sock.setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, _LOST_MILLISECONDS)
            self._connection = connection
        elif not self._connection.transport.is_active():  # Fabric would connect again; what the job held there is gone by then
            raise self.lost("nothing more can be done there")
        return self._connection

    def _made(self) -> Any:
        try:
            import fabric
            import paramiko
        except ImportError as error:
            raise CommandFailed("this worker has no Fabric", "run playbooks/offsite.yml, which installs it") from error
        settings, access = self._settings, Path(self._settings["access"])
        for name in (KEY, KNOWN_HOSTS):
            if not (access / name).is_file():
                raise Refused(f"this worker may not log in to {self}: {access / name} is missing", "run playbooks/offsite.yml")
        if (access / KEY).stat().st_mode & 0o077:
            raise Refused(f"others may read {access / KEY}", "chmod 600, and change the key")
        connection = fabric.Connection(
            settings["address"],
            user=settings["account"],
            port=settings.get("port", 22),
            config=fabric.Config(overrides={"load_ssh_configs": False}),
            connect_timeout=_CONNECT_SECONDS,
            connect_kwargs={"key_filename": str(access / KEY), "look_for_keys": False, "allow_agent": False},
        )
        # Fabric by itself believes every host key that it has not seen yet.
        connection.client.load_host_keys(str(access / KNOWN_HOSTS))
        connection.client.set_missing_host_key_policy(paramiko.RejectPolicy())
        return connection

    @contextlib.contextmanager
    def talking(self, about: str) -> Iterator[Any]:
        """Give the connection; an error while it is gone is the loss of the connection, any other means what it says."""
        connection = self._open()
        try:
            yield connection
        except (FileNotFoundError, PermissionError, BlockingIOError):
            raise
        except Exception as error:
            silent = isinstance(error, (EOFError, TimeoutError, socket.timeout))
            if silent or not connection.transport.is_active():
                connection.close()  # an answer that comes late would be taken for that to another question
                raise self.lost(about) from error
            if isinstance(error, OSError):
                raise OSError(error.errno or 5, f"{_words(error)} ({about})", about) from error
            raise

    def lost(self, about: str) -> ConnectionLost:
        """Return the error of a connection that broke while ``about``."""
        return ConnectionLost(
            f"the connection to {self} was lost: {about}", "that host ends by itself what was running there; run again"
        )

    def _sftp(self) -> Any:
        if self._files is None:
            self._files = self._open().sftp()
            self._files.get_channel().settimeout(_ASK_SECONDS)
        return self._files

    # Commands

    def _mine(self, account: Optional[str]) -> None:
        if account not in (None, self._settings["account"]):
            raise Refused(f"{self} cannot act as {account}", "executor_account has to be the account of the server")

    def _send(self, line: str) -> Any:
        with self.talking("starting a command") as connection:
            channel = connection.create_session()
            channel.exec_command(line)
            return channel

    def start(self, argv: List[str], environment: Dict[str, str], account: str) -> Any:
        return self._start(argv, environment, account, merged=True)

    def _start(self, argv: List[str], environment: Dict[str, str], account: str, merged: bool) -> RemoteProcess:
        self._mine(account)
        note = ""
        if self._guard:  # it watches over what runs; before the job there are only questions
            note = str(self._folder / "run" / "pids" / str(next(self._numbers)))
        line = guard.command_line(argv, environment, note, merged)
        return RemoteProcess(self, argv, self._send(line), note)

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
        process = self._start(argv, environment or {}, account or self._settings["account"], merged=False)
        said, complaint = Tail(process.stdout, 64 << 20), Tail(process.stderr, stderr_limit)
        try:
            process.feed(feed or b"")
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.end_group()
            raise TookTooLong(f"{argv[0]} did not end within {timeout:g} s and was killed") from None
        return Finished(status, said.text(), redact(complaint.text()))

    def clock(self) -> float:
        return float(self.require(["date", "-u", "+%s"], _ASK_SECONDS).strip())

    def kill(self, note: str) -> None:
        """Kill the process group that the file ``note`` names. Raise ConnectionLost when the host cannot be told so."""
        channel = self._send(guard.end_line(note))
        status = channel.recv_exit_status()
        channel.close()
        if status < 0:
            raise self.lost("a command was to be killed")

    # Life of a job

    def hold(self, resource: str, account: Optional[str], holder: Dict[str, Any]) -> None:
        self._mine(account)
        lock = f"{self.home(self._settings['account'])}/{LOCKS}/{quote_name(resource)}.lock"
        channel = self._send(guard.guard_line(lock, str(self._folder), json.dumps(holder, sort_keys=True)))
        said = first_line(channel)
        if said.startswith(guard.TAKEN):
            raise taken(resource, said[len(guard.TAKEN) :])
        if said.startswith(guard.FOLDER_TAKEN):
            raise taken(str(self._folder), said[len(guard.FOLDER_TAKEN) :])
        if said != guard.READY:
            raise CommandFailed(f"{self} cannot be guarded: {said or 'it said nothing'}", "sh and flock are needed there")
        self._guard = Beats(channel)

    def on_loss(self, commands: List[Command]) -> None:
        path = self._folder / "run" / "loss"
        if commands:
            self.write(path, guard.loss_script(commands).encode(), self._settings["account"])
        else:
            self.remove(path)

    def end(self) -> None:
        if self._guard:
            with contextlib.suppress(OSError, BackstayError):  # a host that is gone ends by itself
                self.on_loss([])
            self._guard.stop()
            self._guard = None
        if self._connection is not None:
            self._connection.close()
            self._connection = self._files = None

    # Places

    def staging(self, folder: Path) -> Path:
        if not self.pulls:
            return folder
        return self._folder / "staging" / folder.relative_to(layout.ROOT / "staging" / self._place)

    def work(self, folder: Path) -> Path:
        return self._folder / "work" / folder.relative_to(layout.ROOT / "work" / self._place)

    def ids(self, account: str) -> Tuple[int, int]:
        self._mine(account)
        return int(self.require(["id", "-u"], _ASK_SECONDS)), int(self.require(["id", "-g"], _ASK_SECONDS))

    def home(self, account: str) -> str:
        self._mine(account)
        with self.talking("looking for the home directory"):
            return str(self._sftp().normalize("."))

    # Files

    def read(self, path: Path, account: Optional[str] = None) -> bytes:
        self._mine(account)
        with self.fetch(path) as file:
            return file.read()

    def write(self, path: Path, content: bytes, account: str) -> None:
        self._mine(account)
        fresh = path.with_name(path.name + ".new")
        self.remove(fresh)
        with self.create(fresh, account) as file:
            file.write(content)
        with self.talking(f"writing {path}"):
            self._sftp().posix_rename(str(fresh), str(path))

    def create(self, path: Path, account: Optional[str]) -> IO[bytes]:
        self._mine(account)
        with self.talking(f"writing {path}"):
            if self.exists(path):
                raise FileExistsError(17, "it exists", str(path))
            file = self._sftp().open(str(path), "wx")
            file.chmod(0o600)
            file.set_pipelined(True)
            return RemoteFile(self, file, path)  # type: ignore[return-value]

    def fetch(self, path: Path) -> IO[bytes]:
        with self.talking(f"reading {path}"):
            file = self._sftp().open(str(path), "rb")
            file.prefetch()
            return RemoteFile(self, file, path)  # type: ignore[return-value]

    def size(self, path: Path) -> int:
        with self.talking(f"looking at {path}"):
            found = self._sftp().lstat(str(path))
        return int(found.st_size) if stat.S_ISREG(found.st_mode) else -1

    def exists(self, path: Path) -> bool:
        try:
            with self.talking(f"looking at {path}"):
                self._sftp().lstat(str(path))
            return True
        except FileNotFoundError:
            return False

    def runs(self, path: Path) -> bool:
        return self.run(["sh", "-c", '[ -f "$0" ] && [ -x "$0" ]', str(path)], _ASK_SECONDS).status == 0

    def names(self, folder: Path) -> List[str]:
        try:
            with self.talking(f"looking into {folder}"):
                return sorted(self._sftp().listdir(str(folder)))
        except FileNotFoundError:
            return []

    def open_folder(self, folder: Path, account: str) -> None:
        self._make(folder, 0o700)

    def give_directory(self, folder: Path, account: str) -> None:
        self._mine(account)
        self._make(folder, 0o750)

    def _make(self, folder: Path, mode: int) -> None:
        for path in [*reversed(folder.parents), folder]:
            if not self.exists(path):
                with self.talking(f"making {path}"):
                    self._sftp().mkdir(str(path), mode)

    def remove(self, path: Path) -> None:
        self.require(["rm", "-rf", "--", str(path)], 3600)

    def free(self, path: Path) -> int:
        while not self.exists(path):
            path = path.parent
        fields = self.require(["df", "-Pk", "--", str(path)], _ASK_SECONDS).splitlines()[-1].split()
        return int(fields[3]) * 1024

    def used(self, folder: Path) -> int:
        with self.talking(f"looking into {folder}"):
            return sum(int(item.st_size or 0) for item in self._sftp().listdir_attr(str(folder)))

    # Aside

    def place_aside(self, path: Path, name: str, account: Optional[str]) -> Path:
        return path.parent / INSIDE / name / path.name

    def make_room(self, path: Path, aside: Path, account: Optional[str]) -> None:
        self._mine(account)
        try:
            self._make(aside.parent, 0o700)
        except OSError as error:
            raise Refused(f"{path} may not be moved aside: {_words(error)}", f"{self} has to own {path.parent}") from error
        if self.exists(aside):
            raise Refused(f"{aside} is in the way", "move it away, then try again")

    def rename(self, source: Path, target: Path, account: Optional[str]) -> None:
        self._mine(account)
        if self.exists(target):
            raise Refused(f"{target} is in the way", "move it away, then try again")
        with self.talking(f"renaming {source}"):
            self._sftp().posix_rename(str(source), str(target))

    def remove_empty(self, folder: Path, account: Optional[str]) -> None:
        with contextlib.suppress(OSError), self.talking(f"removing {folder}"):
            self._sftp().rmdir(str(folder))


def _words(error: Exception) -> str:
    return str(error).strip() or type(error).__name__
