# SPDX-License-Identifier: GPL-3.0-or-later
"""The budgets of the design, judged on results. Pure: results in, verdicts out."""

from __future__ import annotations

from typing import Any, NamedTuple

from rig.moments import middle


class Budget(NamedTuple):
    """``measured`` against ``bound``, both in ``unit``; ``ceiling`` tells whether the bound is the most allowed."""

    what: str
    measured: float
    bound: float
    unit: str = "x"
    ceiling: bool = True

    @property
    def met(self) -> bool:
        """Whether the unrounded number keeps to the bound."""
        return self.measured <= self.bound if self.ceiling else self.measured >= self.bound

    def cells(self) -> list[str]:
        """Return the row of a table: what, measured, budget, verdict."""
        sign = "<=" if self.ceiling else ">="
        return [
            self.what,
            f"{self.measured:.2f} {self.unit}",
            f"{sign} {self.bound:g} {self.unit}",
            "met" if self.met else "**not met**",
        ]

    def line(self) -> str:
        """Return the row as one line for a terminal."""
        what, measured, bound, verdict = self.cells()
        return f"{verdict.strip('*'):8} {measured:>10} ({bound})  {what}"


def judge_mysql(result: dict[str, Any]) -> list[Budget]:
    """Return the budgets that bench-mysql covers, from its results; all times are medians over the rounds."""
    first = result["first"]
    whole = {key: _known(middle(runs)) for key, runs in first.items()}
    data = _known(middle(first["backstay"], "data_seconds"))
    again = result["later"]["contiguous"]["backstay"]["stored_bytes"] / first["backstay"][-1]["stored_bytes"] * 100
    hook, physical = whole["borgmatic_hook"] / whole["backstay"], whole["backstay"] / whole["borgmatic_physical"]
    load = result["restore"]["logical_load"]["whole_seconds"] / _known(middle(result["restore"]["backstay"]))
    return [
        Budget("data phase, against the bare pipe mariadb-backup | restic", data / whole["pipe"], 1.15),
        Budget("whole full backup, faster than borgmatic's own hook by", hook, 2, "x", False),
        Budget("whole full backup, against borgmatic with the same physical command", physical, 1),
        Budget("data phase, against the machine's limit", data / whole["limit"], 3),
        Budget("whole restore in place, faster than a logical load by", load, 10, "x", False),
        Budget("stored by a second full after a contiguous 1 % change, share of the first", again, 5, "%"),
    ]


def judge_engine(result: dict[str, Any]) -> list[Budget]:
    """Return the budgets that bench-engine covers, from its results."""
    return [
        Budget(
            "control-node CPU for each further host and app, one backup", result["control_cpu"]["increment_seconds"], 0.6, "s"
        ),
        Budget("remote module executions of one backup, host and app", result["executions"]["modules"], 6, "executions"),
        Budget("restic calls of one backup on the host", result["executions"]["restic_calls"], 3, "calls"),
    ]


def judge_outage(result: dict[str, Any]) -> list[Budget]:
    """Return the budgets that bench-outage covers, from its results."""
    judged = []
    for kind in dict.fromkeys(run["filesystem"] for run in result["runs"]):
        runs = [run for run in result["runs"] if run["filesystem"] == kind]
        share = max(run["outage_seconds"] / run["copy_seconds"] for run in runs) * 100
        judged.append(Budget(f"outage on {kind}, of a plain copy, worst size", share, 10, "%"))
        if runs[0]["method"] != "copy" and len(runs) > 1:
            sizes = f"{runs[0]['gib']} -> {runs[-1]['gib']} GiB"
            growth = runs[-1]["outage_seconds"] / runs[0]["outage_seconds"]
            # Twice is what equal runs on a busy machine differ by.
            judged.append(Budget(f"outage on {kind} ({runs[0]['method']}), {sizes}", growth, 2))
    return judged


def _known(value: float | None) -> float:
    if value is None:
        raise ValueError("a measurement that a budget needs is missing")
    return value
