# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a job on a host, follow it, collect its result, keep a record; see the module of the same name."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError
from ansible_collections.backstay.fleet.plugins.module_utils.job import SCHEMA_NAME, step_type, validate_job
from ansible_collections.backstay.fleet.plugins.module_utils.moment import now, set_id
from ansible_collections.backstay.fleet.plugins.module_utils.names import quote_name
from ansible_collections.backstay.fleet.plugins.plugin_utils.job_watch import JobWatch, persist, say_now
from ansible_collections.backstay.fleet.plugins.plugin_utils.worker_client import (
    WorkerClient,
    WorkerFailed,
    access_files_of,
    failed,
)

_COPIED = ("action", "app", "host", "source", "repository")
_OPTIONAL = ("kind", "transport", "plan", "executor")


def specification(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the validated job specification for the task's arguments. Raise BadInput for what is wrong with it."""
    moment = now()
    run = arguments.get("run") or f"{moment:%Y%m%dT%H%M%SZ}-{arguments['app']}-{secrets.token_hex(4)}"
    result = {key: arguments[key] for key in _COPIED}
    result.update({key: arguments[key] for key in _OPTIONAL if arguments.get(key)})
    result.update(schema=SCHEMA_NAME, run=run, stall_timeout=_seconds(arguments.get("stall_timeout", 900)))
    result.update(facts=arguments.get("facts") or {}, **arguments["job"])
    if boolean(arguments.get("in_place") or False):
        result["in_place"] = True
    if result["action"] == "backup":
        result["set"] = set_id(moment, secrets.token_hex(4))
        if any("collect" in step for step in result.get("steps") or []):
            result["transport"] = "stage"  # files that a tool writes are staged by that
    validate_job(result)
    return result


def _seconds(value: Any) -> Any:
    """Return ``value`` as a number where it is one: what comes from the command line (``-e``) is text."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def keep_record(directory: str, host: str, result: dict[str, Any]) -> str:
    """Write the result of a run of ``host`` below ``directory`` on the control node and return the file's path."""
    path = Path(directory).expanduser() / quote_name(host) / f"{quote_name(result['run'])}.json"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    temporary.replace(path)
    return str(path)


class ActionModule(ActionBase):
    """Run one job from its start to its record."""

    _VALID_ARGS = frozenset(
        (*_COPIED, *_OPTIONAL, "in_place", "job", "facts", "access_of", "stall_timeout", "reconnect_timeout", "run", "records")
    )

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return ``{changed, result, record}``; a failed job is a failed task with its one sentence."""
        super().run(tmp, task_vars)
        arguments = self._task.args
        try:
            wanted = specification(arguments)
            if self._task.check_mode:
                return {"changed": True, "steps": [f"{step_type(step)}: {step['name']}" for step in wanted["steps"]]}
            client = WorkerClient(self, task_vars or {}, check_mode=False)
            files = access_files_of(arguments.get("access_of"), task_vars or {})
            return self._follow(client, wanted, arguments, files)
        except BackstayError as error:
            return failed({"changed": False}, error)

    def _follow(
        self, client: WorkerClient, wanted: dict[str, Any], arguments: dict[str, Any], files: dict[str, str]
    ) -> dict[str, Any]:
        who = {key: wanted[key] for key in ("host", "app", "action", "run")}
        patience = float(arguments.get("reconnect_timeout", 900))
        request = {"specification": wanted}
        reply = persist(self, lambda: client.ask("start", request, files), who, patience)
        earlier = [self._keep_earlier(arguments["records"], wanted["host"], item) for item in reply["uncollected"]]
        polls = JobWatch(self, reply["folder"], who, patience).until_end()
        question = {"run": wanted["run"], "acknowledged": earlier}
        collected = persist(self, lambda: client.ask("collect", question), who, patience)
        if not collected["done"]:
            raise BackstayError(f"run {wanted['run']} came to no end", f"look into {reply['folder']} on {wanted['host']}")
        result = collected["result"]
        answer = {
            "changed": True,
            "result": result,
            "record": keep_record(arguments["records"], wanted["host"], result),
            "polls": polls,
        }
        if result["status"] == "ok":
            return answer
        return self._failure(answer, result)

    @staticmethod
    def _keep_earlier(records: str, host: str, result: dict[str, Any]) -> str:
        """Keep the record of a run that ended while nobody was there to collect it, tell about it, return its id."""
        keep_record(records, host, result)
        said = result.get("error", {}).get("message", "")
        say_now(f"{result['host']}: run {result['run']} ended {result['status']} uncollected. {said}".rstrip())
        return str(result["run"])

    @staticmethod
    def _failure(answer: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
        error = dict(result.get("error") or {"code": "application-down", "message": "the application was not released"})
        problems = "; ".join(result.get("release_problems") or [])
        if problems:
            error["message"] += f" - and the application is not back: {problems}"
        if result.get("put_back"):
            on = f" on {result['worker']}" if "worker" in result else ""
            error["hint"] = f"The former data is kept; put it back{on} with: {result['put_back']}"
        return failed(answer, WorkerFailed(error))
