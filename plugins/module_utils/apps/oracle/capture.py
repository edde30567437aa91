# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups: RMAN writes pieces into staging, step by step; the dictionary and the files have to agree before a set is sealed.

Order of a full set (ORA-1, and recoverability): data files, a control file, archived logs, parameter file, and the current
control file last, so that its records describe every piece.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from ...checks import history_checks
from ...errors import BackstayError, CaptureFailed
from ...moment import format_moment, now
from ...receipt import carried_chain
from ...worker.newest import FULL_IS_NEXT, mark_broken, newest_of
from . import cmdfile, dictionary
from .client import Instance, ask, rman, sqlplus
from .dictionary import Log
from .history import Link, begin_of, end_of, first_to_take, foreign_base, link, mark, order, reach_back, stretch
from .places import parameter_file_of
from .text import quoted, tag_of

if TYPE_CHECKING:
    from ...worker.job import Job

DIRECTORY = "pieces"  # below the staging folder of the set; the server's account owns it while RMAN writes
PARAMETERS = "init.ora"
TRACE = "control.sql"
PASSWORDS = "orapw"
_LOST_LOGS = ("RMAN-06059", "ORA-19625")


def consumes(kind: str) -> bool:
    """Return whether a capture of ``kind`` changes what its source offers next.

    Every kind does: RMAN's repository counts a set as made, whether it arrived or not. The next level 1 backup builds on it,
    and the recovery area may drop logs that it holds.
    """
    return kind in ("full", "incremental", "log")


def server_of(job: Job) -> Instance:
    """Return the instance that preflight found, reached as this job reaches its host."""
    return Instance(**job.specification["facts"]["instance"], executor=job.executor)


def folder_of(job: Job) -> Path:
    """Return the folder of the set that the worker collects; see ``target_of``."""
    from ...worker.collect import folder_of_set

    return folder_of_set(job, DIRECTORY)


def target_of(job: Job) -> Path:
    """Return the folder that the server writes to, as its host names it."""
    return job.executor.staging(folder_of(job))


def begin(job: Job, arguments: Dict[str, Any]) -> None:
    """Open the folder in staging for the server and look again at what the set continues: salvage may have come between.

    Raise CaptureFailed when a log or incremental backup cannot continue the newest set any more.
    """
    from ...worker.collect import open_folder

    server, kind = server_of(job), job.specification["kind"]
    open_folder(job, DIRECTORY, server.account)
    state = dictionary.read_state(server)
    newest = newest_of(job)
    found, reason = link(newest, state)
    if kind == "incremental" and found:
        reason = foreign_base((newest or {})["data"], dictionary.bases(server, 0 if arguments.get("cumulative") else 1))
        if not reason and (newest or {})["data"]["set"] != job.specification["facts"]["parent"]:
            reason = "another data set was made since this backup was planned"
    if kind != "full" and (reason or found is None):
        raise CaptureFailed(f"no {kind} backup is possible: {reason}", FULL_IS_NEXT)
    first = found.first if kind == "log" and found else first_to_take(state, found)
    job.seen["oracle"] = {
        "tag": tag_of(job.specification["set"]),
        "state": state,
        "link": found,
        "reason": reason if newest else "",
        "parent": (newest or {}).get("data"),
        "first": first,
        "scn": state.database["scn"],
        "writable": {row[0] for row in ask(server, {"writable": dictionary.WRITABLE})["writable"]},
    }


def back_up_data(job: Job, arguments: Dict[str, Any]) -> None:
    """Back up all data files. ``arguments``: level, cumulative, channels, section_size, check_logical."""
    seen, folder = job.seen["oracle"], target_of(job)
    rman(job, server_of(job), "data", cmdfile.data_files(str(folder), seen["tag"], arguments), folder)
    found = ask(server_of(job), {"database": dictionary.DATABASE, "writable": dictionary.WRITABLE})
    seen["scn"] = dictionary.database_row(found["database"])["scn"]  # the files are consistent once redo up to here is applied
    seen["writable"] |= {row[0] for row in found["writable"]}
    files = dictionary.written(server_of(job), str(folder))["files"]
    seen["oldest"] = min([item["scn"] for file, item in files.items() if file in seen["writable"]] or [seen["scn"]])
    seen["first"] = reach_back(seen["state"], seen["first"], seen["oldest"])


def back_up_control_file(job: Job, arguments: Dict[str, Any]) -> None:
    """Back up the control file; ``arguments``: name (``control``, ``current``)."""
    seen, folder, name = job.seen["oracle"], target_of(job), str(arguments["name"])
    rman(job, server_of(job), name, cmdfile.control_file(str(folder), seen["tag"], name), folder)


