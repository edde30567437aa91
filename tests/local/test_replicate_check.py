# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/replicate.yml in check mode on this machine: it says what it would replicate, and replicates nothing (PS-9)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
ANSIBLE = str(Path(sys.executable).parent / "ansible-playbook")


def test_check_mode_shows_what_would_be_replicated_and_changes_nothing(tmp_path: Path) -> None:
    good, lost = {"state": "good", "version": 9}, {"state": "missing", "version": 0}
    said = {name: {"running": True, "folders": {"People": copy}} for name, copy in (("c1", good), ("c2", lost))}
    (tmp_path / "said.json").write_text(json.dumps({"servers": said}))
    given = {
        "ansible_connection": "local",
        "ansible_become": False,
        "ansible_python_interpreter": sys.executable,
        "app_powershare_servers": ["catalog"],
        "app_powershare_system": "campus",
        "app_powershare_folders": ["People"],
        "app_powershare_system_query": ["cat", str(tmp_path / "said.json")],
        "app_powershare_replicate_command": ["touch", str(tmp_path / "replicated")],
    }
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"app_powershare": {"hosts": {"c1": None, "c2": None}, "vars": given}}))
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_HOME": str(tmp_path / "home")}
    command = [ANSIBLE, "-i", str(tmp_path / "hosts.yml"), str(ROOT / "playbooks" / "replicate.yml"), "--check"]
    command += ["--limit", "c2", "-e", "backstay_confirm=c2"]
    done = subprocess.run(
        command,
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env=environment,
        text=True,
        timeout=100,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "People would be replicated from c1 to c2" in done.stdout
    assert not (tmp_path / "replicated").exists()
