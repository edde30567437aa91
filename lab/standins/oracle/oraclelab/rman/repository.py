# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to RMAN's repository: which sets and logs can serve."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from oraclelab import blocks, pieces, recovery, redo
from oraclelab.control import Control, lineage, next_recid, on_lineage
from oraclelab.errors import OracleError
from oraclelab.rman.session import Session, Until

LOG_KEYS = ("thread", "sequence", "resetlogs_scn", "resetlogs_time", "first_scn", "first_time", "next_scn", "next_time")


def available(one: dict[str, Any]) -> bool:
    """Whether every piece of a set is recorded as AVAILABLE somewhere."""
    here = {piece["piece"] for piece in one["pieces"] if piece["status"] == "A"}
    return here == set(range(1, one["piece_count"] + 1))


def handles(one: dict[str, Any]) -> list[dict[str, Any]]:
    """One entry per piece, in order: a copy that is there when there is one, else the first recorded."""
    found = []
    for number in range(1, one["piece_count"] + 1):
        recorded = [piece for piece in one["pieces"] if piece["piece"] == number and piece["status"] == "A"]
        found.append(next((piece for piece in recorded if Path(piece["handle"]).exists()), recorded[0]))
    return found


def verified(one: dict[str, Any], content: Control) -> list[tuple[str, dict[str, Any]]]:
    """(path, header) of every piece of a set after reading all of it; ORA-19870 otherwise."""
    identity = {"dbid": content["dbid"], "set": one["set"], "stamp": one["stamp"]}
    return [
        (piece["handle"], pieces.verified_header(piece["handle"], {**identity, "piece": piece["piece"]}))
        for piece in handles(one)
    ]


def level0(
    content: Control, number: int, until: Until, tag: str = "", *, parent: bool = False
) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """(set or copy, data file entry) of the newest backup a data file can be restored from; None when there is none.

    parent: of the newest that can be the parent of a level 1; a full backup never is.
    """
    best = None
    for one in [*content["sets"], *content["copies"]]:
        if one["level"] == 1 or (parent and one["level"] is None) or not available(one) or (tag and one["tag"] != tag):
            continue
        for entry in one["datafiles"]:
            if entry["file"] != number or not on_lineage(content, entry["resetlogs_scn"], entry["ckp_scn"]):
                continue
            newest = max(entry["ckp_scn"], entry["fuzzy_scn"] + 1)
            if until.covers(newest, one["completed"]) and (best is None or entry["ckp_scn"] > best[1]["ckp_scn"]):
                best = (one, entry)
    return best


def incremental(content: Control, number: int, position: int, until: Until) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The incremental that brings a data file farthest from its position; None when there is none."""
    best = None
    for one in content["sets"]:
        if one["level"] != 1 or not available(one):
            continue
        for entry in one["datafiles"]:
            usable = entry["file"] == number and entry["from_scn"] <= position < entry["ckp_scn"]
            if not usable or not on_lineage(content, entry["resetlogs_scn"], entry["ckp_scn"]):
                continue
            newest = max(entry["ckp_scn"], entry["fuzzy_scn"] + 1)
            if until.covers(newest, one["completed"]) and (best is None or entry["ckp_scn"] > best[1]["ckp_scn"]):
                best = (one, entry)
    return best


@dataclasses.dataclass(frozen=True)
class Log:
    """A source of redo: its header, where its incarnation was left, and where it is (archived, set or online)."""

    header: dict[str, Any]
    left: int
    kind: str
    where: Any

    @property
    def end(self) -> int:
        """SCN behind the last one that counts."""
        return min(self.header["next_scn"] or 1 << 62, self.left)


def redo_sources(content: Control) -> list[Log]:
    """Every log the repository or the online groups offer for the current incarnation's history, best source first."""
    left = dict(lineage(content))
    found = []
    for log in content["archived"]:
        if log["status"] == "A" and log["resetlogs_scn"] in left and Path(log["name"]).exists():
            found.append(Log(log, left[log["resetlogs_scn"]], "archived", log["name"]))
    for one in content["sets"]:
        if one["logs"] and available(one):
            found += [Log(log, left[log["resetlogs_scn"]], "set", one) for log in one["logs"] if log["resetlogs_scn"] in left]
    for header, path in recovery.online_logs(content):
        if header["resetlogs_scn"] in left:
            found.append(Log(header, left[header["resetlogs_scn"]], "online", path))
    return found


def log_for(content: Control, position: int) -> Log | None:
    """The log that holds the redo of a position; None when nobody has it."""
    for log in redo_sources(content):
        if log.header["first_scn"] <= position < log.end:
            return log
    return None


def in_range(content: Control, wish: dict[str, Any], session: Session) -> list[dict[str, Any]]:
    """Archived logs of a range that are recorded as there (A) or missing (X), oldest first, one per log."""
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for log in content["archived"]:
        if log["status"] not in "AX" or not _matches(content, log, wish, session):
            continue
        key = (log["resetlogs_scn"], log["sequence"])
        if key not in found or found[key]["status"] == "X":
            found[key] = log
    return [found[key] for key in sorted(found)]


