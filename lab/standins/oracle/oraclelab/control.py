# SPDX-License-Identifier: GPL-3.0-or-later
"""The control file: the database's own description and RMAN's repository, written to every copy as one checked document."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any

from oraclelab.errors import OracleError, cannot_create, not_found

MAGIC = b"ORCTRL01"

Control = dict[str, Any]


class NotAControlFileError(Exception):
    """The file is something else or damaged."""


def packed(control: Control) -> bytes:
    """The control file as bytes."""
    text = json.dumps(control, separators=(",", ":")).encode()
    return MAGIC + b"%08x" % zlib.crc32(text) + text


def unpacked(data: bytes) -> Control:
    """Read the bytes of a control file."""
    text = data[len(MAGIC) + 8 :]
    if not data.startswith(MAGIC) or data[len(MAGIC) : len(MAGIC) + 8] != b"%08x" % zlib.crc32(text):
        raise NotAControlFileError
    return json.loads(text)


def write_file(path: str, data: bytes) -> None:
    """Replace a file durably; a kill leaves the old or the new one."""
    fresh = path + ".new"
    try:
        with Path(fresh).open("wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        Path(fresh).rename(path)
    except OSError as error:
        raise cannot_create(path, error) from error


def write(paths: list[str], control: Control) -> None:
    """Write every copy."""
    control["sequence"] = control.get("sequence", 0) + 1
    data = packed(control)
    for path in paths:
        write_file(path, data)


def read(paths: list[str]) -> Control:
    """Read the control file; every copy has to be there and whole, ORA-00205 otherwise.

    Copies one write apart are what a kill between two writes leaves: the newest counts.
    """
    contents = []
    for path in paths:
        try:
            contents.append(unpacked(Path(path).read_bytes()))
        except (OSError, NotAControlFileError) as error:
            why = not_found(path) if isinstance(error, OSError) else ()
            raise OracleError(
                "ORA-00205: error in identifying control file, check alert log for more info",
                f"ORA-00202: control file: '{path}'",
                *why,
            ) from error
    newest = max(contents, key=lambda content: content["sequence"])
    if (
        newest["sequence"] - min(content["sequence"] for content in contents) > 1
        or len({content["dbid"] for content in contents}) > 1
    ):
        raise OracleError(f"ORA-00214: control file '{paths[0]}' inconsistent with file '{paths[-1]}'")
    return newest


def next_recid(control: Control) -> int:
    """A number no record has yet."""
    control["recid"] = control.get("recid", 0) + 1
    return control["recid"]


def incarnation(control: Control) -> dict[str, Any]:
    """The current incarnation."""
    return next(one for one in control["incarnations"] if one["status"] == "CURRENT")


def lineage(control: Control) -> list[tuple[int, int]]:
    """(resetlogs SCN, SCN where it was left or a very large one) of the current incarnation and its parents, newest first."""
    by_number = {one["number"]: one for one in control["incarnations"]}
    one: dict[str, Any] | None = incarnation(control)
    until, found = 1 << 62, []
    while one:
        found.append((one["scn"], until))
        until, one = one["scn"], by_number.get(one["parent"])
    return found


def on_lineage(control: Control, resetlogs_scn: int, scn: int) -> bool:
    """Whether something of that incarnation and SCN belongs to the history of the current incarnation."""
    return any(resetlogs_scn == start and scn <= until for start, until in lineage(control))
