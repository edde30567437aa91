# SPDX-License-Identifier: GPL-3.0-or-later
"""Preflight of PowerShare servers: who runs, where the data lies, what the catalog system still holds. Nothing is changed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, List, Tuple

from ...checks import Check, new_check, side_check, space_check
from ...errors import BackstayError
from ...files import free_bytes, tree_bytes
from ...process import last_line, run, spell_status
from ...yard import is_yard, yard
from .catalog import GOOD, Servers, decide, parse_server, parse_system
from .servers import KINDS_OF_SERVERS, data_folder, servers_of, service_of

Options = Dict[str, Any]


def preflight(options: Options, action: str) -> Dict[str, Any]:
    """Return checks and facts ``{servers, services, datadir, ...}``: one entry of ``servers`` for each kind on this machine."""
    try:
        described = [_describe(kind, options["settings"]) for kind in servers_of(options["settings"])]
    except BackstayError as error:
        return {"checks": [new_check("servers", "failed", error.message, error.hint)], "facts": {}}
    inspect = {"backup": _for_backup, "restore": _for_restore}.get(action, _for_verify)
    checks, more = inspect(options, described)
    facts = {
        "servers": described,
        "services": [{"service": server["service"], **_control(server)} for server in described],
        "datadir": described[0]["folder"],
        "replaces": [server["folder"] for server in described],
        "kind": "full",
        **more,
    }
    return {"checks": checks, "facts": facts}


def _control(service: Dict[str, Any]) -> Dict[str, Any]:
    return {"control": service["control"]} if "control" in service else {}


def _describe(kind: str, settings: Dict[str, Any]) -> Dict[str, Any]:
    """Return what the role's steps need of one server. ``service`` and ``control`` are those of a ``service`` step."""
    about, given = KINDS_OF_SERVERS[kind], Path(data_folder(kind, settings))
    folder = Path(os.path.realpath(str(given.parent))) / given.name  # one spelling; a link as the folder itself is refused
    service = service_of(kind, settings)
    described: Dict[str, Any] = {
        "kind": kind,
        "title": about.title,
        "name": given.name,
        "folder": str(folder),
        "yard": str(yard(folder)),
    }
    described.update(service=service["name"], bytes=0, prefs=[], **_control(service))
    return described


def folder_check(name: str, folder: Path, lost_is_fine: bool = False) -> Check:
    """Return the check of a data folder: there, at the root of a volume, and not lost unless that is fine."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        return new_check(name, "failed", f"{folder} is a link or a file, not a folder", "check app_powershare_volume")
    if not folder.exists() and not lost_is_fine:
        return new_check(name, "failed", f"{folder} is not there", "is the volume mounted? Check app_powershare_volume")
    if not os.path.ismount(str(folder.parent)):
        detail = f"{folder} does not lie at the root of a volume, where the server looks for it"
        return new_check(name, "failed", detail, "mount the volume, or set app_powershare_volume")
    if not lost_is_fine and not any(not is_yard(entry) for entry in folder.iterdir()):
        return new_check(
            name, "failed", f"{folder} is empty: there is nothing to back up", "did the server move to another volume?"
        )
    return new_check(name, "ok", str(folder))


def _running(server: Dict[str, Any], when_down: Tuple[str, str]) -> Tuple[Check, bool]:
    """Return the check of a server and whether it runs; ``when_down`` is status and detail of one that does not."""
    from ...worker import services

    try:
        up = services.is_active(server["service"], True, server.get("control"))
    except BackstayError as error:
        return new_check(server["title"], "failed", error.message, error.hint), False
    if up:
        return new_check(server["title"], "ok", "runs"), True
    return new_check(server["title"], *when_down), False


def _for_backup(options: Options, described: List[Dict[str, Any]]) -> Tuple[List[Check], Dict[str, Any]]:
    checks = []
    for server in described:
        found, server["running"] = _running(server, ("warning", "does not run; a backup leaves it down"))
        checks += [found, folder_check(f"data of the {server['title']}", Path(server["folder"]))]
        server["bytes"] = tree_bytes(Path(server["folder"]))
        server.update(
            prefs=_prefs(server["kind"], options["settings"]), preferences=options["settings"].get("preferences") or ""
        )
        if options["settings"].get("preferences") and not server["prefs"]:
            place = options["settings"]["preferences"]
            checks.append(new_check("prefs", "warning", f"there is no {KINDS_OF_SERVERS[server['kind']].prefs} in {place}"))
    more: Dict[str, Any] = {"data_bytes": sum(server["bytes"] for server in described)}
    if any(server["kind"] == "catalog" for server in described):
        found, more["catalog"] = _own_folders(options)
        more["system"] = options.get("system", "")
        # A single server need not be able to tell its folders: nothing of PowerShare's own does, and only an audit wants them.
        if more["catalog"] or more["system"] or options.get("folders"):
            checks.append(found)
    return checks, more


def _prefs(kind: str, settings: Dict[str, Any]) -> List[str]:
    """Return the names of the prefs of a server in the preferences folder: the file and its AppleDouble companion."""
    name = KINDS_OF_SERVERS[kind].prefs
    place = settings.get("preferences") or ""
    return [found for found in (name, f"._{name}") if place and Path(place, found).is_file()]


def _own_folders(options: Options) -> Tuple[Check, Dict[str, Any]]:
    """Return the check of this server's catalog folders, and what the receipt keeps of them."""
    try:
        server = parse_server(_ask(options["query"]))
    except BackstayError as error:
        hint = "without it playbooks/coverage.yml counts this set for the folders that the inventory names"
        return new_check("catalog folders", "warning", error.message, hint), {}
    folders = {name: {"state": copy.state, "version": copy.version} for name, copy in server.folders.items()}
    bad = sorted(name for name, copy in server.folders.items() if copy.state != GOOD)
    if bad:
        detail = f"{', '.join(bad)}: no good copy on this server, so this set has none either"
        return new_check("catalog folders", "warning", detail, "replicate it back from a server that has it"), {
            "folders": folders
        }
    return new_check("catalog folders", "ok", ", ".join(sorted(folders)) or "none"), {"folders": folders}


