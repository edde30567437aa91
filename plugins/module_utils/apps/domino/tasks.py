# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup task: ``load backup``, told over the console, judged from documents or the console's words, proved by its files.

Options as HCL's page on running backups lists them: ``-b`` databases, ``-t`` full extents, ``-i`` databases that are new or
have a new DBIID, ``-e`` exclude, ``-v`` more words.
"""

from __future__ import annotations

import re
import time
from pathlib import Path, PurePosixPath
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Set

from ...errors import BadInput, CaptureFailed, CommandFailed
from . import console, places, server
from .console import Outcome
from .inventory import Entry, Log, root_of
from .server import Server

MODES = {"-b": "FULL", "-i": "INCR", "-t": "TRANSLOG"}
_DOCUMENT_SECONDS = 30  # after the console's word, within which the log document has to be there
_FAILED_SECONDS = 15  # after an error, for the end of the task
_ASK_SECONDS = 10  # between two looks at the documents while the console says nothing of an end
_BUSY_PAUSE = 10.0
_PATTERN = re.compile(r"^[^\s\"';&|]+\Z")
_HINTS = {
    "absent": "this server has no backup task: it needs release 12; set app_domino_method: offline",
    "in_backup": "a database was left in backup mode: restart the server, then run again",
}


class Result(NamedTuple):
    """What a run of the backup task made. ``start``: its id, empty where only the console told; ``root``: the folder that
    holds its files, None when it made none."""

    mode: str
    start: str
    entries: List[Entry]
    root: Optional[PurePosixPath]


def command(option: str, exclude: Iterable[str], verbose: bool) -> str:
    """Return the console command. Raise BadInput for a pattern that would be more than one word there."""
    words = ["load", "backup", option, *(["-v"] if verbose else [])]
    for pattern in exclude:
        if not _PATTERN.match(pattern) or pattern.startswith("-"):
            raise BadInput(
                f"the pattern {pattern!r} of app_domino_exclude cannot be said to the console",
                "write it without spaces, quotes and semicolons; a * at its end is implied",
            )
        words += ["-e", pattern]
    return " ".join(words)


def back_up(host: Server, option: str, known: Dict[str, str], exclude: Iterable[str] = ()) -> Result:
    """Run the backup task and return what it made; ``known``: files of the databases by their paths.

    Raise CaptureFailed when it failed, did not say its end in time, or its files are not what it says.
    """
    mode, text = MODES[option], command(option, exclude, verbose=not host.documents)
    try:
        if not host.documents:
            said = _until_finished(host, text, None)
            result = _told_by_console(said, mode, known, host.words)
        else:
            log = _until_finished(host, text, mode)
            entries = [entry for entry in server.entries(host) if (entry.mode, entry.start) == (mode, log.start)]
            _require_count(log.files, entries, mode)
            result = Result(mode, log.start, entries, _root(entries, mode))
    except CommandFailed as error:
        raise CaptureFailed(f"{text}: {error.message}", error.hint) from error
    prove(result.entries)
    return result


def _until_finished(host: Server, text: str, mode: Optional[str]) -> Any:
    """Run a command until the task finished; return its new log document, or without ``mode`` what the console said.

    While another backup is at work it is told again and again: a worker that died leaves its task behind.
    """
    deadline = time.monotonic() + host.timeout
    while True:
        found = _once(host, text, mode)
        if not isinstance(found, Outcome):
            return found
        if time.monotonic() + _BUSY_PAUSE > deadline:
            raise CommandFailed(f"another backup is at work all the time: {found.line}", "see: show tasks")
        time.sleep(_BUSY_PAUSE)


def _once(host: Server, text: str, mode: Optional[str]) -> Any:
    """Run a command once; as ``_until_finished``, or the outcome of one that found another backup at work."""
    place, words = server.mark(host), host.words
    before = {log.start for log in server.logs(host) if log.mode == mode} if mode else set()
    asked = {"documents": 0.0, "finished": 0.0, "failed": 0.0}
    server.tell(host, text)

    def judge() -> Any:
        said, moment = server.since(host, place), time.monotonic()
        outcome = console.judge_backup(said, words)
        if outcome.state == "busy":
            return outcome
        if outcome.state in ("failed", "absent"):
            asked["failed"] = asked["failed"] or moment
            # The task goes on with other databases, if it had begun; the next one would find it at work.
            if outcome.state == "absent" or console.said(said, words["finished"]) or moment - asked["failed"] > _FAILED_SECONDS:
                raise CommandFailed(outcome.line, _hint(outcome, words))
            return None
        if mode is None:
            return said if outcome.state == "finished" else None
        return _new_log(host, mode, before, outcome, asked)

    return server.await_task(host, judge, f"'{text}'")


def _hint(outcome: Outcome, words: Dict[str, str]) -> str:
    if outcome.state == "absent":
        return _HINTS["absent"]
    return _HINTS["in_backup"] if console.said(outcome.line, words["in_backup"]) else "look at the console; nothing was stored"


def _new_log(host: Server, mode: str, before: Set[str], outcome: Outcome, asked: Dict[str, float]) -> Optional[Log]:
    """Return the log document that was not there before. Raise CommandFailed when it names errors or does not come."""
    moment = time.monotonic()
    if outcome.state != "finished" and moment - asked["documents"] < _ASK_SECONDS:
        return None
    asked["documents"] = moment
    fresh = [log for log in server.logs(host) if log.mode == mode and log.start not in before]
    if fresh:
        if fresh[-1].errors:
            raise CommandFailed(f"its log document says: {fresh[-1].errors[0]}", "look at dominobackup.nsf and the console")
        return fresh[-1]
    if outcome.state == "finished":
        asked["finished"] = asked["finished"] or moment
        if moment - asked["finished"] > _DOCUMENT_SECONDS:
            raise CommandFailed(
                f"the console says {outcome.line!r}, and dominobackup.nsf has no log document of it",
                "check app_domino_documents and app_domino_fields",
            )
    return None


def _told_by_console(said: str, mode: str, known: Dict[str, str], words: Dict[str, str]) -> Result:
    """Return what the provider's words say; which database a file is, is told by the longest path that is known."""
    found = [_entry_of(item["file"], item["reference"], mode, known) for item in console.processed(said, words)]
    return Result(mode, "", found, _root(found, mode))


