# SPDX-License-Identifier: GPL-3.0-or-later
"""All databases of the running server: opening, restart recovery, commits, checkpoints, DBIIDs."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from dominolab import nsf
from dominolab.database import Database, fix_up, now_text, redo
from dominolab.errors import DominoError, PanicError
from dominolab.places import Places
from dominolab.translog import TransactionLog

UNUSABLE = {
    nsf.OPEN: "Page format is incorrect: the file was copied while it was open",
    nsf.BACKUP_MODE: "the file was copied in backup mode, its change information is missing",
    nsf.CRASHED: "Database is not logged here and was not closed: a consistency check is needed",
    nsf.COPY_WITHOUT_DELTA: "the backup copy is inconsistent: its change information (.DELTA) was not applied",
}


class Store:
    """Databases by their path below the data directory."""

    def __init__(self, places: Places, say: Callable[[str], None]) -> None:
        self.places = places
        self.say = say
        self.session = secrets.token_hex(8)
        self.databases: dict[str, Database] = {}
        self.unusable: dict[str, str] = {}
        self.log: TransactionLog | None = None

    # Opening

    def open_all(self) -> None:
        """Open the log and every database, after restart recovery; PanicError or DominoError where the server cannot start."""
        files = nsf.located(self.places.data)
        headers = {}
        for path, file in files.items():
            try:
                headers[path] = nsf.read_header(file)
            except (DominoError, OSError) as error:
                self.unusable[path] = str(error)
        last_session = ""
        crashed = [path for path, (state, _) in headers.items() if state in (nsf.CRASHED, nsf.OPEN, nsf.BACKUP_MODE)]
        if self.places.logging:
            used_before = any(
                header["logged"] for state, header in headers.values() if state not in (nsf.COPY, nsf.COPY_WITHOUT_DELTA)
            )
            self.log = TransactionLog.opened(self.places, used_before=used_before)
            last_session = self.log.control["session"]
        ours = [path for path in crashed if self._is_ours(files[path], *headers[path], last_session)]
        self._recover(ours, files, headers)
        self._remember_session(files.values())
        for path in headers:
            self._open_or_tell(path, files[path])
        if "names.nsf" not in self.databases:
            self.abandon()
            raise DominoError(f"Unable to open names.nsf: {self.unusable.get('names.nsf', 'file does not exist')}")

    def abandon(self) -> None:
        """Close the databases of a server that did not come up."""
        while self.databases:
            self.databases.popitem()[1].close()

    def _is_ours(self, file: Path, state: bytes, header: dict[str, Any], last_session: str) -> bool:
        """Return whether a file that was not closed can be brought in order by this server."""
        if not self.log:
            return state == nsf.CRASHED or self._same_file(file)
        if header["log_id"] != self.log.log_id or header["session"] != last_session or not last_session:
            return False
        return state == nsf.CRASHED or self._same_file(file)

    def _same_file(self, file: Path) -> bool:
        """Return whether this is the very file that was open when the power went; nothing else is known about it then."""
        try:
            inodes = json.loads((self.places.own / "session.json").read_text(encoding="utf-8"))["inodes"]
        except FileNotFoundError:
            return False
        return inodes.get(str(file)) == file.stat().st_ino

    def _recover(self, ours: list[str], files: dict[str, Path], headers: dict[str, tuple[bytes, dict[str, Any]]]) -> None:
        changes: dict[str, list[list[Any]]] = {path: [] for path in ours}
        for record in self.log.since_checkpoint() if self.log else ():
            path = record["database"]
            if path in changes and "pages" in record and record["dbiid"] == headers[path][1]["dbiid"]:
                changes[path] += record["pages"]
        for path in ours:
            if self.log:
                redo(files[path], changes[path])
            else:
                fix_up(files[path])
            with files[path].open("r+b") as handle:
                nsf.write_header(handle.fileno(), nsf.CLOSED, {**nsf.read_header(files[path])[1], "session": ""})
        if self.log:
            self.say(
                "Recovery Manager: Restart Recovery complete. "
                f"({len(ours)}/{sum(map(bool, changes.values()))} databases needed full/partial recovery)"
            )

    def _open_or_tell(self, path: str, file: Path) -> None:
        try:
            self.open_one(path, file)
        except (DominoError, OSError) as error:
            self.unusable[path] = str(error)
            self.say(f"{file}: {error}")

    def open_one(self, path: str, file: Path) -> Database:
        """Open a database file; DominoError when it is not in order. A backup copy loses its tie to the log by that."""
        state, header = nsf.read_header(file)
        if state in UNUSABLE:
            raise DominoError(UNUSABLE[state])
        problems = nsf.read_notes(file)[1]
        if problems:
            raise DominoError(problems[0])
        found = Database(path, file, header)
        log_id = self.log.log_id if self.log else ""
        fresh = state == nsf.COPY or header["log_id"] != log_id or header["logged"] != bool(self.log)
        header.update(session=self.session, logged=bool(self.log), log_id=log_id, tied=False)
        found.save_header()
        self.databases[path] = found
        self.unusable.pop(path, None)
        if fresh:
            self.assign_dbiid(path)
        return found

    def _remember_session(self, files: Iterable[Path]) -> None:
        """Keep for the time after a crash which files are open, or are about to be."""
        inodes = {str(file): file.stat().st_ino for file in files if file.exists()}
        fresh = self.places.own / "session.new"
        fresh.write_text(json.dumps({"session": self.session, "inodes": inodes}), encoding="utf-8")
        fresh.replace(self.places.own / "session.json")
        if self.log:
            self.log.control["session"] = self.session
        self.checkpoint()

    def _remember_open_files(self) -> None:
        self._remember_session([database.file for database in self.databases.values()])

    # Changing

    def need(self, path: str) -> Database:
        """Return a database by its path; DominoError when there is none or it cannot be used."""
        if path in self.unusable:
            raise DominoError(f"{path}: {self.unusable[path]}")
        if path not in self.databases:
            file = nsf.located(self.places.data).get(path)
            if file is None:
                raise DominoError(f"{path}: File does not exist")
            self.open_one(path, file)
            self._remember_open_files()
        return self.databases[path]

    def write(self, record: dict[str, Any]) -> None:
        """Write a record to the log, if there is one; checkpoint and go to the next extent where it is full."""
        if not self.log:
            return
        if not self.log.fits(record):
            self.checkpoint()
            self.log.switch()
        self.log.append(record)

    def append(self, path: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Append a note durably; the note."""
        database = self.need(path)
        note, changes = database.next_note(fields)
        self.change(database, changes, note["time"])
        return note

    def change(self, database: Database, changes: list[list[Any]], moment: str = "") -> None:
        """Change pages: durable in the log first, or in the file where there is no log."""
        record = {"time": moment or now_text(), "database": database.path, "dbiid": database.dbiid, "pages": changes}
        self.write(record)
        database.apply(changes)
        if not self.log:
            database.flush()

    def assign_dbiid(self, path: str) -> None:
        """Give a database a new DBIID: its backups can no longer be rolled forward."""
        database = self.databases[path]
        database.flush()  # the log's records of the old DBIID will not be looked at again
        fresh, old = secrets.token_hex(8), database.dbiid
        self.write({"time": now_text(), "database": path, "dbiid": old, "new_dbiid": fresh})
        database.header["dbiid"] = fresh
        database.save_header()
        if self.log:
            where = self.places.data / path
            self.say(f"Recovery Manager: Assigning new DBIID for {where} (need new backup for media recovery).")

    def checkpoint(self) -> None:
        """Write what waits, and tell the log. PanicError when a file was exchanged under the server."""
        for database in self.databases.values():
            if database.replaced():
                raise PanicError(f"{database.file} was replaced while it was open")
            database.flush()
        if self.log:
            self.log.checkpointed()

    def forget(self, path: str) -> None:
        """Close a database."""
        if path in self.databases:
            self.databases.pop(path).close()
        self.unusable.pop(path, None)

    def adopt(self, path: str, file: Path) -> None:
        """Open a recovered file under its path, with a new DBIID."""
        header = nsf.read_header(file)[1]
        with file.open("r+b") as handle:
            header.update(logged=bool(self.log), log_id=self.log.log_id if self.log else "")
            nsf.write_header(handle.fileno(), nsf.CLOSED, header)
        self.open_one(path, file)
        self.assign_dbiid(path)
        self._remember_open_files()

    def close_all(self) -> None:
        """Close everything in order."""
        self.checkpoint()
        for database in self.databases.values():
            database.close()
        if self.log:
            self.log.control["session"] = ""
            self.log.checkpointed()
