#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure the engine itself: the meter, the worker's start, the control node's CPU for one more host, remote executions."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rig import budgets, control, lab, machine, meter, page, products, traces
from rig.fleet import OFFSITE_HOST, Fleet
from rig.lab import PROJECT, BenchError, say


def run(options: argparse.Namespace, fleet: Fleet, folder: Path) -> dict[str, Any]:
    """Measure everything on a lab that is up; return the results."""
    result: dict[str, Any] = {"schema": "backstay.bench.engine/1", "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    result["machine"] = machine.describe()
    say("meter")
    result["meter"] = meter.throughput(folder, options.gib, options.rounds)
    say("making repositories")
    traces.remove_traces(fleet)
    products.stop_writers()
    names = control.aliases(options.names)
    fleet.set_up(f"{OFFSITE_HOST},bench-*")
    fleet.backup("bench-*", "-f", "1")  # warm: worker pushed, restic's cache and the repository in use
    say("control node")
    result["control_cpu"] = control.cpu(fleet, list(names), options.rounds)
    result["executions"] = control.executions(fleet, next(iter(names)), folder)
    result["worker_start"] = control.worker_start(options.rounds * 3)
    result["phases"] = [control.phases(fleet, next(iter(names))) for _round in range(options.rounds)]
    return result


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=__doc__, epilog="BACKSTAY_LAB and BACKSTAY_LAB_PORT choose the lab.")
    top.add_argument("--gib", type=float, default=2, help="bytes through the meter")
    top.add_argument("--rounds", type=int, default=3, help="how often everything is measured")
    top.add_argument("--names", type=int, default=4, help="inventory names of the larger fleet, all on one host")
    top.add_argument("--out", type=Path, default=PROJECT / "docs" / "benchmarks", help="folder for the results")
    return top


def main() -> int:
    """Run the benchmark; exit status 1 when it could not be finished. A missed budget is a result, not a failure."""
    options = parser().parse_args()
    lab.end_on_termination()
    try:
        with tempfile.TemporaryDirectory(prefix="backstay-bench-") as name:
            folder = Path(name)
            started_lab = lab.bring_up(products.HOSTS)
            fleet = Fleet(folder, control.aliases(options.names), traces.state_directory(folder, started_lab))
            try:
                result = run(options, fleet, folder)
            finally:
                traces.clean_up(fleet, started_lab)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    result["load_after"] = round(os.getloadavg()[0], 2)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "engine.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    page.write(options.out)
    judged = budgets.judge_engine(result)
    for budget in judged:
        print(budget.line())
    print(f"bench-engine: {sum(b.met for b in judged)} of {len(judged)} budgets met")
    return 0


if __name__ == "__main__":
    sys.exit(main())
