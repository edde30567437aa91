# SPDX-License-Identifier: GPL-3.0-or-later
"""``load restore``: works through the request documents in dominobackup.nsf that no restore has answered yet."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dominolab import backup, inventory, nsf, recovery
from dominolab.database import now_text
from dominolab.errors import DominoError

if TYPE_CHECKING:
    from dominolab.server import Server

SYSTEM = ("names.nsf", "admin4.nsf", "busytime.nsf", "dominobackup.nsf")


def run(server: Server, options: list[str]) -> Iterator[float]:
    """Process what is requested; options are refused, no source names one."""
    if options:
        raise DominoError(f"option {options[0]} is not valid here")
    if not server.places.logging:
        raise DominoError("transaction logging is not enabled on this server")
    inventory.configuration(server.store)
    answered = {note["request"] for note in inventory.documents(server.store, "RestoreLog")}
    for request in inventory.documents(server.store, "RestoreRequest"):
        if request["id"] in answered:
            continue
        yield 0.1
        error = ""
        try:
            _restore(server, request)
            server.say(f"Restore: {request['database']} is on line as {request['target']}")
        except (DominoError, OSError) as problem:
            error = str(problem)
            server.say(f"Restore: ERROR: {request['database']}: {error}")
        server.store.append(inventory.STORE, {"form": "RestoreLog", "request": request["id"], "error": error})
    server.say("Restore: Finished")


def _chosen(server: Server, request: dict[str, Any]) -> Path:
    """Return the newest backup copy that is not younger than the moment that was asked for."""
    if request["source"]:
        return Path(request["source"])
    until = request["until"]
    found = [entry for entry in inventory.entries(server.store) if entry["logical"] == request["database"]]
    if until and until != recovery.LATEST:
        found = [entry for entry in found if entry["at"] <= until] or found[:1]
    if not found:
        raise DominoError("the inventory has no backup of this database")
    return Path(found[-1]["physical"])


def _restore(server: Server, request: dict[str, Any]) -> None:
    target = request["target"]
    if target in SYSTEM and target in server.store.databases:
        raise DominoError("file is in use by the server")
    source, place = _chosen(server, request), server.places.data / target
    staged = place.with_name(place.name + ".DAD")
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(source, staged)
        _apply_delta(source, staged)
        if request["until"]:
            _roll_forward(server, request, staged)
        else:
            recovery.tied_header(staged)
        _bring_on_line(server, request, staged, place)
    finally:
        staged.unlink(missing_ok=True)


def _apply_delta(source: Path, staged: Path) -> None:
    if nsf.read_header(staged)[0] != nsf.COPY_WITHOUT_DELTA:
        return
    delta = source.with_name(source.name + ".DELTA")
    if not delta.exists():
        raise DominoError("the backup copy is inconsistent: its change information (.DELTA) is missing")
    info = json.loads(delta.read_text(encoding="utf-8"))
    with staged.open("rb") as handle:
        tally = nsf.read_page(handle.fileno(), nsf.TALLY)[1]
    for number, content, _ in info["changes"]:
        tally = content if number == nsf.TALLY else tally
    backup.apply_changes(staged, info["header"], info["changes"], tally["count"])


def _roll_forward(server: Server, request: dict[str, Any], staged: Path) -> None:
    server.store.checkpoint()
    folders = [Path(request["logs"])] if request["logs"] else []
    folders += sorted(
        {Path(entry["physical"]).parent for entry in inventory.entries(server.store) if entry["mode"] == "TRANSLOG"}
    )
    live, now = server.places.log_folder, ""
    if server.store.log and nsf.read_header(staged)[1]["log_id"] == server.store.log.log_id:
        folders, now = [live, *folders], now_text()
    recovery.roll_forward(staged, request["database"], folders, request["until"], now)


def _bring_on_line(server: Server, request: dict[str, Any], staged: Path, place: Path) -> None:
    header = nsf.read_header(staged)[1]
    header.update(replicate=header["replicate"] and request["replicate"], tied=False)
    with staged.open("r+b") as handle:
        nsf.write_header(handle.fileno(), nsf.CLOSED, header)
    server.store.forget(request["target"])
    file = nsf.located(server.places.data).get(request["target"], place)
    file.unlink(missing_ok=True)
    shutil.move(str(staged), file)
    server.store.adopt(request["target"], file)
