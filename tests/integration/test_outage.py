# SPDX-License-Identifier: GPL-3.0-or-later
"""make bench-outage in a small form: every filesystem has its way, and no more is read while stopped than has to be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from lab_tools import tally
from lab_tools.fleet import CHECKOUT

GIB = 0.0625


def test_the_outage_is_measured_on_every_filesystem(need: Callable[..., None], tmp_path: Path) -> None:
    need(tally.HOST)  # its volumes bring the programs that make filesystems
    out = tmp_path / "benchmarks"
    argv = [
        sys.executable,
        str(CHECKOUT / "bench" / "outage.py"),
        "--sizes",
        str(GIB),
        "--out",
        str(out),
        "--place",
        str(tmp_path),
    ]
    environment = dict(os.environ, PYTHONPATH=str(CHECKOUT / "collections"))
    done = subprocess.run(argv, env=environment, cwd=CHECKOUT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    runs = {run["filesystem"]: run for run in json.loads((out / "outage.json").read_text())["runs"]}
    assert {kind: run["method"] for kind, run in runs.items()} == {"btrfs": "snapshot", "xfs": "clone", "ext4": "copy"}
    assert all(run["outage_seconds"] > 0 for run in runs.values())
    assert runs["ext4"]["changed_bytes"] <= runs["ext4"]["stopped_bytes"] < GIB * 2**30 / 4
    assert "stop - copy - start" in (tmp_path / "benchmarks.md").read_text()
