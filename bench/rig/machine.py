# SPDX-License-Identifier: GPL-3.0-or-later
"""What was measured on what: the machine and the versions, without names or places."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

from rig.fleet import DATABASE_HOST
from rig.lab import inside


def processor() -> str:
    """Return the processor's own name, or its architecture where it tells none."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def memory_gib() -> float:
    """Return the machine's memory in GiB."""
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)


def describe() -> dict[str, Any]:
    """Return the machine, its load before the benchmark and the versions on the control node."""
    return {
        "cores": os.cpu_count(),
        "processor": processor(),
        "memory_gib": memory_gib(),
        "kernel": platform.release(),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "ansible_core": importlib.metadata.version("ansible-core"),
    }


def host_versions(programs: dict[str, str]) -> dict[str, str]:
    """Return the version that each of ``programs`` (name: command printing it in its first line) has on the database host."""
    return {name: inside(DATABASE_HOST, f"({command}) 2>&1 | sed -n 1p").strip() for name, command in programs.items()}
