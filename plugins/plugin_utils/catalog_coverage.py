# SPDX-License-Identifier: GPL-3.0-or-later
"""Coverage of catalog systems: is every folder on another server, in a repository, or both (PS-8, PS-10, PS-11, PS-15)? Pure.

A *member* is what one catalog server said: ``{host, name, system, master, folders, live, set, problems}``. ``folders`` are
those that the inventory gives it, ``live`` the parsed answer of its query command or None, ``set`` the newest set of its host
``{set, at, folders}`` or None.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from ansible_collections.backstay.fleet.plugins.module_utils.apps.powershare.catalog import GOOD, Server, parse_server
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError, BadInput
from ansible_collections.backstay.fleet.plugins.module_utils.moment import now as utc_now
from ansible_collections.backstay.fleet.plugins.module_utils.moment import parse_moment

Member = dict[str, Any]


def member(about: dict[str, Any], answer: dict[str, Any], newest: dict[str, Any]) -> Member:
    """Return the member that ``about`` describes, from the registered results of its query and of its newest set's plan."""
    problems = []
    live: Server | None = None
    if answer.get("rc") == 0:
        try:
            live = parse_server(str(answer["stdout"]))
        except BackstayError as error:
            problems.append(f"{about['host']} cannot tell its folders: {error.message}")
    else:
        said = str(answer.get("stderr") or answer.get("msg") or "it does not answer").strip()
        problems.append(f"{about['host']} cannot tell its folders: {said.splitlines()[-1] if said else 'it said nothing'}")
    reply = newest.get("reply")
    if not reply and newest.get("code") != "plan":
        problems.append(f"the repository of {about['host']} cannot be asked: {newest.get('msg') or 'it does not answer'}")
    return {**about, "live": live, "set": _newest_set(about, reply), "problems": problems}


