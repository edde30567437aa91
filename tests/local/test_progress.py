# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator sees of a running job: ansible-playbook on a terminal, and without one."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ANSIBLE = str(Path(sys.executable).parent / "ansible-playbook")
# Stands for the action plugin of a job, which reports in the same way from a process of the task.
JOB = """
import json, os, socket, sys, time
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
    for moved in (1, 2, 3):
        report = dict(json.loads(sys.argv[1]), bytes=moved << 20, total=4 << 20, rate=1 << 20)
        sender.sendto(json.dumps(report).encode(), os.environ["BACKSTAY_PROGRESS_SOCKET"])
        time.sleep(0.3)
    sender.sendto(json.dumps(dict(report, done=True)).encode(), os.environ["BACKSTAY_PROGRESS_SOCKET"])
"""


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """Return the command line of a run of two playbooks, each with one job."""
    books = []
    for action in ("backup", "verify"):
        report = {"run": action, "host": "db1", "app": "mysql", "action": action, "step": "Take the data files"}
        task = {"name": "Job", "ansible.builtin.command": {"argv": [sys.executable, "-c", JOB, json.dumps(report)]}}
        play = {"name": "Play", "hosts": "db1", "connection": "local", "gather_facts": False, "tasks": [task]}
        books.append(tmp_path / f"{action}.yml")
        books[-1].write_text(yaml.safe_dump([play]))
    return [ANSIBLE, "-i", "db1,", "-e", f"ansible_python_interpreter={sys.executable}", *map(str, books)]


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_HOME": str(folder / "home"), "TERM": "xterm"}


def test_a_log_gets_lines_of_every_playbook_of_a_run(command: list[str], tmp_path: Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env=environment(tmp_path), cwd=ROOT, check=True, timeout=120)
    assert "\x1b[J" not in done.stdout
    for action in ("backup", "verify"):
        (line,) = [line for line in done.stdout.splitlines() if line.startswith(f"db1 mysql {action}: ")]
        assert line == f"db1 mysql {action}: Take the data files  1.0 MiB of about 4.0 MiB  1.0 MiB/s  0:03 left"


def test_a_terminal_gets_a_line_that_moves(command: list[str], tmp_path: Path) -> None:
    main, terminal = pty.openpty()
    backup = command[:-1]
    process = subprocess.Popen(backup, stdin=terminal, stdout=terminal, stderr=terminal, env=environment(tmp_path), cwd=ROOT)
    os.close(terminal)
    shown = screen(main)
    assert process.wait(120) == 0, shown
    redrawn = [part for part in shown.split("\r\x1b[J") if part.startswith("db1 mysql backup: ")]
    moved = [part.split("  ")[1] for part in redrawn]
    assert {"1.0 MiB of about 4.0 MiB", "3.0 MiB of about 4.0 MiB"} <= set(moved), shown


def screen(main: int) -> str:
    """Return everything that a terminal was told until its programs had ended."""
    told = b""
    while True:
        try:
            told += os.read(main, 65536)
        except OSError:  # nobody writes any more
            os.close(main)
            return told.decode()
