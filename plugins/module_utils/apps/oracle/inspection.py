# SPDX-License-Identifier: GPL-3.0-or-later
"""Preflight of Oracle databases: every precondition of a backup or restore is a check with a name."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from ...checks import Check, full_instead, new_check
from ...errors import BackstayError
from ...executors import Executor, LocalExecutor
from . import checks as judge
from . import dictionary, places
from .client import Instance, Rows, ask, instance
from .clock import rule
from .dictionary import State, whole
from .history import Link, first_to_take, foreign_base, link
from .target import inspect_target

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


def preflight(options: Dict[str, Any], action: str) -> Dict[str, Any]:
    """Return checks and facts. A restore or verify works without a running instance.

    ``options`` may hold an ``executor``, which leads to the host of the database.
    """
    executor: Executor = options.get("executor") or LocalExecutor()
    server = instance(options, executor)
    checks = [places.account_check(server), places.software_check(server)]
    facts: Dict[str, Any] = {"instance": server.facts(), "services": [], "replaces": [f"oracle:{server.sid}"]}
    if any(item["status"] == "failed" for item in checks):
        return {"checks": checks, "facts": facts}
    if action == "backup":
        more, found = inspect_database(server, options)
    else:
        more, found = inspect_target(server, options, action)
        in_place = action == "restore" and not options.get("restore_to")
        facts["services"] = [service_of(options["service"], executor)] if options.get("service") and in_place else []
    return {"checks": [*checks, *more], "facts": dict(facts, **found)}


def service_of(name: str, executor: Executor) -> Dict[str, Any]:
    """Return the service that runs the instance, as ``facts.services`` want it.

    Its account is not root of its host, so on another machine sudo has to let it (roles/executor).
    """
    if not executor.remote:
        return {"service": name}
    told = ["sudo", "-n", "/usr/bin/systemctl"]
    status = ["systemctl", "is-active", "--quiet", name]
    return {"service": name, "control": {"start": [*told, "start", name], "stop": [*told, "stop", name], "status": status}}


def inspect_database(server: Instance, options: Dict[str, Any]) -> Tuple[List[Check], Dict[str, Any]]:
    """Return checks and facts of the open database that is to be backed up."""
    try:
        zone = rule(server.zone, server.executor)
        found = ask(server, _QUESTIONS)
        state = dictionary.state_of(found, dictionary.file_exists(server))
    except BackstayError as error:
        return [new_check("instance", "failed", error.message, error.hint or "is the database open?")], {}
    values = dictionary.parameters(found["parameters"])
    checks = [
        judge.open_check(state.database),
        judge.archive_mode_check(state.database),
        judge.archiver_check(found["destinations"]),
        judge.recovery_area_check(found["recovery_area"]),
        places.parameter_file_check(server, values),
        judge.autobackup_check(found["autobackup"]),
        judge.keystore_check(found["keystore"]),
        judge.record_check(values),
        judge.nologging_check(state.database, found["nologging"]),
        judge.threads_check(state),
        judge.clock_check(found["clock"], zone),
    ]
    if any(item["status"] == "failed" for item in checks):
        return checks, {}
    kind_check, chosen = choose_kind(server, options, state)
    facts = facts_of(found, state, values, chosen, zone)
    checks += [kind_check] if kind_check else []
    checks += [places.staging_check(server, options["host"]), places.staging_space_check(server, options["host"], facts)]
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
        "zone": zone,
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
    check, chosen = full_instead(wanted, because, options.get("full_when_broken", True))
    return check, dict(chosen, first=first_to_take(state, found))


def _continued(
    wanted: str, found: Optional[Link], state: State, newest: Optional[Dict[str, Any]]
) -> Tuple[Optional[Check], Dict[str, Any]]:
    chosen: Dict[str, Any] = {
        "kind": wanted,
        "first": found.first if wanted == "log" and found else first_to_take(state, found),
    }
    if wanted == "incremental":
        chosen["parent"] = (newest or {})["data"]["set"]
    return (new_check("chain", "ok", f"continues set {found.parent}") if found and wanted != "full" else None), chosen