def _newest_set(about: dict[str, Any], reply: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the newest set with a catalog server, and the folders that had a good copy in it."""
    if not reply or "catalog" not in (reply["facts"].get("servers") or {}):
        return None
    noted = (reply["facts"].get("catalog") or {}).get("folders")
    # A server that could not be asked when the set was made counts for what the inventory gives it.
    folders = about["folders"] if noted is None else [name for name, copy in noted.items() if copy["state"] == GOOD]
    return {"set": reply["sets"][-1], "at": reply["target"], "folders": sorted(folders)}


def audit(members: Iterable[Member], now: datetime, offsite: bool = False, max_age_hours: float = 0) -> dict[str, Any]:
    """Return ``{ok, lines, problems, folders}`` for the members of all systems.

    ``offsite``: every folder has to be in a repository; being on another server does not do. ``max_age_hours``: an older set
    does not count (0: any does).
    """
    all_members = list(members)
    problems = [problem for one in all_members for problem in one["problems"]]
    found: list[dict[str, Any]] = []
    for system in sorted({one["system"] or one["host"] for one in all_members}):
        of_system = [one for one in all_members if (one["system"] or one["host"]) == system]
        folders = [_folder(system, name, of_system, now, max_age_hours) for name in _names(of_system)]
        problems += [problem for one in folders for problem in _folder_problems(one, offsite)]
        problems += _misplaced(of_system) + (_offsite_problems(system, of_system, folders) if offsite else [])
        found += folders
    lines = [_line(one) for one in found] + [f"NOT COVERED: {problem}" for problem in problems]
    return {"ok": not problems, "lines": lines, "problems": problems, "folders": found}


def _names(members: list[Member]) -> list[str]:
    """Return every folder of a system: what the inventory says, what the servers say, what the newest sets hold."""
    names = {name for one in members for name in one["folders"]}
    names |= {name for one in members if one["live"] for name in one["live"].folders}
    return sorted(names | {name for one in members if one["set"] for name in one["set"]["folders"]})


def _folder(system: str, name: str, members: list[Member], now: datetime, max_age_hours: float) -> dict[str, Any]:
    servers = [one["host"] for one in members if one["live"] and one["live"].running and _is_good(one["live"], name)]
    sets = []
    for one in members:
        if one["set"] and name in one["set"]["folders"]:
            age = (now - parse_moment(one["set"]["at"])).total_seconds() / 3600
            counts = not max_age_hours or age <= max_age_hours
            sets.append({"host": one["host"], "set": one["set"]["set"], "age_hours": round(age, 1), "counts": counts})
    return {
        "system": system,
        "folder": name,
        "servers": sorted(servers),
        "sets": sorted(sets, key=lambda item: item["age_hours"]),
    }


def _is_good(server: Server, folder: str) -> bool:
    return folder in server.folders and server.folders[folder].state == GOOD


def _folder_problems(folder: dict[str, Any], offsite: bool) -> list[str]:
    """Return why a folder is not covered; a copy on one server only is no copy on *another* one (PS-8)."""
    stored = any(item["counts"] for item in folder["sets"])
    if stored or (len(folder["servers"]) > 1 and not offsite):
        return []
    where = (
        f"its only good copy is on {folder['servers'][0]}"
        if len(folder["servers"]) == 1
        else "it has no good copy on any server"
    )
    if len(folder["servers"]) > 1:
        where = "it is on " + " and ".join(folder["servers"])
    old = f", its newest set is {folder['sets'][0]['age_hours']} h old" if folder["sets"] else " and no newest set holds it"
    return [f"folder '{folder['folder']}' of {folder['system']}: {where}{old}"]


def _misplaced(members: list[Member]) -> list[str]:
    """Return the folders that a running server should hold by the inventory, and holds no good copy of."""
    return [
        f"folder '{name}' of {one['system'] or one['host']}: {one['host']} should hold it and has no good copy"
        for one in members
        if one["live"]
        for name in one["folders"]
        if not _is_good(one["live"], name)
    ]


def _offsite_problems(system: str, members: list[Member], folders: list[dict[str, Any]]) -> list[str]:
    """Return why the offsite copies are not those of the source: of one master with every folder, or of each machine needed."""
    masters = [one for one in members if one["master"] and one["name"] == one["master"]]
    if not masters:
        return []  # PS-11: the problems of the folders name what no set holds
    master = masters[0]
    held = {name for name in master["live"].folders if _is_good(master["live"], name)} if master["live"] else set()
    missing = sorted(one["folder"] for one in folders if one["folder"] not in held)
    problems = [f"folder '{name}' of {system}: the master {master['host']} does not hold it (PS-10)" for name in missing]
    if master["set"] is None:
        problems.append(f"the master {master['host']} of {system} has no set: back it up (PS-10)")
    return problems


def _line(folder: dict[str, Any]) -> str:
    servers = ", ".join(folder["servers"]) or "no server"
    sets = ", ".join(f"{item['host']} {item['age_hours']} h ago ({item['set']})" for item in folder["sets"]) or "no set"
    return f"{folder['system']}  {folder['folder']}  on {servers}  in {sets}"


def coverage(
    descriptions: Iterable[dict[str, Any]],
    answers: Iterable[dict[str, Any]],
    newest: Iterable[dict[str, Any]],
    offsite: bool = False,
    max_age_hours: float = 0,
) -> dict[str, Any]:
    """Return the audit of the hosts that ``descriptions`` (of ``catalog_system``) describe, with its ``json`` for programs.

    ``answers`` and ``newest`` are the registered results of the same hosts in the same order; hosts without a catalog server
    are left out. Raise BadInput when there is no catalog server at all: silence would look like coverage.
    """
    members = [
        member({**said["own"], "system": said["system"], "master": said["master"]}, answer, plan)
        for said, answer, plan in zip(descriptions, answers, newest, strict=True)
        if said["own"]
    ]
    if not members:
        raise BadInput("no host of the inventory has a catalog server", "see app_powershare_servers")
    result = audit(members, utc_now(), offsite, float(max_age_hours))
    return {**result, "json": as_json(result)}


def as_json(result: dict[str, Any]) -> str:
    """Return the result of an audit for programs, schema ``backstay.coverage/1``."""
    content = {"schema": "backstay.coverage/1", **{key: result[key] for key in ("ok", "problems", "folders")}}
    return json.dumps(content, indent=1, sort_keys=True) + "\n"
