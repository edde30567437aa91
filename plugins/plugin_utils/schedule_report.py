# SPDX-License-Identifier: GPL-3.0-or-later
"""What should have run and did not, over all hosts: declared entries against the sets of the repositories."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.backstay.fleet.plugins.module_utils.schedule import entry_problems, judge, spell, tell, whole
from ansible_collections.backstay.fleet.plugins.plugin_utils.inventory_apps import apps_in, groups_of

Sets = list[dict[str, Any]]
DueTimes = Callable[[str], list[datetime]]


def inventory_of(groups: dict[str, list[str]]) -> InventoryManager:
    """Return an inventory with the given groups, to resolve host patterns with."""
    inventory = InventoryManager(loader=DataLoader(), parse=False)
    for group, hosts in groups.items():
        inventory.add_group(group)
        for host in hosts:
            inventory.add_host(host, group=group)
    return inventory


def report(
    entries: list[dict[str, Any]], groups: dict[str, list[str]], listed: dict[str, Sets], due_times: DueTimes, now: datetime
) -> dict[str, list[Any]]:
    """Return ``{lines, missed}`` for the hosts in ``listed``: sentences, and their missed due times as data.

    Only entries that run the playbook ``backup`` promise sets. Raise BadInput naming every entry that is wrong.
    """
    wrong = entry_problems(entries)
    if wrong:
        raise BadInput("; ".join(wrong), "correct schedule_entries in the inventory (docs/operating/schedules.md)")
    inventory = inventory_of(groups)
    lines: list[str] = []
    missed: list[dict[str, Any]] = []
    for entry in map(whole, entries):
        if entry["playbook"] != "backup":
            continue
        dues = _due_times_of(entry, due_times)
        hosts = [host.name for host in inventory.get_hosts(entry["limit"])]
        for host in (name for name in hosts if name in listed):
            for app in apps_in(groups_of(host, groups), str(entry["variables"].get("backstay_only_app") or "")):
                mine = [item for item in listed[host] if item["app"] == app]
                outcomes = judge(entry, dues, mine, now)
                lines += tell(entry, f"{app} on {host}", outcomes, mine)
                bad = [outcome for outcome in outcomes if outcome.state == "missed"]
                missed += [{"entry": entry["name"], "host": host, "app": app, "due": spell(item.due)} for item in bad]
    return {"lines": lines, "missed": missed}


def _due_times_of(entry: dict[str, Any], due_times: DueTimes) -> list[datetime]:
    try:
        return due_times(entry["calendar"])
    except BadInput as error:
        raise BadInput(f"schedule entry '{entry['name']}': {error.message}", error.hint) from error
