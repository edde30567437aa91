# SPDX-License-Identifier: GPL-3.0-or-later
"""Talk to the worker on a host from an action plugin: one remote execution a question."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError, BadInput
from ansible_collections.backstay.fleet.plugins.module_utils.sentences import say
from ansible_collections.backstay.fleet.plugins.plugin_utils import worker_archive
from ansible_collections.backstay.fleet.plugins.plugin_utils.repository_access import AccessBuilder


class WorkerFailed(BackstayError):
    """The worker answered with an error; code, message and hint are its own."""

    def __init__(self, error: dict[str, str]) -> None:
        super().__init__(error["message"], error.get("hint", ""))
        self.code = error["code"]


class WorkerClient:
    """The worker of one host, seen from an action plugin."""

    def __init__(self, action: ActionBase, task_vars: dict[str, Any], check_mode: bool) -> None:
        self._action = action
        self._task_vars = task_vars
        self._check_mode = check_mode

    def ask(self, command: str, request: dict[str, Any], secrets: dict[str, str] | None = None) -> dict[str, Any]:
        """Return the worker's answer to ``command``. Raise WorkerFailed with its error.

        The worker's code is pushed when the host does not have this version yet; in check mode it runs from Ansible's
        temporary directory and is gone afterwards.
        """
        arguments = {"command": command, "version": worker_archive.version(), "request": request, "secrets": secrets or {}}
        result: dict[str, Any] = {"missing": True} if self._check_mode else self._execute(arguments)
        if result.get("missing"):
            result = self._push_and_execute(arguments)
        reply = result.get("reply")
        if reply is None:
            raise AnsibleError(f"the worker did not answer {command}: {result.get('msg') or result}")
        if "error" in reply:
            raise WorkerFailed(reply["error"])
        return dict(reply["ok"])

    def _execute(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return self._action._execute_module(
            module_name="backstay.fleet.worker", module_args=arguments, task_vars=self._task_vars
        )

    def _push_and_execute(self, arguments: dict[str, Any]) -> dict[str, Any]:
        action = self._action
        temporary = action._make_tmp_path()
        remote = action._connection._shell.join_path(temporary, f"backstay-{worker_archive.version()}.pyz")
        with tempfile.NamedTemporaryFile(prefix="backstay-") as local:
            Path(local.name).write_bytes(worker_archive.build())
            action._transfer_file(local.name, remote)
        action._fixup_perms2((temporary, remote), execute=False)
        try:
            return self._execute(dict(arguments, archive=remote, install=not self._check_mode))
        finally:
            action._remove_tmp_path(temporary)


def access_files_of(host: str | None, task_vars: dict[str, Any]) -> dict[str, str]:
    """Return the access files of ``host``'s repository, computed here so that they are in no task's arguments.

    Empty without a ``host``: then the worker uses the files of its own host. Raise BackstayError when a secret is missing.
    """
    if not host:
        return {}
    if host not in task_vars["hostvars"]:
        raise BadInput(f"the inventory has no host '{host}'", "check backstay_source")
    files = AccessBuilder(host, task_vars["hostvars"][host], create=False, allow_missing=False).build()["files"]
    return dict(files)


def failed(result: dict[str, Any], error: BackstayError, **more: Any) -> dict[str, Any]:
    """Return ``result`` as a failure whose ``msg`` is the one sentence for the operator."""
    return dict(result, failed=True, msg=say(error), code=error.code, **more)
