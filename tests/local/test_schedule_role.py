# SPDX-License-Identifier: GPL-3.0-or-later
"""The role in check mode on this machine: what it refuses and what it would write; nothing is changed here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ANSIBLE = str(Path(sys.executable).parent / "ansible-playbook")
NIGHTLY: dict[str, Any] = {"name": "nightly", "calendar": "02:00 UTC", "cron": "0 2 * * *"}


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "calendar": (
        {"schedule_entries": [dict(NIGHTLY, calendar="every full moon")]},
        "Schedule entry 'nightly': 'every full moon' is not a calendar (Failed to parse",
    ),
    "twice": ({"schedule_entries": [NIGHTLY, NIGHTLY]}, "schedule entry 'nightly': there are two entries of this name"),
    "no cron": (
        {"schedule_entries": [{"name": "nightly", "calendar": "daily"}]},
        "Schedule entry 'nightly': here has no systemd",
    ),
    "tmp": (
        {"schedule_manager": "systemd", "schedule_checkout": "/tmp/x"},
        "'/tmp/x' must be an absolute path outside /tmp",
    ),
    "public": ({"schedule_ssh_key_file": "/etc/passwd"}, "/etc/passwd may be read by others (mode 0644)"),
}


def run(folder: Path, playbook: Path, variables: dict[str, Any], *options: str) -> tuple[int, str]:
    """Run a playbook in check mode for the control node 'here', this machine; return exit status and output."""
    given = {
        "ansible_connection": "local",
        "ansible_become": False,
        "ansible_python_interpreter": sys.executable,
        "schedule_manager": "cron",
        "schedule_entries": [NIGHTLY],
        "schedule_checkout": str(ROOT),
        **variables,
    }
    inventory = folder / "hosts.yml"
    inventory.write_text(yaml.safe_dump({"control": {"hosts": {"here": None}, "vars": given}}))
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_HOME": str(folder / "home")}
    done = subprocess.run(
        [ANSIBLE, "-i", str(inventory), str(playbook), "--check", *options],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=ROOT,
        timeout=100,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Apply the role to every wrong input in one play; return what each said."""
    folder = tmp_path_factory.mktemp("refusals")
    tasks: list[dict[str, Any]] = []
    for name, (variables, _said) in REFUSALS.items():
        include = {"name": name, "ansible.builtin.include_role": {"name": "backstay.fleet.schedule"}, "vars": variables}
        kept = "{{ kept | default({}) | combine({'" + name + "': ansible_failed_result | to_json}) }}"
        tasks.append({"name": name, "block": [include], "rescue": [{"name": name, "ansible.builtin.set_fact": {"kept": kept}}]})
    write = {"content": "{{ kept | to_json }}", "dest": str(folder / "kept.json"), "mode": "0600"}
    tasks.append({"name": "Write", "ansible.builtin.copy": write, "check_mode": False})
    play = {"name": "Refuse", "hosts": "here", "gather_facts": False, "tasks": tasks}
    (folder / "play.yml").write_text(yaml.safe_dump([play]))
    status, output = run(folder, folder / "play.yml", {})
    assert status == 0, output
    return dict(json.loads((folder / "kept.json").read_text()))


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_scheduled_is_refused_by_one_sentence(refused: dict[str, str], name: str) -> None:
    assert REFUSALS[name][1] in refused[name]


def test_what_an_entry_runs_has_no_secret_and_no_variable_on_its_command_line(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("a key")
    key.chmod(0o600)
    entry = dict(NIGHTLY, limit="app_mysql:!spare1", variables={"backstay_kind": "log", "token": "hidden-value"}, jitter=60)
    variables = {"schedule_entries": [entry], "schedule_ssh_key_file": str(key), "backstay_state_dir": "/srv/state"}
    status, output = run(tmp_path, ROOT / "playbooks/schedule.yml", variables, "--diff", "--tags", "entries")
    assert status == 0, output
    added = [line[1:] for line in output.splitlines() if line.startswith("+") and not line.startswith("+++")]
    begin = added.index("{")
    written = json.loads("\n".join(added[begin : added.index("}", begin) + 1]))
    assert written["argv"][1:] == [
        f"{ROOT}/playbooks/backup.yml",
        "--limit=app_mysql:!spare1",
        "--extra-vars=@/etc/backstay-schedule/nightly.variables.json",
        f"--inventory={tmp_path}/hosts.yml",
    ]
    assert written["credentials"] == {"ssh-key": str(key)}
    assert written["environment"]["BACKSTAY_STATE_DIR"] == "/srv/state"
    assert "BatchMode=yes" in written["environment"]["ANSIBLE_SSH_EXTRA_ARGS"]
    assert written["jitter"] == 60
    assert "hidden-value" not in output and "a key" not in output
    (line,) = [line for line in added if line.startswith("0 2 * * * root ")]
    assert "exec /usr/local/lib/backstay/run_schedule.py /etc/backstay-schedule/nightly.json" in line
