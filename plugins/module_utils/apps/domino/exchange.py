# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore in place: single files that lie in no folder of the set, and the proof of the server that was started on it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List

from ...errors import ApplicationDown, CommandFailed, IntegrityError, Refused
from ...process import last_line, spell_status
from . import console, server
from .capture import server_of

if TYPE_CHECKING:
    from ...worker.job import Job


def exchange_files(job: Job, arguments: Dict[str, Any]) -> None:
    """Move NOTES.INI, ID files and linked databases that lie in no folder of the set aside, and put those of the set there.

    Folders that are gone are made again, as they were.

    ``arguments``: keep_aside. Before the folders are exchanged: their journals come after this one.
    """
    from ...worker import exchange

    files = [(Path(source), Path(target)) for source, target in job.seen["domino"]["files"]]
    exchange.begin(job)
    _make_places(job, [item["folder"] for item in job.specification["facts"]["exchanged"]])
    if not files:
        return
    exchange.set_aside(job, "the server's single files", [str(pair[1]) for pair in files])
    for source, target in files:
        try:
            _bring(source, target)
        except OSError as error:
            raise CommandFailed(f"{target} cannot be written from {source}: {error.strerror}", "look at both places") from error
    exchange.finish(job, bool(arguments.get("keep_aside", True)))


def _make_places(job: Job, exchanged: List[str]) -> None:
    """Make the folders again that the saved server had and this host has not: nobody knows them after a total loss."""
    landed = job.seen["domino"]["landed"]
    for place, saved in sorted(landed.source["places"].items()):
        folder = Path(place)
        if place in exchanged or folder.exists():
            continue
        try:
            for above in reversed([folder, *folder.parents]):
                if not above.exists():
                    job.folder.note_made("parent", str(above))
                    above.mkdir(mode=0o755)
            landed.make_like(folder, saved)
        except OSError as error:
            raise CommandFailed(f"{folder} cannot be made again: {error.strerror}", "make it, then run again") from error
        job.seen["checks"].append({"name": "folder made again", "status": "ok", "detail": place})


def _bring(source: Path, target: Path) -> None:
    """Copy a landed file to a place that is free, with its owner and mode. Raise Refused when something is there again."""
    status = source.lstat()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        descriptor = os.open(str(target), flags, 0o600)
    except FileExistsError as error:
        raise Refused(f"{target} is there again after it was set aside", "stop what makes it, then put back") from error
    with source.open("rb") as reader, os.fdopen(descriptor, "wb") as writer:
        for block in iter(lambda: reader.read(1 << 20), b""):
            writer.write(block)
        writer.flush()
        os.fchown(writer.fileno(), status.st_uid, status.st_gid)
        os.fchmod(writer.fileno(), status.st_mode & 0o7777)
        os.fsync(writer.fileno())


def mark_console(job: Job, arguments: Dict[str, Any]) -> None:
    """Note where the console's file ends before the restored server is started: what it says of itself comes after."""
    job.seen["domino"]["mark"] = server.mark(server_of(job))


def check_restored(job: Job, arguments: Dict[str, Any]) -> None:
    """Prove the restored server: recovery is complete, no database is damaged, it keeps running, its own check succeeds.

    ``arguments``: seconds (for recovery), settle (seconds), check (command line, may be empty). Raise ApplicationDown or
    IntegrityError.
    """
    host, place = server_of(job), job.seen["domino"]["mark"]
    words, logged = host.words, job.specification["facts"]["source"]["style"] != "none"
    deadline = time.monotonic() + float(arguments["seconds"])
    while logged and not console.said(server.since(host, place), words["recovered"]):
        if time.monotonic() > deadline or not _runs(host):
            said = last_line(server.since(host, place))
            raise ApplicationDown(f"the restored server did not complete its recovery: {said}", "look at its console")
        time.sleep(0.5)
    end = time.monotonic() + float(arguments["settle"])
    while True:
        if not _runs(host):
            said = last_line(server.since(host, place))
            raise ApplicationDown(f"the server started on the restored data and ended again: {said}", "look at its console")
        if time.monotonic() >= end:
            break
        time.sleep(0.5)
    said = server.since(host, place)
    damaged = console.said(said, words["damaged"])
    if damaged:
        raise IntegrityError(f"the restored server says: {damaged[0]}", "look at its console")
    _note(job, host, console.said(said, words["recovered"]), console.assigned(said, words))
    _own_check(job, host, list(arguments.get("check") or []))


def _runs(host: server.Server) -> bool:
    try:
        return server.runs(host)
    except CommandFailed:
        return False


def _note(job: Job, host: server.Server, recovered: List[str], renewed: List[str]) -> None:
    detail = recovered[-1].partition("Recovery Manager: ")[2] if recovered else "no transaction log was used"
    job.seen["checks"].append({"name": "server", "status": "ok", "detail": f"runs; {detail}"})
    detail = f"{len(renewed)} databases have new DBIIDs: nothing made before leads on; the next backup is a full one"
    job.seen["checks"].append({"name": "new backup needed", "status": "ok", "detail": detail})


def _own_check(job: Job, host: server.Server, argv: List[str]) -> None:
    if not argv:
        return
    done = server.call(host, argv, 3600)
    if done.status != 0:
        said = last_line(done.stderr or done.stdout)
        raise IntegrityError(f"the server's own check {argv[0]} {spell_status(done.status)}: {said}")
    job.seen["checks"].append({"name": "own check", "status": "ok", "detail": f"{argv[0]} found it in order"})
