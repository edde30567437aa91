# SPDX-License-Identifier: GPL-3.0-or-later
"""Read binary log files of both products: checksums, transactions, GTIDs, times. Pure: a file in, facts out.

The vendor's tool notices a damaged event only when told to and stops at whole seconds in the time zone of its process, so the
positions at which a replay begins and ends are found here, and the tool is then given positions only. Format: MariaDB
knowledge base, "Binary log event" pages (event header, FORMAT_DESCRIPTION), the same in MySQL; GTIDs: see ``gtids``.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional

from ...errors import BadInput, IntegrityError
from .gtids import MARIADB_WORDS, Gtid, Gtids, Words, parse_gtids, spell_gtid, words_of

MAGIC = b"\xfebin"
FIRST_EVENT = len(MAGIC)
_HEADER = struct.Struct("<IBIIIH")  # timestamp, type, server id, size, end position, flags
_ROTATE, _STOP, _FORMAT = 4, 3, 15
_LOAD_QUERIES = (17, 18)  # LOAD DATA logged as a statement: its file lies in pieces in the log
_IN_USE = 0x1  # a file that was open when its server died keeps this flag; its checksum is made without it
_CHECKSUM_CRC32 = 1
_CHECKSUM_BYTES = 4


class Event(NamedTuple):
    """One event. ``begin`` and ``end`` are positions in the file, ``at`` is in seconds since 1970 (UTC)."""

    kind: int
    begin: int
    end: int
    at: int
    server: int
    flags: int
    body: bytes


class Group(NamedTuple):
    """One transaction or statement, as it is replayed whole: from its GTID event to the next group.

    ``at``: in MySQL when it was committed, in MariaDB when its last statement (of a transaction its COMMIT) began; statements
    that overlap are logged in the order of their commits, so these times may go back a little from one group to the next.
    """

    begin: int
    at: int
    gtid: Gtid


def events(path: Path, digest: Optional[Any] = None, limit: Optional[int] = None) -> Iterator[Event]:
    """Yield every event of ``path`` that begins before ``limit``, its checksum verified; ``digest`` gets every byte read.

    Raise IntegrityError naming file and position for damage, BadInput for what is no readable binary log.
    """
    with path.open("rb") as stream:
        magic = stream.read(len(MAGIC))
        if magic != MAGIC:
            raise BadInput(f"{path.name} is not a binary log that can be read (it begins with {magic.hex() or 'nothing'})")
        if digest:
            digest.update(magic)
        position, checksum = FIRST_EVENT, False
        while limit is None or position < limit:
            header = stream.read(_HEADER.size)
            if not header:
                return
            event = _event(path, position, header, stream.read)
            if position == FIRST_EVENT:
                _require_format(path, header, event)
                checksum = _uses_checksums(event)
            if checksum and zlib.crc32(_checked(header, event)) != int.from_bytes(event.body[-_CHECKSUM_BYTES:], "little"):
                raise IntegrityError(f"binary log {path.name} is damaged at position {position}: wrong checksum")
            if digest:
                digest.update(header + event.body)
            yield event._replace(body=event.body[:-_CHECKSUM_BYTES]) if checksum else event
            position = event.end


def _event(path: Path, position: int, header: bytes, read: Callable[[int], bytes]) -> Event:
    """Return the event whose ``header`` was read at ``position``, with its body still holding the checksum."""
    damaged = f"binary log {path.name} is damaged at position {position}"
    if len(header) < _HEADER.size:
        raise IntegrityError(f"{damaged}: it ends within an event")
    at, kind, server, size, _end, flags = _HEADER.unpack(header)
    if size < _HEADER.size:
        raise IntegrityError(f"{damaged}: an event of {size} bytes")
    body = read(size - _HEADER.size)
    if len(body) < size - _HEADER.size:
        raise IntegrityError(f"{damaged}: it ends within an event")
    return Event(kind, position, position + size, at, server, flags, body)


def _require_format(path: Path, header: bytes, event: Event) -> None:
    """Raise IntegrityError unless a file begins with a whole format event, which has a checksum whatever the others have."""
    stored = event.body[-_CHECKSUM_BYTES:]
    if event.kind != _FORMAT or zlib.crc32(_checked(header, event)) != int.from_bytes(stored, "little"):
        raise IntegrityError(f"binary log {path.name} is damaged at position {event.begin}: no valid format event")


def _uses_checksums(event: Event) -> bool:
    """Return whether the events of the file have checksums; the format event tells, right before its own."""
    return event.body[-_CHECKSUM_BYTES - 1] == _CHECKSUM_CRC32


def _checked(header: bytes, event: Event) -> bytes:
    """Return the bytes that the checksum of an event was made of."""
    if event.kind == _FORMAT and event.flags & _IN_USE:
        header = header[:-2] + struct.pack("<H", event.flags & ~_IN_USE)
    return header + event.body[:-_CHECKSUM_BYTES]


class Walk:
    """One pass over a file: the state of the GTIDs as it goes, and its groups."""

    def __init__(self, path: Path, limit: Optional[int] = None) -> None:
        self.path = path
        self._limit = limit
        self.begin_state: Optional[Gtids] = None
        self.state: Gtids = parse_gtids("")
        self._words: Words = MARIADB_WORDS
        self.digest = hashlib.sha256()
        self.end = FIRST_EVENT  # where the last group ends
        self.size = FIRST_EVENT
        self.server = 0
        self.closed_at = 0  # by the server's clock; 0 for a file that nobody closed
        self.load_data = False

    def groups(self) -> Iterator[Group]:
        """Yield every group in the file; the attributes hold what was met so far."""
        for event in events(self.path, self.digest, self._limit):
            self.size = event.end
            if event.kind == _FORMAT:
                self.server, self._words = event.server, words_of(event.body)
            elif event.kind in self._words.refused:
                because, hint = self._words.refused[event.kind]
                raise BadInput(f"binary log {self.path.name} {because}", hint)
            elif event.kind == self._words.list_kind:
                self.begin_state = self._words.read_list(event.body)
                self.state = self.begin_state.copy()
            elif event.kind == self._words.gtid_kind:
                gtid, at = self._words.read_gtid(event.body, event.server, event.at)
                yield Group(event.begin, at, gtid)
                self.state.add(gtid)
            self.load_data = self.load_data or event.kind in _LOAD_QUERIES
            if event.kind in (_ROTATE, _STOP):
                self.closed_at = event.at
            else:
                self.end = event.end


def scan(path: Path) -> Dict[str, Any]:
    """Return the facts of a closed file: size, hash, server, GTIDs at its beginning and end, number and times of its groups.

    ``begin`` and ``end`` are GTID lists, ``first_at`` and ``last_at`` seconds since 1970 (0 without a group),
    ``backwards`` whether a group began after the file was closed: then the server's clock went back meanwhile, ``disordered``
    whether sequence numbers do not rise within a domain. Raise IntegrityError for a damaged file.
    """
    walk = Walk(path)
    count, first, last, newest, disordered = 0, 0, 0, 0, False
    for group in walk.groups():
        count, first, last, newest = count + 1, first or group.at, group.at, max(newest, group.at)
        disordered = disordered or walk.state.passed(group.gtid)
    if walk.begin_state is None:
        raise BadInput(f"binary log {path.name} has no list of GTIDs", "it was written by a server that is too old")
    return {
        "name": path.name,
        "size": walk.size,
        "sha256": walk.digest.hexdigest(),
        "server_id": walk.server,
        "begin": str(walk.begin_state),
        "end": str(walk.state),
        "groups": count,
        "first_at": first,
        "last_at": last,
        "closed_at": walk.closed_at,
        "backwards": bool(walk.closed_at and newest > walk.closed_at + 1),
        "disordered": disordered,
        "load_data": walk.load_data,
    }


def state_at(path: Path, position: int) -> Optional[str]:
    """Return the GTID list at ``position`` of a file that may still be written to, None when no event ends there."""
    walk = Walk(path, position)  # what lies behind may be half written
    for _group in walk.groups():
        pass
    return str(walk.state) if walk.size == position and walk.begin_state is not None else None


def beginning_state(path: Path) -> Optional[str]:
    """Return the GTID list with which a file begins, None when it has none; what follows is not read."""
    words = MARIADB_WORDS
    for event in events(path):
        if event.kind == _FORMAT:
            words = words_of(event.body)
        elif event.kind == words.list_kind:
            return str(words.read_list(event.body))
        elif event.kind == words.gtid_kind:
            break
    return None


def is_boundary(path: Path, position: int) -> bool:
    """Return whether a transaction ends (or the first begins) at ``position`` of a closed file."""
    walk = Walk(path)
    return any(group.begin == position for group in walk.groups()) or walk.end == position


class Stop(NamedTuple):
    """Where a replay ends: before ``position`` of ``file``; ``state`` is what has then been replayed.

    ``overtaken`` groups lie behind it although they began before the second that was asked for.
    """

    file: str
    position: int
    state: str
    last_at: int
    overtaken: int = 0


def stop_before_second(paths: List[Path], start: int, second: int) -> Stop:
    """Return where the replay of ``paths`` from ``start`` (in the first) ends: before the first group of ``second`` or later.

    Groups are logged in the order of their commits, so all that lies behind was committed in that second or later. Times in
    the log are whole seconds: what was committed within the second of a moment is left out. Raise BadInput when that group
    began after its file was closed: the server's clock went back, and a second names no place in the log.
    """
    found: Optional[Stop] = None
    last, overtaken = Stop(paths[0].name, start, "", 0), 0
    for index, path in enumerate(paths):
        walk, last_at, found_at = Walk(path), last.last_at, 0
        for group in walk.groups():
            if index == 0 and group.begin < start:
                continue
            if found is None and group.at >= second:
                found, found_at = Stop(path.name, group.begin, str(walk.state), last_at), group.at
            overtaken += found is not None and group.at < second
            last_at = group.at
        if found and walk.closed_at and found_at > walk.closed_at + 1:
            raise BadInput(
                f"the clock of the server went back in {path.name}, so the moment names no place in the log",
                f"restore by position: this is -e backstay_position={found.file}:{found.position}",
            )
        last = Stop(path.name, walk.end, str(walk.state), last_at)
    return found._replace(overtaken=overtaken) if found else last


def stop_of(paths: List[Path]) -> Stop:
    """Return the end of the last of ``paths`` as a stop."""
    walk, last_at = Walk(paths[-1]), 0
    for group in walk.groups():
        last_at = group.at
    return Stop(paths[-1].name, walk.end, str(walk.state), last_at)


def stop_after_gtid(paths: List[Path], start: int, gtid: Gtid) -> Stop:
    """Return where the replay ends with ``gtid`` as its last transaction. Raise BadInput when the files do not hold it."""
    for index, path in enumerate(paths):
        walk, last_at, found = Walk(path), 0, False
        for group in walk.groups():
            if found:
                return Stop(path.name, group.begin, str(walk.state), last_at)
            if group.gtid == gtid and not (index == 0 and group.begin < start):
                found = True
            last_at = group.at
        if found:
            return Stop(path.name, walk.end, str(walk.state), last_at)
    raise BadInput(f"the logs do not hold transaction {spell_gtid(gtid)} after the data", "look at the position again")


def stop_at_position(paths: List[Path], name: str, position: int) -> Stop:
    """Return the stop at ``position`` of file ``name``. Raise BadInput unless a transaction ends there."""
    for path in paths:
        if path.name == name:
            state = state_at(path, position) if is_boundary(path, position) else None
            if state is None:
                raise BadInput(f"no transaction ends at position {position} of {name}", "take a position of a GTID event")
            return Stop(name, position, state, 0)
    raise BadInput(f"the logs that were backed up do not hold {name}", "look at the position again")
