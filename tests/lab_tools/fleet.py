# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab of a test run, seen from outside: bring it up, run commands in its hosts as root."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
DEFAULT_NAME = "backstay-test"
DEFAULT_PORT = 42400
OFFSITE = "offsite1"
SPARE = "spare1"
BASE = (OFFSITE, "shop-db1", SPARE)  # what every test may rely on; other hosts are brought up when they are needed
# What the tests of stand-ins use: hosts or groups of lab/hosts.json. mk/tests.mk has the same words; a unit test compares.
CONFORMANCE = ("app_powershare", "app_oracle", "oracle-spare1", "app_domino")


def hosts() -> dict[str, set[str]]:
    """Return every host that a lab can have, with the words that choose it: its name and its groups."""
    every = json.loads((CHECKOUT / "lab" / "hosts.json").read_text())
    return {name: {name, *host["groups"]} for name, host in every.items()}


@dataclass(frozen=True)
class Answer:
    """What a command in a host said."""

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Fleet:
    """One named lab. Tests use a lab of their own unless BACKSTAY_LAB and BACKSTAY_LAB_PORT say otherwise."""

    name: str
    port: int
    state: Path

    @classmethod
    def from_environment(cls, shared: bool = False) -> Fleet:
        """Return the lab that the environment names; its control-node state lies beside its key and goes with it.

        Where pytest runs tests side by side, every process but the first has a lab of its own: NAME-2, 200 ports on, and so on;
        ``shared`` says that they work on different hosts of one lab.
        """
        name = os.environ.get("BACKSTAY_LAB") or DEFAULT_NAME
        port = int(os.environ.get("BACKSTAY_LAB_PORT") or DEFAULT_PORT)
        number = int((os.environ.get("PYTEST_XDIST_WORKER") or "gw0").removeprefix("gw"))
        if number > 0 and not shared:
            name, port = f"{name}-{number + 1}", port + 200 * number
        chosen = os.environ.get("BACKSTAY_STATE_DIR")
        return cls(name, port, Path(chosen) if chosen else CHECKOUT / ".lab" / name / "control")

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every command that works on this lab."""
        own = {
            "BACKSTAY_LAB": self.name,
            "BACKSTAY_LAB_PORT": str(self.port),
            "BACKSTAY_STATE_DIR": str(self.state),
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "CONTAINERS_CONF": str(CHECKOUT / ".lab" / self.name / "containers.conf"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return {**os.environ, **own}

    def command(self, *words: str, timeout: float = 900) -> str:
        """Run ``lab/lab.py`` with ``words`` and return what it printed. Raise AssertionError when it fails."""
        argv = ["/usr/bin/python3", str(CHECKOUT / "lab" / "lab.py"), *words]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, env=self.environment, check=False)
        assert done.returncode == 0, f"lab.py {' '.join(words)} failed:\n{done.stdout}{done.stderr}"
        return done.stdout

    def up(self, *volumes: str, only: Iterable[str] = ()) -> None:
        """Bring the lab up, complete it, repair what a test deleted. ``volumes`` are HOST:PATH=MIB[:FS].

        A lab that is made with ``only`` (hosts or groups) has just these; later calls add to them.
        """
        chosen = ["--only", ",".join(only)] if only else []
        self.command("up", *chosen, *(word for volume in volumes for word in ("--volume", volume)))

    def absent(self) -> set[str]:
        """Return the hosts of the inventory that this lab was made without."""
        chosen = CHECKOUT / ".lab" / self.name / "only.json"
        if not chosen.exists():
            return set()
        wanted = set(json.loads(chosen.read_text()))
        return {name for name, words in hosts().items() if not words & wanted}

    def exists(self) -> bool:
        """Whether this lab was made already: its key is the first thing it gets and the last it loses."""
        return (CHECKOUT / ".lab" / self.name / "id_ed25519").exists()

    def is_up(self) -> bool:
        """Whether every host of the lab runs."""
        argv = ["/usr/bin/python3", str(CHECKOUT / "lab" / "lab.py"), "status", "--json"]
        return subprocess.run(argv, capture_output=True, env=self.environment, check=False).returncode == 0

    def down(self) -> None:
        """Remove the lab with its state."""
        self.command("down")

    def exec_argv(self, host: str, argv: list[str]) -> list[str]:
        """Return the command line on this machine that runs ``argv`` as root in ``host``, without SSH."""
        return ["podman", "exec", "--interactive", f"{self.name}-{host}", *argv]

    def ask(self, host: str, argv: list[str], stdin: str = "", timeout: float = 300) -> Answer:
        """Run ``argv`` as root in ``host`` and return status and output, whatever they are."""
        done = subprocess.run(
            self.exec_argv(host, argv),
            input=stdin.encode(),
            capture_output=True,
            timeout=timeout,
            env=self.environment,
            check=False,
        )
        return Answer(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def run(self, host: str, *argv: str, stdin: str = "", timeout: float = 300) -> str:
        """Run ``argv`` as root in ``host`` and return its output. Raise AssertionError when it fails."""
        answer = self.ask(host, list(argv), stdin, timeout)
        assert answer.status == 0, f"{shlex.join(argv)} on {host} ended with {answer.status}:\n{answer.stdout}{answer.stderr}"
        return answer.stdout

    def shell(self, host: str, script: str, stdin: str = "", timeout: float = 300) -> str:
        """Run a shell ``script`` as root in ``host`` and return its output. Raise AssertionError when it fails."""
        return self.run(host, "sh", "-euc", script, stdin=stdin, timeout=timeout)

    def read_json(self, host: str, path: str) -> dict | list | None:
        """Return the JSON file ``path`` of ``host``, None when it is not there."""
        answer = self.ask(host, ["cat", path])
        return json.loads(answer.stdout) if answer.status == 0 and answer.stdout.strip() else None

    def listing(self, host: str, *paths: str) -> list[str]:
        """Return every file below ``paths`` of ``host`` as name, type, owner, mode, size and time of change."""
        script = 'for p in "$@"; do [ ! -e "$p" ] || find "$p" -printf "%p %y %u:%g %m %s %T@\\n"; done | sort'
        return self.run(host, "sh", "-euc", script, "sh", *paths).splitlines()
