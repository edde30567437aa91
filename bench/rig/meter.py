# SPDX-License-Identifier: GPL-3.0-or-later
"""The meter's throughput by itself, beside plain pipes of the same data."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ansible_collections.backstay.fleet.plugins.plugin_utils import worker_archive

from rig.lab import BenchError


def throughput(folder: Path, gib: float, rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Return ``{pipe: [{seconds, cpu_seconds, gib_per_second}]}`` for ``gib`` GiB of noughts, the pipes by turns."""
    archive = folder / "worker.pyz"
    archive.write_bytes(worker_archive.build())
    size = int(gib * 2**30)
    source = ["head", "-c", str(size), "/dev/zero"]
    (folder / "meter-noughts.json").write_text(json.dumps({"artifact": "noughts", "argv": source, "proof": {"exit": 0}}))
    zeros = " ".join(source)
    pipes = {
        "`cat`": f"{zeros} | cat | cat >/dev/null",
        "`sha256sum`": f"{zeros} | sha256sum >/dev/null",
        "the meter": f"{sys.executable} {archive} meter {folder} noughts | cat >/dev/null",
    }
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in pipes}
    for _round in range(rounds):
        for name, command in pipes.items():
            seconds = _run(command)
            results[name].append({"seconds": round(seconds, 3), "gib_per_second": round(gib / seconds, 3)})
    seen = json.loads((folder / "metered-noughts.json").read_text(encoding="utf-8"))
    if seen["bytes"] != size or seen["problem"]:
        raise BenchError(f"the meter saw {seen}")
    return results


def _run(command: str) -> float:
    started = time.monotonic()
    done = subprocess.run(["/bin/bash", "-euo", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"{command} ended with {done.returncode}: {done.stderr}")
    return time.monotonic() - started
