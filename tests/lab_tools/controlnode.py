# SPDX-License-Identifier: GPL-3.0-or-later
"""A host of the rehearsal fleet as control node: the checkout, an Ansible of its own, and access to the others over SSH."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab_tools.fleet import CHECKOUT, OFFSITE, SPARE, Fleet
from lab_tools.playbooks import ANSIBLE, Playbooks, Run
from lab_tools.shop import HOST

PLACE = "/opt/backstay"
INVENTORY = f"{PLACE}/inventories/inside.yml"
VAULT_PASSWORD_FILE = "/etc/backstay-control/vault-password"
VAULT_PASSWORD = "lab-vault-Vq73kXw9"  # found nowhere else, so that a search for it means something
SSH_KEY_FILE = "/etc/backstay-control/id_ed25519"
# systemd hands credentials over by a mount that has to be seen outside the process that makes it. On a machine of its own it
# makes the root file system shared for that; in a container it leaves this to the container's manager, and podman does not.
SHARED_MOUNTS = """[Unit]
Description=Let mounts be seen, as on any machine
DefaultDependencies=no
Before=sysinit.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/mount --make-rshared /

[Install]
WantedBy=sysinit.target
"""
_PARTS = ("ansible.cfg", "changelogs", "collections", "galaxy.yml", "meta", "playbooks", "plugins", "README.md", "roles")


@dataclass
class ControlNode:
    """The spare host, made a control node by ``prepare``; ``schedule`` gives it entries from this machine."""

    fleet: Fleet
    folder: Path
    host: str = SPARE

    def prepare(self) -> None:
        """Bring Ansible, checkout, inventory, key and vault password to the host."""
        install = "apt-get update -q && apt-get install -qy --no-install-recommends ansible-core cron"
        script = f"""
        export DEBIAN_FRONTEND=noninteractive
        dpkg -s ansible-core cron >/dev/null 2>&1 || {{ {install}; }}
        rm -rf /var/lib/backstay-schedule
        mkdir -p {PLACE}/inventories
        """
        self.fleet.shell(self.host, script, timeout=600)
        unit = "lab-shared-mounts.service"
        self.fleet.shell(self.host, f"cat > /etc/systemd/system/{unit}", stdin=SHARED_MOUNTS)
        self.fleet.run(self.host, "systemctl", "enable", "--now", unit)
        packed = subprocess.run(
            ["tar", "-C", str(CHECKOUT), "--exclude=__pycache__", "-c", *_PARTS], capture_output=True, check=True
        ).stdout
        unpack = self.fleet.exec_argv(self.host, ["tar", "-C", PLACE, "--no-same-owner", "-x"])
        subprocess.run(unpack, input=packed, check=True, env=self.fleet.environment)
        key = (CHECKOUT / ".lab" / self.fleet.name / "id_ed25519").read_text()
        for path, text in ((VAULT_PASSWORD_FILE, VAULT_PASSWORD + "\n"), (SSH_KEY_FILE, key)):
            self.write(path, text)
        self.write(INVENTORY, self._inside_inventory())
        known = [f"{host} {self._host_key(host)}" for host in (HOST, OFFSITE)]
        self.fleet.shell(self.host, "cat > /etc/ssh/ssh_known_hosts", stdin="\n".join(known) + "\n")

    def write(self, path: str, text: str) -> None:
        """Write a file of mode 0600."""
        self.fleet.shell(self.host, f"umask 077; mkdir -p {Path(path).parent}; cat > {path}", stdin=text)

    def _host_key(self, host: str) -> str:
        return self.fleet.run(host, "cut", "-d ", "-f1,2", "/etc/ssh/ssh_host_ed25519_key.pub").strip()

    def _inside_inventory(self) -> str:
        """Return the inventory that runs of the control node use; the login name is vaulted, so they need the password."""
        (self.folder / "password").write_text(VAULT_PASSWORD + "\n")
        program = [
            str(ANSIBLE.parent / "ansible-vault"),
            "encrypt_string",
            "--vault-password-file",
            str(self.folder / "password"),
        ]
        vaulted = subprocess.run(
            [*program, "--name", "ansible_user", "operator"],
            capture_output=True,
            text=True,
            check=True,
            stdin=subprocess.DEVNULL,
            env=self.fleet.environment,
        ).stdout
        fixed: dict[str, Any] = {
            "ansible_become": True,
            "ansible_python_interpreter": "/usr/bin/python3",
            "backstay_offsite": OFFSITE,
        }
        groups = {"offsite": {"hosts": {OFFSITE: None}}, "app_mysql": {"hosts": {HOST: None}}}
        lines = yaml.safe_dump({"all": {"vars": fixed, "children": groups}}).splitlines()
        where = lines.index("  vars:") + 1
        return "\n".join(lines[:where] + ["    " + line for line in vaulted.rstrip().splitlines()] + lines[where:]) + "\n"

    def inventories(self, entries: list[dict[str, Any]], **more: Any) -> tuple[str, ...]:
        """Return the options with which playbooks of this machine see the host as control node with these ``entries``."""
        variables = {
            "schedule_checkout": PLACE,
            "schedule_program": "/usr/bin/ansible-playbook",
            "schedule_inventories": [INVENTORY],
            "schedule_vault_password_file": VAULT_PASSWORD_FILE,
            "schedule_ssh_key_file": SSH_KEY_FILE,
            **more,
        }
        content = {"all": {"vars": {"schedule_entries": entries}}, "control": {"hosts": {self.host: None}, "vars": variables}}
        path = self.folder / "control.yml"
        path.write_text(yaml.safe_dump(content))
        return ("-i", str(CHECKOUT / "inventories" / "lab"), "-i", str(path))

    def schedule(self, entries: list[dict[str, Any]], *options: str, **more: Any) -> Run:
        """Run playbooks/schedule.yml with these entries."""
        return Playbooks(self.fleet).run("schedule", *self.inventories(entries, **more), *options)

    def sets(self, entries: list[dict[str, Any]]) -> str:
        """Return what playbooks/sets.yml says on this machine, line breaks as spaces."""
        run = Playbooks(self.fleet).run("sets", *self.inventories(entries)).demand()
        return " ".join(run.output.split())

    def last(self, name: str) -> dict[str, Any]:
        """Return how the last run of an entry went; empty before the first."""
        found = self.fleet.read_json(self.host, f"/var/lib/backstay-schedule/{name}/last.json")
        return found if isinstance(found, dict) else {}

    def results(self, name: str) -> dict[str, Any]:
        """Return the results of the last run of an entry; empty where there are none."""
        found = self.fleet.read_json(self.host, f"/var/lib/backstay-schedule/{name}/results.json")
        return found if isinstance(found, dict) else {}

    def owned(self) -> list[str]:
        """Return the files of the role that name an entry."""
        script = (
            "find /etc/systemd/system /etc/cron.d /var/lib/systemd/timers /etc/backstay-schedule"
            " -name '*backstay-schedule-*' -o -path '/etc/backstay-schedule/*' | sort"
        )
        return self.fleet.run(self.host, "sh", "-c", script).splitlines()
