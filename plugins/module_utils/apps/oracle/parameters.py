# SPDX-License-Identifier: GPL-3.0-or-later
"""Parameter files as text: what a restored database needs where its files lie elsewhere. Pure functions."""

from __future__ import annotations

import re
from typing import Dict, List

from ...errors import IntegrityError
from .dictionary import listed
from .text import quoted

_LINE = re.compile(r"^(?:(?P<sid>[\w*]+)\.)?(?P<name>\w+)\s*=\s*(?P<value>.*)$")
# Where an instance keeps files of its own; at another place every one of them has to be replaced.
PLACES = ("audit_file_dest", "control_files", "db_recovery_file_dest", "diagnostic_dest")
# Names that lead to the machine that the set came from.
_OF_THE_SOURCE = re.compile(
    r"^(?:__\w+|db_create_(?:file|online_log)_dest(?:_\d)?|log_archive_(?:dest(?:_state)?(?:_\d+)?|config|duplex_dest)"
    r"|local_listener|remote_listener|dispatchers|fal_(?:server|client)|dg_broker_\w+|db_file_name_convert|log_file_name_convert"
    r"|standby_\w+|background_dump_dest|user_dump_dest|core_dump_dest|spfile|ifile)$"
)


def read(text: str) -> Dict[str, str]:
    """Return the parameters in ``text`` that hold for every instance, by lower-case name, values as they are written."""
    found = {}
    for line in text.splitlines():
        match = _LINE.match(line.split("#", 1)[0].strip())
        if match and match.group("sid") in (None, "*"):
            found[match.group("name").lower()] = match.group("value").strip()
    return found


def write(values: Dict[str, str]) -> str:
    """Return the text of a parameter file; values are written as they are."""
    return "".join(f"*.{name}={values[name]}\n" for name in sorted(values))


def places_in(values: Dict[str, str]) -> List[str]:
    """Return the directories that an instance with these parameters needs to find."""
    plain = {name: listed(values.get(name)) for name in PLACES}
    folders = [entry.rpartition("/")[0] for entry in plain.pop("control_files")]
    return [*folders, *(entry for entries in plain.values() for entry in entries)]


def moved(values: Dict[str, str], directory: str) -> Dict[str, str]:
    """Return the parameters of the same database below ``directory``: nothing of them leads to the place it came from."""
    if "db_name" not in values:
        raise IntegrityError("the parameter file in the set names no database")
    kept = {name: value for name, value in values.items() if not _OF_THE_SOURCE.match(name) and name not in PLACES}
    new = {
        "control_files": ",".join(quoted(f"{directory}/control0{number}.ctl") for number in (1, 2)),
        "audit_file_dest": quoted(f"{directory}/adump"),
        "diagnostic_dest": quoted(f"{directory}/diag"),
    }
    if values.get("db_recovery_file_dest"):
        new["db_recovery_file_dest"] = quoted(f"{directory}/fra")
    return {**kept, **new}


def scratch(kept: Dict[str, str], directory: str, unique_name: str) -> Dict[str, str]:
    """Return the fewest parameters with which an instance of its own opens a copy in ``directory``.

    ``kept``: what the source's receipt says of its parameters. Another unique name keeps it apart from the live database.
    """
    text = {name: quoted(value) for name, value in kept.items()}
    return {
        **text,
        "db_unique_name": quoted(unique_name),
        "control_files": quoted(f"{directory}/control01.ctl"),
        "audit_file_dest": quoted(f"{directory}/adump"),
        "diagnostic_dest": quoted(f"{directory}/diag"),
        "db_recovery_file_dest": quoted(f"{directory}/fra"),
        "db_recovery_file_dest_size": "2T",
        "job_queue_processes": "0",
    }
