# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups by the server's own task: databases, the files that it leaves out, NOTES.INI and ID files, log extents (DOM-1).

The task writes into the backup target of its own configuration; what is captured is read from there and stays there until the
server's own retention removes it. So extents that a run marked as archived and never stored are found by the next one.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Set, Tuple

from ... import pinned
from ...errors import BackstayError, CaptureFailed
from ...files import private_directory, write_json
from ...moment import format_moment, now
from ...process import acting_as
from ...worker.newest import FULL_IS_NEXT, mark_broken, newest_of
from . import console, extents, places, server, tasks
from .gathering import Wanted, gather
from .inventory import Entry
from .logs import (
    Changed,
    Copies,
    Run,
    Shelf,
    Taken,
    changed_databases,
    covered_by,
    holds_back,
    in_order,
    of_present_log,
    shelf_of,
    take_extents,
    unsaved,
)

if TYPE_CHECKING:
    from ...worker.job import Job


def consumes(kind: str) -> bool:
    """Return whether a capture of ``kind`` changes what its source offers next: both mark extents as archived."""
    return kind in ("full", "log")


def server_of(job: Job) -> server.Server:
    """Return the server of the job."""
    return server.server_from(job.specification["facts"]["server"])


def begin(job: Job, arguments: Dict[str, Any]) -> None:
    """Look again at what the set continues: salvage may have come between. Raise CaptureFailed where a log set cannot."""
    facts, host, newest = job.specification["facts"], server_of(job), newest_of(job)
    seen = job.seen["domino"] = {"trees": {}, "mark": server.mark(host), "reason": "", "link": None}
    if facts["method"] == "offline" or facts["style"] != "archive":
        return
    state = log_state(host, facts["log"], shelf_of(server.entries(host)))
    found, reason = extents.link(newest, state)
    if job.specification["kind"] == "log" and found is None:
        raise CaptureFailed(f"no log backup is possible: {reason}", FULL_IS_NEXT)
    seen.update(link=found, reason=reason if newest else "", newest=newest)


def log_state(host: server.Server, folder: str, shelf: Shelf) -> extents.State:
    """Return what is there of the transaction log."""
    return extents.State(live_numbers(host, folder), sorted(shelf.files), shelf.log_id)


def live_numbers(host: server.Server, folder: str) -> List[int]:
    """Return the numbers of the extents in the log directory."""
    with acting_as(host.account):
        return extents.numbers_in(os.listdir(folder)) if Path(folder).is_dir() else []


def active_extent(job: Job) -> int:
    """Return the number of the extent that is being written, 0 where there is none."""
    facts = job.specification["facts"]
    return (live_numbers(server_of(job), facts["log"]) or [0])[-1] if facts["log"] else 0


def back_up_databases(job: Job, arguments: Dict[str, Any]) -> None:
    """Have the server back up all its databases, and hold what it says against the data directory (DOM-2).

    ``arguments``: exclude. Raise CaptureFailed for a database that is on disk and in no backup.
    """
    host, exclude = server_of(job), list(arguments.get("exclude") or [])
    found, before = places.scan(Path(host.data), job.specification["facts"]["apart"]), active_extent(job)
    result = tasks.back_up(host, "-b", found.databases, exclude)
    saved = {entry.database for entry in result.entries}
    wanted = [path for path in found.databases if not places.left_out(path, exclude)]
    missing = [path for path in wanted if path not in saved and os.path.lexists(found.databases[path])]
    if missing or result.root is None:
        raise CaptureFailed(
            f"{len(missing)} of {len(wanted)} databases are in no backup, the first is {(missing or ['?'])[0]}",
            "if the server excludes them on purpose, name them in app_domino_exclude",
        )
    seen = job.seen["domino"]
    seen["target"] = str(result.root.parents[2])  # TARGET/NODE/MODE/START, as the samples of HCL's providers have it
    # Retention of the server or somebody else may remove one until it is read.
    required = {entry.database: entry.bytes for entry in result.entries}
    seen["trees"]["databases"] = {"folder": str(result.root), "exclude": [], "required": required}
    seen["databases"] = {"count": len(saved), "start": result.start, "left_out": len(found.databases) - len(wanted)}
    seen.update(copies=[before, active_extent(job)], mark_end=server.mark(host))
    seen["dbiids"] = {entry.database: entry.reference for entry in result.entries}


