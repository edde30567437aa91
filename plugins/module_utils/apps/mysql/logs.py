# SPDX-License-Identifier: GPL-3.0-or-later
"""Log backups: close the current binary log, prove every closed file since the newest set, take them byte for byte.

Procedure: docs/systems/mysql.md. The files are chosen after the newest receipt in the repository, never by what the server or
an earlier run remembers; each is checked event by event before it is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

from ...checks import history_checks
from ...errors import BadInput, CaptureFailed, IntegrityError
from ...moment import format_moment, now
from ...worker.newest import mark_broken, newest_of
from .binlog import FIRST_EVENT, scan, state_at
from .client import options_of, query
from .gtids import parse_gtid, parse_gtids
from .history import Link, Server, beginning, fingerprint, following, link, number_of, order, read_server

if TYPE_CHECKING:
    from ...worker.job import Job

_FULL_IS_NEXT = "the next log backup makes a full one; until then nothing after the newest set can be restored"


def rotate(job: Job, arguments: Dict[str, Any]) -> None:
    """Close the current binary log and choose the files to take; ``arguments``: socket, defaults_extra_file.

    Raise CaptureFailed when they do not continue the newest set, IntegrityError when one is damaged.
    """
    kept = newest_of(job)
    complete_until = format_moment(now())  # every commit before it lies in the files that are closed now
    query(arguments, "FLUSH BINARY LOGS")
    server = read_server(arguments)
    found, reason = link(kept, server)
    if found is None:
        raise CaptureFailed(f"no log backup is possible: {reason}", _FULL_IS_NEXT)
    job.begin_step("Check the binary logs", sum(size for _name, size in closed_since(server, found.first_file)))
    try:
        found, files, warning = collect(server, found, kept or {})
    except IntegrityError as error:
        mark_broken(job, error.message)
        raise IntegrityError(error.message, _FULL_IS_NEXT) from error
    job.seen["logs"] = {
        "link": found,
        "files": files,
        "folder": server.folder,
        "complete_until": complete_until,
        "warning": warning,
    }


def closed_since(server: Server, first: str) -> List[Tuple[str, int]]:
    """Return the closed files from ``first`` on; the last of the server is the open one."""
    return [(name, size) for name, size in server.files[:-1] if number_of(name) >= number_of(first)]


def collect(server: Server, found: Link, newest: Dict[str, Any]) -> Tuple[Link, List[Dict[str, Any]], str]:
    """Return the link, the facts of every file to take, and a warning about what cannot be taken (empty: nothing).

    A damaged file that lies wholly before the newest data set does not end the history: it goes on from that set, and the
    moments between stay out of reach.
    """
    try:
        return found, prove(server, found.first_file), ""
    except IntegrityError as error:
        data = newest.get("data") or {}
        other, _reason = link({"data": data}, server)
        if other is None or number_of(other.first_file) <= number_of(found.first_file):
            raise
        files = prove(server, other.first_file)
        return other, files, f"{error.message}; moments between the log set before it and set {data['set']} are lost"


def prove(server: Server, first: str) -> List[Dict[str, Any]]:
    """Return the facts of every closed file from ``first`` on. Raise IntegrityError when one is damaged or missing."""
    files: List[Dict[str, Any]] = []
    for name, size in closed_since(server, first):
        path = server.folder / name
        try:
            facts = scan(path)
        except FileNotFoundError as error:
            raise IntegrityError(f"binary log {name} vanished while it was read (purged?)") from error
        except OSError as error:
            raise IntegrityError(f"binary log {name} cannot be read: {error.strerror}") from error
        except BadInput as error:  # encrypted, or of another product: as good as damaged
            raise IntegrityError(error.message, error.hint) from error
        if facts["size"] != size:
            raise IntegrityError(f"binary log {name} has {facts['size']} bytes, the server says {size}")
        if files and (name != following(files[-1]["name"]) or facts["begin"] != files[-1]["end"]):
            raise IntegrityError(f"binary log {name} does not continue {files[-1]['name']}")
        files.append(dict(facts, fingerprint=fingerprint(path)))
    if not files:
        raise IntegrityError(f"the server has no closed binary log from {first} on")
    return files


def logs_argv(job: Job, arguments: Dict[str, Any]) -> List[str]:
    """Return the argv that writes the chosen files as one archive; tar itself fails when one is gone or changes."""
    logs = job.seen["logs"]
    names = [item["name"] for item in logs["files"]]
    return ["tar", "--create", "--file=-", f"--directory={logs['folder']}", "--owner=0", "--group=0", "--", *names]


_DOUBTS = (
    ("backwards", "clock", "the server's clock went back meanwhile; moments around it can only be restored by position"),
    (
        "disordered",
        "gtids",
        "sequence numbers do not rise within a domain; restore by moments, not by GTIDs",
    ),
    (
        "load_data",
        "load data",
        "LOAD DATA was logged as a statement and cannot be replayed; set binlog_format=ROW",
    ),
)


def seal_logs(job: Job) -> Dict[str, Any]:
    """Return what the receipt of a log set says."""
    facts, logs = job.specification["facts"], job.seen["logs"]
    first, last, joint = logs["files"][0], logs["files"][-1], logs["link"]
    checks = [{"name": "binary logs", "status": "ok", "detail": f"{len(logs['files'])} files, every checksum and GTID proved"}]
    if logs["warning"]:
        checks.append({"name": "gap", "status": "warning", "detail": logs["warning"]})
    for key, name, detail in _DOUBTS:
        if any(item[key] for item in logs["files"]):
            checks.append({"name": name, "status": "warning", "detail": detail})
    return {
        "position": {
            "not_before": _place(facts, first, first["begin"], FIRST_EVENT),
            "not_after": dict(_place(facts, last, last["end"], last["size"]), fingerprint=last["fingerprint"]),
            "exact": True,
        },
        "stream": {
            "id": joint.stream,
            "first": beginning(first["name"]),
            "last": beginning(following(last["name"])),
            "mark": last["end"],
        },
        "consistent_at": logs["complete_until"],
        "parent": joint.parent,
        "checks": checks,
        "tools": {"server": facts["version"]},
        "facts": {"product": facts["product"], "server_id": facts["server_id"], "files": logs["files"]},
    }


def _place(facts: Dict[str, Any], item: Dict[str, Any], gtid: str, position: int) -> Dict[str, Any]:
    return {"server_id": facts["server_id"], "file": item["name"], "position": position, "gtid": gtid}


def warn_of_history(facts: Dict[str, Any], sealed: Dict[str, Any], reason: str) -> None:
    """Add to a sealed data set why it is a full one, or why its history is a new one (empty: it is not)."""
    lost = "a new history begins: {}; moments between the newest log set and this set cannot be restored"
    sealed["checks"] += history_checks(facts.get("because", ""), reason, lost)


def next_stream(job: Job, place: Dict[str, Any]) -> Tuple[Optional[Dict[str, Any]], str]:
    """Return the stream of a data set at ``place``, and why it does not continue that of the newest set (empty: it does, or
    there is none). No stream where the log shows no transaction boundary at ``place``. ``place`` gets the GTIDs of the log:
    the tool notes those of replication as well.
    """
    server, newest = read_server(options_of(job)), newest_of(job)
    shown = state_at(server.folder / place["file"], place["position"])
    if shown is None:
        return None, f"binary log {place['file']} shows no boundary at {place['position']}"
    place["gtid"] = shown
    joint, reason = link(newest, server)
    at = order(place["file"], place["position"])
    stream = {"id": joint.stream if joint else job.specification["set"], "first": at, "last": at, "mark": shown}
    return stream, reason if newest else ""


def covers(position: str, summary: Dict[str, Any]) -> bool:
    """Return whether a set ends at or after ``position``: ``gtid:0-7-26`` or ``mysqld-bin.000007:1234``."""
    kind, value = parse_position(position)
    if kind == "gtid":
        return parse_gtids(summary.get("mark", "")).passed(value)
    return bool(summary.get("last", "") >= order(*value))


def parse_position(position: str) -> Tuple[str, Any]:
    """Return ``("gtid", Gtid)`` or ``("file", (name, position))``. Raise BadInput for anything else."""
    if position.startswith("gtid:"):
        return "gtid", parse_gtid(position[len("gtid:") :])
    name, _colon, number = position.rpartition(":")
    if number_of(name) >= 0 and number.isdigit():
        return "file", (name, int(number))
    raise BadInput(f"'{position}' is no position of a server", "write gtid:0-7-26, gtid:UUID:26 or mysqld-bin.000007:1234")
