# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet restore: what may begin, what came of it, and how that is told. Pure functions.

``units`` are those of a resolved runbook (see ``runbook``). ``plans`` hold for each planned unit its plan with its
``place`` on the target, or ``refused``. A *verdict* or *outcome* is ``{status, reason, ...}`` by the name of the unit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.backstay.fleet.plugins.module_utils.files import human
from ansible_collections.backstay.fleet.plugins.module_utils.moment import parse_moment
from ansible_collections.backstay.fleet.plugins.plugin_utils import worker_archive
from ansible_collections.backstay.fleet.plugins.plugin_utils.runbook import Unit, overlaps

READY, REFUSED, LEFT_OUT, DONE_BEFORE = "ready", "refused", "left out", "done before"
RESTORED, FAILED, NOT_BEGUN = "restored", "failed", "not begun"
_GOOD = (RESTORED, DONE_BEFORE)
_WORKERS = "/var/lib/backstay/worker"

Verdicts = dict[str, dict[str, Any]]


def names(text: str) -> set[str]:
    """Return the names in a comma-separated list."""
    return {name.strip() for name in text.split(",") if name.strip()}


def unconfirmed(units: Sequence[Unit], hosts: Collection[str], done: str, confirmed: str) -> str:
    """Return what to pass as ``backstay_confirm``; empty when ``confirmed`` names every target whose live data is replaced.

    Targets outside ``hosts`` (those of the play) and units of entries that are ``done`` replace nothing.
    """
    replaced = {
        unit["target"]
        for unit in units
        if unit["target"] in hosts and not unit["directory"] and not {unit["name"], unit["entry"]} & names(done)
    }
    return "" if replaced <= names(confirmed) else ",".join(sorted(replaced))


def verdicts(units: Sequence[Unit], plans: Mapping[str, Mapping[str, Any]], hosts: Collection[str], done: str = "") -> Verdicts:
    """Return for each unit whether it is ready, refused (and why), left out by --limit, done before, or not to be begun
    because it comes after one that is refused.

    Units of entries in ``done`` (comma-separated) were restored by an earlier run. Raise BadInput for a name that no entry has.
    """
    earlier = names(done)
    unknown = sorted(earlier - {unit["entry"] for unit in units} - {unit["name"] for unit in units})
    if unknown:
        raise BadInput(f"backstay_fleet_done names '{unknown[0]}', and no entry of the runbook has that name")
    result = {unit["name"]: _first_verdict(unit, plans, hosts, earlier) for unit in units}
    for name, reason in [*_without_dependency(units, result), *_sharing(units, plans, result)]:
        result[name] = {"status": REFUSED, "reason": reason}
    for unit in sorted(units, key=lambda item: item["wave"]):
        reason = hindrance(unit, result, (*_GOOD, READY))
        if result[unit["name"]]["status"] == READY and reason:
            result[unit["name"]] = {"status": NOT_BEGUN, "reason": reason}
    return result


def _first_verdict(
    unit: Unit, plans: Mapping[str, Mapping[str, Any]], hosts: Collection[str], earlier: set[str]
) -> dict[str, Any]:
    """Return the verdict on ``unit`` for itself, whatever the others are."""
    if {unit["name"], unit["entry"]} & earlier:
        return {"status": DONE_BEFORE, "reason": "named in backstay_fleet_done"}
    if unit["target"] not in hosts:
        return {"status": LEFT_OUT, "reason": f"--limit leaves out {unit['target']}"}
    refused = plans.get(unit["name"], {"refused": "it was not planned"}).get("refused")
    return {"status": REFUSED, "reason": refused} if refused else {"status": READY, "reason": ""}


def _without_dependency(units: Sequence[Unit], found: Verdicts) -> list[tuple[str, str]]:
    """Return the ready units that come after a left out one, each with its reason."""
    result = []
    for unit in units:
        missing = [name for name in unit["after"] if found[name]["status"] == LEFT_OUT]
        if found[unit["name"]]["status"] == READY and missing:
            reason = f"depends on '{missing[0]}', which --limit leaves out: widen the limit"
            result.append((unit["name"], f"{reason}, or if it is restored already, add -e backstay_fleet_done={missing[0]}"))
    return result


def _sharing(units: Sequence[Unit], plans: Mapping[str, Mapping[str, Any]], found: Verdicts) -> list[tuple[str, str]]:
    """Return the ready units that would write where an earlier one does: two inventory names may be one machine."""
    ready = [unit["name"] for unit in units if found[unit["name"]]["status"] == READY]
    places = [(name, plans[name]["machine"], place) for name in ready for place in plans[name]["places"]]
    return [(two, sentence) for _one, two, sentence in overlaps(places)]


