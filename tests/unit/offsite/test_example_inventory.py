# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.plugin_utils.repository_access import (
    AccessBuilder,
    protected_hosts,
    uses_server,
)

CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def listing() -> dict[str, Any]:
    program = Path(sys.executable).parent / "ansible-inventory"
    done = subprocess.run(
        [program, "-i", "inventories/example", "--list"],
        cwd=CHECKOUT,
        env={**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_protected_host_of_the_example_has_a_destination_elsewhere(listing: dict[str, Any], tmp_path: Path) -> None:
    groups = {name: entry["hosts"] for name, entry in listing.items() if "hosts" in entry}
    hostvars = listing["_meta"]["hostvars"]
    hosts = protected_hosts(groups)
    assert hosts == ["crm-db1", "erp-db1", "hr-db1", "names1", "names2", "notes1", "post1", "shop-db1", "shop-db2", "wiki-db1"]
    for host in hosts:
        variables = {**hostvars[host], "backstay_state_dir": str(tmp_path), "backstay_repository_environment": {}}
        assert AccessBuilder(host, variables, create=False, allow_missing=True).build()["public_url"]
        assert hostvars[host]["backstay_offsite"] in groups["offsite"]
        site = next(name for name in groups if name.startswith("site_") and host in groups[name])
        assert hostvars[host]["backstay_offsite"] not in groups[site]
    kept_north = ["crm-db1", "names1", "names2", "notes1", "post1"]
    assert [host for host in hosts if uses_server(hostvars[host], "vault-north")] == kept_north
