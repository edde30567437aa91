# SPDX-License-Identifier: GPL-3.0-or-later
"""Hold the sets of hosts against the declared schedule; see the module of the same name. Works on the control node only."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError
from ansible_collections.backstay.fleet.plugins.module_utils.moment import now
from ansible_collections.backstay.fleet.plugins.plugin_utils.calendar import NoCalendars, due_times
from ansible_collections.backstay.fleet.plugins.plugin_utils.schedule_report import report
from ansible_collections.backstay.fleet.plugins.plugin_utils.worker_client import failed


class ActionModule(ActionBase):
    """Compare without any remote execution."""

    _VALID_ARGS = frozenset(("entries", "sets", "days"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return ``{lines, missed}``; where no calendar can be computed, the line that says so."""
        super().run(tmp, task_vars)
        arguments = self._task.args
        moment = now()
        since = moment - timedelta(days=float(arguments.get("days", 7)))
        groups = dict((task_vars or {})["groups"])
        try:
            computed = partial(due_times, since=since, until=moment)
            found = report(list(arguments["entries"]), groups, dict(arguments["sets"]), computed, moment)
        except NoCalendars as error:
            found = {"lines": [f"NOT COMPARED with the schedule: {error.message}; {error.hint}."], "missed": []}
        except BackstayError as error:
            return failed({"changed": False}, error)
        return dict(found, changed=False)
