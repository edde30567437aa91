# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the worker of a host, pushing its code first where it is missing; see the module of the same name."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError
from ansible_collections.backstay.fleet.plugins.plugin_utils.worker_client import WorkerClient, access_files_of, failed


class ActionModule(ActionBase):
    """Send one request to the worker."""

    _VALID_ARGS = frozenset(("command", "request", "access_of"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return ``{reply}``, or a failure with the worker's own sentence."""
        super().run(tmp, task_vars)
        arguments = self._task.args
        client = WorkerClient(self, task_vars or {}, self._task.check_mode)
        try:
            files = access_files_of(arguments.get("access_of"), task_vars or {})
            reply = client.ask(arguments["command"], dict(arguments["request"]), files)
        except BackstayError as error:
            return failed({"changed": False}, error)
        return {"changed": False, "reply": reply}
