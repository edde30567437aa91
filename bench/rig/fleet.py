# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventory names for the benchmark, each with a repository of its own so that every first full is one, and playbook runs."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import time
from pathlib import Path
from typing import Any

from rig.lab import PROJECT, BenchError, name

DATABASE_HOST = "shop-db1"
SPARE_HOST = "spare1"
OFFSITE_HOST = "offsite1"
_PORT_OFFSETS = {
    host: entry["port_offset"]
    for host, entry in json.loads((PROJECT / "lab" / "hosts.json").read_text(encoding="utf-8")).items()
}
ACCESS = "/etc/backstay/repositories"


def inventory(names: dict[str, str]) -> dict[str, Any]:
    """Return an inventory that adds ``names`` (inventory name: lab host) to the lab's as database hosts."""
    # Each host's own variable: a group's would give way to group_vars/all of the lab, which looks beside its own inventory.
    state = {"lab_state": str(PROJECT / ".lab" / name())}
    hosts = {alias: {"lab_port_offset": _PORT_OFFSETS[host], **state} for alias, host in names.items()}
    return {"all": {"children": {"app_mysql": {"children": {"bench": {"hosts": hosts}}}}}}


class Fleet:
    """Runs playbooks on the lab plus ``names``; ``folder`` holds the inventory for as long as the benchmark runs."""

    def __init__(self, folder: Path, names: dict[str, str], state: Path) -> None:
        self._inventory = folder / "inventory.json"
        self._inventory.write_text(json.dumps(inventory(names)), encoding="utf-8")
        self.state = state
        self.extra_environment: dict[str, str] = {}

    def play(self, playbook: Path, *arguments: str) -> dict[str, Any]:
        """Run ``playbook``; return ``{seconds, cpu_seconds, output}``, the CPU being the control node's: Ansible and its ssh.

        Raise BenchError when it fails.
        """
        argv = [str(PROJECT / ".venv" / "bin" / "ansible-playbook"), "-i", str(PROJECT / "inventories" / "lab")]
        argv += ["-i", str(self._inventory), str(playbook), *arguments]
        environment = dict(os.environ, ANSIBLE_CONFIG=str(PROJECT / "ansible.cfg"), BACKSTAY_STATE_DIR=str(self.state))
        environment.update(self.extra_environment)
        before, started = _children_cpu(), time.monotonic()
        done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=PROJECT, env=environment)
        seconds, cpu = time.monotonic() - started, _children_cpu() - before
        if done.returncode != 0:
            raise BenchError(f"{playbook.name} failed: {done.stdout[-3000:]}{done.stderr[-1000:]}")
        return {"seconds": round(seconds, 3), "cpu_seconds": round(cpu, 3), "output": done.stdout}

    def set_up(self, limit: str) -> None:
        """Run playbooks/offsite.yml: server, users, repositories."""
        self.play(PROJECT / "playbooks" / "offsite.yml", "--limit", limit)

    def backup(self, limit: str, *arguments: str) -> dict[str, Any]:
        """Run playbooks/backup.yml."""
        return self.play(PROJECT / "playbooks" / "backup.yml", "--limit", limit, *arguments)

    def newest_record(self, host: str) -> dict[str, Any]:
        """Return what Backstay's last run on ``host`` left on the control node."""
        found = sorted((self.state / "runs" / host).glob("*.json"), key=lambda path: path.stat().st_mtime)
        if not found:
            raise BenchError(f"Backstay kept no record of {host}")
        record: dict[str, Any] = json.loads(found[-1].read_text(encoding="utf-8"))
        return record


def restic(alias: str) -> str:
    """Return the beginning of a restic command line inside a host that has the access files of ``alias``."""
    folder = f"{ACCESS}/{alias}"
    return f"restic --repository-file {folder}/url --password-file {folder}/password --cacert {folder}/ca.pem"


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
