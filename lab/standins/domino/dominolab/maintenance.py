# SPDX-License-Identifier: GPL-3.0-or-later
"""Console tasks that keep databases in shape; most give new DBIIDs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dominolab import database, nsf
from dominolab.errors import DominoError

if TYPE_CHECKING:
    from dominolab.server import Server


def _targets(server: Server, words: list[str]) -> list[str]:
    """Return the databases that a command names, all without one."""
    named = [word for word in words if not word.startswith("-")]
    for path in named:
        server.store.need(path)
    return named or list(server.store.databases)


def compact(server: Server, options: list[str]) -> Iterator[float]:
    """``load compact [path] [-b|...]``: every way but ``-b`` gives a new DBIID."""
    for path in _targets(server, options):
        if "-b" not in options:
            server.store.assign_dbiid(path)
        server.say(f"Compacted {path}")
        yield 0


def fixup(server: Server, options: list[str]) -> Iterator[float]:
    """``load fixup [path] [-J]``: a logged database only with -J; it gets a new DBIID."""
    named = [word for word in options if not word.startswith("-")]
    files = nsf.located(server.places.data)
    for path in named or list(server.store.databases):
        if path not in files:
            raise DominoError(f"{path}: File does not exist")
        yield 0
        _fix_one(server, path, forced="-J" in options)


def _fix_one(server: Server, path: str, *, forced: bool) -> None:
    file = nsf.located(server.places.data)[path]
    if nsf.read_header(file)[1]["logged"] and not forced:
        server.say(f"Fixup: {path} is logged, run fixup -J")
        return
    server.store.forget(path)
    header = nsf.read_header(file)[1]
    kept = database.fix_up(file)
    with file.open("r+b") as handle:
        nsf.write_header(handle.fileno(), nsf.CLOSED, header)
    server.store.need(path)
    server.store.assign_dbiid(path)
    server.say(f"Fixup: {path}, {kept} documents")


def updall(server: Server, options: list[str]) -> Iterator[float]:
    """``load updall [path]``: opens databases and reads them; no new DBIID for those that were open."""
    for path in _targets(server, options):
        server.store.databases[path].notes()
        server.say(f"Updall: {path} done")
        yield 0


def dbmt(server: Server, options: list[str]) -> Iterator[float]:
    """``load dbmt``: compacts everything to new files, which means new DBIIDs."""
    for path in _targets(server, options):
        server.store.assign_dbiid(path)
        yield 0
    server.say("Dbmt: finished")
