# SPDX-License-Identifier: GPL-3.0-or-later
"""Words of the console: what a task says of its end. Pure functions.

A console command has no result; a task says later what became of it, to the console and, in release 12 and later, in
documents. No source shows the words of the backup and restore tasks: PATTERNS are what the project's reference gives as an
illustration, and ``app_domino_patterns`` replaces them one by one. Those of the recovery manager, the provider's return and
the start script are as the sources have them. Console times are never read: their form depends on the server's locale.
"""

from __future__ import annotations

import re
from typing import Dict, List, NamedTuple

from ...errors import BadInput

PATTERNS: Dict[str, str] = {
    # The start script's words; its exit status is documented the other way round than it is coded.
    "running": r"Domino Server is running",
    "down": r"Domino Server is NOT running|Server is not running",
    "release": r"\(Release (?P<release>[0-9]+(?:\.[0-9]+)*)",
    # The backup task.
    "started": r"Backup: Started\b",
    "finished": r"Backup: Finished, (?P<count>[0-9]+) .*?, (?P<errors>[0-9]+) errors",
    "processed": r"Return: PROCESSED \((?P<file>.+)\)(?:\s+(?P<reference>\S+))?\s*$",
    "failed": r"Backup: ERROR|Return: ERROR",
    "absent": r"Unable to load (?:backup|restore)",
    "busy": r"Task '?(?:backup|restore)'? is already running",
    "in_backup": r"a backup of this database is in progress",
    # The restore task.
    "restored": r"Restore: Finished",
    "restore_failed": r"Restore: ERROR",
    # The recovery manager, and what damaged databases are told by.
    "new_dbiid": r"Recovery Manager: Assigning new DBIID for (?P<file>.+) \(need new backup for media recovery\)",
    "recovered": r"Recovery Manager: Restart Recovery complete",
    "damaged": r"PANIC|Document .* is damaged|Container integrity has been lost|Page format is incorrect|Invalid CNO vector",
}
_GROUPS = {"release": {"release"}, "finished": {"errors"}, "processed": {"file"}, "new_dbiid": {"file"}}


class Outcome(NamedTuple):
    """What the console says of a task. ``state``: silent, running, finished, failed, absent, busy; ``line``: its words."""

    state: str
    line: str


def patterns(own: Dict[str, str]) -> Dict[str, str]:
    """Return PATTERNS with the operator's ``own`` ones in their places. Raise BadInput for one that cannot be used."""
    unknown = sorted(set(own) - set(PATTERNS))
    if unknown:
        raise BadInput(f"app_domino_patterns knows no '{unknown[0]}'", f"patterns: {', '.join(PATTERNS)}")
    for name, text in own.items():
        try:
            groups = set(re.compile(text).groupindex)
        except (re.error, TypeError) as error:
            raise BadInput(f"app_domino_patterns: {name} is no regular expression: {error}") from error
        lacking = sorted(_GROUPS.get(name, set()) - groups)
        if lacking:
            raise BadInput(f"app_domino_patterns: {name} has no group '{lacking[0]}'", f"write (?P<{lacking[0]}>...)")
    return {**PATTERNS, **own}


def said(text: str, pattern: str) -> List[str]:
    """Return the lines of ``text`` in which ``pattern`` is found."""
    return [line.strip() for line in text.splitlines() if re.search(pattern, line)]


def judge_backup(text: str, words: Dict[str, str]) -> Outcome:
    """Return what the console said of a backup since it was asked for. An error wins over everything said beside it."""
    for state, name in (("absent", "absent"), ("busy", "busy"), ("failed", "in_backup"), ("failed", "failed")):
        found = said(text, words[name])
        if found:
            return Outcome(state, found[0])
    ends = [match for match in (re.search(words["finished"], line) for line in text.splitlines()) if match]
    if ends:
        groups = ends[-1].groupdict()
        line = ends[-1].string.strip()
        state = "finished" if int(groups["errors"]) == 0 else "failed"
        return Outcome(state, line)
    begun = said(text, words["started"])
    return Outcome("running", begun[0]) if begun else Outcome("silent", "")


def judge_restore(text: str, words: Dict[str, str]) -> Outcome:
    """Return what the console said of the restore task since it was asked for."""
    for state, name in (("absent", "absent"), ("busy", "busy"), ("failed", "restore_failed"), ("finished", "restored")):
        found = said(text, words[name])
        if found:
            return Outcome(state, found[0])
    return Outcome("silent", "")


def processed(text: str, words: Dict[str, str]) -> List[Dict[str, str]]:
    """Return ``{file, reference}`` of everything that the provider reported; ``reference`` is empty where it is not said."""
    found = []
    for line in text.splitlines():
        match = re.search(words["processed"], line)
        if match:
            found.append({"file": match["file"], "reference": match.groupdict().get("reference") or ""})
    return found


def assigned(text: str, words: Dict[str, str]) -> List[str]:
    """Return the files of the databases that got a new DBIID, each once, in the order of the console."""
    found = [match["file"].strip() for match in (re.search(words["new_dbiid"], line) for line in text.splitlines()) if match]
    return list(dict.fromkeys(found))


def release_of(text: str, words: Dict[str, str]) -> str:
    """Return the newest release that the console names, empty when it names none."""
    found = [match["release"] for match in (re.search(words["release"], line) for line in text.splitlines()) if match]
    return found[-1] if found else ""