def archive_argv(job: Job, arguments: Dict[str, Any]) -> List[str]:
    """Return the command line that archives a folder with its manifest; ``arguments``: artifact.

    The folder is held open: whoever owns what it lies in cannot put another one in its place meanwhile.
    """
    name = arguments["artifact"]
    wanted = job.seen["domino"]["trees"].get(name) or next(
        item for item in job.specification["facts"]["folders"] if item["artifact"] == name
    )
    folder = Path(wanted["folder"])
    try:
        descriptor = pinned.open_folder(folder)
    except OSError as error:
        raise CaptureFailed(f"{folder} cannot be read: {error.strerror}", "did somebody remove it?") from error
    job.cleanups.append(lambda: os.close(descriptor))
    from ...folders.walk import kept_at_top

    own = [os.fsdecode(item) for item in kept_at_top(folder)]
    tree = f"/proc/{os.getpid()}/fd/{descriptor}/."
    write_json(
        job.folder.path / f"archive-{name}.json",
        {
            "folder": str(folder),
            "tree": tree,
            "own": own,
            "exclude": wanted["exclude"],
            "snapshot": False,
            "required": wanted.get("required"),
        },
    )
    return [sys.executable, sys.argv[0], "archive", str(job.folder.path), name]


def gather_configuration(job: Job, arguments: Dict[str, Any]) -> None:
    """Copy NOTES.INI (DOM-3) and the ID files into folders of their own, which become artifacts of their own."""
    facts, host = job.specification["facts"], server_of(job)
    for artifact, files in (("ini", [facts["ini"]]), ("ids", facts["ids"])):
        place = private_directory(job.work / artifact)
        for number, file in enumerate(files):
            _copy_file(host.account, Path(file), private_directory(place / str(number)) / Path(file).name)
        job.seen["domino"]["trees"][artifact] = {"folder": str(place), "exclude": []}


def _copy_file(account: str, source: Path, target: Path) -> None:
    """Copy a file that ``account`` may read, with its owner, mode and times."""
    try:
        with acting_as(account):
            reader = source.open("rb")
        with reader, target.open("xb") as writer:
            shutil.copyfileobj(reader, writer)
            status = os.fstat(reader.fileno())
            os.fchown(writer.fileno(), status.st_uid, status.st_gid)
            os.fchmod(writer.fileno(), status.st_mode & 0o7777)
        os.utime(str(target), ns=(status.st_atime_ns, status.st_mtime_ns))
    except OSError as error:
        hint = "check app_domino_ini and app_domino_id_files"
        raise CaptureFailed(f"{source} cannot be read: {error.strerror}", hint) from error


def back_up_logs(job: Job, arguments: Dict[str, Any]) -> None:
    """Have the server back up its full extents, and find every extent that no set holds yet in the backup target."""
    facts, host, seen = job.specification["facts"], server_of(job), job.seen["domino"]
    live = live_numbers(host, facts["log"])
    ends = covered_by(Path(facts["log"]), live, host.account)
    result = tasks.back_up(host, "-t", {})
    listed = server.entries(host) if host.documents else result.entries
    active, made = live[-1] if live else 0, Run(result.start, result.entries)
    try:
        taken, log_id, first = _take(seen, listed, made, active)
    except BackstayError as error:
        if seen["link"] is None:
            raise
        mark_broken(job, error.message)
        if job.specification["kind"] == "log":
            raise
        seen.update(link=None, reason=error.message)  # a full set begins a history of its own
        taken, log_id, first = _take(seen, listed, made, active)
    known = [ends[number] for number in taken.files if number in ends]
    covered = max(known, default=_covered_before(job))
    seen.update(logs=taken, log_id=log_id, covered=covered, first=first, translog=result.start)
    earlier = [item["facts"].get("copies") for item in in_order(seen.get("newest"))]
    _hold_back(job, [seen["copies"]] if job.specification["kind"] == "full" else earlier)
    for number in taken.unlisted:
        detail = f"{extents.name_of(number)} lies in the backup target and in no inventory; the server died when it was saved"
        job.seen["checks"].append({"name": "extent without entry", "status": "warning", "detail": detail})


