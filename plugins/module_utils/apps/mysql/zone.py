# SPDX-License-Identifier: GPL-3.0-or-later
"""The time zone that a server calls SYSTEM: statements in its log and the times of its events mean moments of that zone.

The server itself tells an abbreviation only (CET). So the name is that of its process or of its host, and it is believed when
the zone of that name gives the same times as the server does.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from ...checks import Check, new_check
from ...errors import BackstayError, Refused
from ...files import read_plain
from ...process import run
from .client import Options, query

_ZONES = Path("/usr/share/zoneinfo")
_LOCALTIME = Path("/etc/localtime")
_NAMED = Path("/etc/timezone")  # of Debian, also where the file above is a copy
_NAME = re.compile(r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*\Z")
_STEP = 40 * 86400
_MOMENTS = range(_STEP, 2**31 - 1, _STEP)  # every summer and winter from 1970 to 2038, in seconds since 1970


def known(zone: str) -> bool:
    """Return whether this host knows the zone of this name. A program takes an unknown one for UTC, without a word."""
    return bool(_NAME.match(zone)) and (zone == "UTC" or (_ZONES / zone).is_file())


def zone_of_server(options: Options, pid_file: str) -> Tuple[Check, str]:
    """Return the check of the time zone of a running server, and the zone's name; empty when it cannot be told."""
    try:
        told = _times_of_server(options)
        for name in dict.fromkeys(["UTC", *_candidates(Path(pid_file))]):  # every host knows UTC, whatever it calls it
            if known(name) and _times_of_zone(name) == told:
                return new_check("time zone", "ok", name), name
        detail = "no zone that this host names gives the times of the server"
    except BackstayError as error:
        detail = error.message
    detail += "; what a restore replays, or makes of a dump, would take its local times for UTC"
    hint = "give the server's unit the variable TZ with the name of its zone, and restart the server"
    return new_check("time zone", "warning", detail, hint), ""


def moved_check(newest: Optional[Dict[str, Any]], zone: str) -> List[Check]:
    """Return the check of logs that would be replayed in another zone than they were written in, if they would.

    ``newest`` are the newest sets of the server: logs are replayed in the zone that its data was backed up in.
    """
    former = ((newest or {}).get("data") or {}).get("facts", {}).get("time_zone")
    if not former or not zone or former == zone:
        return []
    detail = f"the server is in {zone}, it was in {former} when its newest data was backed up, in which logs are replayed"
    return [new_check("time zone", "warning", detail, "make a full backup: -e backstay_kind=full")]


def zone_check(source: Dict[str, Any]) -> Check:
    """Return the check that this host knows the zone of the server that a set is of; ``source``: the facts of its receipt."""
    zone = str(source.get("time_zone") or "")
    if zone and not known(zone):
        return new_check("time zone", "failed", f"this host does not know the server's time zone {zone!r}", "install tzdata")
    return new_check("time zone", "ok", zone or "the set does not say of which zone its server was")


def zone_environment(facts: Dict[str, Any]) -> Dict[str, str]:
    """Return the variables that give a server on a copy the time zone of the one that was backed up.

    ``facts`` are those of the receipt; older ones do not tell the zone, and change nothing. Raise Refused for a zone that this
    host does not know.
    """
    check = zone_check(facts)
    if check["status"] == "failed":
        raise Refused(f"{check['detail']}: its local times would be taken for UTC", check["hint"])
    return {"TZ": str(facts["time_zone"])} if facts.get("time_zone") else {}


def _times_of_server(options: Options) -> List[str]:
    asked = ", ".join(f"FROM_UNIXTIME({moment})" for moment in _MOMENTS)
    rows = query(options, f"SET time_zone = 'SYSTEM'; SELECT {asked}")
    return rows[0] if rows else []


def _times_of_zone(zone: str) -> List[str]:
    asked = "".join(f"@{moment}\n" for moment in _MOMENTS)
    argv = ["date", "--file=-", "+%Y-%m-%d %H:%M:%S"]
    return run(argv, 60, extra_environment={"TZ": zone}, feed=asked.encode()).stdout.splitlines()


def _candidates(pid_file: Path) -> List[str]:
    """Return what may be the name of the server's zone, the likeliest first: of its process, then of this host."""
    return [_named(text) for text in (_of_process(pid_file), os.path.realpath(str(_LOCALTIME)), read_plain(_NAMED))]


def _named(text: str) -> str:
    """Return the name of a zone as TZ, a path or a file spells it."""
    name = text.strip().lstrip(":").rpartition("/zoneinfo/")[2]
    return name[len("posix/") :] if name.startswith("posix/") else name


def _of_process(pid_file: Path) -> str:
    """Return the variable TZ of the server's process; empty when it has none, or cannot be found."""
    pid = read_plain(pid_file).strip()
    if not pid.isdigit():
        return ""
    variables = read_plain(Path("/proc") / pid / "environ", 1 << 20).split("\0")
    return next((item[len("TZ=") :] for item in variables if item.startswith("TZ=")), "")
