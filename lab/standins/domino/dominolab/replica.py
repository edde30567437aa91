# SPDX-License-Identifier: GPL-3.0-or-later
"""The other server of the domain, as files: it holds a replica of each mail database and replicates with this one."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from dominolab import daos, nsf
from dominolab.database import Database
from dominolab.errors import DominoError
from dominolab.places import Places
from dominolab.store import Store


class Partner:
    """Replicas by replica ID; the newer documents win, whoever has them."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.folder = places.own / "partner"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._attachments = self.folder / "attachments"
        self._notes: dict[str, list[dict[str, Any]]] = {}

    def _known(self, replica: str) -> list[dict[str, Any]]:
        if replica not in self._notes:
            file = self.folder / f"{replica}.notes"
            lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
            self._notes[replica] = [json.loads(line) for line in lines]
        return self._notes[replica]

    def replicate(self, store: Store, database: Database) -> str:
        """Replicate one database; what was done, empty for nothing."""
        known, count = self._known(database.header["replica"]), database.count
        common = min(len(known), count)
        same = not common or database.page(nsf.TALLY + common)["hash"] == known[common - 1]["hash"]
        if same and count >= len(known):
            self._take(database, known)
            return ""
        self._give(store, database, known)
        return f"Replicator: {database.path}: {len(known)} documents now, {count} before"

    def _take(self, database: Database, known: list[dict[str, Any]]) -> None:
        fresh = [database.page(nsf.TALLY + number) for number in range(len(known) + 1, database.count + 1)]
        for note in fresh:
            if note.get("nlo"):
                self._take_attachment(note["nlo"])
        if fresh:
            with (self.folder / f"{database.header['replica']}.notes").open("a", encoding="utf-8") as handle:
                handle.writelines(json.dumps(note) + "\n" for note in fresh)
            known += fresh

    def _take_attachment(self, name: str) -> None:
        # One that cannot be opened here does not travel.
        with contextlib.suppress(DominoError):
            self._attachments.mkdir(exist_ok=True)
            (self._attachments / name).write_bytes(daos.read(self.places, name))

    def _give(self, store: Store, database: Database, known: list[dict[str, Any]]) -> None:
        """Make the database what the other server has, note by note through the log."""
        common = min(len(known), database.count)
        same = next(
            (n for n in range(1, common + 1) if database.page(nsf.TALLY + n)["hash"] != known[n - 1]["hash"]), common + 1
        )
        for note in known[same - 1 :]:
            if note.get("nlo") and (self._attachments / note["nlo"]).exists():
                daos.store(self.places, (self._attachments / note["nlo"]).read_bytes())
            store.change(database, database.with_note(note))
