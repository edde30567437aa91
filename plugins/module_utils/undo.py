# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of undo.json: what brings back what a job stopped or began. Pure.

``{service[, control], timeout, stop_timeout}`` is started within ``timeout`` seconds; its stop may take effect for
``stop_timeout`` seconds after it was asked for. ``{command[, account, environment]}`` is run. Limits are those of the job's own
steps: whoever brings a service back waits for it as long as its role does.
"""

from __future__ import annotations

import json
from typing import Any, Dict, List, Optional

from .executors import Command

SERVICE_SECONDS = 300  # for a step that names no timeout

Entry = Dict[str, Any]


def identity(entry: Entry) -> str:
    """Return what ``entry`` undoes; entries of one service under the same control are one, whatever their limits."""
    return json.dumps({name: entry[name] for name in ("service", "control", "command") if name in entry}, sort_keys=True)


def service_entry(steps: List[Dict[str, Any]], name: str, control: Optional[Dict[str, Any]] = None) -> Entry:
    """Return the entry of service ``name`` in a job with these ``steps``."""
    entry: Entry = {"service": name, **({"control": control} if control else {})}
    mine = [step["service"] for step in steps if "service" in step and _is_of(step["service"], entry)]
    starts = [step for step in mine if step["state"] != "stopped"]
    stops = [step for step in mine if step["state"] == "stopped"]
    return dict(entry, timeout=_longest(starts), stop_timeout=_longest(stops))


def needed_services(specification: Dict[str, Any]) -> List[Entry]:
    """Return the entries of the services that the app's preflight said it needs (``facts.services``)."""
    needed = specification.get("facts", {}).get("services", [])
    return [service_entry(specification["steps"], item["service"], item.get("control")) for item in needed]


def command_entry(arguments: Dict[str, Any]) -> Entry:
    """Return the entry of the ``undo`` of a command step, which runs in the same way as its command."""
    return {"command": arguments["undo"], **{name: arguments[name] for name in ("account", "environment") if name in arguments}}


def by_host(entries: List[Entry]) -> List[Command]:
    """Return what a protected host that has no release runs to undo ``entries``, newest first.

    What only a service manager brings back is not among it.
    """
    found = [_command_of(entry) for entry in reversed(entries)]
    return [command for command in found if command]


def _command_of(entry: Entry) -> Optional[Command]:
    if "command" in entry:
        return Command(entry["command"], entry.get("environment"))
    return Command(entry["control"]["start"]) if "control" in entry else None


def _is_of(step: Dict[str, Any], entry: Entry) -> bool:
    return bool(step["name"] == entry["service"] and step.get("control") == entry.get("control"))


def _longest(steps: List[Dict[str, Any]]) -> float:
    return max([float(step.get("timeout", SERVICE_SECONDS)) for step in steps], default=float(SERVICE_SECONDS))
