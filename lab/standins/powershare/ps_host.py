# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things are on a host, which catalog system it belongs to, and what trouble is ordered."""

from __future__ import annotations

import datetime
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SYSTEM = Path("/etc/powershare/system.json")
RUN = Path("/run/powershare")
KEPT = Path("/var/lib/powershare")
PREFERENCES = Path("/System Folder/Preferences")
KNOBS: dict[str, Any] = {
    "quit-delay": 0.0,
    "quit-dialog": False,
    "launch-delay": 0.0,
    "launch-fails": False,
    "replication": True,
    "rate": 5.0,
}


class Refused(Exception):
    """A command that a server of this kind does not carry out; the text is for its user."""


@dataclass(frozen=True)
class App:
    """One of the two server applications as it is installed on this host."""

    role: str  # mail or catalog
    server: str  # name of the host
    volume: Path
    cold_mib: int

    @property
    def process(self) -> str:
        """Name in the process list."""
        return f"PowerShare {self.role.capitalize()} Server"

    @property
    def unit(self) -> str:
        """Name of the systemd unit."""
        return f"powershare-{self.role}.service"

    @property
    def folder(self) -> str:
        """Name of the data folder, which has to be at the root of the volume."""
        return f"PowerShare {self.role.capitalize()} Data"

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.volume / self.folder

    @property
    def prefs(self) -> Path:
        """The preferences file."""
        return PREFERENCES / f"PowerShare {self.role.capitalize()} Prefs"

    def at_run(self, ending: str) -> Path:
        """Return a file of the running process: lock, sock or state."""
        return RUN / f"{self.role}.{ending}"

    def kept(self, what: str) -> Path:
        """Return a record outside the data folder: confirmed, uptime."""
        return KEPT / f"{what}-{self.role}.log"


def system() -> dict[str, Any]:
    """Return the description of hosts and catalog folders."""
    return json.loads(SYSTEM.read_text(encoding="utf-8"))


def installed(role: str | None = None) -> App:
    """Return the application of this host; with two of them ``role`` says which one. Refused when there is none."""
    server = os.uname().nodename
    apps = system()["hosts"].get(server, {})
    if role is None and len(apps) == 1:
        role = next(iter(apps))
    if role not in apps:
        raise Refused(f"fnfErr (-43): {server} has no such application; it has: {', '.join(apps) or 'none'}")
    return App(role, server, Path(apps[role]["volume"]), apps[role]["cold_mib"])


def folders_of(server: str) -> list[str]:
    """Return the catalog folders that a server has to hold."""
    return [name for name, entry in system()["folders"].items() if server in entry["replicas"]]


def catalog_servers(server: str) -> list[str]:
    """Return all servers of the catalog system that a host belongs to, its own among them."""
    systems = {name: apps["catalog"].get("system", "") for name, apps in system()["hosts"].items() if "catalog" in apps}
    return [name for name, belongs in systems.items() if belongs == systems.get(server, "")]


def state(app: App) -> dict[str, Any]:
    """Return what the process said of itself last: pid, state, reason; state ``ended`` when it is no more."""
    try:
        said = json.loads(app.at_run("state").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"pid": 0, "state": "ended", "reason": ""}
    try:
        alive = b"ps_server.py" in Path(f"/proc/{said['pid']}/cmdline").read_bytes()
    except OSError:
        alive = False
    return said if alive or said["state"] in ("damaged", "failed") else {**said, "state": "ended"}


def alive(app: App) -> bool:
    """Whether the process exists, also while it starts, asks or quits."""
    return state(app)["state"] in ("starting", "asking", "running", "quitting")


def running(app: App) -> bool:
    """Whether the server is in the process list."""
    return state(app)["state"] in ("running", "quitting")


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new content."""
    fresh = path.with_name(path.name + ".new")
    with fresh.open("w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    fresh.rename(path)


def knobs(app: App) -> dict[str, Any]:
    """Return all knobs with their values."""
    path = KEPT / f"knobs-{app.role}.json"
    return {**KNOBS, **(json.loads(path.read_text(encoding="utf-8")) if path.exists() else {})}


def now() -> str:
    """Now in UTC, as the records write it."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
