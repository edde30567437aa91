# SPDX-License-Identifier: GPL-3.0-or-later
"""The server as its host sees it: console commands, the console's words since then, documents, whether it runs.

Nothing is believed of the exit status of a console command: it ends before the task that it loads begins.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from ...errors import CommandFailed
from ...process import acting_as, last_line, run, spell_status
from . import console, inventory

_COMMAND_SECONDS = 120
_KEPT = 16 << 20  # of the console since a mark; more than that no task says
Mark = Dict[str, Any]


class Server(NamedTuple):
    """How to reach the server; plain data, which travels with a job. ``timeout``: seconds that a task may take."""

    account: str
    program: str
    data: str
    ini: str
    console_command: List[str]
    console: str
    status: List[str]
    documents: List[str]
    fields: Dict[str, Any]
    patterns: Dict[str, str]
    timeout: float

    @property
    def words(self) -> Dict[str, str]:
        """Return the patterns of the console."""
        return console.patterns(self.patterns)

    @property
    def named(self) -> Dict[str, Any]:
        """Return the names of forms and fields."""
        return inventory.fields(self.fields)


def server_from(plain: Dict[str, Any]) -> Server:
    """Return the server that plain data describes; its numbers may have come as text from a command line."""
    return Server(**dict({name: plain[name] for name in Server._fields}, timeout=float(plain["timeout"])))


def call(server: Server, argv: List[str], timeout: float = _COMMAND_SECONDS) -> Any:
    """Run a command as the server's account, in the data directory, and return how it ended."""
    return run(["env", f"--chdir={server.data}", *argv], timeout, account=server.account)


def tell(server: Server, command: str) -> None:
    """Hand ``command`` to the console. Raise CommandFailed when nobody took it; what becomes of it is said later."""
    own = [f"={server.ini}"] if server.ini != f"{server.data}/notes.ini" else []
    argv = [word.replace("{command}", command) for word in server.console_command]
    done = call(server, argv or [server.program, *own, "-c", command])
    if done.status != 0 or console.said(done.stdout, server.words["down"]):
        said = last_line(done.stdout + done.stderr)
        raise CommandFailed(f"the console took no command ({spell_status(done.status)}): {said}", "is the server up?")


def runs(server: Server) -> bool:
    """Return whether the server runs, by the text of its status command: sources disagree about the exit status."""
    done = call(server, server.status)
    text = done.stdout + done.stderr
    words = server.words
    if console.said(text, words["down"]):
        return False
    if console.said(text, words["running"]):
        return True
    raise CommandFailed(
        f"cannot tell whether the server runs: {server.status[0]} says {last_line(text)!r}",
        "check app_domino_status, and the patterns running and down in app_domino_patterns",
    )


# The console


def console_file(server: Server) -> Optional[Path]:
    """Return the file with the console's words, None when there is none."""
    names = [server.console] if server.console else ["IBM_TECHNICAL_SUPPORT/console.log", f"{server.account}.log"]
    found = [path for path in (Path(server.data, name) for name in names) if path.is_file()]
    return max(found, key=lambda path: path.stat().st_mtime) if found else None


def mark(server: Server) -> Mark:
    """Return where the console's file ends now."""
    path = console_file(server)
    if path is None:
        return {"path": "", "inode": 0, "size": 0}
    status = path.stat()
    return {"path": str(path), "inode": status.st_ino, "size": status.st_size}


def since(server: Server, place: Mark) -> str:
    """Return what the console said since ``place``; all that its file holds when it was begun anew, 16 MiB at most.

    Of two files that the server writes, the one of the mark counts: in the other, old words would be taken for new ones.
    """
    path = Path(place["path"]) if place["path"] and Path(place["path"]).is_file() else console_file(server)
    if path is None:
        return ""
    with acting_as(server.account), path.open("rb") as stream:
        status = os.fstat(stream.fileno())
        same = status.st_ino == place["inode"] and status.st_size >= place["size"]
        stream.seek(max(place["size"] if same else 0, status.st_size - _KEPT))
        return stream.read(_KEPT).decode("utf-8", "replace")


def answer(server: Server, command: str, pattern: str, seconds: float) -> str:
    """Hand ``command`` to the console and return what it said when ``pattern`` was in it, or after ``seconds``."""
    place = mark(server)
    tell(server, command)
    deadline = time.monotonic() + seconds
    while not console.said(since(server, place), pattern) and time.monotonic() < deadline:
        time.sleep(0.1)
    return since(server, place)


# Documents


def documents(server: Server, form: str) -> List[Dict[str, Any]]:
    """Return the documents of a form. Raise CommandFailed when the operator's command fails."""
    argv = [word.replace("{form}", form) for word in server.documents]
    done = call(server, argv, 600)
    if done.status != 0:
        said = last_line(done.stderr or done.stdout)
        raise CommandFailed(f"{argv[0]} {spell_status(done.status)}: {said}", "check app_domino_documents")
    return inventory.of_form(inventory.parse(done.stdout), form)


def entries(server: Server) -> List[inventory.Entry]:
    """Return the inventory, oldest first; empty where no command prints documents or there is no inventory yet."""
    if not server.documents or not Path(server.data, "dominobackup.nsf").exists():
        return []
    named = server.named
    return inventory.entries(documents(server, named["inventory"]), named)


def logs(server: Server) -> List[inventory.Log]:
    """Return the log documents, oldest first; see ``entries``."""
    if not server.documents or not Path(server.data, "dominobackup.nsf").exists():
        return []
    named = server.named
    return inventory.logs(documents(server, named["log"]), named)


# Tasks


def await_task(server: Server, judge: Callable[[], Optional[Any]], what: str) -> Any:
    """Return what ``judge`` returns as soon as it is not None; it is asked often at first, a task may take hours.

    Raise CommandFailed after the time limit or when the server ends.
    """
    started, pause, looked = time.monotonic(), 0.2, time.monotonic()
    while True:
        try:
            found = judge()
        except CommandFailed:
            require_at_work(server, what)  # a server that ended is the reason, not what could not be asked of it
            raise
        if found is not None:
            return found
        passed = time.monotonic() - started
        if passed > server.timeout:
            raise CommandFailed(
                f"{what} did not finish within {server.timeout:g} s",
                "look at the console; raise app_domino_backup_timeout, or end the task before the next run",
            )
        if time.monotonic() - looked > 5 or passed < 1:
            looked = time.monotonic()
            require_at_work(server, what)
        time.sleep(pause)
        pause = min(pause * 1.2, 5.0)


def require_at_work(server: Server, what: str) -> None:
    """Raise CommandFailed when the server ended with its task ``what``."""
    if not runs(server):
        raise CommandFailed(f"the server ended while {what} was at work", "look at its console and at NSD files")
