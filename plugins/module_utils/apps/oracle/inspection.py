# SPDX-License-Identifier: GPL-3.0-or-later
"""Preflight of Oracle databases: every precondition of a backup or restore is a check with a name."""

from __future__ import annotations

import contextlib
import os
import pwd
from datetime import datetime
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from ... import layout
from ...errors import BackstayError, CommandFailed
from ...files import free_bytes, human, let_through, private_directory
from . import dictionary
from .client import Instance, Rows, ask, instance, sqlplus
from .clock import local_second, rule, spell
from .dictionary import State, whole
from .history import Link, first_to_take, foreign_base, link
from .text import quoted

Check = Dict[str, str]
_CLOCK_SECONDS = 120
_LOOK = "be sure that the files on this host are those that you want to replace; they move aside"
_FULL_AREA = 0.85
# Without these a copy of the control file cannot be mounted by an instance of its own.
KEPT_PARAMETERS = ("compatible", "db_block_size", "db_name", "enable_pluggable_database", "undo_tablespace")
_QUESTIONS = {
    "database": dictionary.DATABASE,
    "archived": dictionary.ARCHIVED,
    "online": dictionary.ONLINE,
    "clock": dictionary.CLOCK,
    "version": dictionary.VERSION,
    "parameters": dictionary.PARAMETERS,
    "data_files": dictionary.DATA_FILES,
    "pluggable": dictionary.PLUGGABLE,
    "destinations": "SELECT dest_id, status, error, destination FROM v$archive_dest WHERE status <> 'INACTIVE'",
    "recovery_area": "SELECT name, space_limit, space_used, space_reclaimable FROM v$recovery_file_dest",
    "keystore": "SELECT status, wallet_type FROM v$encryption_wallet",
    "autobackup": "SELECT value FROM v$rman_configuration WHERE name = 'CONTROLFILE AUTOBACKUP'",
    "nologging": "SELECT COUNT(*) FROM v$datafile WHERE unrecoverable_change# > 0",
}


def check(name: str, status: str, detail: str, hint: str = "") -> Check:
    """Return one check. ``status`` is ok, warning or failed."""
    return {"name": name, "status": status, "detail": detail, "hint": hint}


def preflight(options: Dict[str, Any], action: str) -> Dict[str, Any]:
    """Return checks and facts. A restore or verify works without a running instance."""
    server = instance(options)
    checks = [account_check(server), software_check(server)]
    facts: Dict[str, Any] = {"instance": server._asdict(), "services": []}
    if any(item["status"] == "failed" for item in checks):
        return {"checks": checks, "facts": facts}
    if action == "backup":
        more, found = inspect_database(server, options)
    else:
        more, found = inspect_target(server, options, action)
        needed = bool(options.get("service")) and not options.get("restore_to")
        facts["services"] = [{"service": options["service"]}] if needed else []
    return {"checks": [*checks, *more], "facts": dict(facts, **found)}


def account_check(server: Instance) -> Check:
    """Return the check that the server's account is on this host."""
    try:
        pwd.getpwnam(server.account)
    except KeyError:
        return check("account", "failed", f"this host has no account '{server.account}'", "set app_oracle_account")
    return check("account", "ok", server.account)


def software_check(server: Instance) -> Check:
    """Return the check that the software is where its home says."""
    for program in ("rman", "sqlplus"):
        if not os.access(f"{server.home}/bin/{program}", os.X_OK):
            return check("software", "failed", f"{server.home}/bin/{program} is missing", "set app_oracle_home")
    return check("software", "ok", server.home)


def inspect_database(server: Instance, options: Dict[str, Any]) -> Tuple[List[Check], Dict[str, Any]]:
    """Return checks and facts of the open database that is to be backed up."""
    try:
        found = ask(server, _QUESTIONS)
        state = dictionary.state_of(found, dictionary.file_exists)
    except BackstayError as error:
        return [check("instance", "failed", error.message, error.hint or "is the database open?")], {}
    values = dictionary.parameters(found["parameters"])
    checks = [
        open_check(state.database),
        archive_mode_check(state.database),
        archiver_check(found["destinations"]),
        recovery_area_check(found["recovery_area"]),
        parameter_file_check(server, values),
        autobackup_check(found["autobackup"]),
        keystore_check(found["keystore"]),
        record_check(values),
        nologging_check(state.database, found["nologging"]),
        threads_check(state),
        clock_check(found["clock"], server.zone),
    ]
    if any(item["status"] == "failed" for item in checks):
        return checks, {}
    kind_check, chosen = choose_kind(server, options, state)
    facts = facts_of(found, state, values, chosen, server.zone)
    checks += [
        item for item in (kind_check, staging_check(server, options["host"]), space_check(options["host"], facts)) if item
    ]
    return checks, facts


