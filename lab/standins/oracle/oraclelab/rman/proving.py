# SPDX-License-Identifier: GPL-3.0-or-later
"""RESTORE ... VALIDATE and PREVIEW: read what would be used, write nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oraclelab import blocks, pieces
from oraclelab.blocks import DataFile
from oraclelab.control import Control
from oraclelab.errors import OracleError, not_found
from oraclelab.rman import repository
from oraclelab.rman.session import Session, Until

NOT_FOUND = "RMAN-06026: some targets not found - aborting restore"


def preview(session: Session, content: Control, chosen: list[tuple[dict[str, Any], dict[str, Any]]], until: Until) -> None:
    """Name the pieces and logs that would be used, and the SCN that recovery has to pass."""
    for one in {one["recid"]: one for one, _ in chosen}.values():
        list_set(session, one)
    position, fuzzy = (
        min(entry["ckp_scn"] for _, entry in chosen),
        max(max(entry["ckp_scn"], entry["fuzzy_scn"]) for _, entry in chosen),
    )
    at = position
    while (log := repository.log_for(content, at)) and log.kind != "online" and until.covers(at, log.header["first_time"]):
        edges = f"SCN {log.header['first_scn']} to {log.header['next_scn']}"
        session.say(f"archived log thread={log.header['thread']} sequence={log.header['sequence']} {edges}")
        at = log.end
    session.say(f"recovery will be done up to SCN {until.scn if until.scn is not None else at}")
    session.say(f"Media recovery start SCN is {position}")
    session.say(f"Recovery must be done beyond SCN {fuzzy} to clear datafile fuzziness")


def list_set(session: Session, one: dict[str, Any]) -> None:
    """A set with its pieces."""
    for piece in one["pieces"]:
        status = {"A": "AVAILABLE", "X": "EXPIRED", "U": "UNAVAILABLE"}[piece["status"]]
        compressed = "YES" if piece.get("compressed") else "NO"
        session.say(f"BP Key: {piece['recid']}   Status: {status}  Compressed: {compressed}  Tag: {one['tag']}")
        session.say(f"        Piece Name: {piece['handle']}")


def validate_sets(session: Session, content: Control, sets: list[dict[str, Any]], *, full: bool) -> None:
    """Read the pieces without writing anything; with HEADER only the headers."""
    name = session.channel()[0]
    for one in {one["recid"]: one for one in sets}.values():
        if one.get("copy"):
            verify_copy(one)
            session.say(f"channel {name}: scanning datafile copy {one['pieces'][0]['handle']}")
            continue
        for piece in repository.handles(one):
            session.say(f"channel {name}: reading from backup piece {piece['handle']}")
            if not full and Path(piece["handle"]).exists():
                try:
                    pieces.read_header(piece["handle"])
                except pieces.NotAPieceError as error:
                    wrapper = f"ORA-19870: error while restoring backup piece {piece['handle']}"
                    raise OracleError(wrapper, f"ORA-19608: {piece['handle']} is not a backup piece") from error
        if full:
            for path, header in repository.verified(one, content):
                for _ in pieces.frames(path, header, session.key):
                    pass
                session.say(f"channel {name}: piece handle={path} tag={header['tag']}")
                session.say(f"channel {name}: restored backup piece {header['piece']}")
        session.say(f"channel {name}: validation complete, elapsed time: {session.elapsed()}")


def verify_copy(one: dict[str, Any]) -> None:
    """Read every block of an image copy: ORA-19505 when it is missing, ORA-19566 when it is damaged."""
    path = one["pieces"][0]["handle"]
    try:
        with DataFile(path, write=False) as file:
            for number in range(file.blocks):
                file.read(number)
    except OSError as error:
        raise OracleError(f'ORA-19505: failed to identify file "{path}"', *not_found(path)) from error
    except blocks.CorruptBlockError as error:
        raise OracleError(f"ORA-19566: exceeded limit of 0 corrupt blocks for file {path}") from error
