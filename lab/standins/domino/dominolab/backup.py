# SPDX-License-Identifier: GPL-3.0-or-later
"""``load backup``: the native backup task with its file provider. It runs in small pieces while users keep writing."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dominolab import inventory, nsf
from dominolab.database import Database, now_text
from dominolab.errors import DominoError
from dominolab.translog import extent_name, extents_in

if TYPE_CHECKING:
    from dominolab.server import Server

CHUNK = 32 * nsf.PAGE
MODES = {"-b": "FULL", "-t": "TRANSLOG", "-i": "INCR"}


@dataclasses.dataclass
class Wish:
    """What a command line asks for."""

    mode: str = ""
    verbose: bool = False
    retention: str = ""
    prune: str | None = None
    excludes: list[str] = dataclasses.field(default_factory=list)
    only_these_excludes: bool = False


def parse(options: list[str]) -> Wish:
    """Read the options of ``load backup``; DominoError for those that are unknown or go together with nothing."""
    wish, words = Wish(), list(options)
    while words:
        word = words.pop(0)
        if word in MODES and not wish.mode:
            wish.mode = MODES[word]
        elif word in ("-v", "-V"):
            wish.verbose = True
        elif word == "-E":
            wish.only_these_excludes = True
        elif word in ("-e", "-g") and words:
            wish.excludes += [words[0]] if word == "-e" else []
            wish.retention = words[0] if word == "-g" else wish.retention
            words.pop(0)
        elif word == "-p":
            wish.prune = words.pop(0) if words and words[0].isdigit() else ""
        elif word == "-s":
            raise DominoError("snapshot mode is not configured")
        else:
            raise DominoError(f"option {word} is not valid here")
    if not wish.mode and wish.prune is None:
        raise DominoError("no mode was given, one of -b, -t, -i")
    return wish


def run(server: Server, options: list[str]) -> Iterator[float]:
    """Back up as the options say, then prune where that was asked for."""
    wish = parse(options)
    if not server.places.logging:
        raise DominoError("transaction logging is not enabled on this server")
    if wish.mode in ("TRANSLOG", "INCR") and not server.places.archive_style:
        raise DominoError(f"{wish.mode} needs transaction logging of archive style")
    config = inventory.configuration(server.store)
    if wish.mode:
        yield from _Run(server, wish, config).steps()
    if wish.prune is not None:
        inventory.prune(server, int(wish.prune or config["retention_days"]))


class _Run:
    def __init__(self, server: Server, wish: Wish, config: dict[str, Any]) -> None:
        self.server = server
        self.wish = wish
        self.config = config
        self.start = ""
        node = server.places.ini.get("nshback_node") or server.places.settings["name"].replace(" ", "_")
        self.folder = Path(config["target"]) / node / wish.mode
        self.done = 0
        self.errors: list[str] = []

    def steps(self) -> Iterator[float]:
        """Yield between small pieces of the work."""
        say, knob = self.server.say, self.server.places.knob
        taken = {note["start"] for note in inventory.documents(self.server.store, "Log")}
        # A server that died within this second left the folder of a backup and no document of it.
        while (start := time.strftime("%Y%m%d%H%M%S", time.gmtime())) in taken or (self.folder / start).exists():
            yield 0.1
        self.start, self.folder = start, self.folder / start
        say(f"Backup: Started, {self.wish.mode} to {self.folder}")
        began = now_text()
        while knob("backup_hangs"):
            yield 0.1
        if not knob("backup_lies"):
            yield from self._extents() if self.wish.mode == "TRANSLOG" else self._databases()
        if knob("backup_error"):
            self._failed(knob("backup_error"))
        what = "transaction log extents" if self.wish.mode == "TRANSLOG" else "databases"
        fields = {"mode": self.wish.mode, "start": self.start, "began": began, "ended": now_text(), "count": self.done}
        retention = self.wish.retention or self.config["retention_days"]
        self.server.store.append(
            inventory.STORE, {"form": "Log", **fields, "errors": self.errors[:5], "retention_days": int(retention)}
        )
        say(f"Backup: Finished, {self.done} {what}, {len(self.errors)} errors")

    def _failed(self, text: str) -> None:
        self.errors.append(text)
        self.server.say(f"Backup: ERROR: {text}")

    def _finished(self, logical: str, physical: Path, reference: str) -> None:
        self.done += 1
        entry = "|".join(
            [self.wish.mode, self.start, logical, reference, str(physical), str(physical.stat().st_size), now_text()]
        )
        self.server.store.append(inventory.STORE, {"form": "Inventory", "List": entry})
        if self.wish.verbose:
            self.server.say(f"Backup: Return: PROCESSED ({physical}) {reference}")

    # Databases

    def _databases(self) -> Iterator[float]:
        chosen = [path for path in sorted(self.server.store.databases) if not self._excluded(path)]
        if self.wish.mode == "INCR":
            known = inventory.newest_references(self.server.store)
            chosen = [path for path in chosen if known.get(path) != self.server.store.databases[path].dbiid]
        # The store of the inventory goes last, so that it knows of the others.
        for path in sorted(chosen, key=lambda path: path == inventory.STORE):
            try:
                yield from self._database(path)
            except (DominoError, OSError) as error:
                self._failed(f"{path}: {error}")
        for path, reason in self.server.store.unusable.items():
            if not self._excluded(path):
                self._failed(f"{path}: {reason}")

    def _excluded(self, path: str) -> bool:
        patterns = self.wish.excludes + ([] if self.wish.only_these_excludes else self.config["excludes"])
        return any(path.startswith(pattern.rstrip("*")) for pattern in patterns)

    def _database(self, path: str) -> Iterator[float]:
        database = self.server.store.databases[path]
        if database.backup is not None:
            raise DominoError("a backup of this database is in progress")
        copy = self.folder / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        database.flush()
        database.backup = []
        database.save_header()
        self.server.places.reached(f"backup {path}")
        try:
            yield from self._copied(database.file, copy)
            self._complete(database, copy)
        finally:
            database.backup = None
            database.save_header()
        self._finished(path, copy, database.dbiid)

    def _copied(self, source: Path, copy: Path) -> Iterator[float]:
        with source.open("rb") as reader, copy.open("xb") as writer:
            while True:
                chunk = reader.read(CHUNK)
                if not chunk:
                    break
                writer.write(chunk)
                yield float(self.server.places.knob("slow") or 0)

    def _complete(self, database: Database, copy: Path) -> None:
        """Bring the change information into the copy, or keep it beside the copy."""
        log = self.server.store.log
        header = {
            **database.header,
            "session": "",
            "tied": True,
            "at": now_text(),
            "upto": log.position if log else [0, 0],
        }
        changes = database.backup or []
        if self.config["delta"] == "keep":
            delta = json.dumps({"header": header, "changes": changes})
            copy.with_name(copy.name + ".DELTA").write_text(delta, encoding="utf-8")
            nsf.set_state(copy, nsf.COPY_WITHOUT_DELTA)
        else:
            apply_changes(copy, header, changes, len(database.notes()))

    # Extents

    def _extents(self) -> Iterator[float]:
        log = self.server.store.log
        for number in log.full_extents() if log else ():
            source = extents_in(log.folder)[number]
            copy = self.folder / extent_name(number)
            copy.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(source, copy)
                with copy.open("rb") as handle:
                    os.fsync(handle.fileno())
            except OSError as error:
                self._failed(f"{source.name}: {error.strerror}")
                return  # a later extent without this one is worth nothing
            log.archived(number)
            self.server.places.reached("translog")
            self._finished(source.name, copy, log.log_id)
            yield float(self.server.places.knob("slow") or 0)


def apply_changes(copy: Path, header: dict[str, Any], changes: list[list[Any]], count: int) -> None:
    """Bring change information into the raw copy of a database that had ``count`` notes at the end."""
    with copy.open("r+b") as handle:
        for number, content, generation in changes:
            nsf.write_page(handle.fileno(), number, content, generation)
        handle.truncate((nsf.TALLY + 1 + count) * nsf.PAGE)
        nsf.write_header(handle.fileno(), nsf.COPY, header)
        os.fsync(handle.fileno())
