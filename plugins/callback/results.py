# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: results
type: aggregate
short_description: Write how a run went as JSON and as JUnit XML
version_added: 0.1.0
description:
  - One case for each host and app. A failed job is a failure; an unreachable host, and an app that was not reached, are errors.
  - Does nothing unless one of the paths is given. Files are replaced in one move. They exist from the start of the run on and
    say that it is not over, so that a run that was killed never leaves the success of the one before.
author: Backstay contributors
options:
  results:
    description: File for the results as JSON, schema C(backstay.results/1), see C(docs/schemas/results-1.json).
    type: str
    env:
      - name: BACKSTAY_RESULTS
    ini:
      - section: callback_backstay_results
        key: results
  junit:
    description: File for the results as JUnit XML.
    type: str
    env:
      - name: BACKSTAY_JUNIT
    ini:
      - section: callback_backstay_results
        key: junit
requirements:
  - enabled in C(ansible.cfg), C(callbacks_enabled), before C(backstay.fleet.guard)
"""

import atexit
import json
import os
import time
from pathlib import Path
from typing import Any

from ansible import context
from ansible.plugins.callback import CallbackBase
from ansible_collections.backstay.fleet.plugins.module_utils.files import write_atomic
from ansible_collections.backstay.fleet.plugins.module_utils.moment import format_moment, now
from ansible_collections.backstay.fleet.plugins.module_utils.results import document, junit
from ansible_collections.backstay.fleet.plugins.plugin_utils.inventory_apps import apps_in
from ansible_collections.backstay.fleet.plugins.plugin_utils.results_collector import Collector

NOT_WRITTEN_STATUS = 5
_JOB_ACTIONS = ("backstay.fleet.job", "job")


class CallbackModule(CallbackBase):
    """Collects and writes."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "backstay.fleet.results"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._paths: dict[str, Path] = {}
        self._playbook = ""
        self._started_at = ""
        self._collector = Collector("")
        self._over = False

    def set_options(self, *args: Any, **kwargs: Any) -> None:
        """Read the paths; without any there is nothing to do."""
        super().set_options(*args, **kwargs)
        chosen = {name: self.get_option(name) for name in ("results", "junit")}
        self._paths = {name: Path(path).expanduser() for name, path in chosen.items() if path}
        self.disabled = not self._paths

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Replace the results of the run before."""
        self._playbook = Path(playbook._file_name).stem
        self._started_at = format_moment(now())
        self._collector = Collector(self._playbook)
        self._write(None)
        atexit.register(self._at_exit, os.getpid())

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Note which hosts are to be worked on."""
        manager = play.get_variable_manager()
        inventory, extra = manager._inventory, manager.extra_vars
        for host in inventory.get_hosts(play.hosts):
            source = inventory.get_host(str(extra.get("backstay_source") or host.name)) or host
            groups = [group.name for group in source.get_groups()]
            self._collector.expect(host.name, apps_in(groups, str(extra.get("backstay_only_app") or "")))

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """Start the clock of a host and app."""
        self._collector.begin(host.name, _app(task), time.monotonic())

    def v2_runner_on_ok(self, result: Any) -> None:
        """Note the end of a job."""
        if result.task.action in _JOB_ACTIONS:
            app = str(result.task.get_vars().get("backstay_app") or "")
            self._collector.job_ended(result.host.name, app, result.result, time.monotonic())

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Note a failure that counts."""
        if not ignore_errors:
            self._collector.failed(result.host.name, _app(result.task), result.result, time.monotonic())

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Note a host that could not be reached."""
        if not result.task.ignore_unreachable:
            self._collector.failed(result.host.name, _app(result.task), result.result, time.monotonic(), "unreachable")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Write the end, whatever it is."""
        self._write(format_moment(now()), reached=bool(stats.processed))
        self._over = True

    def _at_exit(self, owner: int) -> None:
        if not self._over and os.getpid() == owner:  # interrupted: keep what is known, as not complete
            self._write(None)

    def _write(self, ended_at: str | None, reached: bool = True) -> None:
        """Write both files. End the run when one cannot be written: nobody may take an older one for this run's."""
        check = bool(context.CLIARGS.get("check"))
        made = document(self._playbook, check, self._started_at, self._collector.cases() if reached else [], ended_at)
        contents = {"results": json.dumps(made, indent=1).encode() + b"\n", "junit": junit(made)}
        for name, path in self._paths.items():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(path, contents[name])
            except OSError as error:
                self._display.error(f"The results cannot be written: {error}. Check BACKSTAY_RESULTS and BACKSTAY_JUNIT.")
                raise SystemExit(NOT_WRITTEN_STATUS) from error


def _app(task: Any) -> str | None:
    """Return the app that ``task`` works for, None outside any app."""
    found = task.get_vars().get("backstay_app")
    return str(found) if found else None
