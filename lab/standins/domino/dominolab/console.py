# SPDX-License-Identifier: GPL-3.0-or-later
"""What the server's console understands."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dominolab import backup, maintenance, restore
from dominolab.errors import DominoError

if TYPE_CHECKING:
    from dominolab.server import Server

NATIVE_SINCE = 12
TASKS = {
    "backup": backup.run,
    "restore": restore.run,
    "compact": maintenance.compact,
    "fixup": maintenance.fixup,
    "updall": maintenance.updall,
    "dbmt": maintenance.dbmt,
}
NATIVE = ("backup", "restore")


def execute(server: Server, text: str) -> None:
    """Do what one line of the console says; nobody hears of errors but the console."""
    server.say(f"> {text}")
    try:
        words = shlex.split(text)
        if words:
            _execute(server, [words[0].lower(), *words[1:]], text)
    except (DominoError, ValueError) as error:
        server.say(str(error))


def _execute(server: Server, words: list[str], text: str) -> None:
    verb, rest = words[0], words[1:]
    first = rest[0].lower() if rest else ""
    if verb in ("load", "l") and first:
        _load(server, first, rest[1:])
    elif verb in ("show", "sh") and first in ("server", "tasks"):
        for line in server.status_lines() if first == "server" else server.task_lines():
            server.say(line)
    elif verb in ("quit", "exit", "q"):
        server.quit_wanted = True
    elif verb == "tell" and first in server.running and rest[1:] == ["quit"]:
        server.say(f"{first}: it ends when it has finished what it does")
    elif verb == "drop" and first == "all":
        server.say("All user sessions were dropped")
    elif verb == "dbcache" and first in ("disable", "flush", "show"):
        server.say(f"Database cache: {first}")
    elif verb == "set" and first in ("config", "configuration", "conf"):
        _set_config(server, text)
    elif verb == "tell":
        raise DominoError(f"Task '{first}' does not understand this, or is not running")
    else:
        raise DominoError(f"Command '{verb}' was not recognized by the server")


def _load(server: Server, name: str, options: list[str]) -> None:
    known = TASKS.get(name)
    if known is None or (name in NATIVE and server.places.version[0] < NATIVE_SINCE):
        raise DominoError(f"Unable to load {name}: the program could not be located")
    if name in server.running:
        raise DominoError(f"Task '{name}' is already running")
    server.start(name, _guarded(server, name, known(server, options)))


def _guarded(server: Server, name: str, task: Iterator[float]) -> Iterator[float]:
    """Run a task a moment later than it was asked for, and put its refusals on the console."""
    yield server.task_delay
    try:
        yield from task
    except DominoError as error:
        server.say(f"{name.capitalize()}: ERROR: {error}")


def _set_config(server: Server, text: str) -> None:
    key, separator, value = text.split(None, 2)[2].partition("=") if len(text.split(None, 2)) > 2 else ("", "", "")
    if not separator or not key.strip():
        raise DominoError("set config needs Key=Value")
    server.places.ini.set(key.strip(), value.strip())
    server.say(f"{key.strip()} was set to {value.strip()}")