def back_up_logs(job: Job, arguments: Dict[str, Any]) -> None:
    """Archive the current log of every thread, then back up every log that the set needs; ``arguments``: channels.

    A log that is gone from the disk breaks the history: remembered, so that the next backup is a full one.
    """
    seen, folder, server = job.seen["oracle"], target_of(job), server_of(job)
    # Every commit before it, by the worker's clock and by the host's, is in the logs that are closed now.
    seen["complete_until"] = format_moment(min(now(), _begun_second(job)))
    sqlplus(server, "ALTER SYSTEM ARCHIVE LOG CURRENT;")
    commands = cmdfile.archived_logs(str(folder), seen["tag"], seen["first"], int(arguments.get("channels", 1)))
    try:
        rman(job, server, "logs", commands, folder)
    except BackstayError as error:
        if any(code in error.message for code in _LOST_LOGS):
            mark_broken(job, error.message)
        raise


def back_up_parameters(job: Job, arguments: Dict[str, Any]) -> None:
    """Back up the parameter file (ORA-5), as text and, where there is one, the server's own; and the password file.

    ``arguments``: password_file. Neither text nor password file is in any piece of RMAN.
    """
    seen, folder, server = job.seen["oracle"], target_of(job), server_of(job)
    trace = f"ALTER DATABASE BACKUP CONTROLFILE TO TRACE AS {quoted(str(folder / TRACE))} REUSE;"
    if job.specification["facts"]["server_parameter_file"]:
        rman(job, server, "spfile", cmdfile.server_parameters(str(folder), seen["tag"]), folder)
        sqlplus(server, f"CREATE PFILE = {quoted(str(folder / PARAMETERS))} FROM SPFILE;\n{trace}")
    else:
        _copy(server, parameter_file_of(server), folder / PARAMETERS)
        sqlplus(server, trace)
    passwords = Path(arguments.get("password_file") or f"{server.home}/dbs/orapw{server.sid}")
    if server.executor.exists(passwords) and server.executor.size(passwords) > 0:
        _copy(server, passwords, folder / PASSWORDS)


def _copy(server: Instance, source: Path, target: Path) -> None:
    """Copy a file of the server by the rights of its account: it owns both places, and may not lead root elsewhere."""
    server.executor.require(["cp", "--", str(source), str(target)], 60, account=server.account)


def seal(job: Job) -> Dict[str, Any]:
    """Return what the receipt says of the set that was just captured. Raise CaptureFailed where its proof fails."""
    folder, server = folder_of(job), server_of(job)
    found = dictionary.written(server, str(target_of(job)))
    account_for(job.seen["artifacts"], folder, {str(folder / Path(path).name): size for path, size in found["pieces"].items()})
    facts, kind = job.specification["facts"], job.specification["kind"]
    try:
        ends = _unbroken_ends(found["logs"], job.seen["oracle"]["first"], exact=kind == "log")
    except BackstayError as error:
        if kind == "log":  # it would fail again and again; a data set looks for its logs anew
            mark_broken(job, error.message)
        raise
    state = dictionary.read_state(server)
    if (state.database["dbid"], state.database["resetlogs"]) != (facts["dbid"], facts["resetlogs"]):
        raise CaptureFailed("the database was exchanged or opened with RESETLOGS during the backup", "run again")
    sealed = _seal_logs(job, ends) if kind == "log" else _seal_data(job, found, ends)
    return dict(sealed, tools={"server": facts["version"]})


def _unbroken_ends(logs: List[Log], first: Dict[str, int], exact: bool) -> Dict[str, Dict[str, Log]]:
    """Return the first and the last of the ``logs`` in a set for each thread. Raise BackstayError when a log is missing.

    ``first``: the log from which on each thread was taken; ``exact``: the set has to begin with it.
    """
    ends = stretch(logs)
    if set(ends) != set(first):
        raise CaptureFailed("the archived logs of a thread are missing in the set")
    for thread, sequence in first.items():
        if exact and ends[thread]["first"].sequence != sequence:
            raise CaptureFailed(f"log {sequence} of thread {thread} is missing in the set", FULL_IS_NEXT)
    return ends


def account_for(artifacts: List[Dict[str, Any]], folder: Path, pieces: Dict[str, int]) -> None:
    """Raise CaptureFailed unless the files in ``folder`` are those that RMAN's repository lists, with their bytes, and text."""
    staged = {item["path"]: item["bytes"] for item in artifacts if Path(item["path"]).parent == folder}
    texts = {str(folder / name) for name in (PARAMETERS, TRACE, PASSWORDS)}
    lacking = sorted(path for path in pieces if path not in staged)
    if lacking:
        raise CaptureFailed(f"RMAN wrote {lacking[0]}, which is not there", "somebody removed or renamed it; run again")
    strange = sorted(path for path in staged if path not in pieces and path not in texts)
    if strange:
        raise CaptureFailed(f"{strange[0]} was not written by this backup", "nobody else may write into staging; run again")
    for path, size in sorted(pieces.items()):
        # The view counts whole blocks, the file may have one more for its header.
        if staged[path] < size:
            raise CaptureFailed(f"{path} has {staged[path]} bytes, RMAN wrote {size}", "it was cut off; run again")


