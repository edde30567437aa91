#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Back one MariaDB up with Backstay and with what people would use instead, and restore it. See docs/benchmarks.md."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rig import borg, budgets, contenders, lab, machine, page, restores, traces
from rig.contenders import Contender
from rig.fleet import DATABASE_HOST, OFFSITE_HOST, Fleet
from rig.lab import PROJECT, BenchError, say

VERSIONS = {
    "mariadb": "mariadb --version",
    "mariadb-backup": "mariadb-backup --version",
    "restic": "restic version",
    "rest-server": "restic-rest-server --version",
    "borg": "borg --version",
    "borgmatic": f"{borg.PROGRAM} --version",
    "zstd": "zstd --version | tr -d '*'",
    "openssl": "openssl version",
}


def measure(contender: Contender, number: int, meters: dict[str, lab.Cpu]) -> dict[str, Any]:
    """Let ``contender`` make one backup after a checkpoint; return its times, CPU seconds of the hosts, bytes it stored."""
    lab.settle_database(DATABASE_HOST)
    folder = contender.repository(number) if contender.repository else None
    before = contenders.stored_bytes(folder) if folder else 0
    started = {name: meter.seconds() for name, meter in meters.items()}
    load = os.getloadavg()[0]
    result = contender.run(number)
    for name, meter in meters.items():
        now, then = meter.seconds(), started[name]
        result[f"{name}_cpu_seconds"] = None if now is None or then is None else round(now - then, 2)
    result["load_before"] = round(load, 2)
    if folder:
        result["stored_bytes"] = contenders.stored_bytes(folder) - before
    say(
        f"{contender.key} {number}: {result['seconds']} s"
        + (f", data {result['data_seconds']} s" if "data_seconds" in result else "")
    )
    return result


def first_fulls(
    everyone: list[Contender], rounds: int, slow_rounds: int, meters: dict[str, lab.Cpu]
) -> dict[str, list[dict[str, Any]]]:
    """Take the first fulls, the contenders by turns: every round begins with another one, since the machine's mood changes."""
    results: dict[str, list[dict[str, Any]]] = {contender.key: [] for contender in everyone}
    for number in range(1, rounds + 1):
        shift = (number - 1) * 2 % len(everyone)
        for contender in everyone[shift:] + everyone[:shift]:
            if contender.slow and number > slow_rounds:
                continue
            contender.prepare(number)
            results[contender.key].append(measure(contender, number, meters))
    return results


def later_fulls(
    everyone: list[Contender], last: dict[str, int], meters: dict[str, lab.Cpu]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Change 1 % of the rows, back up again with everybody who stores something; contiguous first, then scattered."""
    results: dict[str, dict[str, dict[str, Any]]] = {}
    for kind, arguments in (("contiguous", ()), ("scattered", ("--scattered",))):
        say(f"changing 1 % of the rows, {kind}")
        lab.seed(DATABASE_HOST, "--change", "1", "--no-binlog", *arguments)
        results[kind] = {c.key: measure(c, last[c.key], meters) for c in everyone if c.repository}
    return results


def restore_results(fleet: Fleet, options: argparse.Namespace, last: dict[str, int], dump_bytes: int) -> dict[str, Any]:
    """Restore the newest set ``options.restores`` times in place, then load the dump once, bounded."""
    rows = restores.expected_rows()
    done = []
    for number in range(options.restores):
        done.append(restores.backstay(fleet, f"bench-backstay-{last['backstay']}", rows))
        say(f"restore {number + 1}: {done[-1]['seconds']} s")
    load = restores.logical_load(f"bench-script-{last['handwritten']}", dump_bytes, options.load_seconds, rows)
    say(f"logical load: {load['share']:.0%} in {load['seconds']} s")
    return {"backstay": done, "logical_load": load, "rows": rows}


def run(options: argparse.Namespace, fleet: Fleet) -> dict[str, Any]:
    """Measure everything on a lab that is up; return the results."""
    started = time.time()
    result: dict[str, Any] = {"schema": "backstay.bench.mysql/1", "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    result.update(mib=options.mib, rounds=options.rounds, slow_rounds=options.slow_rounds, machine=machine.describe())
    traces.remove_traces(fleet)  # also of a benchmark that was ended: every first full needs a fresh repository
    lab.inside(DATABASE_HOST, "systemctl stop shop-writer.service")
    say("making repositories")
    fleet.set_up(f"{OFFSITE_HOST},bench-*")
    borg.install()
    result["versions"] = machine.host_versions(VERSIONS)
    say("warming up: the first backup of a host brings the worker along")
    fleet.backup("bench-warm")
    say(f"seeding {options.mib} MiB")
    lab.seed(DATABASE_HOST, "--mib", str(options.mib), "--no-binlog")
    meters = {"host": lab.Cpu(DATABASE_HOST), "offsite": lab.Cpu(OFFSITE_HOST)}
    everyone = contenders.all_contenders(fleet)
    result["first"] = first_fulls(everyone, options.rounds, options.slow_rounds, meters)
    last = {key: len(runs) for key, runs in result["first"].items()}
    result["later"] = later_fulls(everyone, last, meters)
    result["restore"] = restore_results(fleet, options, last, result["later"]["scattered"]["handwritten"]["dump_bytes"])
    result["took_seconds"] = round(time.time() - started)
    result["load_after"] = round(os.getloadavg()[0], 2)
    return result


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=__doc__, epilog="BACKSTAY_LAB and BACKSTAY_LAB_PORT choose the lab.")
    top.add_argument("--mib", type=int, default=1100, help="bulk data to put into the database")
    top.add_argument("--rounds", type=int, default=3, help="first fulls of every contender")
    top.add_argument("--slow-rounds", type=int, default=2, help="first fulls of the contenders that dump logically")
    top.add_argument("--restores", type=int, default=2, help="restores in place")
    top.add_argument("--load-seconds", type=float, default=240, help="stop the logical load after this time")
    top.add_argument(
        "--out", type=Path, default=PROJECT / "docs" / "benchmarks", help="folder for the results; the page lies beside it"
    )
    return top


def main() -> int:
    """Run the benchmark; exit status 1 when it could not be finished. A missed budget is a result, not a failure."""
    options = parser().parse_args()
    names = {**contenders.aliases(options.rounds), "bench-warm": DATABASE_HOST}
    started_lab = False
    try:
        with tempfile.TemporaryDirectory(prefix="backstay-bench-") as folder:
            started_lab = lab.bring_up()
            fleet = Fleet(Path(folder), names, traces.state_directory(Path(folder), started_lab))
            try:
                result = run(options, fleet)
            finally:
                traces.clean_up(fleet, started_lab)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "mysql.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    page.write(options.out)
    judged = budgets.judge_mysql(result)
    for budget in judged:
        print(budget.line())
    print(
        f"bench-mysql: {sum(b.met for b in judged)} of {len(judged)} budgets met, {options.mib} MiB,"
        f" {options.rounds} rounds, {result['took_seconds']} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
