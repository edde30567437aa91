# SPDX-License-Identifier: GPL-3.0-or-later
"""Preflight of a restore or a verification: what is wanted there, what lives there, whether there is room."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from ... import layout
from ...checks import Check, new_check, side_check, space_check
from ...errors import CommandFailed
from . import dictionary, parameters
from .client import Instance, ask
from .places import parameter_file_of

_LOOK = "be sure that the files on this host are those that you want to replace; they move aside"


def inspect_target(server: Instance, options: Dict[str, Any], action: str) -> Tuple[List[Check], Dict[str, Any]]:
    """Return checks and facts of the place where a set is restored or verified, whether a database runs there or not."""
    source = options.get("source") or {}
    if not source.get("dbid"):
        return [new_check("set", "failed", "the receipt of the full set names no database", "choose another set")], {}
    in_place = action == "restore" and not options.get("restore_to")
    if server.executor.remote and (options.get("restore_to") or options.get("landing")):
        hint = "run it without backstay_worker, on the database host itself"
        detail = "neither a restore beside the live database nor app_oracle_landing works from another machine"
        return [new_check("worker", "failed", detail, hint)], {}
    checks = [landing_check(server, options)]
    if in_place:
        live = live_database(server)
        checks.append(owner_check(live, source))
        if source.get("host") == options["host"]:  # a copy on another host has an incarnation of its own
            checks.append(incarnation_check(live, source, bool(options.get("previous_incarnation"))))
        checks += [aside_check(replaced(server, options, source, live)), room_check(server, options, source)]
    elif options.get("restore_to"):
        files = [place for place in source.get("places") or {} if place.startswith("/") and server.executor.names(Path(place))]
        checks += [
            side_check(options["restore_to"], files),
            room_check(server, dict(options, directory=options["restore_to"]), source),
        ]
    return checks, {"source": {key: source[key] for key in ("dbid", "name")}}


def live_database(server: Instance) -> Optional[Dict[str, Any]]:
    """Return the database that is mounted or open under this SID, None when there is none."""
    try:
        return dictionary.database_row(ask(server, {"database": dictionary.DATABASE})["database"])
    except CommandFailed:
        return None


def owner_check(live: Optional[Dict[str, Any]], source: Dict[str, Any]) -> Check:
    """Return the check that no other database lives under this SID."""
    if live and live["dbid"] != source["dbid"]:
        detail = f"{live['name']} (DBID {live['dbid']}) lives here, the set is of {source['name']} (DBID {source['dbid']})"
        return new_check("database", "failed", detail, "restore to another SID, or drop that database yourself")
    if live is None:
        return new_check("database", "warning", "none answers under this SID, nothing was compared", _LOOK)
    return new_check("database", "ok", f"{source['name']} (DBID {source['dbid']})")


def incarnation_check(live: Optional[Dict[str, Any]], source: Dict[str, Any], wanted: bool) -> Check:
    """Return the check that the set is of the database's present incarnation, unless an older one is asked for."""
    if live and live["dbid"] == source["dbid"] and live["resetlogs"] > source["resetlogs"]:
        detail = f"the set is from before the OPEN RESETLOGS at SCN {live['resetlogs']}"
        if not wanted:
            hint = "choose a later moment, or ask for it: -e app_oracle_previous_incarnation=true"
            return new_check("incarnation", "failed", detail, hint)
        return new_check("incarnation", "warning", detail + ", as asked for")
    if live is None:
        return new_check("incarnation", "warning", "no database answers, nothing was compared", _LOOK)
    return new_check("incarnation", "ok", f"RESETLOGS at SCN {source['resetlogs']}")


def replaced(server: Instance, options: Dict[str, Any], source: Dict[str, Any], live: Optional[Dict[str, Any]]) -> List[str]:
    """Return the names, as far as they are known now, of what a restore in place replaces: control files, and without a
    directory of its own the places of the data files, the online logs and the temporary files."""
    names = [] if options.get("directory") and options.get("parameters") == "always" else _control_files(server)
    if not options.get("directory"):
        names += source.get("places") or {}
        if live:
            found = ask(server, {"logs": dictionary.ONLINE_LOGS, "temporary": dictionary.TEMP_FILES})
            names += [row[1] for rows in found.values() for row in rows]
    return names


def _control_files(server: Instance) -> List[str]:
    """Return the control files of the instance, whether it runs or has a text parameter file; none where nobody can say."""
    try:
        values = dictionary.parameters(ask(server, {"values": dictionary.PARAMETERS})["values"])
    except CommandFailed:
        path = parameter_file_of(server)
        values = parameters.read(server.executor.read(path).decode("utf-8", "replace")) if server.executor.exists(path) else {}
    return dictionary.listed(values.get("control_files"))


def aside_check(names: List[str]) -> Check:
    """Return the check that what is replaced lies in directories of the host: only a rename sets it aside untouched."""
    nowhere = [name for name in names if not name.startswith("/")]
    if nowhere:
        hint = "restore to app_oracle_directory with app_oracle_parameters=always, or beside it with backstay_restore_to"
        return new_check("files", "failed", f"{nowhere[0]} is no file of this host and cannot be moved aside", hint)
    return new_check("files", "ok", "what is replaced can move aside")


def landing_check(server: Instance, options: Dict[str, Any]) -> Check:
    """Return the check of the room for the backup pieces that come back first."""
    needed = int(options.get("needed_bytes") or 0)
    own = server.executor.work(layout.work(options["host"], "oracle"))
    place = Path(options["landing"]) if options.get("landing") else own
    return space_check("landing", place, needed * 1.05, server.executor.free(place), "set app_oracle_landing")


def room_check(server: Instance, options: Dict[str, Any], source: Dict[str, Any]) -> Check:
    """Return the check of the room for the restored files; what they replace stays beside them until the restore is proved."""
    places: Dict[str, int] = source.get("places") or {}
    if options.get("directory"):
        places = {options["directory"]: sum(places.values())}
    for place, needed in sorted(places.items()):
        free = server.executor.free(Path(place)) if place.startswith("/") else needed * 2
        found = space_check("space", place, needed * 1.05, free, "make room, or restore elsewhere with backstay_restore_to")
        if found["status"] == "failed":
            return found
    return new_check("space", "ok", ", ".join(sorted(places)))
