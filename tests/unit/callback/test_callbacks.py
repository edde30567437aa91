# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.callback import guard, progress
from ansible_collections.backstay.fleet.plugins.plugin_utils.job_watch import PROGRESS_SOCKET
from unit.support.sandbox import wait_until

PLUGINS = Path(__file__).parents[3] / "plugins"
COLLECTION = "ansible_collections.backstay.fleet.plugins"


def test_what_every_task_needs_is_loaded_before_the_first_fork() -> None:
    """ansible-core loads every filter of a collection to find one: all of them are to be there, or each fork does it again."""
    program = (
        "import gc, sys; from ansible.plugins.loader import init_plugin_loader; init_plugin_loader([sys.argv[1]]);"
        f"from {COLLECTION}.callback import preload; preload.CallbackModule().v2_playbook_on_start(None);"
        "print(gc.get_freeze_count() > 10000, *sys.modules)"
    )
    argv = [sys.executable, "-c", program, str(PLUGINS.parent / "collections")]
    frozen, *loaded = subprocess.check_output(argv, text=True).split()
    filters = {f"{COLLECTION}.filter.{path.stem}" for path in (PLUGINS / "filter").glob("*.py")}
    assert filters
    wanted = {*filters, f"{COLLECTION}.lookup.apps", "ansible.plugins.connection.ssh", "ansible.plugins.become.sudo"}
    assert wanted - set(loaded) == set()
    assert frozen == "True"


def test_every_callback_is_enabled_in_the_checkout() -> None:
    enabled = next(
        line for line in (PLUGINS.parent / "ansible.cfg").read_text().splitlines() if line.startswith("callbacks_enabled")
    )
    names = enabled.partition("=")[2].replace(" ", "").split(",")
    assert sorted(names) == sorted(f"backstay.fleet.{path.stem}" for path in (PLUGINS / "callback").glob("*.py"))
    assert names[-1] == "backstay.fleet.guard"


def test_a_run_that_reached_no_host_fails() -> None:
    callback = guard.CallbackModule()
    with pytest.raises(SystemExit) as end:
        callback.v2_playbook_on_stats(SimpleNamespace(processed={}))
    assert end.value.code == guard.NO_HOSTS_STATUS != 0
    callback.v2_playbook_on_stats(SimpleNamespace(processed={"shop-db1": 1}))


def test_reports_of_a_job_are_written_while_a_playbook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = (tmp_path / "screen").open("wb")
    monkeypatch.setattr(progress.sys, "__stdout__", written)
    monkeypatch.setattr(progress, "_REDRAW_SECONDS", 0.02)
    monkeypatch.delenv(PROGRESS_SOCKET, raising=False)
    callback = progress.CallbackModule()
    monkeypatch.setattr(callback, "get_option", lambda _name: 30)
    at_exit: list[Any] = []
    monkeypatch.setattr(progress.atexit, "register", lambda *call, **named: at_exit.append((call, named)))
    callback.v2_playbook_on_start(None)
    address = os.environ[PROGRESS_SOCKET]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        report: dict[str, Any] = {"run": "r", "host": "shop-db1", "app": "mysql", "action": "backup", "step": "Take"}
        sender.sendto(json.dumps(report).encode(), address)
    wait_until(lambda: b"shop-db1 mysql backup: Take" in (tmp_path / "screen").read_bytes(), what="the line on the screen")
    began = time.monotonic()
    callback.v2_playbook_on_stats(None)
    assert time.monotonic() - began < 3
    assert PROGRESS_SOCKET not in os.environ
    (((remove, *arguments), named),) = at_exit
    remove(*arguments, **named)
    assert not Path(address).parent.exists()
    written.close()


def test_what_a_killed_run_left_is_removed_by_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress.tempfile, "gettempdir", lambda: str(tmp_path))
    kept = {}
    for name in ("living", "killed", "beginning"):
        (tmp_path / f"backstay-progress-{name}").mkdir()
        if name != "beginning":
            kept[name] = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            kept[name].bind(str(tmp_path / f"backstay-progress-{name}" / "socket"))
    kept["killed"].close()
    progress._remove_orphans()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backstay-progress-beginning", "backstay-progress-living"]
    kept["living"].close()
