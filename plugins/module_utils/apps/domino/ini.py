# SPDX-License-Identifier: GPL-3.0-or-later
"""NOTES.INI: reading it, and changing one that no server uses. Pure functions.

``Key=Value`` lines after ``[Notes]``; keys are free of case; lines may end in CRLF. The file of a running server is never
changed: the server writes it whole from memory.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Dict, NamedTuple

STYLES = ("none", "archive", "circular")


def parse(text: str) -> Dict[str, str]:
    """Return the values of NOTES.INI by lower-case key; of a key that stands twice the first, as the server reads it."""
    values: Dict[str, str] = {}
    for line in text.splitlines():
        key, separator, value = line.partition("=")
        if separator and not key.lstrip().startswith("["):
            values.setdefault(key.strip().lower(), value.strip())
    return values


def changed(text: str, values: Dict[str, str]) -> str:
    """Return NOTES.INI with ``values`` set: in their lines where they have one, else at the end. All else stays as it is."""
    left = {key.lower(): (key, value) for key, value in values.items()}
    ending = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines()
    for place, line in enumerate(lines):
        found = left.pop(line.partition("=")[0].strip().lower(), None) if "=" in line else None
        if found:
            lines[place] = f"{line.partition('=')[0]}={found[1]}"
    lines += [f"{key}={value}" for key, value in left.values()]
    return ending.join(lines) + ending


class Settings(NamedTuple):
    """What NOTES.INI says that a backup needs. ``style``: one of STYLES; ``max_size``: megabytes of the log, 0: not said."""

    data: str
    style: str
    log: str
    max_size: int
    daos: str
    keys: Dict[str, str]


def settings(text: str) -> Settings:
    """Return the settings in NOTES.INI; paths in it that are not absolute lie below the data directory.

    Only ``TRANSLOG_Style=1`` is taken for archive style: what linear logging writes there is disputed, and a log backup of
    anything else would be none.
    """
    values = parse(text)
    data = values.get("directory", "")

    def below(key: str, default: str) -> str:
        return str(PurePosixPath(data, values.get(key) or default))

    style = "none"
    if values.get("translog_status") == "1":
        style = "archive" if values.get("translog_style") == "1" else "circular"
    size = values.get("translog_maxsize", "")
    return Settings(
        data=data,
        style=style,
        log=below("translog_path", "LOGDIR") if style != "none" or values.get("translog_path") else "",
        max_size=int(size) if size.isdigit() else 0,
        daos=below("daosbasepath", "DAOS") if values.get("daosenable") == "1" else "",
        keys={key: below(key, "") for key in ("keyfilename", "serverkeyfilename") if values.get(key)},
    )


def recovery(data: str, log: str, keys: Dict[str, str]) -> str:
    """Return the NOTES.INI of a recovery server, which is never started: media recovery alone reads it.

    Source of the four logging lines: IBM's description of recovery servers for BRMS (``diffsrv``).
    """
    names = {"keyfilename": "KeyFileName", "serverkeyfilename": "ServerKeyFileName"}
    lines = ["[Notes]", f"Directory={data}", *(f"{names[key]}={value}" for key, value in sorted(keys.items()))]
    lines += ["TRANSLOG_Status=1", "TRANSLOG_Style=1", f"TRANSLOG_Path={log}", "TRANSLOG_MEDIAONLY=1"]
    return "\n".join(lines) + "\n"
