# SPDX-License-Identifier: GPL-3.0-or-later
"""Native processes: a fixed environment, no shell, no orphan, the end of what they said kept."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import re
import signal
import subprocess
import threading
from typing import IO, Any, Callable, Dict, Iterator, List, NamedTuple, Optional

from .errors import CommandFailed
from .redact import redact

PIPE_BYTES = 1 << 20
TAIL_BYTES = 16 << 10
_LEFT_BEHIND_SECONDS = 2
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class TookTooLong(CommandFailed):
    """A command ran longer than it may and was killed; the operator's code for it is that of any failed command."""


class Finished(NamedTuple):
    """How a process ended: its exit status (negative: signal), its standard output, the redacted end of its errors."""

    status: int
    stdout: str
    stderr: str


def environment(extra: Optional[Dict[str, str]] = None) -> Dict[str, str]:
    """Return the environment of every child: fixed path, language and time zone, so output means one thing."""
    fixed = {"PATH": _PATH, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": "/root"}
    if "BACKSTAY_ROOT" in os.environ:
        fixed["BACKSTAY_ROOT"] = os.environ["BACKSTAY_ROOT"]  # every process of a worker lives in the same root
    return dict(fixed, **(extra or {}))


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies (PR_SET_PDEATHSIG); Linux only, no effect elsewhere."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _become(account: Optional[str]) -> Callable[[], None]:
    """Return what a new process does before it runs: give up root for ``account`` (if any), then die with its parent."""
    if account is None:
        return die_with_parent
    entry = pwd.getpwnam(account)
    groups = os.getgrouplist(account, entry.pw_gid)

    def become() -> None:
        os.setgroups(groups)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
        die_with_parent()  # last: a change of account takes the wish back

    return become


@contextlib.contextmanager
def acting_as(account: Optional[str]) -> Iterator[None]:
    """Touch files with the rights of ``account`` (None: one's own) for a while.

    Where names come from elsewhere, or the account owns the directories, root would be led to files of others.
    """
    if account is None or os.geteuid() != 0:
        yield
        return
    entry, groups = pwd.getpwnam(account), os.getgroups()
    os.setgroups(os.getgrouplist(account, entry.pw_gid))
    os.setegid(entry.pw_gid)
    os.seteuid(entry.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def spawn(
    argv: List[str], extra_environment: Optional[Dict[str, str]] = None, account: Optional[str] = None, **options: Any
) -> subprocess.Popen[bytes]:
    """Start ``argv`` in a process group of its own that dies with this process, as ``account`` (default: root).

    Raise CommandFailed when it cannot be started.
    """
    settings: Dict[str, Any] = {
        "stdin": subprocess.DEVNULL,
        "env": environment(extra_environment),
        "start_new_session": True,
    }
    settings.update(options)
    try:
        settings["preexec_fn"] = _become(account)  # the worker starts processes from one thread at a time
        return subprocess.Popen(argv, **settings)
    except KeyError as error:
        raise CommandFailed(f"this host has no account '{account}'", "check the user variable of the role") from error
    except OSError as error:
        raise CommandFailed(f"cannot start {argv[0]}: {error.strerror}", "is the tool installed on this host?") from error


def kill_group(process: Any) -> None:
    """Kill the process and every descendant that stayed in its group, on this host or on that of an executor."""
    if not isinstance(process, subprocess.Popen):
        process.end_group()
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


class Tail:
    """Keep the last bytes of a stream; read in a thread of its own so that the writer never blocks.

    ``lost`` says why the copy of the stream, if one was asked for, is not whole; empty: it is.
    """

    def __init__(self, stream: IO[bytes], limit: int = TAIL_BYTES, copy_to: Optional[str] = None) -> None:
        self._stream = stream
        self._limit = limit
        self._kept = bytearray()
        self._count = 0
        self._copy = os.open(copy_to, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if copy_to else None
        self.lost = ""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        descriptor = self._stream.fileno()
        while True:
            block = os.read(descriptor, 1 << 16)
            if not block:
                break
            self._count += len(block)
            self._kept += block
            del self._kept[: -self._limit]
            if self._copy is not None and not self.lost:
                self._keep(self._copy, block)
        if self._copy is not None:
            os.close(self._copy)

    def _keep(self, copy: int, block: bytes) -> None:
        try:
            while block:
                block = block[os.write(copy, block) :]
        except OSError as error:  # the writer must not wait because of it
            self.lost = error.strerror or str(error)

    def peek(self) -> bytes:
        """Return what is kept at this moment, without waiting."""
        return bytes(self._kept)

    def text(self) -> str:
        """Return what was kept, once the process has ended: at the end of the stream, or when nothing more comes.

        A daemon that the process left behind may hold the stream open for as long as it lives.
        """
        seen = -1
        while self._thread.is_alive() and self._count != seen:
            seen = self._count
            self._thread.join(_LEFT_BEHIND_SECONDS)
        return self._kept.decode("utf-8", "replace")


def run(
    argv: List[str],
    timeout: Optional[float] = None,
    *,
    extra_environment: Optional[Dict[str, str]] = None,
    account: Optional[str] = None,
    stdout_limit: int = 64 << 20,
    stderr_limit: int = TAIL_BYTES,
    feed: Optional[bytes] = None,
    started: Optional[Callable[[subprocess.Popen[bytes]], None]] = None,
) -> Finished:
    """Run ``argv`` to its end and return how it ended; never raise for an exit status.

    ``feed`` is given to standard input, ``started`` learns the process (so that a watchdog can end it). Raise
    CommandFailed when it cannot be started, TookTooLong when it runs longer than ``timeout`` seconds (it is killed then).
    """
    process = spawn(
        argv,
        extra_environment,
        account,
        stdin=subprocess.DEVNULL if feed is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    if started:
        started(process)
    assert process.stdout is not None and process.stderr is not None
    out, err = Tail(process.stdout, stdout_limit), Tail(process.stderr, stderr_limit)
    if feed is not None:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(feed)
            process.stdin.close()
    try:
        status = process.wait(timeout)
    except subprocess.TimeoutExpired:
        kill_group(process)
        process.wait()
        raise TookTooLong(f"{argv[0]} did not end within {timeout:g} s and was killed") from None
    return Finished(status, out.text(), redact(err.text()))


def require(argv: List[str], timeout: Optional[float] = None, **options: Any) -> str:
    """Run ``argv`` and return its standard output. Raise CommandFailed with its last words unless it exits 0."""
    done = run(argv, timeout, **options)
    if done.status != 0:
        raise CommandFailed(f"{argv[0]} {spell_status(done.status)}: {last_line(done.stderr or done.stdout)}")
    return done.stdout


def spell_status(status: int) -> str:
    """Return how a process ended in words: 'ended with exit status 3' or 'was killed by SIGKILL'."""
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


_FAILURE = re.compile(r"error|fail|fatal|cannot|denied", re.IGNORECASE)


def telling_line(text: str) -> str:
    """Return the last line of a failed program that speaks of a failure; many say more after it. Else the last line."""
    lines = [line.strip() for line in text.splitlines() if _FAILURE.search(line) and "previous errors" not in line]
    return lines[-1] if lines else last_line(text)


def last_line(text: str) -> str:
    """Return the last line of ``text`` that says something, or a phrase that says it was silent."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
