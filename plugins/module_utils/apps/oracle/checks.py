# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be true of a database that is backed up: named checks over what its dictionary said. Pure functions."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Dict

from ...checks import Check, new_check
from ...files import human
from ...moment import now
from .client import Rows
from .clock import local_second, spell
from .dictionary import State, whole

_CLOCK_SECONDS = 120
_FULL_AREA = 0.85


def open_check(database: Dict[str, Any]) -> Check:
    """Return the check that the database is open for writing: another one cannot archive its current log."""
    if database["role"] != "PRIMARY" or database["open_mode"] != "READ WRITE":
        detail = f"{database['name']} is {database['role']}, {database['open_mode']}"
        return new_check("instance", "failed", detail, "open the primary database, then back it up")
    return new_check("instance", "ok", f"{database['name']} (DBID {database['dbid']}) is open")


def archive_mode_check(database: Dict[str, Any]) -> Check:
    """Return the check of ARCHIVELOG mode: without it an open database cannot be backed up."""
    if database["log_mode"] != "ARCHIVELOG":
        hint = "put it into ARCHIVELOG mode (needs a restart): STARTUP MOUNT, ALTER DATABASE ARCHIVELOG, ALTER DATABASE OPEN"
        return new_check("archive mode", "failed", f"the database runs in {database['log_mode']} mode", hint)
    return new_check("archive mode", "ok", "ARCHIVELOG")


def archiver_check(rows: Rows) -> Check:
    """Return the check that logs can be archived to every destination that is in use."""
    bad = [f"destination {row[0]} is {row[1]}{': ' + row[2] if row[2] else ''}" for row in rows if row[1] != "VALID" or row[2]]
    if bad or not rows:
        detail = "; ".join(bad) or "there is no archive destination"
        return new_check("archiver", "failed", detail, "mend it, else the database will stop")
    return new_check("archiver", "ok", ", ".join(row[3] for row in rows))


def recovery_area_check(rows: Rows) -> Check:
    """Return the check of the room in the recovery area, in which archived logs appear during the backup."""
    used = [(row[0], whole(row[1]), whole(row[2]) - whole(row[3])) for row in rows if row[0]]
    for name, limit, taken in used:
        share = taken / limit if limit else 1.0
        hint = "make room in it, or raise db_recovery_file_dest_size"
        if share >= 0.98:
            return new_check("recovery area", "failed", f"{name} is full ({human(taken)} of {human(limit)})", hint)
        if share >= _FULL_AREA:
            return new_check("recovery area", "warning", f"{name} is {share:.0%} full", hint)
    return new_check(
        "recovery area", "ok", ", ".join(f"{name} {human(limit - taken)} free" for name, limit, taken in used) or "none"
    )


def autobackup_check(rows: Rows) -> Check:
    """Return the check of the control file's automatic backup, the last resort of whoever has pieces only."""
    if rows and rows[0][0] == "ON":
        return new_check("autobackup", "ok", "on")
    return new_check("autobackup", "warning", "off", "in RMAN: CONFIGURE CONTROLFILE AUTOBACKUP ON")


def keystore_check(rows: Rows) -> Check:
    """Return the check of the keystore: encrypted data cannot be restored without it, and it is in no backup piece."""
    states = sorted({row[0] for row in rows} - {"NOT_AVAILABLE"})
    if not states:
        return new_check("keystore", "ok", "none")
    if [state for state in states if not state.startswith("OPEN")]:
        hint = "open it: ADMINISTER KEY MANAGEMENT SET KEYSTORE OPEN"
        return new_check("keystore", "failed", f"the keystore is {', '.join(states)}", hint)
    return new_check("keystore", "ok", "open; it is not part of the set, keep a copy elsewhere")


def record_check(values: Dict[str, str]) -> Check:
    """Return the check of the time that RMAN's own records are kept: a level 1 backup needs those of its parents."""
    days = whole(values.get("control_file_record_keep_time", ""))
    if days < 7:
        hint = "a level 1 backup becomes a full one when they are gone; ALTER SYSTEM SET control_file_record_keep_time"
        return new_check("records", "warning", f"RMAN's records may be reused after {days} days", hint)
    return new_check("records", "ok", f"kept for {days} days")


def nologging_check(database: Dict[str, Any], rows: Rows) -> Check:
    """Return the check for changes that never were in the redo: recovery leaves those blocks unreadable."""
    if database["force_logging"] == "YES":
        return new_check("logging", "ok", "forced")
    files = whole(rows[0][0]) if rows else 0
    detail = f"not forced; {files} data files had changes outside the redo" if files else "not forced"
    return new_check("logging", "warning", detail, "ALTER DATABASE FORCE LOGGING")


def threads_check(state: State) -> Check:
    """Return the check of the redo threads."""
    if len(state.current) > 1:
        return new_check(
            "redo threads", "warning", f"{len(state.current)} threads; clusters were never rehearsed", "rehearse a restore"
        )
    return new_check("redo threads", "ok", ", ".join(state.current))


def clock_check(rows: Rows, zone: str) -> Check:
    """Return the check that the server's clock is the worker's clock in ``zone``: restores to a moment rely on it."""
    shown, present = rows[0][0] if rows else "", local_second(zone, now())
    try:
        seconds = abs((datetime.strptime(shown, "%Y-%m-%d %H:%M:%S") - present).total_seconds())
    except ValueError:
        return new_check("clock", "failed", f"the server says {shown!r}", "NLS_DATE_FORMAT is not obeyed")
    if seconds > _CLOCK_SECONDS:
        detail = f"the server says {shown}, the clock of the worker {spell(present)}"
        return new_check("clock", "failed", detail, "set app_oracle_time_zone to the zone that the instance was started in")
    return new_check("clock", "ok", f"{shown} local time")
