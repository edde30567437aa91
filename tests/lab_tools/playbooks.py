# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the project's playbooks as an operator does and read what they leave behind."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab_tools.fleet import CHECKOUT, Fleet

ANSIBLE = Path(sys.executable).parent / "ansible-playbook"


@dataclass(frozen=True)
class Run:
    """How a playbook run ended. ``records`` are the results it left on the control node, by their order."""

    status: int
    output: str
    records: list[dict[str, Any]]
    seconds: float
    cpu_seconds: float

    @property
    def record(self) -> dict[str, Any]:
        """The only record of the run. Raise AssertionError when there is none or there are several."""
        assert len(self.records) == 1, f"{len(self.records)} records instead of one:\n{self.output}"
        return self.records[0]

    def demand(self, status: int = 0) -> Run:
        """Return this run. Raise AssertionError with its whole output unless it ended with ``status``."""
        assert self.status == status, f"ended with {self.status} instead of {status}:\n{self.output}"
        return self

    def refused(self, *sentences: str) -> Run:
        """Return this run. Raise AssertionError unless it failed and said each of ``sentences`` (line breaks are spaces)."""
        assert self.status != 0, f"was not refused:\n{self.output}"
        said = " ".join(self.output.split())
        for sentence in sentences:
            assert sentence in said, f"does not say {sentence!r}:\n{self.output}"
        return self


@dataclass
class Playbooks:
    """Runs playbooks against one lab. ``environment`` is added to the environment of each run."""

    fleet: Fleet
    environment: dict[str, str] = field(default_factory=dict)

    def argv(self, name: str, options: tuple[str, ...], variables: dict[str, Any]) -> list[str]:
        """Return the command line of a run; ``variables`` go in as one JSON object so that no quoting can change them."""
        extra = ["--extra-vars", json.dumps(variables)] if variables else []
        return [str(ANSIBLE), str(CHECKOUT / "playbooks" / f"{name}.yml"), *options, *extra]

    def run(self, name: str, *options: str, timeout: float = 600, **variables: Any) -> Run:
        """Run ``playbooks/NAME.yml`` to its end, with ansible-playbook's ``options`` and extra ``variables``."""
        before, cpu, started = set(self._record_files()), _children_cpu(), time.monotonic()
        done = subprocess.run(
            self.argv(name, options, variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            cwd=CHECKOUT,
            env=self._environment(),
            check=False,
        )
        seconds, cpu_used = time.monotonic() - started, _children_cpu() - cpu
        fresh = sorted(set(self._record_files()) - before, key=lambda path: path.stat().st_mtime_ns)
        records = [json.loads(path.read_text()) for path in fresh]
        return Run(done.returncode, done.stdout.decode(errors="replace"), records, seconds, cpu_used)

    def begin(self, name: str, *options: str, **variables: Any) -> subprocess.Popen[bytes]:
        """Start a playbook in a process group of its own and return at once; its output can be read from ``stdout``."""
        return subprocess.Popen(
            self.argv(name, options, variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=CHECKOUT,
            env=self._environment(),
        )

    def _environment(self) -> dict[str, str]:
        plain = {"ANSIBLE_NOCOLOR": "1", "COLUMNS": "200"}
        return {**self.fleet.environment, **plain, **self.environment}

    def _record_files(self) -> list[Path]:
        return record_files(self.fleet)


def record_files(fleet: Fleet) -> list[Path]:
    """Return the files of all records on this control node."""
    return list((fleet.state / "runs").glob("*/*.json"))


def newest_record(fleet: Fleet) -> dict[str, Any] | None:
    """Return the newest record on this control node, None when there is none."""
    files = sorted(record_files(fleet), key=lambda path: path.stat().st_mtime_ns)
    return json.loads(files[-1].read_text()) if files else None


def _children_cpu() -> float:
    """Return the CPU seconds of all ended children of this process, their own children included."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def descendants(pid: int) -> list[int]:
    """Return the processes below ``pid``, parents before children, whatever session or group they are in."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                parent = int((path / "stat").read_bytes().rpartition(b")")[2].split()[1])
            except OSError:
                continue  # it ended meanwhile
            children.setdefault(parent, []).append(int(path.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found[1:]


def kill_whole(process: subprocess.Popen[bytes]) -> None:
    """Kill a begun playbook with all its workers, as a control node dies: they have sessions of their own."""
    process.send_signal(signal.SIGSTOP)  # nothing new is begun while the others are looked for
    for pid in [*descendants(process.pid), process.pid]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait(30)


def end_group(process: subprocess.Popen[bytes], signal_number: int) -> None:
    """Send a signal to a begun playbook with all its workers and wait for its end."""
    os.killpg(process.pid, signal_number)
    process.wait(60)
