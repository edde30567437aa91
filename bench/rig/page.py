# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/benchmarks.md out of the results. Nothing on the page is written by hand, so that numbers and words stay together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rig import budgets, products, text
from rig.moments import middle

TITLES = {
    "backstay": "Backstay, whole run from the control node",
    "pipe": "bare pipe `mariadb-backup | restic`",
    "borgmatic_hook": "borgmatic, its own MariaDB hook (logical)",
    "borgmatic_physical": "borgmatic, `mariadb-backup` as a command before `create`",
    "handwritten": "hand-written playbook: dump to a file, restic",
    "limit": "the machine's limit: SHA-256, zstd -1, AES, to nowhere",
}


def write(folder: Path) -> None:
    """Write the page beside ``folder`` from the results that lie in it."""
    found = {name: _read(folder / f"{name}.json") for name in ("mysql", "engine", "outage")}
    parts = [text.HEAD]
    if found["mysql"]:
        parts += mysql_parts(found["mysql"])
    if found["engine"]:
        parts += engine_parts(found["engine"])
    if found["outage"]:
        parts += outage_parts(found["outage"])
    if not any(found.values()):
        parts.append("No complete run has been recorded yet: this page makes no claim about any budget.\n")
    folder.with_suffix(".md").write_text("\n".join(parts), encoding="utf-8")


