#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventory of the rehearsal fleet: the hosts of the lab that BACKSTAY_LAB names, as `lab.py up` chose them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "lab"))

from rehearsal import fleet  # noqa: E402


def inventory(hosts: tuple[fleet.Host, ...]) -> dict[str, Any]:
    """Return what Ansible wants to know; connection variables are in group_vars/all.yml."""
    groups: dict[str, Any] = {}
    for host in hosts:
        for group in host.groups:
            groups.setdefault(group, {"hosts": []})["hosts"].append(host.name)
    return {**groups, "_meta": {"hostvars": {host.name: {"lab_port_offset": host.port_offset} for host in hosts}}}


if __name__ == "__main__":
    print(json.dumps(inventory(fleet.load().hosts)))
