# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove the databases of a server, running or not, or one file: chains, tallies, attachments, known documents."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from dominolab import daos, nsf
from dominolab.errors import DominoError
from dominolab.places import Places

AT_REST = (nsf.CLOSED,)
ANY_OWN = (nsf.CLOSED, nsf.OPEN, nsf.BACKUP_MODE)


def _examined(file: Path, states: tuple[bytes, ...]) -> tuple[dict[str, Any], list[dict[str, Any]], list[str]]:
    state, header = nsf.read_header(file)
    notes, problems = nsf.read_notes(file)
    if state not in states:
        problems.insert(0, f"the file was not closed (state {state.decode()})")
    return {**header, "state": state.decode()}, notes, problems


def report(places: Places, known: list[str], *, running: dict[str, str] | None = None) -> dict[str, Any]:
    """Return what the databases hold and what is wrong; ``known`` documents (``PATH:ID:HASH``) have to be there.

    running: what the server that asks could not open, and why.
    """
    problems = [f"{path}: {reason}" for path, reason in (running or {}).items()]
    databases: dict[str, Any] = {}
    for path, file in sorted(nsf.located(places.data).items()):
        if path in (running or {}):
            continue
        try:
            header, notes, wrong = _examined(file, AT_REST if running is None else ANY_OWN)
        except (DominoError, OSError) as error:
            problems.append(f"{path}: {error}")
            continue
        problems += [f"{path}: {problem}" for problem in [*wrong, *_attachment_problems(places, notes)]]
        databases[path] = _summary(header, notes)
    problems += known_problems(places, known)
    content = sorted((path, entry["last_hash"]) for path, entry in databases.items())
    return {
        "ok": not problems,
        "problems": problems,
        "databases": databases,
        "content_sha256": hashlib.sha256(repr(content).encode()).hexdigest(),
    }


def _summary(header: dict[str, Any], notes: list[dict[str, Any]]) -> dict[str, Any]:
    last = notes[-1] if notes else {"id": 0, "hash": nsf.GENESIS, "time": ""}
    kept = {key: header[key] for key in ("dbiid", "replica", "replicate", "log_id", "state", "tied")}
    return {**kept, "documents": len(notes), "last_hash": last["hash"], "last_time": last["time"]}


def _attachment_problems(places: Places, notes: list[dict[str, Any]]) -> list[str]:
    problems = []
    for note in notes:
        try:
            if note.get("nlo"):
                daos.read(places, note["nlo"])
        except DominoError as error:
            problems.append(f"document {note['id']}: {error}")
    return problems[:5]


def known_problems(places: Places, known: list[str]) -> list[str]:
    """Return which documents ``PATH:ID:HASH`` are missing."""
    problems = []
    files = nsf.located(places.data)
    for text in known:
        path, number, digest = text.rsplit(":", 2)
        notes = nsf.read_notes(files[path])[0] if path in files else []
        if len(notes) < int(number) or notes[int(number) - 1]["hash"] != digest:
            problems.append(f"{path}: document {number} with the hash {digest[:12]} is not there")
    return problems


def confirmed(log: Path) -> list[str]:
    """Return the newest confirmed document of each database from the writer's log."""
    newest: dict[str, str] = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        words = line.split(" ", 4)
        if len(words) == 5:
            newest[words[4]] = f"{words[4]}:{words[2]}:{words[3]}"
    return list(newest.values())