def _read(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = [head, ["---"] * len(head), *escaped]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def budget_table(judged: Sequence[budgets.Budget]) -> str:
    """Return the verdicts as a table."""
    return table(["what", "measured", "budget", "verdict"], [budget.cells() for budget in judged])


def number(value: float | None, digits: int = 1) -> str:
    """Return a number for a cell; a dash for what was not measured."""
    return "-" if value is None else f"{value:.{digits}f}"


def mib(value: float | None) -> str:
    """Return bytes as MiB for a cell."""
    return "-" if value is None else f"{value / 2**20:.1f}"


def raw(runs: Sequence[dict[str, Any]], field: str = "seconds") -> str:
    """Return all single values of ``field``."""
    return ", ".join(number(run.get(field)) for run in runs)


def mysql_parts(result: dict[str, Any]) -> list[str]:
    """Return the sections of bench-mysql."""
    missing = f"Not run, for lack of time: {', '.join(result['not_run'])}.\n" if result["not_run"] else ""
    return [
        "## MariaDB\n",
        where(result),
        missing,
        budget_table(budgets.judge_mysql(result)),
        text.WHAT,
        "### First full\n",
        first_table(result["first"]),
        first_words(result["first"]),
        "### Second full, 1 % of the rows changed\n",
        later_table(result),
        text.LATER,
        "### Restore into a running server\n",
        restore_table(result["restore"]),
        restore_words(result["restore"]),
        *product_parts(result),
        "### Noise\n",
        noise(result),
    ]


def where(result: dict[str, Any]) -> str:
    """Return what was measured on what."""
    machine = result["machine"]
    versions = "; ".join(f"{name}: {said}" for name, said in result.get("versions", {}).items())
    base = (
        f"{result['at'][:10]}; {machine['cores']} cores ({machine['processor']}), {machine['memory_gib']} GiB,"
        f" Linux {machine['kernel']}, Python {machine['python']}, ansible-core {machine['ansible_core']}."
    )
    if "mib" in result:
        base += f" {result['mib']} MiB of bulk data; the measurements took {result['took_seconds']} s. {versions}."
    return base + "\n"


def first_table(first: dict[str, list[dict[str, Any]]]) -> str:
    """Return times of the first fulls."""
    rows = []
    for key, runs in first.items():
        cpu = [number(middle(runs, f"{host}_cpu_seconds")) for host in ("host", "offsite", "control")]
        rows.append([TITLES[key], number(middle(runs)), raw(runs), *cpu, mib(middle(runs, "stored_bytes"))])
        if key == "backstay":
            phase = [number(middle(runs, "data_seconds")), raw(runs, "data_seconds")]
            rows.append(["- of it the data phase", *phase, "", "", "", ""])
    head = ["contender", "median s", "all s", "CPU s host", "CPU s offsite", "CPU s control node", "stored MiB"]
    return table(head, rows)


def first_words(first: dict[str, list[dict[str, Any]]]) -> str:
    """Return the fixed cost and the best-of-all ratio, which noise moves least."""
    runs = first["backstay"]
    fixed = middle([{"seconds": run["seconds"] - run["data_seconds"]} for run in runs])
    best = min(run["data_seconds"] for run in runs) / min(run["seconds"] for run in first["pipe"])
    size = mib(middle(runs, "bytes"))
    return (
        f"The stream was {size} MiB. Backstay's fixed cost beside the data phase (Ansible's start, preflight, start of the job,"
        f" receipt, read-back, collecting) was {number(fixed)} s. The fastest data phase took {best:.2f} x the fastest"
        " bare pipe.\n"
    )


def later_table(result: dict[str, Any]) -> str:
    """Return what later fulls stored, and how long they took."""
    rows = []
    for key in result["later"]["contiguous"]:
        whole = result["first"][key][-1]["stored_bytes"]
        cells = [TITLES[key], mib(whole)]
        for kind in ("contiguous", "scattered"):
            run = result["later"][kind].get(key)
            if run is None:
                cells += ["-", "-"]
                continue
            cells += [f"{mib(run['stored_bytes'])} ({run['stored_bytes'] / whole:.1%})", number(run["seconds"])]
        rows.append(cells)
    return table(["contender", "first MiB", "contiguous MiB", "s", "scattered MiB", "s"], rows)


def restore_table(restore: dict[str, Any]) -> str:
    """Return the two ways back."""
    runs, load = restore["backstay"], restore["logical_load"]
    measured = f"{number(load['seconds'])} for {load['share']:.0%}"
    return table(
        ["way", "median s", "all s"],
        [
            ["Backstay in place, whole run until the server answers and is checked", number(middle(runs)), raw(runs)],
            ["- of it the job on the host", number(middle(runs, "job_seconds")), raw(runs, "job_seconds")],
            ["- of it the server was stopped", number(middle(runs, "outage_seconds")), raw(runs, "outage_seconds")],
            ["`restic dump | mariadb`, the hand-written playbook's dump", number(load["whole_seconds"]), measured],
        ],
    )


def restore_words(restore: dict[str, Any]) -> str:
    """Say how much of the load was measured."""
    load = restore["logical_load"]
    if load["finished"]:
        return "The load ran to its end; both ways brought every row of the bulk table.\n" + text.LOAD
    return (
        f"The load was stopped after {number(load['seconds'])} s, when the server had taken {load['share']:.1%} of the dump;"
        " its time is this one divided by that share. The restores brought every row of the bulk table.\n" + text.LOAD
    )


def product_parts(result: dict[str, Any]) -> list[str]:
    """Return the section of both products and methods; nothing for results that are older than it."""
    if "products" not in result:
        return []
    measured, rows = result["products"], []
    for product in products.PRODUCTS:
        for method in products.METHODS:
            backup, restore = (measured[product.key][method][action] for action in ("backup", "restore"))
            cells = [
                number(backup["seconds"]),
                number(backup["host_cpu_seconds"]),
                mib(backup["bytes"]),
                mib(backup["stored_bytes"]),
            ]
            cells += [number(restore["seconds"]), number(restore["job_seconds"]), number(restore["outage_seconds"])]
            rows.append([f"{product.title} {measured[product.key]['version']}, {method}", *cells])
    head = [
        "product and method",
        "full s",
        "CPU s host",
        "stream MiB",
        "stored MiB",
        "restore s",
        "- of it the job",
        "- of it stopped",
    ]
    return [
        "### Both products, physical and logical\n",
        f"{measured['mib']} MiB of bulk data.\n",
        table(head, rows),
        product_words(measured),
        text.PRODUCTS,
    ]


def product_words(measured: dict[str, Any]) -> str:
    """Return what a dump costs against a physical backup."""
    sentences = []
    for product in products.PRODUCTS:
        ways = [measured[product.key][method] for method in ("logical", "physical")]
        ratios = [ways[0][action]["seconds"] / ways[1][action]["seconds"] for action in ("backup", "restore")]
        sentences.append(
            f"{product.title}: a dump took {ratios[0]:.2f} x the time of the physical backup, its restore {ratios[1]:.2f} x."
        )
    return " ".join(sentences) + "\n"


def noise(result: dict[str, Any]) -> str:
    """Return how far equal runs lay apart."""
    spreads = []
    for key, runs in result["first"].items():
        values = [run.get("data_seconds", run["seconds"]) for run in runs]
        if len(values) > 1:
            spreads.append(f"{key} {max(values) / min(values):.2f}")
    loads = [run["load_before"] for runs in result["first"].values() for run in runs]
    before = result["machine"]["load_before"]
    said = (
        f"Slowest by fastest of equal runs: {', '.join(spreads)}."
        if spreads
        else "Every contender ran once: nothing can be said about spread."
    )
    load = f"The load average was {before} before the benchmark began and {min(loads)} to {max(loads)} before single runs."
    return f"{said} {load} {text.NOISE}"


def engine_parts(result: dict[str, Any]) -> list[str]:
    """Return the sections of bench-engine."""
    meter, cpu, executions = result["meter"], result["control_cpu"], result["executions"]
    rows = [
        [name, number(middle(runs, "gib_per_second"), 2), ", ".join(number(r["gib_per_second"], 2) for r in runs)]
        for name, runs in meter.items()
    ]
    phase = {name: number(middle(result["phases"], name)) for name in ("before", "steps", "after")}
    points = "; ".join(f"{hosts} names: {', '.join(number(v, 2) for v in values)} s" for hosts, values in cpu["points"].items())
    return [
        "## Engine\n",
        where(result),
        budget_table(budgets.judge_engine(result)),
        "### Meter\n",
        table(["pipe, nothing but noughts", "median GiB/s", "all"], rows),
        text.METER,
        "### Control node\n",
        f"CPU of `ansible-playbook` and its ssh for one warm backup, hosts one after the other (`-f 1`): {points}."
        f" The line through them: {cpu['base_seconds']:.2f} s + {cpu['increment_seconds']:.2f} s for every host and app.\n",
        f"One backup took {executions['modules']} module executions and {executions['polls']} polls over ssh"
        f" ({executions['other']} other remote commands), and {executions['restic_calls']} restic calls on the host.\n",
        "### Worker\n",
        f"The worker's interpreter start and imports take {number(middle(result['worker_start']), 3)} s on the host"
        f" (median of {len(result['worker_start'])}).\n",
        f"A warm backup of a few MiB: {phase['before']} s until the job begins (Ansible, preflight, start),"
        f" {phase['steps']} s in its steps, {phase['after']} s for receipt, read-back and collecting.\n",
    ]


def outage_parts(result: dict[str, Any]) -> list[str]:
    """Return the sections of bench-outage."""
    rows = []
    for run in result["runs"]:
        share = run["outage_seconds"] / run["copy_seconds"]
        cells = [str(run["gib"]), run["filesystem"], run["method"], mib(run["changed_bytes"]), number(run["ahead_seconds"])]
        rows.append([*cells, number(run["outage_seconds"], 2), number(run["copy_seconds"], 2), f"{share:.1%}"])
    head = ["GiB", "filesystem", "way", "changed MiB", "copy ahead s", "outage s", "stop - copy - start s", "share"]
    before, after = result["machine"]["load_before"], result["load_after"]
    return [
        "## Outage of a stopped application\n",
        where(result),
        budget_table(budgets.judge_outage(result)),
        table(head, rows),
        text.OUTAGE,
        f"Each line is one run. The load average was {before} before and {after} after.\n",
    ]
