# SPDX-License-Identifier: GPL-3.0-or-later
"""What the servers of a catalog system say of their folders, and how a lost folder comes back. Pure.

Source: Apple's article "Backing Up a PowerShare Server", multi-server rules: a folder that lives on another server is
replicated back; one that lives nowhere is restored from a backup, onto the master server first; users keep access while any
server is up.
"""

from __future__ import annotations

import json
from typing import Any, Dict, Iterable, List, NamedTuple, Optional

from ...errors import BadInput

GOOD = "good"


class Copy(NamedTuple):
    """One server's copy of a folder. ``version`` orders copies of one history; ``state`` is ``good`` or says what is wrong."""

    state: str
    version: int


class Server(NamedTuple):
    """A catalog server as it answers now. ``folders`` are those that it should hold, whatever became of them."""

    running: bool
    folders: Dict[str, Copy]


Servers = Dict[str, Server]


def parse_server(text: str) -> Server:
    """Return the server in the output of the query command: ``{"running", "folders": {name: {"state", "version"}}}``."""
    return _server(_json(text))


def parse_system(text: str) -> Servers:
    """Return the servers in the output of the system's query: ``{"servers": {name: ...}}``, each as ``parse_server`` says."""
    found = _json(text).get("servers")
    if not isinstance(found, dict) or not found:
        raise BadInput("the query of the catalog system names no servers", "check app_powershare_system_query")
    return {str(name): _server(said) for name, said in found.items()}


def _json(text: str) -> Dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise BadInput(f"the query of the catalog folders did not print JSON: {error}", "check app_powershare_query") from None
    if not isinstance(found, dict):
        raise BadInput("the query of the catalog folders did not print a JSON object", "check app_powershare_query")
    return found


def _server(said: Any) -> Server:
    try:
        folders = {str(name): Copy(str(copy["state"]), int(copy.get("version", 0))) for name, copy in said["folders"].items()}
        return Server(said["running"] is True, folders)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(
            f"the query of the catalog folders printed another format ({type(error).__name__}: {error})",
            "docs/systems/powershare.md gives the format",
        ) from None


def good_copies(servers: Servers, folder: str, but: str = "") -> List[str]:
    """Return the running servers with a good copy of ``folder``, the newest copy first, except the server ``but``."""
    found = [
        (-server.folders[folder].version, name)
        for name, server in servers.items()
        if name != but and server.running and folder in server.folders and server.folders[folder].state == GOOD
    ]
    return [name for _version, name in sorted(found)]


def replicated_back(
    target: str, servers: Servers, folders: Iterable[str], stored: Optional[Dict[str, int]] = None
) -> List[Dict[str, str]]:
    """Return ``{folder, from, to}`` for each of ``folders`` that lives on another server: ``target`` gets the newest copy.

    A copy that is older than the version in ``stored`` does not count: it is no replacement for what is stored.
    """
    found = [(name, good_copies(servers, name, but=target)[:1]) for name in folders]
    return [
        {"folder": name, "from": source, "to": target}
        for name, newest in found
        for source in newest
        if servers[source].folders[name].version >= (stored or {}).get(name, 0)
    ]


class Decision(NamedTuple):
    """``restore``: whether the set may be restored. ``replicate``: what comes after it, or instead, ``{folder, from, to}``."""

    restore: bool
    case: str
    sentence: str
    hint: str
    replicate: List[Dict[str, str]]