def _covered_before(job: Job) -> str:
    """Return up to when everything is covered without the extents of this set."""
    link = job.seen["domino"]["link"]
    return str(link.covered if link and job.specification["kind"] == "log" else job.seen["started_at"])


def _hold_back(job: Job, copies: List[Any]) -> None:
    """Promise nothing new where it is open if the extents of the set lead past ``copies``; see ``logs.holds_back``."""
    seen = job.seen["domino"]
    if any(holds_back(item, seen["logs"].next - 1) for item in copies):
        seen["covered"] = _covered_before(job)
        detail = f"everything before {seen['covered']} can be restored; the next full extent carries on"
        job.seen["checks"].append({"name": "extents that begin before a copy ended", "status": "warning", "detail": detail})


def _take(seen: Dict[str, Any], listed: List[Entry], made: Run, active: int) -> Tuple[Taken, str, int]:
    """Return the extents for the set, their LogID (empty where nothing tells), and the number of the first."""
    link = seen["link"]
    if link is None:
        first, log_id = seen["copies"][0], ""  # the first extent that a copy of this set may need
        shelf = of_present_log(listed, made, log_id, seen["databases"]["start"] or None)
    else:
        newest = seen["newest"].get("log") or seen["newest"]["data"]
        first, log_id = link.extent, link.log_id
        shelf = of_present_log(listed, made, log_id, newest["facts"].get("translog", ""))
    return take_extents(shelf, first, active, log_id), shelf.log_id or log_id, first


def back_up_changed(job: Job, arguments: Dict[str, Any]) -> None:
    """Have the server back up the databases that are new or have a new DBIID; ``arguments``: exclude.

    Taken is every copy in the backup target under a DBIID that the sets do not hold, whoever asked for it (``logs.Copies``).
    Raise CaptureFailed for a database that got a new DBIID, as the console says, and is in no backup since.
    """
    host, seen = server_of(job), job.seen["domino"]
    exclude, before = list(arguments.get("exclude") or []), active_extent(job)
    found = places.scan(Path(host.data), job.specification["facts"]["apart"])
    last = in_order(seen["newest"])[-1]["facts"]
    # Read before the task is told: of what the console says while it works, nobody knows if it came in time.
    marks = (last["mark"], last.get("mark_end") or last["mark"])
    renewed = [_assigned_since(host, mark, found.databases, exclude) for mark in marks]
    result = tasks.back_up(host, "-i", found.databases, exclude)
    listed = server.entries(host)
    good = {f"{log.mode}/{log.start}" for log in server.logs(host) if not log.errors}
    try:
        copies = Copies(listed, good, _continued(seen)["translog"])
        changed = changed_databases(copies, seen["newest"], found.databases, exclude)
        tasks.prove(changed.entries)
        _require_saved(unsaved(renewed[0], renewed[1], changed, listed, seen["newest"]))
    except BackstayError as error:
        mark_broken(job, error.message)
        raise
    foreign = any((entry.mode, entry.start) != ("INCR", result.start) for entry in changed.entries)
    seen["copies"] = [seen["first"] if foreign else before, active_extent(job)]
    seen.update(changed=changed, changed_until=format_moment(now()), mark_end=server.mark(host), gaps=[])
    _hold_back(job, [seen["copies"]])
    _note_gaps(job, changed)
    _note_others(job, changed)


def _continued(seen: Dict[str, Any]) -> Dict[str, Any]:
    """Return the facts of the set that is continued."""
    return dict(next(item["facts"] for item in in_order(seen["newest"]) if item["set"] == seen["link"].parent))


