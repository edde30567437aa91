#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Back one MariaDB up with Backstay and with what people would use instead, and restore it; then MariaDB and MySQL by both of
Backstay's methods. See docs/benchmarks.md."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rig import borg, budgets, contenders, lab, machine, page, products, restores, traces
from rig.contenders import Contender
from rig.fleet import DATABASE_HOST, OFFSITE_HOST, SPARE_HOST, Fleet
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


class Rounds:
    """The measurements in their order. Results are kept after each one, and what time did not allow is listed in them."""

    def __init__(self, options: argparse.Namespace, fleet: Fleet) -> None:
        self.options = options
        self.fleet = fleet
        self.everyone = contenders.all_contenders(fleet)
        self.meters = {"host": lab.Cpu(DATABASE_HOST), "offsite": lab.Cpu(OFFSITE_HOST)}
        self.result: dict[str, Any] = {"schema": "backstay.bench.mysql/1", "not_run": [], "load_before": os.getloadavg()[0]}
        self.started = time.monotonic()

    def keep(self) -> None:
        """Write what there is so far."""
        self.options.out.mkdir(parents=True, exist_ok=True)
        self.result["took_seconds"] = round(time.monotonic() - self.started)
        (self.options.out / "mysql.partial.json").write_text(json.dumps(self.result, indent=1) + "\n", encoding="utf-8")

    def time_for(self, what: str, share: float) -> bool:
        """Return whether less than ``share`` of the time has passed; else note that ``what`` was not run."""
        if time.monotonic() - self.started < self.options.minutes * 60 * share:
            return True
        self.result["not_run"].append(what)
        return False

    def first_fulls(self) -> None:
        """Take the first fulls, the contenders by turns: every round begins with another one, since a machine has moods."""
        results: dict[str, list[dict[str, Any]]] = {contender.key: [] for contender in self.everyone}
        self.result["first"] = results
        for number in range(1, self.options.rounds + 1):
            shift = (number - 1) * 2 % len(self.everyone)
            for contender in self.everyone[shift:] + self.everyone[:shift]:
                if contender.slow and number > self.options.slow_rounds:
                    continue
                if number == 1 or self.time_for(f"first full {number} of {contender.key}", 0.45):
                    contender.prepare(number)
                    results[contender.key].append(measure(contender, len(results[contender.key]) + 1, self.meters))
                    self.keep()

    def later_fulls(self) -> None:
        """Change 1 % of the rows, back up again with everybody who stores something; contiguous first, then scattered."""
        self.result["later"] = {}
        for kind, arguments in (("contiguous", ()), ("scattered", ("--scattered",))):
            say(f"changing 1 % of the rows, {kind}")
            lab.seed(DATABASE_HOST, "--change", "1", "--no-binlog", *arguments)
            for contender in self.everyone:
                optional = kind == "scattered" and contender.slow
                if not contender.repository or (optional and not self.time_for(f"{kind} change, {contender.key}", 0.7)):
                    continue
                done = measure(contender, len(self.result["first"][contender.key]), self.meters)
                self.result["later"].setdefault(kind, {})[contender.key] = done
                self.keep()

    def restores(self) -> None:
        """Restore the newest set in place, then load the newest dump once, bounded."""
        rows = restores.expected_rows()
        first, later = self.result["first"], self.result["later"]
        done: list[dict[str, Any]] = []
        self.result["restore"] = {"backstay": done, "rows": rows}
        for number in range(1, self.options.restores + 1):
            if number == 1 or self.time_for(f"restore {number}", 0.85):
                done.append(restores.restore_in_place(self.fleet, SPARE_HOST, f"bench-backstay-{len(first['backstay'])}", rows))
                say(f"restore {number}: {done[-1]['seconds']} s")
                self.keep()
        newest = later["scattered"].get("handwritten") or later["contiguous"]["handwritten"]
        alias = f"bench-script-{len(first['handwritten'])}"
        load = restores.logical_load(alias, newest["dump_bytes"], self.options.load_seconds, rows)
        say(f"logical load: {load['share']:.0%} in {load['seconds']} s")
        self.result["restore"]["logical_load"] = load
        self.keep()

    def products(self) -> None:
        """Compare Backstay's own methods on both products."""

        def keep(results: dict[str, Any]) -> None:
            self.result["products"] = results
            self.keep()

        products.compare(self.fleet, self.options.product_mib, keep)


def set_up(options: argparse.Namespace, fleet: Fleet) -> None:
    """Make repositories, install the others' programs, fill the database."""
    traces.remove_traces(fleet)  # also of a benchmark that was ended: every first full needs a fresh repository
    products.stop_writers()
    say("making repositories")
    fleet.set_up(f"{OFFSITE_HOST},bench-*")
    borg.install()
    say("warming up: the first backup of a host brings the worker along")
    fleet.backup("bench-warm")
    say(f"seeding {options.mib} MiB")
    lab.seed(DATABASE_HOST, "--mib", str(options.mib), "--no-binlog")


def run(options: argparse.Namespace, fleet: Fleet) -> dict[str, Any]:
    """Measure everything on a lab that is up; return the results."""
    about = machine.describe()
    set_up(options, fleet)
    rounds = Rounds(options, fleet)
    rounds.result.update(at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), mib=options.mib, machine=about)
    rounds.result.update(versions=machine.host_versions(VERSIONS))
    rounds.first_fulls()
    rounds.later_fulls()
    rounds.restores()
    rounds.products()
    rounds.result["load_after"] = round(os.getloadavg()[0], 2)
    return rounds.result


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=__doc__, epilog="BACKSTAY_LAB and BACKSTAY_LAB_PORT choose the lab.")
    top.add_argument("--mib", type=int, default=1100, help="bulk data to put into the database")
    top.add_argument("--product-mib", type=int, default=300, help="bulk data of the comparison of products and methods")
    top.add_argument("--rounds", type=int, default=3, help="first fulls of every contender")
    top.add_argument("--slow-rounds", type=int, default=2, help="first fulls of the contenders that dump logically")
    top.add_argument("--restores", type=int, default=2, help="restores in place")
    top.add_argument("--load-seconds", type=float, default=240, help="stop the logical load after this time")
    top.add_argument("--minutes", type=float, default=15, help="no repetition begins late in this time; the rest still runs")
    top.add_argument(
        "--out", type=Path, default=PROJECT / "docs" / "benchmarks", help="folder for the results; the page lies beside it"
    )
    return top


def main() -> int:
    """Run the benchmark; exit status 1 when it could not be finished. A missed budget is a result, not a failure."""
    options = parser().parse_args()
    lab.end_on_termination()
    names = {**contenders.aliases(options.rounds), "bench-warm": DATABASE_HOST, **products.aliases()}
    started_lab = False
    try:
        with tempfile.TemporaryDirectory(prefix="backstay-bench-") as folder:
            started_lab = lab.bring_up(products.HOSTS)
            fleet = Fleet(Path(folder), names, traces.state_directory(Path(folder), started_lab))
            try:
                result = run(options, fleet)
            finally:
                traces.clean_up(fleet, started_lab)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "mysql.partial.json").unlink()
    (options.out / "mysql.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    page.write(options.out)
    judged = budgets.judge_mysql(result)
    for budget in judged:
        print(budget.line())
    print(
        f"bench-mysql: {sum(b.met for b in judged)} of {len(judged)} budgets met, {options.mib} MiB,"
        f" {result['took_seconds']} s, {len(result['not_run'])} measurements not run for lack of time"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
