# SPDX-License-Identifier: GPL-3.0-or-later
"""Words of RMAN and SQL*Plus: the one place where a value becomes a part of a command."""

from __future__ import annotations

import re

from ...errors import BadInput

# Between quotes nothing here means anything to RMAN, SQL or SQL*Plus: no quotes, no ? and @ (ORACLE_HOME and SID in file
# names), no % (a format specifier), no & (a substitution variable), no control character.
_PLAIN = re.compile(r"^[A-Za-z0-9_./=+,:~()\[\]{} #$-]*\Z")
_SPECIFIERS = re.compile(r"^(?:[A-Za-z0-9_-]|%[UFfbN])+\Z")
_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9_$#]{0,127}\Z")
_SID = re.compile(r"^[A-Za-z][A-Za-z0-9_]{0,29}\Z")
_SIZE = re.compile(r"^[1-9][0-9]{0,9}[KMG]\Z")


def quoted(value: str) -> str:
    """Return ``value`` as a string of RMAN and of SQL. Raise BadInput for characters that mean something to them."""
    if not _PLAIN.match(value):
        raise BadInput(
            f"{value!r} cannot be said to RMAN: it has a character that means something to it",
            "use letters, digits and /._=+,:~-",
        )
    return f"'{value}'"


def file_format(folder: str, name: str) -> str:
    """Return the quoted FORMAT of files ``name`` (which has specifiers) in ``folder`` (which has none)."""
    if not _SPECIFIERS.match(name):
        raise BadInput(f"{name!r} is no file name with format specifiers")
    return f"{quoted(folder)[:-1]}/{name}'"


def identifier(name: str) -> str:
    """Return ``name`` as a quoted identifier of SQL, in the spelling of the dictionary. Raise BadInput when it is none."""
    if not _NAME.match(name):
        raise BadInput(f"{name!r} is no name of a database object")
    return f'"{name}"'


def system_identifier(sid: str) -> str:
    """Return ``sid``. Raise BadInput when it cannot be the SID of an instance."""
    if not _SID.match(sid):
        raise BadInput(f"{sid!r} is no SID", "set app_oracle_sid")
    return sid


def number(value: object) -> str:
    """Return a whole number that is not negative, in digits. Raise BadInput for anything else."""
    text = str(value)
    if isinstance(value, bool) or not re.match(r"^[0-9]{1,30}\Z", text):
        raise BadInput(f"{value!r} is no whole number")
    return text


def size(value: str) -> str:
    """Return a size such as ``32G``. Raise BadInput for anything else."""
    if not _SIZE.match(value):
        raise BadInput(f"{value!r} is no size", "write it like 32G")
    return value


def tag_of(set_id: str) -> str:
    """Return the RMAN tag of everything that belongs to a set: at most 30 capitals, digits and underscores."""
    return ("BS_" + re.sub(r"[^A-Z0-9]", "_", set_id.upper()))[:30]