def decide(
    target: str,
    servers: Servers,
    folders: List[str],
    master: str = "",
    force: bool = False,
    *,
    stored: Optional[Dict[str, int]] = None,
) -> Decision:
    """Decide whether a set may be restored onto catalog server ``target``, which is to have ``folders`` afterwards.

    ``servers`` is the system as it answers now (a server that does not answer is not running), ``master`` the server that holds
    every folder, empty where no single one does. ``stored`` are the folders with a good copy in the set, by their version; a
    copy elsewhere that is older counts as lost. None where nobody knows: then the set is taken to hold old copies of all of
    ``folders``.
    """
    wanted = sorted({*folders, *(stored or ())})
    back = replicated_back(target, servers, wanted, stored)
    living = {item["folder"] for item in back}
    missing = [name for name in wanted if name not in living]
    if not missing:
        return _everything_lives(target, back, force)
    lost = [name for name in missing if stored is None or name in stored]
    if not lost:
        return _holds_none(target, missing, back, force)
    older = [name for name in lost if good_copies(servers, name, but=target)]
    damaged = [name for name in servers if name != target and _is_damaged(servers[name])]
    if damaged and master and master != target and not force and _holds(servers.get(master), lost):
        new = " as new as this set's" if older else ""
        return Decision(
            False,
            "master first",
            f"{_names(lost)} has no good copy{new} on any server, and {_names([target, *damaged])} are damaged or down",
            f"restore the catalog onto the master {master} first, then replicate to the others; start a server that is"
            f" only down",
            [],
        )
    alone = "newer set" if older == lost else "only copy"
    case = alone if not damaged else "master" if target == master else "no good copy"
    there = f"; {_names([item['folder'] for item in back])} lives elsewhere and is replicated back" if back else ""
    without = [name for name in missing if name not in lost]
    gone = f"; {_names(without)} has no good copy there either, is not in this set and is lost afterwards" if without else ""
    silent = sorted(name for name, server in servers.items() if name != target and not server.running)
    asleep = f"; {_names(silent)} is down: if it has good copies, start it and replicate instead" if silent else ""
    sentence = f"{_restored(target, servers, lost, stored or {})}{there}{gone}{asleep}"
    return Decision(True, case, sentence, "", back + _out(target, servers, lost))


def _restored(target: str, servers: Servers, lost: List[str], stored: Dict[str, int]) -> str:
    """Return why each of the folders in ``lost`` is restored: no good copy lives, or only one that is older than the set's."""
    newest = {name: good_copies(servers, name, but=target)[:1] for name in lost}
    nowhere = [name for name in lost if not newest[name]]
    parts = [f"{_names(nowhere)} has no good copy on any other running server and is restored"] if nowhere else []
    for name in lost:
        for source in newest[name]:
            version = servers[source].folders[name].version
            parts.append(f"{name} is restored: version {stored[name]} is in this set, {source} has only {version}")
    return "; ".join(parts)


def _everything_lives(target: str, back: List[Dict[str, str]], force: bool) -> Decision:
    sources = ", ".join(f"{item['folder']} on {item['from']}" for item in back)
    if force:
        return Decision(True, "forced", f"newer copies live elsewhere ({sources}) and this restore was forced", "", [])
    return Decision(
        False,
        "replicate back",
        f"every folder of {target} has a good copy on another server ({sources}); this set is not newer than they are",
        f"replicate the folders back: playbooks/replicate.yml --limit {target}; or force the set: -e app_powershare_force=true",
        back,
    )


def _holds_none(target: str, missing: List[str], back: List[Dict[str, str]], force: bool) -> Decision:
    """Decide for a set that holds none of the folders that are ``missing`` everywhere: it would bring nothing back."""
    sentence = f"this set does not hold {_names(missing)}, which has no good copy on any other running server"
    if force:
        return Decision(True, "forced", f"{sentence}; this restore was forced", "", [])
    instead = f"; what lives elsewhere comes back with playbooks/replicate.yml --limit {target}" if back else ""
    hint = f"choose another set: -e backstay_set=SET{instead}; or force this one: -e app_powershare_force=true"
    return Decision(False, "not in the set", sentence, hint, back)


def _is_damaged(server: Server) -> bool:
    return not server.running or any(copy.state != GOOD for copy in server.folders.values())


def _holds(server: Optional[Server], folders: List[str]) -> bool:
    """Return whether a server should hold ``folders``; one that does not answer is trusted to."""
    return server is None or not server.folders or set(folders) <= set(server.folders)


def _out(target: str, servers: Servers, lost: List[str]) -> List[Dict[str, str]]:
    """Return how restored folders get to the other running servers that should hold them."""
    return [
        {"folder": folder, "from": target, "to": name}
        for folder in lost
        for name, server in sorted(servers.items())
        if name != target and server.running and folder in server.folders
    ]


def _names(names: List[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