def _seal_logs(job: Job, ends: Dict[str, Any]) -> Dict[str, Any]:
    facts, seen = job.specification["facts"], job.seen["oracle"]
    joint: Link = seen["link"]
    place = end_of(facts, ends)
    begin = begin_of(facts, ends)
    count = sum(item["last"].sequence - item["first"].sequence + 1 for item in ends.values())
    detail = f"{count} logs, SCN {begin['scn']} to {place['scn']}, without a gap"
    return {
        "position": {"not_before": begin, "not_after": place, "exact": True},
        "stream": {"id": joint.stream, "first": order(begin["scn"]), "last": order(place["scn"]), "mark": mark(place)},
        "consistent_at": seen["complete_until"],
        "parent": joint.parent,
        "checks": [*job.seen["checks"], {"name": "archived logs", "status": "ok", "detail": detail}],
        "facts": {key: facts[key] for key in ("dbid", "name", "resetlogs")},
    }


def _begun_second(job: Job) -> datetime:
    """Return the time of the database's host; another machine than the worker tells the second that has begun there."""
    return datetime.fromtimestamp(job.executor.clock(), timezone.utc)


def _no_commit_after(job: Job) -> datetime:
    """Return a moment that every commit until now is before, by the worker's clock and by that of the database's host."""
    return max(now(), _begun_second(job) + timedelta(seconds=1 if job.executor.remote else 0))


def _seal_data(job: Job, found: Dict[str, Any], ends: Dict[str, Any]) -> Dict[str, Any]:
    """Return what the receipt of a data set says: all files are in it, and the redo that makes them consistent."""
    facts, seen, kind = job.specification["facts"], job.seen["oracle"], job.specification["kind"]
    _require_all_files(server_of(job), found["files"], kind)
    place = end_of(facts, ends)
    oldest, begin = seen["oldest"], begin_of(facts, ends)
    if place["scn"] < seen["scn"] or begin["scn"] > oldest:
        raise CaptureFailed(
            f"the logs in the set reach from SCN {begin['scn']} to {place['scn']}, its data files need {oldest}"
            f" to {seen['scn']}",
            "run again",
        )
    joint: Optional[Link] = seen["link"]
    stream = joint.stream if joint else job.specification["set"]
    checks = [*job.seen["checks"], {"name": "data files", "status": "ok", "detail": f"{len(found['files'])} files"}]
    lost = "a new history begins: {}; moments after the newest log set and before this set cannot be restored"
    checks += history_checks(facts.get("because", ""), "" if joint else seen["reason"], lost)
    kept = ("dbid", "name", "unique_name", "cdb", "resetlogs", "version", "data_bytes", "places", "server_parameter_file")
    more = ("parameters", "pluggable", "keystore", "zone")
    sealed = {
        "position": {"not_before": begin, "not_after": place, "exact": True},
        "stream": {"id": stream, "first": order(place["scn"]), "last": order(place["scn"]), "mark": mark(place)},
        "consistent_at": format_moment(_no_commit_after(job)),
        "checks": checks,
        "facts": {
            **{key: facts[key] for key in (*kept, *more)},
            "host": job.specification["source"],
            "sid": server_of(job).sid,
            "redo_from": begin["scn"],
            "files": {file: item["scn"] for file, item in found["files"].items()},
        },
    }
    return dict(sealed, **_after_parent(job, found["files"], place)) if kind == "incremental" else sealed


def _require_all_files(server: Instance, files: Dict[str, Dict[str, Any]], kind: str) -> None:
    """Raise CaptureFailed unless every data file of the database is in the set (ORA-2), with the level of its kind."""
    wanted = [row[0] for row in ask(server, {"files": dictionary.DATA_FILES})["files"]]
    missing = [file for file in wanted if file not in files]
    if missing or not files:
        raise CaptureFailed(f"data files {', '.join(missing) or 'of the database'} are not in the set", "run again")
    level = "0" if kind == "full" else "1"
    other = sorted((file for file, item in files.items() if item["level"] != level), key=int)
    if other and kind == "full":
        raise CaptureFailed(f"RMAN backed file {other[0]} up with level {files[other[0]]['level']} instead of {level}")


def _after_parent(job: Job, files: Dict[str, Dict[str, Any]], place: Dict[str, Any]) -> Dict[str, Any]:
    """Return parent, chain and position of a level 1 set. Raise CaptureFailed unless it builds on the newest data set.

    RMAN chooses the base by its own records, so what it chose is read back: the SCN since which changes are in the set.
    """
    parent = job.seen["oracle"]["parent"]
    ours = parent["facts"]["files"]
    for file, item in sorted(files.items()):
        if file in ours and item["from"] > ours[file]:
            raise CaptureFailed(
                f"RMAN took the changes of file {file} since SCN {item['from']}, set {parent['set']} has it at {ours[file]}",
                "another backup came in between; the next one is a full one",
            )
    position = {"not_before": parent["position"]["not_after"], "not_after": place, "exact": True}
    return {"parent": parent["set"], "chain": carried_chain(parent), "position": position}