def hindrance(unit: Unit, known: Mapping[str, Mapping[str, Any]], good: Collection[str] = _GOOD) -> str:
    """Return why ``unit`` may not begin, empty when all that it comes after has a ``good`` status.

    ``known`` are verdicts, overlaid by the outcomes so far.
    """
    for name in unit["after"]:
        status = known.get(name, {}).get("status", NOT_BEGUN)
        if status not in good:
            said = {FAILED: "failed", REFUSED: "was refused", LEFT_OUT: "was left out"}.get(status, "was not begun")
            return f"depends on '{name}', which {said}"
    return ""


def outcome(job: Mapping[str, Any], reason: str = "") -> dict[str, Any]:
    """Return the outcome of a unit from what the task that ran its ``job`` returned; with a ``reason`` it failed.

    A job that exchanged live data has ``put_back``, the command for the target that brings the former data back, or for the
    ``worker`` of the target where that is another machine.
    """
    result = job.get("result") or {}
    if job.get("unreachable"):
        reason = f"the connection was lost, the job may go on by itself: {job.get('msg', '')}"
    answer = {"status": FAILED if reason else RESTORED, "reason": reason, "seconds": duration(result.get("events") or [])}
    answer.update({key: result[key] for key in ("run", "target", "bytes", "aside", "put_back", "worker") if result.get(key)})
    if answer.get("aside") and not answer.get("put_back"):
        program = f"{_WORKERS}/{worker_archive.version()}.pyz"
        answer["put_back"] = f"sudo python3 {program} put-back {result['folder']}"
    return answer


def duration(events: Sequence[Mapping[str, str]]) -> float | None:
    """Return the seconds between the first and the last of a job's ``events``; None when there are none."""
    if not events:
        return None
    return round((parse_moment(events[-1]["at"]) - parse_moment(events[0]["at"])).total_seconds(), 1)


def final(units: Sequence[Unit], found: Verdicts, outcomes: Mapping[str, Mapping[str, Any]]) -> Verdicts:
    """Return the last word on each unit, in the runbook's order."""
    result = {}
    for unit in units:
        name = unit["name"]
        word = dict(outcomes.get(name) or found[name])
        if word["status"] == READY:
            word = {"status": NOT_BEGUN, "reason": "the run ended before its turn"}
        result[name] = word
    return result


def troubled(units: Sequence[Unit], words: Verdicts, host: str) -> list[str]:
    """Return the units of target ``host`` that were neither restored now nor before."""
    return [unit["name"] for unit in units if unit["target"] == host and words[unit["name"]]["status"] not in _GOOD]


def _direction(unit: Unit) -> str:
    place = f"{unit['target']}:{unit['directory']}" if unit["directory"] else f"{unit['target']}, replacing its data"
    return f"{unit['app']} of {unit['source']} to {place}"


def plan_lines(units: Sequence[Unit], plans: Mapping[str, Mapping[str, Any]], found: Verdicts) -> list[str]:
    """Return the plan for people: a line for each unit in the order of work, then the total."""
    lines, total = [], 0
    for unit in sorted(units, key=lambda item: item["wave"]):
        verdict, planned = found[unit["name"]], plans.get(unit["name"], {})
        after = f", after {', '.join(unit['after'])}" if unit["after"] else ""
        line = f"{unit['wave'] + 1}. {unit['name']}: {_direction(unit)}{after}"
        if verdict["status"] == READY:
            total += planned["bytes"]
            sets = ", ".join(planned["sets"])
            line += f"; as of {planned['target']} from {len(planned['sets'])} set(s) ({sets}), {human(planned['bytes'])}"
        else:
            line += f"; {verdict['status'].upper()}: {verdict['reason']}"
        lines.append(line)
    ready = sum(verdict["status"] == READY for verdict in found.values())
    return [*lines, f"Total: {ready} of {len(units)} to restore, {human(total)}"]


def summary_lines(units: Sequence[Unit], words: Verdicts) -> list[str]:
    """Return the summary for people: a line for each unit in the order of work, the total, and how to go on."""
    lines = []
    for unit in sorted(units, key=lambda item: item["wave"]):
        word = words[unit["name"]]
        took = f" after {word['seconds']:.0f} s" if word.get("seconds") is not None else ""
        line = f"{unit['name']}: {word['status'].upper()}{took}"
        if word["status"] == RESTORED:
            line += f": {_direction(unit)}, as of {word['target']}, {human(word['bytes'])}"
        else:
            line += f": {word['reason']}"
        if word.get("put_back"):
            line += f" - to put the former data back, on {word.get('worker', unit['target'])}: {word['put_back']}"
        lines.append(line)
    good = [name for name, word in words.items() if word["status"] in _GOOD]
    restored = sum(word["status"] == RESTORED for word in words.values())
    before = f", {len(good) - restored} done before" if len(good) > restored else ""
    lines.append(f"Total: {restored} of {len(units)} restored{before}")
    if good and len(good) < len(units):
        lines.append(f"To go on after mending: the same command with -e backstay_fleet_done={','.join(good)}")
    return lines
