# SPDX-License-Identifier: GPL-3.0-or-later
"""Which apps a host has: its groups ``app_<app>``. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput

PREFIX = "app_"
_ROLES = Path(__file__).parents[2] / "roles"


def known_apps() -> frozenset[str]:
    """Return the apps that have a role in this collection."""
    return frozenset(path.name.removeprefix(PREFIX) for path in _ROLES.glob(f"{PREFIX}*"))


def apps_of(host: str, groups: Mapping[str, Sequence[str]], known: Collection[str], only: str = "") -> list[str]:
    """Return the apps of ``host`` by name, only ``only`` where it is given.

    ``groups`` holds the hosts of every group. Raise BadInput for a host that the inventory does not have, for a group that is
    named like an app and is none, and when no app is left: silence would look like a backup.
    """
    if host not in groups.get("all", ()):
        raise BadInput(f"the inventory has no host '{host}'", "check backstay_source")
    found = sorted(name.removeprefix(PREFIX) for name, hosts in groups.items() if name.startswith(PREFIX) and host in hosts)
    wanted = [app for app in found if only in ("", app)]
    for app in wanted:
        if app not in known:
            raise BadInput(f"{host} is in the group {PREFIX}{app}, but there is no app '{app}'", "rename the group")
    if not wanted:
        raise BadInput(
            f"{host} has no app{f' {only!r}' if only else ''}",
            "put it into a group app_<app> of the inventory (docs/systems/ lists the apps)",
        )
    return wanted
