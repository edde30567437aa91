# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/coverage.yml on this machine: whoever cannot be asked is named, and an audit of nothing is no coverage (PS-15)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
ANSIBLE = str(Path(sys.executable).parent / "ansible-playbook")
GOOD = {"state": "good", "version": 9}


def audit(place: Path, inventory: dict[str, Any]) -> tuple[int, str]:
    """Return exit status and output of the audit of an inventory."""
    (place / "hosts.yml").write_text(yaml.safe_dump(inventory))
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_HOME": str(place / "home")}
    command = [ANSIBLE, "-i", str(place / "hosts.yml"), str(ROOT / "playbooks" / "coverage.yml")]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        cwd=ROOT,
        env=environment,
        text=True,
        timeout=150,
    )
    return done.returncode, " ".join(done.stdout.split())


def test_a_server_that_cannot_be_reached_is_named_and_holds_nothing(tmp_path: Path) -> None:
    """PS-8: People is on c1 and should be on c2, which is not there."""
    (tmp_path / "said.json").write_text(json.dumps({"running": True, "folders": {"People": GOOD}}))
    given = {
        "ansible_become": False,
        "ansible_python_interpreter": sys.executable,
        "app_powershare_servers": ["catalog"],
        "app_powershare_system": "campus",
        "app_powershare_folders": ["People"],
        "app_powershare_query": ["cat", str(tmp_path / "said.json")],
    }
    gone = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
    hosts = {"c1": {"ansible_connection": "local"}, "c2": gone}
    status, said = audit(tmp_path, {"app_powershare": {"hosts": hosts, "vars": given}})
    assert status == 2, said
    assert "NOT COVERED: c2 cannot tell its folders: " in said
    assert "folder 'People' of campus: its only good copy is on c1 and no newest set holds it" in said


def test_an_inventory_without_a_catalog_server_is_no_coverage(tmp_path: Path) -> None:
    local = {"ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": sys.executable}
    status, said = audit(tmp_path, {"app_powershare": {"hosts": {"post1": None}, "vars": local}})
    assert status == 2, said
    assert "No host of the inventory has a catalog server" in said
    status, said = audit(tmp_path, {"all": {"hosts": {"db1": None}, "vars": local}})
    assert status == 4, said
    assert "No host was reached, so nothing was done" in said