def facts_of(found: Dict[str, Rows], state: State, values: Dict[str, str], chosen: Dict[str, Any], zone: str) -> Dict[str, Any]:
    """Return the facts of a database that is to be backed up; ``chosen`` says of what kind and from which logs on."""
    places: Dict[str, int] = {}
    for _file, name, size in found["data_files"]:
        folder = str(Path(name).parent)
        places[folder] = places.get(folder, 0) + whole(size)
    first = chosen["first"]
    taken = [log for thread, logs in state.archived.items() for log in logs.values() if log.sequence >= first[thread]]
    kept = {key: state.database[key] for key in ("dbid", "name", "unique_name", "cdb", "resetlogs")}
    return {
        **kept,
        **chosen,
        "zone": rule(zone),
        "version": found["version"][0][0],
        "data_bytes": sum(places.values()),
        "log_bytes": sum(log.bytes for log in taken),
        "places": places,
        "server_parameter_file": bool(values.get("spfile")),
        "parameters": {name: values[name] for name in KEPT_PARAMETERS if values.get(name)},
        "pluggable": {row[0]: row[1] for row in found["pluggable"]},
        "keystore": found["keystore"][0][0] if found["keystore"] else "NOT_AVAILABLE",
    }


def choose_kind(server: Instance, options: Dict[str, Any], state: State) -> Tuple[Optional[Check], Dict[str, Any]]:
    """Return the kind of backup that is possible, from which logs on, its parent; with why it is another one.

    What cannot continue the newest set in the repository would be worth nothing: then a full one is due, and says why.
    """
    wanted, newest = options.get("kind", "full"), options.get("newest")
    found, because = link(newest, state)
    if found and wanted == "incremental":
        parent = (newest or {})["data"]
        because = foreign_base(parent, dictionary.bases(server, 0 if options.get("cumulative") else 1))
    if wanted == "full" or (found and not because):
        return _continued(wanted, found, state, newest)
    detail = f"{wanted} was asked for, a full backup is made: {because}"
    if not options.get("full_when_broken", True):
        return check("chain", "failed", because, "make a full backup: -e backstay_kind=full"), {"first": {}}
    return check("chain", "warning", detail), {"kind": "full", "because": detail, "first": first_to_take(state, found)}


def _continued(
    wanted: str, found: Optional[Link], state: State, newest: Optional[Dict[str, Any]]
) -> Tuple[Optional[Check], Dict[str, Any]]:
    chosen: Dict[str, Any] = {
        "kind": wanted,
        "first": found.first if wanted == "log" and found else first_to_take(state, found),
    }
    if wanted == "incremental":
        chosen["parent"] = (newest or {})["data"]["set"]
    return (check("chain", "ok", f"continues set {found.parent}") if found and wanted != "full" else None), chosen


def open_check(database: Dict[str, Any]) -> Check:
    """Return the check that the database is open for writing: another one cannot archive its current log."""
    if database["role"] != "PRIMARY" or database["open_mode"] != "READ WRITE":
        detail = f"{database['name']} is {database['role']}, {database['open_mode']}"
        return check("instance", "failed", detail, "open the primary database, then back it up")
    return check("instance", "ok", f"{database['name']} (DBID {database['dbid']}) is open")


def archive_mode_check(database: Dict[str, Any]) -> Check:
    """Return the check of ARCHIVELOG mode: without it an open database cannot be backed up."""
    if database["log_mode"] != "ARCHIVELOG":
        hint = "put it into ARCHIVELOG mode (needs a restart): STARTUP MOUNT, ALTER DATABASE ARCHIVELOG, ALTER DATABASE OPEN"
        return check("archive mode", "failed", f"the database runs in {database['log_mode']} mode", hint)
    return check("archive mode", "ok", "ARCHIVELOG")


def archiver_check(rows: Rows) -> Check:
    """Return the check that logs can be archived to every destination that is in use."""
    bad = [f"destination {row[0]} is {row[1]}{': ' + row[2] if row[2] else ''}" for row in rows if row[1] != "VALID" or row[2]]
    if bad or not rows:
        detail = "; ".join(bad) or "there is no archive destination"
        return check("archiver", "failed", detail, "mend it, else the database will stop")
    return check("archiver", "ok", ", ".join(row[3] for row in rows))


