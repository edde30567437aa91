# SPDX-License-Identifier: GPL-3.0-or-later
"""The history of a server: whether its binary logs still are those that a set of ours ends in.

Names and numbers repeat after a reset, a switch of servers or a restore, and a server id may be taken twice, so a position is
believed only when the log at that place shows the same GTIDs (and, where the closed file still is there, the same bytes).
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ...chain import continued
from ...errors import BackstayError
from .binlog import FIRST_EVENT, beginning_state, state_at
from .client import Options, query, variables
from .gtids import same_gtids

_NAME = re.compile(r"^(?P<base>.+)\.(?P<number>[0-9]{6,})$")
_FINGERPRINT_BYTES = 512


class Server(NamedTuple):
    """The binary logs of a running server: folder, identity, ``(name, size)`` of every file, the open one last."""

    folder: Path
    server_id: str
    files: List[Tuple[str, int]]


class Link(NamedTuple):
    """What a new set continues: the stream, the set before it, the first file that follows that set."""

    stream: str
    parent: str
    first_file: str


def read_server(options: Options) -> Server:
    """Return the binary logs of the server behind ``options``. Raise CommandFailed with the server's words."""
    found = variables(options, ["log_bin_basename", "server_id"])
    rows = query(options, "SHOW BINARY LOGS")
    return Server(Path(found["log_bin_basename"]).parent, found["server_id"], [(row[0], int(row[1])) for row in rows])


def number_of(name: str) -> int:
    """Return the number of a binary log file, -1 for a name that is none."""
    match = _NAME.match(name)
    return int(match.group("number")) if match else -1


def following(name: str) -> str:
    """Return the name of the file after ``name``."""
    match = _NAME.match(name)
    if not match:
        return ""
    digits = len(match.group("number"))
    return f"{match.group('base')}.{number_of(name) + 1:0{digits}d}"


def order(name: str, position: int) -> str:
    """Return a position as text whose order is the order of positions."""
    return f"{number_of(name):010d}:{position:012d}"


def fingerprint(path: Path) -> str:
    """Return a hash of the beginning and the end of a closed file: its times and its last events are in them."""
    with path.open("rb") as stream:
        head = stream.read(_FINGERPRINT_BYTES)
        stream.seek(max(path.stat().st_size - _FINGERPRINT_BYTES, 0))
        return hashlib.sha256(head + stream.read(_FINGERPRINT_BYTES)).hexdigest()


def broken_because(server: Server, place: Dict[str, Any]) -> str:
    """Return why the server's logs do not continue ``place``, the end of a set; empty when they do.

    ``place``: server_id, file, position, gtid; for the end of a log set also its ``fingerprint``.
    """
    if "file" not in place:
        return "the binary log was off"
    if place["server_id"] != server.server_id:
        return f"the server is another one (server_id {server.server_id} instead of {place['server_id']})"
    sizes = dict(server.files)
    if "fingerprint" not in place:
        return _broken_within(server, place, sizes)
    name = following(place["file"])
    if name not in sizes:
        return f"binary log {name} is gone from the server (purged, or the logs were reset)"
    if place["file"] in sizes:
        path = server.folder / place["file"]
        if sizes[place["file"]] != place["position"] or fingerprint(path) != place["fingerprint"]:
            return f"binary log {place['file']} is not the file that was backed up (logs reset, or server switched)"
    return _differs(name, beginning_state(server.folder / name), place)


def _broken_within(server: Server, place: Dict[str, Any], sizes: Dict[str, int]) -> str:
    """Return why the server's logs do not hold ``place``, a position within a file."""
    name = place["file"]
    if name not in sizes:
        return f"binary log {name} is gone from the server (purged, or the logs were reset)"
    if sizes[name] < place["position"]:
        return f"binary log {name} is shorter than it was (logs reset, or server switched)"
    return _differs(name, state_at(server.folder / name, place["position"]), place)


def _differs(name: str, found: Optional[str], place: Dict[str, Any]) -> str:
    if found is None or not same_gtids(found, place["gtid"]):
        return (
            f"binary log {name} shows GTID {found or '(none)'} where {place['gtid'] or '(none)'} is expected"
            " (the logs were reset, or the server switched)"
        )
    return ""


def link(newest: Optional[Dict[str, Any]], server: Server) -> Tuple[Optional[Link], str]:
    """Return what the next set of this server continues, or why it continues nothing; see ``chain.continued``."""

    def broken(position: Dict[str, Any]) -> str:
        try:
            return broken_because(server, _end(position))
        except (OSError, BackstayError) as error:
            return error.message if isinstance(error, BackstayError) else f"{error.filename}: {error.strerror}"

    item, reason = continued(newest, broken, "the newest full backup has no position in a binary log")
    if item is None:
        return None, reason
    place = _end(item["position"])
    first = following(place["file"]) if "fingerprint" in place else place["file"]
    return Link(item["stream"]["id"], item["set"], first), ""


def _end(position: Dict[str, Any]) -> Dict[str, Any]:
    """Return where the logs have to go on: where it is not exactly known, at the earliest."""
    return dict(position["not_after" if position["exact"] else "not_before"])


def beginning(name: str) -> str:
    """Return the position at which file ``name`` begins, as ordered text."""
    return order(name, FIRST_EVENT)
