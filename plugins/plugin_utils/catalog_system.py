# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalog systems of an inventory: which catalog servers stand in for each other. Pure, except for the defaults."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.backstay.fleet.plugins.module_utils.apps.powershare.servers import service_of
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput

PREFIX = "app_powershare_"
GROUP = "app_powershare"
_DEFAULTS = Path(__file__).parents[2] / "roles" / "app_powershare" / "defaults" / "main.yml"
_SETTINGS = ("control", "units", "applications", "machine", "helper", "commands", "start_timeout", "stop_timeout")


@functools.cache
def _defaults() -> Mapping[str, Any]:
    return dict(yaml.safe_load(_DEFAULTS.read_text(encoding="utf-8")))


def setting(variables: Mapping[str, Any], name: str) -> Any:
    """Return ``app_powershare_NAME`` of a host: its inventory variable, else the default of the role."""
    return variables.get(PREFIX + name, _defaults()[PREFIX + name])


def describe(host: str, hosts: Sequence[str], hostvars: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return ``{system, name, master, own, others}`` of ``host``; ``hosts`` are all that may have PowerShare servers.

    ``own`` and each of ``others`` are ``{host, name, service, folders, query, ...}``; ``name`` and ``master`` are names as the
    servers themselves use them. Without a system, or without a catalog server, there are no others. Raise BadInput for a
    master that is no member, and for two members with one name.
    """
    mine = hostvars[host]
    system = str(setting(mine, "system") or "")
    name = str(setting(mine, "name") or host)
    if "catalog" not in setting(mine, "servers"):
        return {"system": "", "name": name, "master": "", "own": {}, "others": []}
    if not system:
        return {"system": "", "name": name, "master": "", "own": _member(host, mine), "others": []}
    members = [_member(other, hostvars[other]) for other in sorted({*hosts, host}) if _belongs(hostvars[other], system)]
    names = [member["name"] for member in members]
    twice = sorted({one for one in names if names.count(one) > 1})
    if twice:
        raise BadInput(f"two servers of the catalog system {system} are called {', '.join(twice)}", "set app_powershare_name")
    masters = {str(setting(hostvars[member["host"]], "master") or "") for member in members}
    if len(masters) > 1:
        said = ", ".join(sorted(repr(one) for one in masters))
        raise BadInput(
            f"the catalog system {system} has one master or none, its hosts say {said}", "set app_powershare_master for all"
        )
    return {
        "system": system,
        "name": name,
        "master": _master(masters.pop(), members, system),
        "own": next(member for member in members if member["host"] == host),
        "others": [member for member in members if member["host"] != host],
    }


def _belongs(variables: Mapping[str, Any], system: str) -> bool:
    return setting(variables, "system") == system and "catalog" in setting(variables, "servers")


def _member(host: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "host": host,
        "name": str(setting(variables, "name") or host),
        "service": service_of("catalog", {name: setting(variables, name) for name in _SETTINGS}),
        "folders": list(setting(variables, "folders")),
        **{name: list(setting(variables, name)) for name in ("query", "system_query", "replicate_command")},
    }


def _master(said: str, members: list[dict[str, Any]], system: str) -> str:
    """Return the master's own name; the inventory names it by its host."""
    if not said:
        return ""
    for member in members:
        if member["host"] == said:
            return str(member["name"])
    raise BadInput(f"app_powershare_master is {said}, which is no catalog server of the system {system}")
