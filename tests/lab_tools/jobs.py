# SPDX-License-Identifier: GPL-3.0-or-later
"""What jobs leave on a host: units, folders, locks, work, staging."""

from __future__ import annotations

from typing import Any

from lab_tools.fleet import Fleet

ROOT = "/var/lib/backstay"


def living_units(fleet: Fleet, host: str) -> list[str]:
    """Return the names of all Backstay job units of ``host`` that are not over (side instances are none)."""
    argv = ["systemctl", "list-units", "--all", "--plain", "--no-legend", "backstay-*Z-*.service"]
    names = [line.split()[0] for line in fleet.run(host, *argv).splitlines() if line.strip()]
    return [name for name in names if not name.startswith("backstay-side-")]


def newest_run(fleet: Fleet, host: str) -> str:
    """Return the id of the newest job folder of ``host``, empty when there is none."""
    found = fleet.ask(host, ["sh", "-c", f"ls -t {ROOT}/jobs 2>/dev/null | head -n 1"])
    return found.stdout.strip()


def state(fleet: Fleet, host: str, run: str) -> dict[str, Any]:
    """Return what the job says it is doing, empty before it said anything."""
    found = fleet.read_json(host, f"{ROOT}/jobs/{run}/state.json")
    return found if isinstance(found, dict) else {}


def leftovers(fleet: Fleet, host: str) -> list[str]:
    """Return everything that must not be there after a job ended: units, processes, held locks, work, staged sets, secrets."""
    found = [f"unit {name}" for name in living_units(fleet, host)]
    return found + fleet.run(host, "python3", "-", ROOT, stdin=_LEFTOVERS).splitlines()


# Runs on the host from its standard input, so that its own command line matches nothing.
_LEFTOVERS = r"""
import fcntl, glob, re, sys

root = sys.argv[1]
_IN_YARDS = ("landing", "picture", "verify")
for pattern in ("work/*", "staging/*/*", "jobs/*/secrets"):
    for path in glob.glob(f"{root}/{pattern}"):
        print("file", path)
_TOPS = ("/var/lib", "/Volumes/*")
for pattern in ("/run/backstay-*", *[f"{top}/.backstay-*/{kind}-*" for top in _TOPS for kind in _IN_YARDS]):
    for path in glob.glob(pattern):
        print("file", path)
yards = ("/srv/.backstay-*", "/srv/*/.backstay-*", "/srv/*/#sql-backstay")
for pattern in [f"{yard}/{kind}-*" for yard in yards for kind in ("landing", "picture")]:
    for path in glob.glob(pattern):
        print("file", path)
for path in [found for pattern in ("locks/*", "jobs/*/alive", "*.lock") for found in glob.glob(f"{root}/{pattern}")]:
    with open(path) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            print("lock", path)
for path in glob.glob("/proc/[0-9]*/cmdline"):
    try:
        words = open(path, "rb").read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        continue
    if re.search(r"mariadb-backup|/bin/rman |ora_pmon_BS|--repository-file|[.]pyz (meter|run|supervise|release)", words):
        print("process", words)
"""