def _entry_of(file: str, reference: str, mode: str, known: Dict[str, str]) -> Entry:
    parts = PurePosixPath(file).parts
    for first in range(1, len(parts)):
        path = "/".join(parts[first:])
        if path in known:
            return Entry(mode, "", path, reference, file)
    return Entry(mode, "", parts[-1], reference, file)


def _require_count(count: int, entries: List[Entry], mode: str) -> None:
    if count not in (-1, len(entries)):
        raise CommandFailed(
            f"its log document counts {count} files of {mode}, the inventory lists {len(entries)}", "nothing was stored"
        )


def _root(entries: List[Entry], mode: str) -> Optional[PurePosixPath]:
    root = root_of(entries)
    if entries and root is None:
        raise CommandFailed(
            f"the files of {mode} do not lie in one folder under the paths of their databases, the first is {entries[0].file}",
            "only the file provider's own layout can be backed up; check app_domino_fields",
        )
    return root


def prove(entries: Iterable[Entry]) -> None:
    """Raise CaptureFailed unless every file of a backup is there, with its bytes, and complete in itself."""
    for entry in entries:
        size = places.regular(Path(entry.file))
        if size < 0:
            raise CaptureFailed(
                f"the server says that it saved {entry.database}, and {entry.file} is not there",
                "nothing was stored; look at the backup target of the server",
            )
        if size == 0 or (entry.bytes >= 0 and size != entry.bytes):
            raise CaptureFailed(
                f"{entry.file} has {size} bytes, the inventory says {max(entry.bytes, 1)}",
                "it was cut off or changed; run again",
            )
        if places.regular(Path(entry.file + ".DELTA")) >= 0:
            raise CaptureFailed(
                f"the change information of {entry.database} lies beside its copy ({entry.file}.DELTA), so nothing but the"
                " server itself can restore it",
                "have the backup application apply it to the copies (file provider)",
            )