def _note_others(job: Job, changed: Changed) -> None:
    """Note which databases cannot be restored to every moment, although nothing is wrong with them."""
    seen, checks = job.seen["domino"], job.seen["checks"]
    fresh = [entry.database for entry in changed.entries if entry.database not in changed.renewed]
    if fresh:
        detail = f"{_named(fresh)}: no moment before {seen['changed_until']} has them"
        checks.append({"name": "new databases", "status": "ok", "detail": detail})
    if changed.unlogged:
        detail = f"{_named(changed.unlogged)}: the inventory says no DBIID, so only full sets hold what is in them"
        checks.append({"name": "databases without logs", "status": "warning", "detail": detail})


def _named(databases: List[str]) -> str:
    return ", ".join(databases[:5]) + (" and others" if len(databases) > 5 else "")


def _require_saved(lacking: List[str]) -> None:
    if lacking:
        said = f"the console says that {lacking[0]} got a new DBIID, and no backup of it followed"
        raise CaptureFailed(said, "run a full backup")


def _note_gaps(job: Job, changed: Changed) -> None:
    """Note the times that nothing leads to: those between a new DBIID and the copy that has it."""
    seen = job.seen["domino"]
    data, begin = seen["newest"]["data"], seen["link"].consistent_at
    if changed.in_full:  # the full set in between saved them; before it, nothing leads past the change
        _note_gap(job, changed.in_full, begin, data["consistent_at"])
    if changed.renewed:
        # The full set holds copies that were made at any time after its beginning.
        _note_gap(job, changed.renewed, max(begin, data["started_at"]), seen["changed_until"])


def _note_gap(job: Job, databases: List[str], begin: str, end: str) -> None:
    job.seen["domino"]["gaps"].append((begin, end))
    detail = f"{_named(databases)}: no moment between {begin} and {end} can be restored"
    job.seen["checks"].append({"name": "new DBIID", "status": "warning", "detail": detail})


def _assigned_since(host: server.Server, place: server.Mark, databases: Dict[str, str], exclude: List[str]) -> Set[str]:
    """Return the databases that got a new DBIID since a mark of the console, as far as its file still says so."""
    said = console.assigned(server.since(host, place), host.words)
    files = [places.real(file if file.startswith("/") else f"{host.data}/{file}") for file in said]
    # The server names a linked database by its logical place.
    logical = {f"{host.data}/{path}": path for path in databases}
    paths = {logical.get(file) or places.of_database(file, databases) for file in files}
    return {path for path in paths if path and not places.left_out(path, exclude)}


def arrange_logs(job: Job, arguments: Dict[str, Any]) -> None:
    """Bring everything that the artifact ``logs`` holds into one folder: extents, changed databases, new attachments."""
    facts, seen = job.specification["facts"], job.seen["domino"]
    taken: Taken = seen["logs"]
    wanted = [Wanted(f"extents/{extents.name_of(number)}", path, size) for number, (path, size) in sorted(taken.files.items())]
    index: Dict[str, Any] = {"log_id": seen["log_id"], "extents": sorted(taken.files), "databases": []}
    if job.specification["kind"] == "log":
        changed = seen["changed"].entries
        wanted += [Wanted(f"databases/{entry.database}", entry.file, entry.bytes) for entry in changed]
        index["databases"] = [{"path": entry.database, "reference": entry.reference} for entry in changed]
        index.update(changed_to=seen["copies"][1], changed_until=seen["changed_until"])
    newest, log_set = seen.get("newest") or {}, job.specification["kind"] == "log"
    since = (newest.get("log") or newest["data"])["started_at"] if log_set else ""
    place = gather(job, wanted, index, facts["daos"] if log_set else "", since)
    seen["trees"]["logs"] = {"folder": str(place), "exclude": []}


__all__: List[str] = [
    "archive_argv",
    "arrange_logs",
    "back_up_changed",
    "back_up_databases",
    "back_up_logs",
    "begin",
    "consumes",
    "gather_configuration",
]