def _ask(argv: List[str]) -> str:
    done = run(argv, 120)
    if done.status != 0:
        raise BackstayError(f"{argv[0]} {spell_status(done.status)}: {last_line(done.stderr)}", "check app_powershare_query")
    return done.stdout


def _for_restore(options: Options, described: List[Dict[str, Any]]) -> Tuple[List[Check], Dict[str, Any]]:
    source = (options.get("source") or {}).get("servers") or {}
    checks = [_complete(described, source)]
    if options.get("restore_to"):
        with_prefs = [server for server in described if source.get(server["kind"], {}).get("prefs")]
        needed = sum(int(kept.get("bytes", 0)) for kept in source.values())
        live = [server["folder"] for server in described]
        checks += [side_check(options["restore_to"], live), _space(Path(options["restore_to"]), needed)]
        return checks, {"prefs": with_prefs}
    for server in described:
        folder = Path(server["folder"])
        found, server["running"] = _running(server, ("ok", "does not run; the restore starts it"))
        checks.append(found)
        checks.append(folder_check(f"place of the {server['title']}", folder, lost_is_fine=True))
        checks.append(_space(folder, int(source.get(server["kind"], {}).get("bytes", 0))))
    if options.get("system") and options.get("others") and any(server["kind"] == "catalog" for server in described):
        found, more = _decision(options)
        return [*checks, found], more
    return checks, {}


def _complete(described: List[Dict[str, Any]], source: Dict[str, Any]) -> Check:
    """Return the check that the set holds every server that is to be restored: nothing is restored by halves."""
    missing = [server["title"] for server in described if server["kind"] not in source]
    if missing:
        hint = "choose a set of a host with this server, or restore only the other one with app_powershare_servers"
        return new_check("set", "failed", f"the set holds no {' and no '.join(missing)}", hint)
    return new_check("set", "ok", "holds " + " and ".join(f"the {server['title']}" for server in described))


def _space(place: Path, needed: int) -> Check:
    hint = "make room, or restore elsewhere with backstay_restore_to"
    return space_check("space", place, needed * 1.1, free_bytes(place), hint)


def _for_verify(options: Options, described: List[Dict[str, Any]]) -> Tuple[List[Check], Dict[str, Any]]:
    source = (options.get("source") or {}).get("servers") or {}
    checks = [_complete(described, source)]
    checks += [_space(Path(server["yard"]), int(source.get(server["kind"], {}).get("bytes", 0))) for server in described]
    return checks, {}


def _decision(options: Options) -> Tuple[Check, Dict[str, Any]]:
    """Return the decision about a restore onto a member of a catalog system (PS-9, PS-12, PS-13, PS-17)."""
    force = bool(options.get("force"))
    try:
        servers = parse_system(_ask(options["system_query"]))
    except BackstayError as error:
        if not force:
            hint = "without it nobody knows whether newer copies live; force the restore: -e app_powershare_force=true"
            return new_check("catalog system", "failed", error.message, hint), {}
        return new_check("catalog system", "warning", f"not asked, forced: {error.message}"), {}
    kept = ((options.get("source") or {}).get("catalog") or {}).get("folders")
    # A server that could not be asked when the set was made left no folders: then the set counts for all of them.
    stored = None if kept is None else {name: int(copy["version"]) for name, copy in kept.items() if copy["state"] == GOOD}
    own = servers[options["name"]].folders if options["name"] in servers else {}
    wanted = [*(kept or {}), *own, *options.get("folders", [])]
    decision = decide(options["name"], servers, wanted, options.get("master", ""), force, stored=stored)
    facts = {"decision": decision.case, "replicate": decision.replicate if options.get("replicate") else []}
    if decision.restore:
        return new_check("catalog system", "warning" if force else "ok", decision.sentence), facts
    return new_check("catalog system", "failed", decision.sentence, decision.hint), facts


__all__ = ["Servers", "folder_check", "preflight"]
