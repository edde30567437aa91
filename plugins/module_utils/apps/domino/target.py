# SPDX-License-Identifier: GPL-3.0-or-later
"""Preflight of a restore or a verification: what the set holds, where it comes, whether it can be done. Nothing is changed."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any, Dict, List

from ... import layout
from ...checks import Check, new_check, side_check, space_check
from ...errors import BackstayError
from ...files import free_bytes
from ...yard import yard
from . import console, places, server

Options = Dict[str, Any]
Facts = Dict[str, Any]


def inspect_target(options: Options, action: str) -> Dict[str, Any]:
    """Return checks and facts: ``folders`` of the set and ``beside``, what lies in none of them (``{artifact, yard}``),
    ``exchanged`` (what a restore in place exchanges), ``landings`` (whose yards it uses), ``log_kinds``, ``ini`` (where
    NOTES.INI comes), ``source`` (the facts of the set)."""
    plan = options["plan"]
    source = (plan or {}).get("facts") or {}
    if not source.get("folders"):
        detail = "the receipt of the full set names no Domino server"
        return {"checks": [new_check("set", "failed", detail, "choose another set")], "facts": {}}
    single, side = bool(options["database"]), bool(options.get("restore_to"))
    service = {"service": options["service"], **({"control": options["control"]} if options.get("control") else {})}
    facts: Facts = dict(_content(source, single), server=options["server"], services=[service], source=source)
    facts["ini"] = _place_of_ini(options, source, in_place=action == "restore" and not single and not side)
    checks = [*_account_check(options), _plan_check(options, plan)]
    place = Path(options["restore_to"] if side else source["data"])
    if single or action == "verify":
        place = layout.work(options["host"], "domino")
    needed = int(plan.get("bytes") or 0) * 1.1
    checks.append(space_check("space", place, needed, free_bytes(place), "make room, or restore elsewhere"))
    if action == "restore" and single:
        checks += _single_checks(options)
    elif action == "restore" and side:
        checks.append(side_check(options["restore_to"], [item["folder"] for item in facts["folders"]]))
    elif action == "restore":
        checks += [_service_check(service), *_folder_checks(facts), _ini_check(facts)]
    return {"checks": checks, "facts": facts}


def _place_of_ini(options: Options, source: Facts, in_place: bool) -> str:
    """Return where NOTES.INI comes: on another host, where the start script of that host looks for it."""
    elsewhere = in_place and source["host"] != options["host"]
    return str(options["server"]["ini"] if elsewhere else source["ini"])


def _ini_check(facts: Facts) -> Check:
    place, own = Path(facts["ini"]), Path(facts["source"]["ini"])
    if place != own and not places.below(str(place), facts["data"]) and not place.parent.is_dir():
        hint = "set app_domino_ini to the file that the start script of this host names"
        return new_check("NOTES.INI", "failed", f"{place} has no {place.parent} to come into", hint)
    return new_check("NOTES.INI", "ok", str(place))


def _content(source: Facts, single: bool) -> Facts:
    """Return what the set holds and where it belongs. Whatever comes back is put together in the yard of its folder."""
    native = source["method"] == "native"
    own = str(yard(Path(os.path.realpath(source["data"]))))
    folders = [dict(item, yard=str(yard(Path(item["folder"])))) for item in source["folders"]]
    beside = [{"artifact": name, "yard": own} for name in [*(["databases"] if native else []), "ini", "ids"]]
    exchanged = [item for item in folders if item["role"] != "links"]
    if native and source["style"] != "none" and not places.below(source["log"], source["data"]):
        log = {"artifact": "log", "role": "log", "folder": source["log"], "yard": str(yard(Path(source["log"])))}
        exchanged = [*exchanged, log]
    yards = dict.fromkeys([own, *(item["yard"] for item in [*folders, *exchanged])])
    return {
        "data": source["data"],
        "yard": own,
        "folders": [] if single else folders,
        "beside": beside,
        "exchanged": exchanged,
        "replaces": [item["folder"] for item in exchanged],
        "landings": [{"yard": name} for name in yards],
        "log_kinds": ["full", "log"] if native and source["style"] == "archive" else [],
    }


def _account_check(options: Options) -> List[Check]:
    name = options["server"]["account"]
    try:
        pwd.getpwnam(name)
    except KeyError:
        return [new_check("account", "failed", f"this host has no account '{name}'", "set app_domino_account")]
    return []


def _plan_check(options: Options, plan: Dict[str, Any]) -> Check:
    """Return the check that what the plan needs is configured."""
    if "log" not in plan["kinds"]:
        return new_check("roll forward", "ok", "the set needs none")
    if options["database"] or options["roll_forward"]:
        return new_check("roll forward", "ok", f"through {plan['kinds'].count('log')} sets of logs")
    detail = f"{plan['target']} needs {plan['kinds'].count('log')} sets of logs, and no command to roll forward is configured"
    hint = f"nearest: the full set before it, backstay_set={plan['sets'][0]}; or set app_domino_roll_forward"
    return new_check("roll forward", "failed", detail, hint)


def _folder_checks(facts: Facts) -> List[Check]:
    """Return the checks of the places of a restore in place: their parents are there, and none is a link."""
    checks = []
    for item in facts["exchanged"]:
        folder = Path(item["folder"])
        if folder.is_symlink() or not folder.parent.is_dir():
            what = "is a link" if folder.is_symlink() else f"has no {folder.parent} to come into"
            hint = "the set names the paths of its server; make the same ones here, or use backstay_restore_to"
            checks.append(new_check(f"place of {item['artifact']}", "failed", f"{folder} {what}", hint))
    return checks or [new_check("places", "ok", ", ".join(item["folder"] for item in facts["exchanged"]))]


def _service_check(entry: Dict[str, Any]) -> Check:
    from ...worker import services

    try:
        running = services.is_active(entry["service"], control=entry.get("control"))
    except BackstayError as error:
        return new_check("service", "failed", error.message, error.hint)
    return new_check("service", "ok", f"{entry['service']} {'runs' if running else 'does not run; the restore starts it'}")


# One database


def _single_checks(options: Options) -> List[Check]:
    """Return the checks of a restore of one database into the running server."""
    database, target = options["database"], options["database_target"]
    if options.get("restore_to"):
        detail = "app_domino_database goes into the running server, backstay_restore_to is beside it"
        return [new_check("database", "failed", detail, "give one of both")]
    for name, path in (("app_domino_database", database), ("app_domino_database_target", target)):
        if not path or path.startswith("/") or ".." in path.split("/"):
            return [new_check("database", "failed", f"{name} is no path below the data directory: {path!r}", "set it")]
    if database.lower() == target.lower():
        detail = f"{target} would be replaced by its own copy, and newer replicas would bring back what was undone"
        return [new_check("database", "failed", detail, "give another app_domino_database_target")]
    if not options["restore_request"]:
        hint = "set app_domino_restore_request, or restore to a directory with backstay_restore_to"
        return [new_check("database", "failed", "no command makes a restore request", hint)]
    return _running_checks(options, target)


def _running_checks(options: Options, target: str) -> List[Check]:
    host = server.server_from(options["server"])
    try:
        if not server.runs(host):
            detail = "the server does not run, and its restore task brings one database back"
            return [new_check("server", "failed", detail, "start it")]
        console.patterns(host.patterns)
        if target in places.scan(Path(host.data)).databases:
            return [new_check("database", "failed", f"{target} is there already", "give another app_domino_database_target")]
    except BackstayError as error:
        return [new_check("server", "failed", error.message, error.hint)]
    return [new_check("database", "ok", f"comes to {target}")]
