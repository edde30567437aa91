# SPDX-License-Identifier: GPL-3.0-or-later
"""The GTIDs of both products: how they are spelled, and how their binary logs hold them. Pure.

MariaDB: ``0-7-26`` (domain, server id, sequence number); a server stands, in every domain, at one of them. MySQL:
``uuid:26`` (source, number); a server has a set of them. Formats: MariaDB knowledge base, events GTID (162) and GTID_LIST
(163); MySQL source documentation, ``Gtid_event`` (33), ``Previous_gtids_event`` (35).
"""

from __future__ import annotations

import re
import struct
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union
from uuid import UUID

from ...errors import BadInput

# MariaDB: (domain, server id, sequence number). MySQL: (uuid, number).
Gtid = Tuple[Any, ...]


class MariadbGtids:
    """Where every domain stands: {domain: (server id, sequence number)}."""

    def __init__(self, domains: Optional[Dict[int, Tuple[int, int]]] = None) -> None:
        self.domains = dict(domains or {})

    def copy(self) -> MariadbGtids:
        """Return the same in an object of its own."""
        return MariadbGtids(self.domains)

    def add(self, gtid: Gtid) -> None:
        """Go on to ``gtid``."""
        self.domains[gtid[0]] = (gtid[1], gtid[2])

    def passed(self, gtid: Gtid) -> bool:
        """Return whether this lies at or after ``gtid`` in its domain."""
        return gtid[0] in self.domains and self.domains[gtid[0]][1] >= gtid[2]

    def __str__(self) -> str:
        """Return the list as the server spells it, by domain: ``0-7-26,1-8-3``."""
        return ",".join(f"{domain}-{server}-{number}" for domain, (server, number) in sorted(self.domains.items()))


class MysqlGtids:
    """A set of GTIDs: {uuid: ranges}, a range is its first and its last number, in order, never touching each other."""

    def __init__(self, ranges: Optional[Dict[str, List[Tuple[int, int]]]] = None) -> None:
        self.ranges = {uuid: list(found) for uuid, found in (ranges or {}).items()}

    def copy(self) -> MysqlGtids:
        """Return the same in an object of its own."""
        return MysqlGtids(self.ranges)

    def add(self, gtid: Gtid) -> None:
        """Take ``gtid`` in."""
        self.add_range(gtid[0], gtid[1], gtid[1])

    def add_range(self, uuid: str, first: int, last: int) -> None:
        """Take the numbers ``first`` to ``last`` of ``uuid`` in."""
        found = self.ranges.setdefault(uuid, [])
        if found and found[-1][0] <= first <= found[-1][1] + 1:  # nearly always: the next number
            found[-1] = (found[-1][0], max(last, found[-1][1]))
            return
        merged: List[Tuple[int, int]] = []
        for begin, end in sorted([*found, (first, last)]):
            if merged and begin <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((begin, end))
        self.ranges[uuid] = merged

    def passed(self, gtid: Gtid) -> bool:
        """Return whether ``gtid`` is in the set."""
        return any(first <= gtid[1] <= last for first, last in self.ranges.get(gtid[0], []))

    def without(self, other: MysqlGtids) -> MysqlGtids:
        """Return what is in this set and not in ``other``."""
        result = {uuid: found for uuid, found in self.ranges.items() if uuid not in other.ranges}
        for uuid in set(self.ranges) & set(other.ranges):
            left = self.ranges[uuid]
            for begin, end in other.ranges[uuid]:
                left = [piece for both in left for piece in _around(both, begin, end)]
            if left:
                result[uuid] = left
        return MysqlGtids(result)

    def __str__(self) -> str:
        """Return the set as the server spells it, by source: ``uuid:1-19:25,uuid:7``."""
        return ",".join(
            uuid + "".join(f":{first}" if first == last else f":{first}-{last}" for first, last in found)
            for uuid, found in sorted(self.ranges.items())
        )


def _around(both: Tuple[int, int], begin: int, end: int) -> List[Tuple[int, int]]:
    """Return what is left of a range when the numbers ``begin`` to ``end`` are taken out."""
    pieces = ((both[0], min(both[1], begin - 1)), (max(both[0], end + 1), both[1]))
    return [(first, last) for first, last in pieces if first <= last]


Gtids = Union[MariadbGtids, MysqlGtids]

_UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_RANGE = re.compile(r"^([1-9][0-9]*)(?:-([1-9][0-9]*))?\Z")


def parse_gtids(text: str) -> Gtids:
    """Return the GTIDs in ``text``, of either product; none of none in empty text. Raise BadInput for anything else."""
    parts = [part for part in (word.strip() for word in text.replace("\n", "").split(",")) if part]
    if any(":" in part for part in parts):
        return _parse_mysql(parts)
    found = MariadbGtids()
    for part in parts:
        numbers = part.split("-")
        if len(numbers) != 3 or not all(number.isdigit() for number in numbers):
            raise BadInput(
                f"'{part}' is not a GTID", "it looks like 0-7-26 (MariaDB) or 3e11fa47-71ca-11e1-9e33-c80aa9429562:26 (MySQL)"
            )
        found.add(tuple(map(int, numbers)))
    return found


def _parse_mysql(parts: List[str]) -> MysqlGtids:
    found = MysqlGtids()
    for part in parts:
        uuid, *ranges = part.lower().split(":")
        matches = [_RANGE.match(one) for one in ranges]
        if not _UUID.match(uuid) or not all(matches):
            raise BadInput(f"'{part}' is not a set of GTIDs of MySQL", "tagged GTIDs are not supported")
        for match in filter(None, matches):
            found.add_range(uuid, int(match.group(1)), int(match.group(2) or match.group(1)))
    return found


