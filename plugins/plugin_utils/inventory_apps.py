# SPDX-License-Identifier: GPL-3.0-or-later
"""Which apps a host has: its groups ``app_<app>``. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput

PREFIX = "app_"
_ROLES = Path(__file__).parents[2] / "roles"


def known_apps() -> frozenset[str]:
    """Return the apps that have a role in this collection."""
    return frozenset(path.name.removeprefix(PREFIX) for path in _ROLES.glob(f"{PREFIX}*"))


def groups_of(host: str, groups: Mapping[str, Collection[str]]) -> list[str]:
    """Return the names of the groups that hold ``host``."""
    return [name for name, hosts in groups.items() if host in hosts]


def apps_in(group_names: Iterable[str], only: str = "") -> list[str]:
    """Return the apps that groups of a host stand for, sorted, only ``only`` where it is given; nothing is judged."""
    apps = (name.removeprefix(PREFIX) for name in group_names if name.startswith(PREFIX))
    return sorted(app for app in apps if only in ("", app))


def apps_of(host: str, groups: Mapping[str, Sequence[str]], known: Collection[str], only: str = "") -> list[str]:
    """Return the apps of ``host`` by name, only ``only`` where it is given.

    ``groups`` holds the hosts of every group. Raise BadInput for a host that the inventory does not have, for a group that is
    named like an app and is none, and when no app is left: silence would look like a backup.
    """
    if host not in groups.get("all", ()):
        raise BadInput(f"the inventory has no host '{host}'", "check backstay_source")
    wanted = apps_in(groups_of(host, groups), only)
    for app in wanted:
        if app not in known:
            raise BadInput(f"{host} is in the group {PREFIX}{app}, but there is no app '{app}'", "rename the group")
    if not wanted:
        raise BadInput(
            f"{host} has no app{f' {only!r}' if only else ''}",
            "put it into a group app_<app> of the inventory (docs/systems/ lists the apps);"
            " to restore sets of another host to it, name that one with backstay_source",
        )
    return wanted
