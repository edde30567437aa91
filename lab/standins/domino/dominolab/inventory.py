# SPDX-License-Identifier: GPL-3.0-or-later
"""dominobackup.nsf: configuration, log documents and inventory of the backup task. Field names are ours but ``List``."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dominolab import create, nsf
from dominolab.store import Store

if TYPE_CHECKING:
    from dominolab.server import Server

STORE = "dominobackup.nsf"


def configuration(store: Store) -> dict[str, Any]:
    """Return the newest configuration document; the first backup makes the database and a default one."""
    if STORE not in store.databases:
        file = store.places.data / STORE
        if not file.exists():
            nsf.create(file, create.new_header("Backup", logged=bool(store.log), log_id=store.log.log_id if store.log else ""))
        store.need(STORE)
    found = documents(store, "Config")
    if found:
        return found[-1]
    default = {"target": store.places.settings["backup_target"], "delta": "apply", "excludes": [], "retention_days": 7}
    return store.append(STORE, {"form": "Config", **default})


def documents(store: Store, form: str) -> list[dict[str, Any]]:
    """Return all documents of a form, oldest first."""
    return [note for note in store.need(STORE).notes() if note["form"] == form]


def entries(store: Store) -> list[dict[str, str]]:
    """Return the inventory that was not pruned, oldest first."""
    pruned = {note["start"] for note in documents(store, "Pruned")}
    names = ("mode", "start", "logical", "reference", "physical", "bytes", "at")
    found = [dict(zip(names, note["List"].split("|"))) for note in documents(store, "Inventory")]
    return [entry for entry in found if entry["start"] not in pruned]


def listed(notes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return notes as a client reads them: one inventory document for each file, with a List of its backups that are kept."""
    pruned = {note["start"] for note in notes if note["form"] == "Pruned"}
    found: dict[str, dict[str, Any]] = {}
    others = []
    for note in notes:
        if note["form"] != "Inventory":
            others.append(note)
            continue
        start, logical = note["List"].split("|")[1:3]
        if start not in pruned:
            found.setdefault(logical, {**note, "List": []})["List"].append(note["List"])
    return [*others, *(found[logical] for logical in sorted(found))]


def newest_references(store: Store) -> dict[str, str]:
    """Return the DBIID of each database's newest backup."""
    return {entry["logical"]: entry["reference"] for entry in entries(store) if entry["mode"] in ("FULL", "INCR")}


def prune(server: Server, days: int) -> None:
    """Remove backups whose retention is over; what ``-g`` said for one counts more than ``days``."""
    store, gone = server.store, 0
    done = {note["start"] for note in documents(store, "Pruned")}
    physical = {entry["start"]: Path(entry["physical"]) for entry in entries(store)}
    for note in documents(store, "Log"):
        began = time.mktime(time.strptime(note["start"], "%Y%m%d%H%M%S")) - time.timezone
        age = (time.time() - began) / 86400
        if note["start"] in done or age < min(days, note["retention_days"]):
            continue
        for parent in physical.get(note["start"], Path()).parents:
            if parent.name == note["start"]:
                shutil.rmtree(parent, ignore_errors=True)
        store.append(STORE, {"form": "Pruned", "start": note["start"]})
        gone += 1
    server.say(f"Backup: Pruned {gone} backups")
