# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults, injected when a job is seen to be at a certain point - never after a while."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab_tools.fleet import Fleet
from lab_tools.waiting import wait_until

_TRIGGER = (Path(__file__).parent / "trigger.py").read_text()
GATES = "/run/backstay-fault-gates"
_GATE_PROGRAM = "/usr/local/lib/backstay-fault-gate"


def hit_when(
    fleet: Fleet,
    host: str,
    run: str,
    *,
    step: str = "",
    moved: int = 0,
    exists: str = "",
    hit: str = "",
    signal: str = "SIGKILL",
    deadline: float = 120,
) -> dict[str, Any]:
    """Wait until job ``run`` is where it should be and send ``signal`` to the process that plays the part ``hit``.

    See ``trigger.py`` for the points and parts. Return what was seen at that moment.
    """
    wanted = {"run": run, "step": step, "bytes": moved, "exists": exists, "hit": hit, "signal": signal, "deadline": deadline}
    answer = fleet.ask(host, ["python3", "-", json.dumps(wanted)], stdin=_TRIGGER, timeout=deadline + 60)
    assert answer.status == 0, f"no fault was injected: {answer.stderr.strip()}"
    return dict(json.loads(answer.stdout))


def resume(fleet: Fleet, host: str, pid: int) -> None:
    """Let a stopped process go on; one that is gone by now was ended by the fault."""
    fleet.ask(host, ["kill", "-CONT", str(pid)])


def kill_sessions(fleet: Fleet, host: str) -> None:
    """Kill every SSH session of ``host``, not the server that accepts new ones."""
    script = """
    for p in /proc/[0-9]*; do
      name=$(cat "$p/comm" 2>/dev/null || true)
      case "$name" in sshd-session|sshd-auth) kill -KILL "${p#/proc/}" 2>/dev/null || true;; esac
    done
    """
    fleet.shell(host, script)


@contextmanager
def network_cut(fleet: Fleet, host: str) -> Iterator[None]:
    """Drop everything that goes in or out of ``host`` while the block runs."""
    rules = [f"{chain} {way} lo -j DROP" for chain, way in (("INPUT", "! -i"), ("OUTPUT", "! -o"))]
    fleet.shell(host, "; ".join(f"iptables -A {rule}" for rule in rules))
    try:
        yield
    finally:
        fleet.shell(host, "; ".join(f"iptables -D {rule}" for rule in rules))


@contextmanager
def changed_file(fleet: Fleet, host: str, path: str, content: str) -> Iterator[None]:
    """Have other ``content`` in ``path`` (which may not exist) while the block runs, with the same owner and mode."""
    keep = f"/var/tmp/backstay-fault-{path.rpartition('/')[2]}"
    fleet.shell(host, f'rm -f {keep}; [ ! -e "{path}" ] || cp -p "{path}" {keep}; cat > "{path}"', stdin=content)
    try:
        yield
    finally:
        fleet.shell(host, f'if [ -e {keep} ]; then cp -p {keep} "{path}"; rm -f {keep}; else rm -f "{path}"; fi')


class Gates:
    """Gates in a service's start and stop: a closed one holds the service there, so that a test can act meanwhile.

    A stop is held when the server's process is gone, a start before it is there. Gates open by themselves at a reboot.
    """

    def __init__(self, fleet: Fleet, host: str, service: str) -> None:
        self._fleet, self._host = fleet, host
        self._drop_in = f"/etc/systemd/system/{service}.d/90-backstay-fault.conf"

    def install(self) -> None:
        """Build the gates into the service, open."""
        program = f"#!/bin/sh\n[ ! -e {GATES}/$1 ] || : > {GATES}/$1-reached\nwhile [ -e {GATES}/$1 ]; do sleep 0.05; done\n"
        # A gate may stand closed for long on a slow machine; systemd is not to take that for a server that does not stop.
        unit = f"[Service]\nTimeoutStopSec=infinity\nExecStartPre=+{_GATE_PROGRAM} start\nExecStopPost=+{_GATE_PROGRAM} stop\n"
        self._fleet.shell(self._host, f"cat > {_GATE_PROGRAM}; chmod 755 {_GATE_PROGRAM}", stdin=program)
        directory = self._drop_in.rpartition("/")[0]
        self._fleet.shell(self._host, f"mkdir -p {directory}; cat > {self._drop_in}; systemctl daemon-reload", stdin=unit)

    def remove(self) -> None:
        """Open all gates and take them out of the service."""
        self.open("start")
        self.open("stop")
        directory = self._drop_in.rpartition("/")[0]
        script = f"rm -f {self._drop_in} {_GATE_PROGRAM}; rmdir --ignore-fail-on-non-empty {directory}; systemctl daemon-reload"
        script += f"; [ ! -d {GATES} ] || rmdir {GATES}"
        self._fleet.shell(self._host, script)

    def close(self, name: str) -> None:
        """Close the gate ``start`` or ``stop``."""
        self._fleet.shell(self._host, f"mkdir -p {GATES}; rm -f {GATES}/{name}-reached; : > {GATES}/{name}")

    def open(self, name: str) -> None:
        """Open a gate."""
        self._fleet.shell(self._host, f"rm -f {GATES}/{name} {GATES}/{name}-reached")

    def await_reached(self, name: str) -> None:
        """Return when the service stands before the closed gate."""
        path = f"{GATES}/{name}-reached"

        def reached() -> bool:
            return self._fleet.ask(self._host, ["test", "-e", path]).status == 0

        wait_until(reached, f"the service is at its {name} gate", 240)
