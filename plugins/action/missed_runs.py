# SPDX-License-Identifier: GPL-3.0-or-later
"""Hold the sets of hosts against the declared schedule; see the module of the same name. Works on the control node only."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError
from ansible_collections.backstay.fleet.plugins.module_utils.moment import now
from ansible_collections.backstay.fleet.plugins.plugin_utils.calendar import NoCalendars, due_times
from ansible_collections.backstay.fleet.plugins.plugin_utils.schedule_report import report
from ansible_collections.backstay.fleet.plugins.plugin_utils.worker_client import failed


def compare(arguments: dict[str, Any], groups: dict[str, list[str]], moment: datetime) -> dict[str, Any]:
    """Return ``{changed, lines, missed}``, a failure for entries that are wrong.

    A machine that cannot compute due times is no failure of the listing, but a line that says what was not done.
    """
    computed = partial(due_times, since=moment - timedelta(days=float(arguments.get("days", 7))), until=moment)
    try:
        return {"changed": False, **report(list(arguments["entries"]), groups, dict(arguments["sets"]), computed, moment)}
    except NoCalendars as error:
        return {"changed": False, "lines": [f"NOT COMPARED with the schedule: {error.message}; {error.hint}."], "missed": []}
    except BackstayError as error:
        return failed({"changed": False}, error)


class ActionModule(ActionBase):
    """Compare without any remote execution."""

    _VALID_ARGS = frozenset(("entries", "sets", "days"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return ``{lines, missed}``."""
        super().run(tmp, task_vars)
        return compare(self._task.args, dict((task_vars or {})["groups"]), now())