def same_gtids(one: str, other: str) -> bool:
    """Return whether two spellings mean the same GTIDs."""
    return str(parse_gtids(one)) == str(parse_gtids(other))


def unlogged(data: str, shown: str) -> Optional[str]:
    """Return the GTIDs of ``data`` that the logs of its server do not show, which show ``shown`` at the same place.

    A MySQL server that was restored has those of its former logs without having a log of them (``gtid_purged``). None: what is
    shown is not what the data holds.
    """
    whole, part = parse_gtids(data), parse_gtids(shown)
    if not isinstance(whole, MysqlGtids) or not (isinstance(part, MysqlGtids) or not shown.strip()):
        return "" if str(whole) == str(part) else None
    logged = part if isinstance(part, MysqlGtids) else MysqlGtids()
    return None if logged.without(whole).ranges else str(whole.without(logged))


def of_other_servers(one: str, other: str) -> bool:
    """Return whether no server that made one of the GTIDs in ``one`` made one of those in ``other``."""
    found, wanted = parse_gtids(one), parse_gtids(other)
    return not (isinstance(found, MysqlGtids) and isinstance(wanted, MysqlGtids) and set(found.ranges) & set(wanted.ranges))


def joined(one: str, other: str) -> str:
    """Return the GTIDs of both; those of MariaDB have nothing to join."""
    return str(parse_gtids(f"{one},{other}")) if one and other else one or other


def parse_gtid(text: str) -> Gtid:
    """Return the one GTID in ``text``. Raise BadInput for anything else."""
    found = parse_gtids(text)
    if isinstance(found, MysqlGtids):
        singles = [(uuid, first) for uuid, ranges in found.ranges.items() for first, last in ranges if first == last]
        if len(singles) == 1 and str(found) == spell_gtid(singles[0]):
            return singles[0]
    elif len(found.domains) == 1:
        ((domain, (server, number)),) = found.domains.items()
        return domain, server, number
    raise BadInput(f"'{text}' is not one GTID")


def spell_gtid(gtid: Gtid) -> str:
    """Return ``gtid`` as its server spells it."""
    return "-".join(map(str, gtid)) if len(gtid) == 3 else f"{gtid[0]}:{gtid[1]}"


class Words(NamedTuple):
    """The words of a product's binary logs: numbers of events, and why some cannot be backed up."""

    list_kind: int  # the GTIDs with which a file begins
    gtid_kind: int  # the beginning of a transaction
    refused: Dict[int, Tuple[str, str]]  # number: what is wrong, what to do

    def read_list(self, body: bytes) -> Gtids:
        """Return the GTIDs with which a file begins."""
        return _mysql_list(body) if self is MYSQL_WORDS else _mariadb_list(body)

    def read_gtid(self, body: bytes, server: int, at: int) -> Tuple[Gtid, int]:
        """Return the GTID of a transaction and its time; ``at`` is the time in the event's header."""
        return _mysql_gtid(body, at) if self is MYSQL_WORDS else (_mariadb_gtid(body, server), at)


def _mariadb_gtid(body: bytes, server: int) -> Gtid:
    sequence, domain = struct.unpack_from("<QI", body)
    return domain, server, sequence


def _mariadb_list(body: bytes) -> MariadbGtids:
    (count,) = struct.unpack_from("<I", body)
    found = MariadbGtids()
    for index in range(count & 0x0FFFFFFF):
        # of several servers in a domain the last one listed is the newest
        found.add(struct.unpack_from("<IIQ", body, 4 + 16 * index))
    return found


_MYSQL_COMMIT_TIME = 42  # flags 1, uuid 16, number 8, type 1, last committed 8, sequence 8
_LOGICAL_CLOCK = 2


def _mysql_gtid(body: bytes, at: int) -> Tuple[Gtid, int]:
    """Return GTID and moment of the commit in whole seconds; its event has it in microseconds, beside the header's time."""
    uuid, number = str(UUID(bytes=body[1:17])), struct.unpack_from("<q", body, 17)[0]
    if len(body) >= _MYSQL_COMMIT_TIME + 7 and body[25] == _LOGICAL_CLOCK:
        committed = int.from_bytes(body[_MYSQL_COMMIT_TIME : _MYSQL_COMMIT_TIME + 7], "little") & ~(1 << 55)
        at = committed // 1_000_000
    return (uuid, number), at


def _mysql_list(body: bytes) -> MysqlGtids:
    (count,) = struct.unpack_from("<Q", body)
    if count >> 32:  # with tags the number lies elsewhere, and what follows has another form
        raise BadInput("the binary logs hold tagged GTIDs, which are not supported", "use full backups")
    found, offset = MysqlGtids(), 8
    for _source in range(count):
        uuid = str(UUID(bytes=body[offset : offset + 16]))
        (ranges,) = struct.unpack_from("<Q", body, offset + 16)
        offset += 24
        for _range in range(ranges):
            first, behind = struct.unpack_from("<qq", body, offset)
            found.add_range(uuid, first, behind - 1)
            offset += 16
    return found


MARIADB_WORDS = Words(163, 162, {164: ("is encrypted", "log backups need encrypt_binlog=OFF; use full backups")})
MYSQL_WORDS = Words(
    35,
    33,
    {
        34: ("holds transactions without GTIDs", "set gtid_mode=ON, then make a full backup"),
        42: ("holds tagged GTIDs, which are not supported", "use full backups"),
    },
)


def words_of(format_body: bytes) -> Words:
    """Return the words of the product that wrote a file, whose format event names its version."""
    return MARIADB_WORDS if b"MariaDB" in format_body[2:52] else MYSQL_WORDS
