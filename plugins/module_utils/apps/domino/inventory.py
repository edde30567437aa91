# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents of ``dominobackup.nsf``: logs of backups and the inventory of what they wrote. Pure functions.

Inventory documents have a field ``List`` whose parts are separated by ``|`` (HCL's own prune agent reads it so). No source
shows which part is which, nor a command that prints documents: ``app_domino_documents`` is that command,
``app_domino_fields`` names forms, fields and parts.
"""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any, Dict, Iterable, List, NamedTuple, Optional

from ...errors import BadInput, CommandFailed

FIELDS: Dict[str, Any] = {
    "log": "Log",
    "inventory": "Inventory",
    "configuration": "Config",
    "mode": "mode",
    "start": "start",
    "errors": "errors",
    "count": "count",
    "target": "target",
    "list": "List",
    "parts": ["mode", "start", "database", "reference", "file", "bytes", "at"],
}
_NEEDED = ("mode", "start", "database", "reference", "file")


class Entry(NamedTuple):
    """One file of a backup. ``reference``: DBIID of a database, LogID of an extent; ``bytes``: -1 where nothing is said."""

    mode: str
    start: str
    database: str
    reference: str
    file: str
    bytes: int = -1


class Log(NamedTuple):
    """How a backup ended, as its log document says. ``files``: how many, -1 where nothing is said."""

    mode: str
    start: str
    files: int
    errors: List[str]


def fields(own: Dict[str, Any]) -> Dict[str, Any]:
    """Return FIELDS with the operator's ``own`` in their places. Raise BadInput for what is none of them."""
    unknown = sorted(set(own) - set(FIELDS))
    if unknown:
        raise BadInput(f"app_domino_fields knows no '{unknown[0]}'", f"fields: {', '.join(FIELDS)}")
    lacking = [name for name in _NEEDED if name not in own.get("parts", _NEEDED)]
    if lacking:
        raise BadInput(f"app_domino_fields: parts has no '{lacking[0]}'", f"it needs {', '.join(_NEEDED)}")
    return {**FIELDS, **own}


def parse(output: str) -> List[Dict[str, Any]]:
    """Return the documents in the output of the operator's command. Raise CommandFailed for a line that is none."""
    found = []
    for line in filter(str.strip, output.splitlines()):
        try:
            document = json.loads(line)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise CommandFailed(
                f"app_domino_documents printed no document but {line.strip()[:80]!r}", "it has to print one JSON object a line"
            )
        found.append(document)
    return found


def of_form(documents: Iterable[Dict[str, Any]], form: str) -> List[Dict[str, Any]]:
    """Return the documents of a form; those that do not say theirs were asked for by it."""
    return [document for document in documents if document.get("form", form) == form]


def logs(documents: Iterable[Dict[str, Any]], named: Dict[str, Any]) -> List[Log]:
    """Return the log documents, oldest first. ``errors`` may be a list of texts, a text or a number."""
    return [
        Log(
            str(item.get(named["mode"], "")),
            str(item.get(named["start"], "")),
            _number(item.get(named["count"])),
            _errors(item.get(named["errors"])),
        )
        for item in of_form(documents, named["log"])
    ]


def _errors(value: Any) -> List[str]:
    if isinstance(value, list):
        return [str(item) for item in value]
    text = "" if value is None else str(value).strip()
    if text in ("", "0"):
        return []
    return [f"{text} errors" if text.isdigit() else text]


def entries(documents: Iterable[Dict[str, Any]], named: Dict[str, Any]) -> List[Entry]:
    """Return the inventory, oldest first. Raise CommandFailed for an entry that has other parts than were named.

    A document may list the backups of one database only, so the order of documents tells nothing; STARTs are written so that
    their order as text is that of time.
    """
    found = []
    for document in of_form(documents, named["inventory"]):
        values = document.get(named["list"], "")
        for text in values if isinstance(values, list) else [values]:
            found.append(_entry(str(text), named["parts"]))
    return sorted(found, key=lambda entry: entry.start)


def _entry(text: str, parts: List[str]) -> Entry:
    values = text.split("|")
    if len(values) < len(parts):
        raise CommandFailed(
            f"the inventory of dominobackup.nsf has the entry {text[:80]!r}, which has no {len(parts)} parts",
            "say in app_domino_fields which part is which",
        )
    said = dict(zip(parts, values))
    kept = {name: said[name] for name in _NEEDED}
    return Entry(bytes=_number(said.get("bytes")), **kept)


def _number(value: Any) -> int:
    text = str(value)
    return int(text) if text.isdigit() else -1


def root_of(found: List[Entry]) -> Optional[PurePosixPath]:
    """Return the folder below which every file of a backup lies under the path of its database, None when there is none."""
    roots = set()
    for entry in found:
        file, parts = PurePosixPath(entry.file), PurePosixPath(entry.database).parts
        if not file.is_absolute() or file.parts[-len(parts) :] != parts or ".." in file.parts:
            return None
        roots.add(PurePosixPath(*file.parts[: -len(parts)]))
    return roots.pop() if len(roots) == 1 else None


def newest(found: Iterable[Entry], modes: Iterable[str]) -> Dict[str, Entry]:
    """Return the newest entry of each database (or extent) in backups of ``modes``."""
    wanted = tuple(modes)
    return {entry.database: entry for entry in found if entry.mode in wanted}
