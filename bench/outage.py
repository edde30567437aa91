#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure how long an application stands still for the picture of its folder, against stop - copy - start.

The worker's own steps on loop-mounted filesystems of this machine; needs root, and 2.4 times the largest size of disk.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible_collections.backstay.fleet.plugins.module_utils import layout
from ansible_collections.backstay.fleet.plugins.module_utils.worker.folder import JobFolder
from ansible_collections.backstay.fleet.plugins.module_utils.worker.job import Job
from ansible_collections.backstay.fleet.plugins.module_utils.worker.steps import perform
from rig import budgets, machine, page
from rig.lab import PROJECT, BenchError, end_on_termination, must, say

FILE_BYTES = 4 << 20
SETTINGS = {"btrfs": ["-q"], "xfs": ["-q"], "ext4": ["-q", "-m", "0"]}


@contextmanager
def filesystem(folder: Path, kind: str, mib: int) -> Iterator[Path]:
    """Give a fresh filesystem of ``kind`` with ``mib`` MiB, mounted below ``folder`` while the block runs."""
    image, point = folder / f"{kind}.img", folder / kind
    with image.open("wb") as handle:
        handle.truncate(mib << 20)
    must([f"mkfs.{kind}", *SETTINGS[kind], str(image)])
    point.mkdir()
    must(["mount", "-o", "loop", str(image), str(point)])
    try:
        yield point
    finally:
        must(["umount", str(point)])
        point.rmdir()
        image.unlink()


def fill(folder: Path, gib: float) -> list[Path]:
    """Make ``gib`` GiB in files of FILE_BYTES, none like another, in folders of 64; return the files."""
    base, made = os.urandom(FILE_BYTES), []
    for number in range(int(gib * 2**30) // FILE_BYTES):
        path = folder / f"{number // 64:04}" / f"{number:06}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(number.to_bytes(8, "big") + base[8:])
        made.append(path)
    must(["sync", "--file-system", str(folder)])
    return made


def change(files: list[Path], share: float) -> int:
    """Rewrite the share ``share`` of the files, spread over all of them; return the bytes."""
    step = max(round(1 / share), 1)
    for path in files[::step]:
        path.write_bytes(os.urandom(FILE_BYTES))
    return len(files[::step]) * FILE_BYTES


def job_on(folder: Path, source: Path) -> Job:
    """Return a job whose application is a file that says whether it runs."""
    state = folder / "running"
    state.touch()
    control = {"start": ["touch", str(state)], "stop": ["rm", str(state)]}
    control["status"] = ["sh", "-c", f"test -e {state} || exit 3"]
    service = {"name": "bench", "control": control}
    steps = [
        {"name": "Copy ahead", "copy_ahead": {"folder": str(source)}},
        {"name": "Stop", "service": {**service, "state": "stopped"}},
        {"name": "Picture", "picture": {"folder": str(source)}},
        {"name": "Start", "service": {**service, "state": "started"}},
    ]
    run = time.strftime("%Y%m%dT%H%M%SZ-outage-1", time.gmtime())
    specification = {"run": run, "host": "bench", "source": "bench", "app": "files", "action": "backup", "steps": steps}
    return Job(JobFolder.create(specification, {}))


def measure(folder: Path, kind: str, gib: float, share: float) -> dict[str, Any]:
    """Return the outage of one backup with a change after the copy ahead, and that of stop - copy - start."""
    with filesystem(folder, kind, int(gib * 1024 * 2.3) + 600) as point:
        source = point / "data"
        files = fill(source, gib)
        job = job_on(folder, source)
        ahead, *outage = job.specification["steps"]
        begun = time.monotonic()
        perform(job, ahead)
        took = time.monotonic() - begun
        changed = change(files, share)
        for step in outage:
            perform(job, step)
        picture = job.seen["pictures"][str(source)]
        found = {
            "filesystem": kind,
            "gib": gib,
            "method": picture.method,
            "changed_bytes": changed,
            "stopped_bytes": picture.report.get("stopped_bytes", 0),
            "ahead_seconds": round(took, 2),
            "outage_seconds": job.seen["outage_seconds"],
        }
        picture.remove()
        job.clean_up()  # it holds its folders open, and the filesystem with them
        must(["sync", "--file-system", str(point)])
        begun = time.monotonic()
        must(["cp", "--archive", "--reflink=never", str(source), str(point / "copy")])
        return {**found, "copy_seconds": round(time.monotonic() - begun, 2)}


def keep(result: dict[str, Any], out: Path) -> None:
    """Write what was measured so far: a run that is ended early has its results, too."""
    result["load_after"] = round(os.getloadavg()[0], 2)
    out.mkdir(parents=True, exist_ok=True)
    (out / "outage.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    page.write(out)


def sizes(text: str) -> list[float]:
    """Return the sizes in ``text``, whole ones as whole numbers."""
    return [int(size) if size.is_integer() else size for size in map(float, text.split(","))]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=__doc__)
    top.add_argument("--sizes", type=sizes, default="1,2,4,8", help="GiB of data, separated by commas")
    top.add_argument("--filesystems", default="btrfs,xfs,ext4", help="separated by commas")
    top.add_argument("--change", type=float, default=0.01, help="share of the files that changes after the copy ahead")
    top.add_argument(
        "--place", type=Path, default=None, help="folder for the images; the system's temporary folder unless given"
    )
    top.add_argument("--out", type=Path, default=PROJECT / "docs" / "benchmarks", help="folder for the results")
    return top


def main() -> int:
    """Run the benchmark; exit status 1 when it could not be finished."""
    options = parser().parse_args()
    end_on_termination()
    result: dict[str, Any] = {"schema": "backstay.bench.outage/1", "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    result.update(machine=machine.describe(), change=options.change, runs=[])
    try:
        with tempfile.TemporaryDirectory(prefix="backstay-bench-", dir=options.place) as name:
            layout.ROOT = Path(name) / "root"
            for gib in options.sizes:
                for kind in options.filesystems.split(","):
                    result["runs"].append(measure(Path(name), kind, gib, options.change))
                    say(json.dumps(result["runs"][-1]))
                    keep(result, options.out)
    except (BenchError, subprocess.SubprocessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    judged = budgets.judge_outage(result)
    for budget in judged:
        print(budget.line())
    print(f"bench-outage: {sum(b.met for b in judged)} of {len(judged)} budgets met")
    return 0


if __name__ == "__main__":
    sys.exit(main())