def recovery_area_check(rows: Rows) -> Check:
    """Return the check of the room in the recovery area, in which archived logs appear during the backup."""
    used = [(row[0], whole(row[1]), whole(row[2]) - whole(row[3])) for row in rows if row[0]]
    for name, limit, taken in used:
        share = taken / limit if limit else 1.0
        hint = "make room in it, or raise db_recovery_file_dest_size"
        if share >= 0.98:
            return check("recovery area", "failed", f"{name} is full ({human(taken)} of {human(limit)})", hint)
        if share >= _FULL_AREA:
            return check("recovery area", "warning", f"{name} is {share:.0%} full", hint)
    return check(
        "recovery area", "ok", ", ".join(f"{name} {human(limit - taken)} free" for name, limit, taken in used) or "none"
    )


def parameter_file_of(server: Instance) -> Path:
    """Return the text parameter file from which an instance without a server parameter file starts."""
    return Path(server.home) / "dbs" / f"init{server.sid}.ora"


def parameter_file_check(server: Instance, values: Dict[str, str]) -> Check:
    """Return the check that there is a parameter file to back up (ORA-5)."""
    if values.get("spfile"):
        return check("parameter file", "ok", values["spfile"])
    path = parameter_file_of(server)
    if not path.is_file():
        return check(
            "parameter file", "failed", f"the instance has no spfile and {path} is not there", "CREATE SPFILE FROM MEMORY"
        )
    return check("parameter file", "ok", f"{path}; no server parameter file")


def autobackup_check(rows: Rows) -> Check:
    """Return the check of the control file's automatic backup, the last resort of whoever has pieces only."""
    if rows and rows[0][0] == "ON":
        return check("autobackup", "ok", "on")
    return check("autobackup", "warning", "off", "in RMAN: CONFIGURE CONTROLFILE AUTOBACKUP ON")


def keystore_check(rows: Rows) -> Check:
    """Return the check of the keystore: encrypted data cannot be restored without it, and it is in no backup piece."""
    states = sorted({row[0] for row in rows} - {"NOT_AVAILABLE"})
    if not states:
        return check("keystore", "ok", "none")
    if [state for state in states if not state.startswith("OPEN")]:
        hint = "open it: ADMINISTER KEY MANAGEMENT SET KEYSTORE OPEN"
        return check("keystore", "failed", f"the keystore is {', '.join(states)}", hint)
    return check("keystore", "ok", "open; it is not part of the set, keep a copy elsewhere")


def record_check(values: Dict[str, str]) -> Check:
    """Return the check of the time that RMAN's own records are kept: a level 1 backup needs those of its parents."""
    days = whole(values.get("control_file_record_keep_time", ""))
    if days < 7:
        hint = "a level 1 backup becomes a full one when they are gone; ALTER SYSTEM SET control_file_record_keep_time"
        return check("records", "warning", f"RMAN's records may be reused after {days} days", hint)
    return check("records", "ok", f"kept for {days} days")


def nologging_check(database: Dict[str, Any], rows: Rows) -> Check:
    """Return the check for changes that never were in the redo: recovery leaves those blocks unreadable."""
    if database["force_logging"] == "YES":
        return check("logging", "ok", "forced")
    files = whole(rows[0][0]) if rows else 0
    detail = f"not forced; {files} data files had changes outside the redo" if files else "not forced"
    return check("logging", "warning", detail, "ALTER DATABASE FORCE LOGGING")


def threads_check(state: State) -> Check:
    """Return the check of the redo threads."""
    if len(state.current) > 1:
        return check(
            "redo threads", "warning", f"{len(state.current)} threads; clusters were never rehearsed", "rehearse a restore"
        )
    return check("redo threads", "ok", ", ".join(state.current))


def clock_check(rows: Rows, zone: str) -> Check:
    """Return the check that the server's clock is the host's clock in ``zone``: restores to a moment rely on it."""
    shown = rows[0][0] if rows else ""
    try:
        seconds = abs((datetime.strptime(shown, "%Y-%m-%d %H:%M:%S") - local_second(zone)).total_seconds())
    except ValueError:
        return check("clock", "failed", f"the server says {shown!r}", "NLS_DATE_FORMAT is not obeyed")
    if seconds > _CLOCK_SECONDS:
        detail = f"the server says {shown}, the host {spell(local_second(zone))}"
        return check("clock", "failed", detail, "set app_oracle_time_zone to the zone that the instance was started in")
    return check("clock", "ok", f"{shown} local time")