def _matches(content: Control, log: dict[str, Any], wish: dict[str, Any], session: Session) -> bool:
    by_sequence = any(name.endswith("sequence") for name in wish)
    if by_sequence and log["resetlogs_scn"] != content["resetlogs_scn"]:
        return False
    lowest = wish.get("from_sequence", 0) <= log["sequence"] <= wish.get("until_sequence", 1 << 62)
    by_scn = log["next_scn"] > wish.get("from_scn", 0) and log["first_scn"] <= wish.get("until_scn", 1 << 62)
    after = "from_time" not in wish or log["next_time"] > session.moment(wish["from_time"])
    before = "until_time" not in wish or log["first_time"] <= session.moment(wish["until_time"])
    return lowest and by_scn and after and before and wish.get("thread", 1) == log["thread"]


def is_missing(log: dict[str, Any]) -> OracleError:
    """The refusal for a log that somebody removed behind RMAN's back."""
    from oraclelab.errors import not_found

    return OracleError(
        "RMAN-06059: expected archived log not found, loss of archived log compromises recoverability",
        f"ORA-19625: error identifying file {log['name']}",
        *not_found(log["name"]),
    )


def catalog_file(content: Control, path: str) -> str:
    """Add a file to the repository; returns the reason why not, or nothing."""
    for reader in (_catalog_piece, _catalog_log, _catalog_datafile):
        try:
            said = reader(content, path)
        except (pieces.NotAPieceError, redo.CorruptLogError, blocks.CorruptBlockError, OSError, ValueError, KeyError):
            continue
        return said
    return "RMAN-07517: Reason: The file header is corrupted"


def _foreign(header: dict[str, Any], content: Control) -> str:
    if header["dbid"] != content["dbid"]:
        name = header.get("db_name", "UNKNOWN")
        return f"RMAN-07518: Reason: Foreign database file DBID: {header['dbid']}  Database Name: {name}"
    return ""


def _catalog_piece(content: Control, path: str) -> str:
    header = pieces.read_header(path)
    if _foreign(header, content):
        return _foreign(header, content)
    one = next((known for known in content["sets"] if (known["set"], known["stamp"]) == (header["set"], header["stamp"])), None)
    if one is None:
        one = {**header["record"], "recid": next_recid(content), "pieces": []}
        content["sets"].append(one)
    for entry in one["datafiles"]:
        for section in header["record"]["datafiles"]:
            if section["file"] == entry["file"]:
                entry["fuzzy_scn"] = max(entry["fuzzy_scn"], section["fuzzy_scn"])
    known_piece = next((piece for piece in one["pieces"] if piece["handle"] == path), None)
    if known_piece:
        known_piece["status"] = "A"
    else:
        one["pieces"].append(piece_record(content, header, path))
    return ""


def piece_record(content: Control, header: dict[str, Any], path: str) -> dict[str, Any]:
    """The repository's record of a piece."""
    keys = ("piece", "tag", "started", "completed", "bytes", "compressed", "encrypted")
    return {**{key: header[key] for key in keys}, "recid": next_recid(content), "handle": path, "status": "A"}


def _catalog_log(content: Control, path: str) -> str:
    header = redo.read_header(path)
    if not header.get("next_scn"):
        return "RMAN-07529: Reason: catalog is not supported for this file type"
    if _foreign(header, content):
        return _foreign(header, content)
    from oraclelab.archiver import log_record

    if not any(log["name"] == path and log["status"] == "A" for log in content["archived"]):
        content["archived"].append(log_record(content, path, Path(path).read_bytes()))
    return ""


def _catalog_datafile(content: Control, path: str) -> str:
    header = blocks.header_of(path)
    if _foreign(header, content):
        return _foreign(header, content)
    if any(entry["name"] == path for entry in content["datafiles"]):
        return "RMAN-07529: Reason: catalog is not supported for this file type"
    content["copies"].append(copy_record(content, path, header, tag="", level=None))
    return ""


def copy_record(content: Control, path: str, header: dict[str, Any], *, tag: str, level: int | None) -> dict[str, Any]:
    """The repository's record of an image copy; one that was open when it was copied stays fuzzy."""
    keys = ("file", "ckp_scn", "ckp_time", "resetlogs_scn", "resetlogs_time", "fuzzy_scn")
    entry = {key: header[key] for key in keys}
    recid = next_recid(content)
    return {
        "recid": recid,
        "level": level,
        "tag": tag,
        "completed": header["ckp_time"],
        "piece_count": 1,
        "datafiles": [entry],
        "pieces": [{"piece": 1, "handle": path, "status": "A", "recid": recid, "bytes": Path(path).stat().st_size}],
        "copy": True,
    }
