# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook that runs while a test does something to it: read what it says, kill it, await its end."""

from __future__ import annotations

import os
import subprocess
import threading
from typing import Any

from lab_tools.playbooks import Playbooks, Run, kill_whole
from lab_tools.waiting import wait_until


class Running:
    """A playbook run in the background. ``run_id`` names the job that it starts or attaches to."""

    def __init__(self, playbooks: Playbooks, name: str, options: tuple[str, ...], variables: dict[str, Any]) -> None:
        self.run_id = str(variables["backstay_run"])
        self._process = playbooks.begin(name, *options, **variables)
        self._said = bytearray()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        while block := os.read(self._process.stdout.fileno(), 1 << 16):
            self._said += block

    @property
    def output(self) -> str:
        """What the playbook has printed so far."""
        return self._said.decode(errors="replace")

    def await_words(self, words: str, deadline: float = 120) -> None:
        """Return when the output holds ``words``. Raise AssertionError when the playbook ends or time runs out before."""

        def said_or_ended() -> bool:
            return words in self.output or self._process.poll() is not None

        try:
            wait_until(said_or_ended, f"the playbook says '{words}'", deadline)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output}") from None
        assert words in self.output, f"the playbook ended without saying '{words}':\n{self.output}"

    def kill(self) -> None:
        """Kill the playbook with everything below it, as a control node dies."""
        assert self._process.poll() is None, f"the playbook is already over:\n{self.output}"
        kill_whole(self._process)

    def finish(self, deadline: float = 300) -> Run:
        """Return how the playbook ended. Raise AssertionError when it does not end in time."""
        try:
            status = self._process.wait(deadline)
        except subprocess.TimeoutExpired:
            self.abandon()
            raise AssertionError(f"the playbook did not end within {deadline:.0f} s:\n{self.output}") from None
        self._thread.join(10)
        return Run(status, self.output, [], 0, 0)

    def abandon(self) -> None:
        """Kill the playbook if it still runs: for clean-ups."""
        if self._process.poll() is None:
            kill_whole(self._process)


class Command:
    """A command in the background whose output is wanted at its end."""

    def __init__(self, argv: list[str], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
        )

    def wait(self, deadline: float = 180) -> str:
        """Return what the command said. Raise AssertionError unless it succeeds."""
        output = self._process.communicate(timeout=deadline)[0].decode(errors="replace")
        assert self._process.returncode == 0, f"ended with {self._process.returncode}:\n{output}"
        return output

    def end(self) -> None:
        """End the command if it still runs: for clean-ups."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(30)
