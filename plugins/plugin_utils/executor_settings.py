# SPDX-License-Identifier: GPL-3.0-or-later
"""How the worker of a host touches it: what a job says of its executor, from the variables of the host."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.backstay.fleet.plugins.module_utils.apps import executors_of, load_app, require_executor
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.backstay.fleet.plugins.module_utils.names import quote_name

_DEFAULTS = Path(__file__).parents[2] / "roles" / "executor" / "defaults" / "main.yml"


@functools.cache
def defaults() -> dict[str, Any]:
    """Return the defaults of roles/executor, whose variables these are; no other place repeats them."""
    return dict(yaml.safe_load(_DEFAULTS.read_text(encoding="utf-8")))


def settings_of(host: str, variables: Mapping[str, Any], apps: Sequence[str]) -> dict[str, Any]:
    """Return what a job for one of ``apps`` on ``host`` says of its executor (``executors.SETTINGS``); empty: ``local``.

    Raise BadInput when none of them can work in the way that ``backstay_worker`` asks for.
    """
    if (variables.get("backstay_worker") or host) == host:
        for app in apps:
            require_executor(app, "local")
        return {}
    ways = [(app, name) for app in apps for name in executors_of(app) if name in _SETTINGS]
    app, name = ways[0] if ways else (apps[0], "ssh")
    require_executor(app, name)
    return {"name": name, **_SETTINGS[name](host, {**defaults(), **_own(variables)}, app)}


def _own(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables of roles/executor that the inventory sets, and the address that Ansible uses."""
    return {name: variables[name] for name in (*defaults(), "ansible_host") if name in variables}


def _ssh(host: str, known: Mapping[str, Any], app: str) -> dict[str, Any]:
    return {
        "address": known["executor_address"] or known.get("ansible_host", host),
        "port": int(known["executor_port"]),
        "account": known["executor_account"] or _account(host, app),
        "access": f"/etc/backstay/executors/{quote_name(host)}",
        "directory": known["executor_directory"],
        "staging": known["executor_staging"],
    }


# What each executor on another machine has to know, by its name.
_SETTINGS: dict[str, Callable[[str, Mapping[str, Any], str], dict[str, Any]]] = {"ssh": _ssh}


def _account(host: str, app: str) -> str:
    """Return the account that ``app`` says its servers have."""
    account = getattr(load_app(app), "EXECUTOR_ACCOUNT", "")
    if not account:
        raise BadInput(
            f"nothing says as whom the worker logs in to {host}", "set executor_account to the account of the server"
        )
    return str(account)