def staging_check(server: Instance, host: str) -> Check:
    """Return the check that the server can write where the worker can read: the server writes a probe, the worker reads it."""
    folder = layout.staging(host, "oracle") / "probe"
    path = folder / "controlfile.sql"
    try:
        private_directory(folder)
        entry = pwd.getpwnam(server.account)
        os.chown(str(folder), entry.pw_uid, entry.pw_gid)
        let_through(folder.parent, layout.ROOT)
        sqlplus(server, f"ALTER DATABASE BACKUP CONTROLFILE TO TRACE AS {quoted(str(path))} REUSE;")
        size = path.stat().st_size
    except (OSError, BackstayError) as error:
        detail = error.message if isinstance(error, BackstayError) else f"{error.filename}: {error.strerror}"
        hint = f"the account {server.account} needs a way to {folder.parent}"
        return check("staging", "failed", f"the server cannot write into staging: {detail}", hint)
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        with contextlib.suppress(OSError):
            folder.rmdir()
    if size == 0:
        return check("staging", "failed", f"what the server wrote into {folder} arrived empty", "is it another file system?")
    return check("staging", "ok", str(folder.parent))


def space_check(host: str, facts: Dict[str, Any]) -> Check:
    """Return the check of the room in staging: all data files for a full backup, the logs for any."""
    needed = facts["log_bytes"] + (facts["data_bytes"] if facts.get("kind") == "full" else 0)
    folder = layout.staging(host, "oracle")
    free = free_bytes(folder)
    if free < needed * 1.1:
        return check("space", "failed", f"staging needs about {human(needed)}, {human(free)} are free in {folder}", "make room")
    return check("space", "ok", f"{human(free)} free in staging")


def inspect_target(server: Instance, options: Dict[str, Any], action: str) -> Tuple[List[Check], Dict[str, Any]]:
    """Return checks and facts of the place where a set is restored or verified, whether a database runs there or not."""
    source = options.get("source") or {}
    if not source.get("dbid"):
        return [check("set", "failed", "the receipt of the full set names no database", "choose another set")], {}
    in_place = action == "restore" and not options.get("restore_to")
    checks = [landing_check(options)]
    if in_place:
        live = live_database(server)
        checks.append(owner_check(live, source))
        if source.get("host") == options["host"]:  # a copy on another host has an incarnation of its own
            checks.append(incarnation_check(live, source, bool(options.get("previous_incarnation"))))
        checks.append(room_check(options, source))
    elif options.get("restore_to"):
        checks += [
            target_check(Path(options["restore_to"])),
            room_check(dict(options, directory=options["restore_to"]), source),
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
        return check("database", "failed", detail, "restore to another SID, or drop that database yourself")
    if live is None:
        return check("database", "warning", "none answers under this SID, nothing was compared", _LOOK)
    return check("database", "ok", f"{source['name']} (DBID {source['dbid']})")


def incarnation_check(live: Optional[Dict[str, Any]], source: Dict[str, Any], wanted: bool) -> Check:
    """Return the check that the set is of the database's present incarnation, unless an older one is asked for."""
    if live and live["dbid"] == source["dbid"] and live["resetlogs"] > source["resetlogs"]:
        detail = f"the set is from before the OPEN RESETLOGS at SCN {live['resetlogs']}"
        if not wanted:
            hint = "choose a later moment, or ask for it: -e app_oracle_previous_incarnation=true"
            return check("incarnation", "failed", detail, hint)
        return check("incarnation", "warning", detail + ", as asked for")
    if live is None:
        return check("incarnation", "warning", "no database answers, nothing was compared", _LOOK)
    return check("incarnation", "ok", f"RESETLOGS at SCN {source['resetlogs']}")


def landing_check(options: Dict[str, Any]) -> Check:
    """Return the check of the room for the backup pieces that come back first."""
    needed = int(options.get("needed_bytes") or 0)
    place = Path(options["landing"]) if options.get("landing") else layout.work(options["host"], "oracle")
    free = free_bytes(place)
    if free < needed * 1.05:
        return check(
            "landing", "failed", f"{human(needed)} are needed in {place}, {human(free)} are free", "set app_oracle_landing"
        )
    return check("landing", "ok", f"{human(free)} free in {place}")


def room_check(options: Dict[str, Any], source: Dict[str, Any]) -> Check:
    """Return the check of the room for the restored files; what they replace stays beside them until the restore is proved."""
    places: Dict[str, int] = source.get("places") or {}
    if options.get("directory"):
        places = {options["directory"]: sum(places.values())}
    for place, needed in sorted(places.items()):
        if place.startswith("/") and free_bytes(Path(place)) < needed * 1.05:
            detail = f"{human(needed)} are needed in {place}, {human(free_bytes(Path(place)))} are free"
            return check("space", "failed", detail, "make room, or restore elsewhere with backstay_restore_to")
    return check("space", "ok", ", ".join(sorted(places)))


def target_check(place: Path) -> Check:
    """Return the check that the directory of a restore beside the live database is new."""
    if place.exists() and any(place.iterdir()):
        return check("target", "failed", f"{place} is not empty", "restore to a directory that does not exist yet")
    return check("target", "ok", str(place))
