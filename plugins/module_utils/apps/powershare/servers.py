# SPDX-License-Identifier: GPL-3.0-or-later
"""The two PowerShare servers, and what the variables of the role say of those on one machine. Pure.

Folder and prefs names are those of Apple's articles "Backing Up a PowerShare Server" and "Moving a PowerShare server". The
names of the applications are not documented, so they are variables.
"""

from __future__ import annotations

import posixpath
from typing import Any, Dict, List, NamedTuple

from ...errors import BadInput

Settings = Dict[str, Any]
CONTROLS = ("systemd", "applescript", "gateway", "custom")


class Kind(NamedTuple):
    """One of the two server applications."""

    title: str
    folder: str
    prefs: str


KINDS_OF_SERVERS = {
    "mail": Kind("mail server", "PowerShare Mail Data", "PowerShare Mail Prefs"),
    "catalog": Kind("catalog server", "PowerShare Catalog Data", "PowerShare Catalog Prefs"),
}


def servers_of(settings: Settings) -> List[str]:
    """Return the kinds of servers on this machine, ``mail`` before ``catalog``. Raise BadInput for anything else."""
    wanted = settings.get("servers") or []
    if not isinstance(wanted, list) or not wanted or set(wanted) - set(KINDS_OF_SERVERS) or len(set(wanted)) != len(wanted):
        raise BadInput(f"app_powershare_servers is {wanted!r}", "name mail, catalog or both, each once")
    return [kind for kind in KINDS_OF_SERVERS if kind in wanted]


def data_folder(kind: str, settings: Settings) -> str:
    """Return the data folder of a server: the one that is set, else the documented one at the root of the volume."""
    chosen = (settings.get("data") or {}).get(kind)
    volume = settings.get("volume") or ""
    if not chosen and not volume:
        raise BadInput(
            f"nothing says on which volume the data of the {KINDS_OF_SERVERS[kind].title} lies", "set app_powershare_volume"
        )
    path = str(chosen or posixpath.join(volume, KINDS_OF_SERVERS[kind].folder))
    if not path.startswith("/") or posixpath.normpath(path) != path:
        raise BadInput(f"'{path}' is not the path of a data folder", "give an absolute path without '..' or a slash at its end")
    return path


def service_of(kind: str, settings: Settings) -> Dict[str, Any]:
    """Return the arguments ``{name[, control]}`` of a ``service`` step for a server.

    Without ``control`` the service manager of the host starts and stops it. Raise BadInput for settings that say nothing
    usable.
    """
    way = settings.get("control")
    if way not in CONTROLS:
        raise BadInput(f"app_powershare_control is {way!r}", f"choose one of {', '.join(CONTROLS)}")
    if way == "systemd":
        return {"name": _named(settings, "units", kind)}
    name = _named(settings, "applications", kind)
    if way == "custom":
        return {"name": name, "control": _custom(kind, settings)}
    return {"name": name, "control": _by_script(name, settings) if way == "applescript" else _by_gateway(kind, name, settings)}


def _named(settings: Settings, variable: str, kind: str) -> str:
    name = (settings.get(variable) or {}).get(kind)
    if not name or not isinstance(name, str):
        raise BadInput(f"app_powershare_{variable} names no {KINDS_OF_SERVERS[kind].title}")
    return name


def _custom(kind: str, settings: Settings) -> Dict[str, Any]:
    given = (settings.get("commands") or {}).get(kind) or {}
    missing = [verb for verb in ("start", "stop", "status") if not given.get(verb)]
    if missing:
        raise BadInput(f"app_powershare_commands says nothing of {', '.join(missing)} for the {KINDS_OF_SERVERS[kind].title}")
    return {verb: given[verb] for verb in ("start", "stop", "status", "listed") if given.get(verb)}


def _by_script(name: str, settings: Settings) -> Dict[str, Any]:
    """Apple events: the standard quit event, a launch, the list of processes; to another Macintosh with its eppc address."""
    machine = settings.get("machine") or ""
    of_machine = f" of machine {_spelled(machine)}" if machine else ""
    target = f"tell application {_spelled(name)}{of_machine}"
    lister = f'tell application "System Events"{of_machine} to get name of every process'
    return {
        "start": ["osascript", "-e", f"{target} to launch"],
        "stop": ["osascript", "-e", f"{target} to quit"],
        "status": ["osascript", "-e", lister],
        "listed": name,
    }


def _spelled(text: str) -> str:
    """Return ``text`` as a string of AppleScript."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _by_gateway(kind: str, name: str, settings: Settings) -> Dict[str, Any]:
    """Return the commands of the gateway's helper, whose grammar docs/systems/powershare.md gives."""
    program = settings.get("helper") or []
    if not program:
        raise BadInput("app_powershare_helper names no program", "set it to the gateway's helper, such as [psctl]")
    base = [*program, "--app", kind]
    limits = [str(int(settings.get(f"{verb}_timeout", 120))) for verb in ("start", "stop")]
    return {
        "start": [*base, "launch", "--timeout", limits[0]],
        "stop": [*base, "quit", "--timeout", limits[1]],  # at its end the helper takes the quit event back
        "status": [*base, "status"],
        "listed": name,
    }
