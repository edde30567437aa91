# SPDX-License-Identifier: GPL-3.0-or-later
"""The rehearsal fleet as the benchmark uses it: commands inside hosts, bulk data, CPU counters."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
ON_HOST = PROJECT / "bench" / "onhost"
LAB = ["/usr/bin/python3", str(PROJECT / "lab" / "lab.py")]
CGROUPS = Path("/sys/fs/cgroup")


class BenchError(Exception):
    """Something the benchmark needs did not work; the message says what."""


def must(argv: list[str], text: str | None = None) -> str:
    """Return the standard output of ``argv``. Raise BenchError with the end of its errors when it fails."""
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False, cwd=PROJECT)
    if done.returncode != 0:
        raise BenchError(f"{' '.join(argv)[:300]} ended with {done.returncode}: {(done.stderr or done.stdout)[-2000:]}")
    return done.stdout


def end_on_termination() -> None:
    """Make SIGTERM unwind the program as Ctrl-C does, so that it cleans up on its way out."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))


def say(text: str) -> None:
    """Tell the person at the terminal what goes on, with the time of day (UTC)."""
    print(f"{time.strftime('%H:%M:%S', time.gmtime())} {text}", file=sys.stderr, flush=True)


def name() -> str:
    """Return the lab's name, as lab.py reads it."""
    return os.environ.get("BACKSTAY_LAB") or "backstay"


def bring_up(hosts: Iterable[str]) -> bool:
    """Make or complete the lab with ``hosts``; return whether it did not exist before. Others would be at work meanwhile."""
    fresh = not (PROJECT / ".lab" / name() / "id_ed25519").exists()
    must([*LAB, "up", "--only", ",".join(hosts)])
    must([*LAB, "wait"])
    return fresh


def tear_down() -> None:
    """Remove the lab; images stay."""
    must([*LAB, "down"])


def inside(host: str, script: str, text: str | None = None) -> str:
    """Run ``script`` with bash inside ``host`` as root and return what it prints. Raise BenchError when a part of it fails."""
    return must([*LAB, "exec", host, "--", "bash", "-euo", "pipefail", "-c", script], text)


def timed(host: str, command: str) -> dict[str, Any]:
    """Run ``command`` inside ``host`` and return ``{seconds, cpu_seconds}`` as seen there."""
    program = (ON_HOST / "timed.py").read_text(encoding="utf-8")
    output = must([*LAB, "exec", host, "--", "python3", "-", command], program)
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result


def seed(host: str, *arguments: str) -> None:
    """Call ``lab.py seed`` for ``host``."""
    must([*LAB, "seed", host, *arguments])


def put(host: str, path: str, content: str, mode: str = "0600") -> None:
    """Write a file inside ``host``."""
    inside(host, f"install -D -m {mode} /dev/stdin {path}", content)


class Cpu:
    """Counts the CPU seconds of a host with everything in it, from the counters of its control group."""

    def __init__(self, host: str) -> None:
        lines = inside(host, "cat /proc/1/cgroup").splitlines()
        paths = {controllers: path for _number, controllers, path in (line.split(":", 2) for line in lines)}
        legacy = next((path for names, path in paths.items() if "cpuacct" in names.split(",")), None)
        self._legacy = legacy is not None
        if self._legacy:
            self._file = CGROUPS / "cpuacct" / str(legacy).lstrip("/") / "cpuacct.usage"
        else:
            self._file = CGROUPS / paths[""].lstrip("/").removesuffix("/init.scope") / "cpu.stat"
        self._readable = self._file.exists()  # in a private namespace the path is the container's own

    def seconds(self) -> float | None:
        """Return the CPU seconds used so far; None where this machine hides the counter."""
        if not self._readable:
            return None
        text = self._file.read_text(encoding="ascii")
        if self._legacy:
            return int(text) / 1e9
        return int(dict(line.split() for line in text.splitlines())["usage_usec"]) / 1e6


def settle_database(host: str, seconds: int = 120) -> None:
    """Force a checkpoint: wait until no dirty page is left, so that a backup holds data and hardly any redo log."""
    sql = "SET GLOBAL innodb_max_dirty_pages_pct_lwm = 0; SET GLOBAL innodb_max_dirty_pages_pct = 0"
    undo = "SET GLOBAL innodb_max_dirty_pages_pct = DEFAULT; SET GLOBAL innodb_max_dirty_pages_pct_lwm = DEFAULT"
    age = "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'INNODB_CHECKPOINT_AGE'"
    inside(host, f"mariadb -e '{sql}'")
    deadline = time.monotonic() + seconds
    while int(inside(host, f'mariadb -BNe "{age}"')) > 1 << 20:
        if time.monotonic() > deadline:
            raise BenchError(f"{host} did not write its dirty pages within {seconds} s")
        time.sleep(0.2)
    inside(host, f"mariadb -e '{undo}'")
    os.sync()  # what the last contender wrote shall not be written on the next one's time
