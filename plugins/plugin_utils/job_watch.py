# SPDX-License-Identifier: GPL-3.0-or-later
"""Follow a job on a host: cheap polls that back off, a connection that may come and go."""

from __future__ import annotations

import json
import os
import shlex
import socket
import time
from collections.abc import Callable
from typing import Any

from ansible.constants import COLOR_WARN
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError

FIRST_POLL_SECONDS = 2
LAST_POLL_SECONDS = 30
PROGRESS_SOCKET = "BACKSTAY_PROGRESS_SOCKET"
_GONE_SECONDS = 20  # how long a release may take to write a result after its worker died


def poll_command(folder: str, seconds: int) -> str:
    """Return the shell command of one poll: wait until the worker lets go, at most ``seconds``, then say how things are.

    The last line is RESULT (the job ended), ALIVE (somebody works on it), GONE (nobody does) or LOST (no such job here).
    """
    names = ("spec.json", "alive", "state.json", "result.json")
    specification, alive, state, result = (shlex.quote(f"{folder}/{name}") for name in names)
    wait = f"if command -v flock >/dev/null; then flock -s -w {seconds} {alive} true; else sleep {seconds}; fi"
    verdict = f"if [ -e {result} ]; then echo RESULT; elif flock -s -n {alive} true; then echo GONE; else echo ALIVE; fi"
    return f"if [ ! -r {specification} ]; then echo LOST; else {wait}; cat {state}; echo; {verdict}; fi"


def read_poll(output: str) -> tuple[dict[str, Any], str]:
    """Return the state and the verdict in the output of a poll; an unreadable state is empty."""
    lines = [line for line in output.splitlines() if line.strip()]
    verdict = lines[-1].strip() if lines else "LOST"
    for line in lines:
        if line.startswith("{"):
            try:
                return dict(json.loads(line)), verdict
            except ValueError:
                break
    return {}, verdict


class JobWatch:
    """Polls one job until it ended; tells a listener what it sees."""

    def __init__(self, action: ActionBase, folder: str, who: dict[str, str], reconnect_timeout: float) -> None:
        self._action = action
        self._folder = folder
        self._who = who
        self._reconnect_timeout = reconnect_timeout

    def until_end(self) -> int:
        """Return the number of polls it took to see the job end (or its worker gone for good)."""
        wait, polls, gone_since = float(FIRST_POLL_SECONDS), 0, None
        while True:
            state, verdict = self._poll(int(wait))
            polls += 1
            tell_progress(dict(self._who, **state))
            if verdict == "RESULT":
                return polls
            if verdict not in ("ALIVE", "GONE"):
                raise BackstayError(
                    f"{self._folder} cannot be read on {self._who['host']}, so the job cannot be followed",
                    "it goes on; run again to collect it",
                )
            if verdict == "GONE":
                gone_since = gone_since or time.monotonic()
                if time.monotonic() - gone_since > _GONE_SECONDS:
                    return polls
                time.sleep(0.2)
                continue
            gone_since = None
            wait = min(wait * 1.3, LAST_POLL_SECONDS)

    def _poll(self, seconds: int) -> tuple[dict[str, Any], str]:
        command = poll_command(self._folder, seconds)
        answer = persist(
            self._action, lambda: self._action._low_level_execute_command(command), self._who, self._reconnect_timeout
        )
        return read_poll(answer["stdout"])


def persist(action: ActionBase, call: Callable[[], Any], who: dict[str, str], timeout: float) -> Any:
    """Return what ``call`` returns, trying again over a fresh connection while the old one is lost, for ``timeout`` seconds."""
    lost_since = None
    while True:
        try:
            return call()
        except AnsibleConnectionFailure as error:
            if lost_since is None:
                lost_since = time.monotonic()
                say_now(f"{who['host']}: connection lost, the job goes on without it: {error.message}")
            if time.monotonic() - lost_since > timeout:
                raise
            time.sleep(1)
            _reset(action)


def say_now(text: str) -> None:
    """Tell the operator now and for certain: ansible-core keeps what is given to ``warning`` until the task has ended."""
    Display().display(f"[WARNING]: {text}", color=COLOR_WARN, stderr=True)


def _reset(action: ActionBase) -> None:
    """Drop what is left of the connection, so that the next command opens a new one."""
    try:
        action._connection.reset()
    except AnsibleConnectionFailure:
        action._connection.close()


def tell_progress(report: dict[str, Any]) -> None:
    """Send ``report`` to the progress callback of this run, if there is one; a full socket drops it."""
    address = os.environ.get(PROGRESS_SOCKET)
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        try:
            sender.sendto(json.dumps(report).encode(), address)
        except OSError:
            return
