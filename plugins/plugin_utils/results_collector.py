# SPDX-License-Identifier: GPL-3.0-or-later
"""Make cases for each host and app out of what happens to tasks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.backstay.fleet.plugins.module_utils.results import Case, case

# Playbooks that promise a job on every host: a host on which none ran is not a success.
JOB_PLAYBOOKS = frozenset(("backup", "restore", "verify"))
_NOT_RUN = {"code": "not-run", "message": "not run, because the host failed before"}
_NO_JOB = {"code": "not-run", "message": "no job was run on this host: check --tags and the groups of the inventory"}


class Collector:
    """What is known about each host and app so far. Moments are seconds of one monotonic clock."""

    def __init__(self, playbook: str) -> None:
        self._playbook = playbook
        self._expected: dict[str, set[str]] = {}
        self._began: dict[tuple[str, str | None], float] = {}
        self._ended: dict[tuple[str, str | None], float] = {}
        self._results: dict[tuple[str, str | None], dict[str, Any]] = {}
        self._states: dict[tuple[str, str | None], tuple[str, dict[str, str] | None]] = {}

    def expect(self, host: str, apps: Iterable[str]) -> None:
        """Note that a play is to work on ``host``, whose ``apps`` are known from its groups."""
        self._expected.setdefault(host, set()).update(apps)

    def begin(self, host: str, app: str | None, moment: float) -> None:
        """Note that a task begins."""
        self._began.setdefault((host, app), moment)

    def job_ended(self, host: str, app: str, answer: dict[str, Any], moment: float) -> None:
        """Note the success of a job task; in check mode it has no result."""
        self._ended[host, app] = moment
        self._results[host, app] = dict(answer.get("result") or {})
        self._states[host, app] = ("ok" if answer.get("result") else "skipped", None)

    def failed(self, host: str, app: str | None, answer: dict[str, Any], moment: float, state: str = "failed") -> None:
        """Note that a task failed, or (``state`` unreachable) that the host could not be reached."""
        self._ended[host, app] = moment
        if answer.get("result"):
            self._results[host, app] = dict(answer["result"])
        code = answer.get("code") or ("unreachable" if state == "unreachable" else "task")
        self._states[host, app] = (state, {"code": str(code), "message": message_of(answer)})

    def cases(self) -> list[Case]:
        """Return the cases, sorted by host and app; one with app None for a host of which no app is known."""
        hosts = sorted({*self._expected, *(host for host, _app in self._states)})
        return [item for host in hosts for item in self._cases_of(host)]

    def _cases_of(self, host: str) -> list[Case]:
        known = {app for name, app in self._states if name == host}
        broken = [self._states[host, app] for app in known if self._states[host, app][0] in ("failed", "unreachable")]
        if not known:
            fine = self._playbook not in JOB_PLAYBOOKS
            return [case(host, None, "ok" if fine else "not-run", 0.0, {}, error=None if fine else _NO_JOB)]
        apps = {app for app in known if app is not None} | (self._expected.get(host, set()) if broken else set())
        if not apps:
            return [self._case(host, None, broken[0])]
        # A failure outside any app is the failure of each app that has no word of its own.
        rest = self._states.get((host, None), ("not-run", _NOT_RUN))
        found = [self._case(host, app, self._states.get((host, app), rest)) for app in sorted(apps)]
        if None in known and not any(item["status"] == self._states[host, None][0] for item in found):
            found.append(self._case(host, None, self._states[host, None]))
        return found

    def _case(self, host: str, app: str | None, state: tuple[str, dict[str, str] | None]) -> Case:
        key = (host, app)
        seconds = self._ended.get(key, 0.0) - self._began.get(key, self._ended.get(key, 0.0))
        return case(host, app, state[0], seconds, self._results.get(key, {}), error=state[1])


def message_of(answer: dict[str, Any]) -> str:
    """Return the sentence of a failed task, of a loop that of its first failed item."""
    for item in answer.get("results") or []:
        if isinstance(item, dict) and item.get("failed"):
            return message_of(item)
    for name in ("msg", "stderr", "exception"):
        if answer.get(name):
            return str(answer[name])
    return "the task failed without a message"
