# SPDX-License-Identifier: GPL-3.0-or-later
"""PowerShare servers of the lab: drive them, prove their data, know what they confirmed."""

from __future__ import annotations

import functools
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from lab_tools.fleet import CHECKOUT, Answer, Fleet

PROGRAMS = "/opt/powershare"
_SYSTEM = CHECKOUT / "lab" / "standins" / "powershare" / "system.json"
CATALOGS = ("catalog1", "catalog2", "catalog3")


@functools.cache
def _installed() -> dict[str, Any]:
    """Return the applications of every host by their role."""
    return dict(json.loads(_SYSTEM.read_text())["hosts"])


@dataclass(frozen=True)
class Server:
    """One PowerShare application on its host; ``role`` is mail or catalog."""

    fleet: Fleet
    host: str
    role: str

    @property
    def process(self) -> str:
        """Name in the process list."""
        return f"PowerShare {self.role.capitalize()} Server"

    @property
    def unit(self) -> str:
        """The systemd unit."""
        return f"powershare-{self.role}.service"

    @property
    def volume(self) -> str:
        """The volume's mount point."""
        return str(_installed()[self.host][self.role]["volume"])

    @property
    def folder(self) -> str:
        """Name of the data folder on the volume."""
        return f"PowerShare {self.role.capitalize()} Data"

    @property
    def data(self) -> str:
        """Path of the data folder."""
        return f"{self.volume}/{self.folder}"

    @property
    def confirmed_log(self) -> str:
        """The server's own record of what it confirmed."""
        return f"/var/lib/powershare/confirmed-{self.role}.log"

    def ask(self, *words: str, timeout: float = 120) -> Answer:
        """Run psctl and return what it says."""
        return self.fleet.ask(self.host, ["psctl", "--app", self.role, *words], timeout=timeout)

    def ctl(self, *words: str) -> str:
        """Run psctl and return its output. Raise AssertionError when it refuses."""
        return self.fleet.run(self.host, "psctl", "--app", self.role, *words)

    def knob(self, *words: str) -> None:
        """Order trouble: a knob and its value, or ``clear``."""
        self.fleet.run(self.host, "psknob", "--app", self.role, *words)

    def running(self) -> bool:
        """Whether the process list names the server."""
        return self.process in self.ctl("status").strip().split(", ")

    def shell(self, script: str) -> str:
        """Run a shell script in the volume's root and return its output."""
        return self.fleet.shell(self.host, f"cd '{self.volume}'; {script}")

    def check(self, data: str | None = None, *marks: str, confirmed: bool = False) -> dict[str, Any]:
        """Return what the checker says of a data folder, good or bad. ``marks`` are ID=HASH that have to be there."""
        argv = ["/usr/bin/python3", "-B", f"{PROGRAMS}/ps_check.py", self.role, "--data", data or self.data]
        argv += [word for mark in marks for word in ("--at", mark)]
        argv += ["--confirmed", self.confirmed_log] if confirmed else []
        return dict(json.loads(self.fleet.ask(self.host, argv).stdout))

    def prove(self, data: str | None = None, *marks: str, confirmed: bool = False) -> dict[str, Any]:
        """Return the facts of a data folder. Raise AssertionError with what is broken."""
        answer = self.check(data, *marks, confirmed=confirmed)
        assert answer["ok"], f"the data of {self.host} is broken: {answer['problems']}"
        return answer

    def confirmed(self) -> str:
        """Return the newest transaction that the server confirmed as ID=HASH, empty when there was none yet."""
        line = self.fleet.shell(self.host, f"grep -s ' confirm ' {self.confirmed_log} | tail -n 1").split()
        return f"{' '.join(line[2:-1])}={line[-1]}" if line else ""

    def goes_on(self) -> str:
        """Return a transaction that is confirmed from now on, ID=HASH."""
        newest = f"grep -s ' confirm ' {self.confirmed_log} | tail -n 1"
        script = f'before=$({newest}); while now=$({newest}); [ "$now" = "$before" ]; do sleep 0.1; done; echo "$now"'
        line = self.fleet.run(self.host, "timeout", "60", "sh", "-c", script).split()
        return f"{' '.join(line[2:-1])}={line[-1]}"

    def folders(self) -> dict[str, dict[str, Any]]:
        """Return the catalog folders of this server by name: version, head, state, replicas."""
        return dict(json.loads(self.ctl("folders", "--json"))["folders"])

    def repair(self) -> None:
        """Bring it into good order, whatever a test did: no trouble, running, data whole or else new and empty."""
        asked = f"psknob --app {self.role} clear; psctl --app {self.role} status"
        if self.process not in self.fleet.shell(self.host, asked).strip().split(", "):
            self.fleet.ask(self.host, ["systemctl", "stop", self.unit])
            if self.ask("launch").status != 0:
                self.renew()
        assert self.running(), f"{self.process} of {self.host} cannot be repaired"

    def renew(self) -> None:
        """Throw the data away and start as a new server; the record of confirmed transactions begins anew, too."""
        self.fleet.ask(self.host, ["systemctl", "stop", self.unit])
        owner = "install -d -o powershare -g powershare"
        self.shell(f"rm -rf '{self.folder}'; {owner} '{self.folder}'; : > {self.confirmed_log}")
        self.ctl("launch")


def mail(fleet: Fleet) -> Server:
    """Return the mail server."""
    return Server(fleet, "mail1", "mail")


def in_order(servers: list[Server]) -> None:
    """Repair servers at the same time; what is in conflict on catalog servers is as the first of them has it."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(Server.repair, servers))
        found = list(pool.map(Server.folders, servers[1:]))
    for server, folders in zip(servers[1:], found, strict=True):
        for name, folder in folders.items():
            if folder["state"] == "conflict":
                server.ctl("replicate", name, servers[0].host, server.host)


def catalogs(fleet: Fleet) -> list[Server]:
    """Return the three catalog servers, the master first."""
    return [Server(fleet, host, "catalog") for host in CATALOGS]
