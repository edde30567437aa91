# SPDX-License-Identifier: GPL-3.0-or-later
"""Chains: which sets bring a server back to a moment. Pure functions.

Planning works on *summaries* ``{set, kind, parent, consistent_at, stream, first, last, ...}``, which the tags of the receipt
snapshots hold, so one listing plans any restore. Sets of *data* (full, differential, incremental) stand on their parents.
Sets of *logs* are stretches ``first``..``last`` of a *stream*: the unbroken history of one server, in positions of the engine
whose text order is their order. A data set is a point of its stream (or somewhere in a
short stretch of it), so any data set may begin where any log set passes.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from .errors import BadInput, IntegrityError, PlanRefused
from .moment import format_moment, parse_moment

Summary = Dict[str, Any]
Receipt = Dict[str, Any]
Covers = Callable[[Summary], bool]


class Goal(NamedTuple):
    """What a restore is to reach, judged set by set.

    ``complete``: a data set is the goal itself. ``may_begin``: a data set lies before it. ``reached_by``: a log set ends at
    or after it.
    """

    name: str
    complete: Covers
    may_begin: Covers
    reached_by: Covers


def is_log(item: Summary) -> bool:
    """Return whether a set holds logs, which are replayed, and no data of its own."""
    return bool(item["kind"] == "log")


def data_sets(plan: Dict[str, Any]) -> List[Receipt]:
    """Return the receipts of the data sets in a plan, oldest first."""
    return [item for item in plan["receipts"] if not is_log(item)]


def log_sets(plan: Dict[str, Any]) -> List[Receipt]:
    """Return what a plan knows of its log sets (see ``landable``), oldest first."""
    return [item for item in plan["receipts"] if is_log(item)]


def data_chains(summaries: List[Summary]) -> Dict[str, List[Summary]]:
    """Return for every restorable data set its chain, oldest first, itself last.

    A set whose line of parents does not end in a full set, or runs in a circle, is left out: it can not be restored.
    """
    known = {item["set"]: item for item in summaries if not is_log(item)}
    result: Dict[str, List[Summary]] = {}
    for item in known.values():
        line: List[Summary] = []  # from the set towards its full set, as far as nobody has been before
        seen = set()
        current: Optional[Summary] = item
        while current is not None and current["set"] not in result and current["set"] not in seen:
            seen.add(current["set"])
            line.append(current)
            current = None if current["kind"] == "full" else known.get(current["parent"])
        base = result.get(current["set"]) if current else ([] if _is_base(line[-1]) else None)
        for link in reversed(line if base is not None else []):
            base = [*(base or []), link]
            result[link["set"]] = base
    return result


def _is_base(item: Summary) -> bool:
    return bool(item["kind"] == "full" and item["parent"] is None)


def streams(summaries: List[Summary]) -> Dict[str, List[Summary]]:
    """Return the log sets of every stream, in the order of their beginnings."""
    result: Dict[str, List[Summary]] = {}
    for item in summaries:
        if is_log(item) and item.get("stream"):
            result.setdefault(item["stream"], []).append(item)
    for logs in result.values():
        logs.sort(key=lambda item: (item["first"], item["last"], item["set"]))
    return result


def follow(data: Summary, logs: List[Summary], reached_by: Covers) -> List[Summary]:
    """Return the fewest of ``logs`` that lead from ``data`` without a gap until ``reached_by``, or as far as they go.

    Where the place of ``data`` is not exactly known, from its earliest on; logs that do not pass its latest are of no use.
    """
    line: List[Summary] = []
    cursor, index = data.get("first") or "", 0
    while cursor:
        farthest: Optional[Summary] = None
        while index < len(logs) and logs[index]["first"] <= cursor:
            if logs[index]["last"] > (farthest["last"] if farthest else cursor):
                farthest = logs[index]
            index += 1
        if farthest is None:
            break
        line.append(farthest)
        cursor = farthest["last"]
        if cursor > data["last"] and reached_by(farthest):
            break
    return line if cursor > (data.get("last") or "") else []


def windows(summaries: List[Summary]) -> List[Tuple[datetime, datetime, List[Summary]]]:
    """Return for every data set ``(earliest, latest, logs)``: the moments that it reaches, by which log sets; oldest first."""
    logs = streams(summaries)
    found = []
    for chain in data_chains(summaries).values():
        line = follow(chain[-1], logs.get(chain[-1].get("stream") or "", []), _never)
        begin = parse_moment(chain[-1]["consistent_at"])
        end = max(begin, parse_moment(line[-1]["consistent_at"])) if line else begin
        found.append((begin, end, line))
    return sorted(found, key=lambda window: window[:2])


def _never(_item: Summary) -> bool:
    return False


def to_moment(moment: datetime, exact: bool) -> Goal:
    """Return the goal of a restore to ``moment``; unless ``exact``, the newest data set before it will do."""
    text = format_moment(moment)
    return Goal(
        text,
        lambda item: item["consistent_at"] == text or (not exact and bool(item["consistent_at"] <= text)),
        lambda item: bool(item["consistent_at"] <= text),
        lambda item: bool(item["consistent_at"] >= text),
    )


def to_set(wanted: str) -> Goal:
    """Return the goal of a restore to the end of a set."""
    return Goal(f"set {wanted}", lambda item: item["set"] == wanted, lambda _item: True, lambda item: item["set"] == wanted)


def to_position(text: str, covers: Covers) -> Goal:
    """Return the goal of a restore to a position of the engine; ``covers`` says whether a set ends at or after it."""
    return Goal(f"position {text}", _never, lambda item: not covers(item), covers)


def plan(
    summaries: List[Summary],
    now: datetime,
    moment: Optional[datetime] = None,
    wanted_set: Optional[str] = None,
    position: Optional[Tuple[str, Covers]] = None,
) -> Dict[str, Any]:
    """Return ``{target, stop_at, position, sets, hash}``: the ids to land, oldest first, data before logs, and where to stop.

    Without a goal the latest moment. A server without log sets gets its newest set at or before ``moment`` and ``target`` says
    which moment that is; a server with log sets gets the moment itself or a refusal. Raise PlanRefused naming the nearest
    moments, BadInput for an unknown set or more than one goal.
    """
    if sum(goal is not None for goal in (moment, wanted_set, position)) > 1:
        raise BadInput("a restore has one goal", "give one of backstay_moment, backstay_set and backstay_position")
    chains = _newest_first(data_chains(summaries))
    if not chains:
        raise PlanRefused("there is no set to restore from", "run playbooks/backup.yml, or check backstay_source")
    if wanted_set is not None and wanted_set not in {item["set"] for item in summaries}:
        raise BadInput(f"there is no set '{wanted_set}'", "playbooks/sets.yml lists the sets of each host")
    if moment is not None and moment > now:
        raise PlanRefused(f"{format_moment(moment)} lies in the future", _nearest(summaries, moment))
    logs = streams(_up_to(summaries, wanted_set))
    goal = _goal(moment, wanted_set, position, exact=bool(logs))
    if goal and position is not None:
        _require_one_history(chains, logs, goal)
    chosen = _reach(chains, logs, goal) if goal else _latest(chains, logs)
    if chosen is None:
        raise PlanRefused(f"{goal.name if goal else 'the latest'} cannot be restored", _nearest(summaries, moment))
    if is_log(chosen[-1]):
        _require_one_order(chosen, logs[chosen[-1]["stream"]], moment)
    return _outline(chosen, moment, position[0] if position else None)


def _goal(
    moment: Optional[datetime], wanted_set: Optional[str], position: Optional[Tuple[str, Covers]], exact: bool
) -> Optional[Goal]:
    if moment is not None:
        return to_moment(moment, exact)
    if wanted_set is not None:
        return to_set(wanted_set)
    return to_position(*position) if position is not None else None


def _outline(chosen: List[Summary], moment: Optional[datetime], position: Optional[str]) -> Dict[str, Any]:
    stop_at = format_moment(moment) if moment and is_log(chosen[-1]) else None
    body = {
        "target": stop_at or chosen[-1]["consistent_at"],
        "stop_at": stop_at,
        "position": position if is_log(chosen[-1]) else None,
        "sets": [item["set"] for item in chosen],
    }
    return dict(body, hash=plan_hash(body))


def _newest_first(chains: Dict[str, List[Summary]]) -> List[List[Summary]]:
    """Return chains by their moments; of those with the same the shortest first: least to fetch, least to go wrong."""
    return sorted(chains.values(), key=lambda chain: (chain[-1]["consistent_at"], -len(chain), chain[-1]["set"]), reverse=True)


def _up_to(summaries: List[Summary], wanted_set: Optional[str]) -> List[Summary]:
    """Return the sets that do not go beyond ``wanted_set``, so that a wider log set does not take its place."""
    ends = [item for item in summaries if item["set"] == wanted_set and is_log(item)]
    if not ends:
        return summaries
    return [item for item in summaries if not is_log(item) or item["last"] <= ends[0]["last"]]


def _latest(chains: List[List[Summary]], logs: Dict[str, List[Summary]]) -> List[Summary]:
    """Return the line that goes farthest; of those that end at the same moment the one with the newest data."""
    return max((_line(chain, logs, _never) for chain in chains), key=lambda line: str(line[-1]["consistent_at"]))


def _reach(chains: List[List[Summary]], logs: Dict[str, List[Summary]], goal: Goal) -> Optional[List[Summary]]:
    """Return the line to ``goal`` with the newest data, None when there is none."""
    for chain in chains:
        if goal.complete(chain[-1]):
            return chain
        if goal.may_begin(chain[-1]):
            line = _line(chain, logs, goal.reached_by)
            if is_log(line[-1]) and goal.reached_by(line[-1]):
                return line
    return None


def _require_one_order(line: List[Summary], logs: List[Summary], moment: Optional[datetime]) -> None:
    """Raise PlanRefused when the log sets do not stand in one order of time, or two of them claim the same stretch."""
    text = format_moment(moment) if moment else ""
    for item in logs:
        if text and item["first"] >= line[-1]["last"] and item["consistent_at"] < text:
            raise PlanRefused(
                f"the clock of the host went back: log set {item['set']} ends before {text} and lies behind {line[-1]['set']}",
                "restore to a set (backstay_set) or a position (backstay_position)",
            )
        for used in line:
            if is_log(used) and item["last"] == used["last"] and item.get("mark") != used.get("mark"):
                raise PlanRefused(
                    f"log sets {used['set']} and {item['set']} end at the same place with different transactions",
                    "the server was set back without a restore by Backstay; restore to a data set (backstay_set)",
                )


def _require_one_history(chains: List[List[Summary]], logs: Dict[str, List[Summary]], goal: Goal) -> None:
    """Raise PlanRefused when several histories of the server pass a position: names and GTIDs begin again after a reset."""
    found: Dict[str, str] = {}
    for chain in chains:
        line = _reach([chain], logs, goal)
        if line:
            found.setdefault(line[-1]["stream"], line[-1]["consistent_at"])
    if len(found) > 1:
        raise PlanRefused(
            f"{goal.name} lies in {len(found)} histories of the server, that end at {', '.join(sorted(found.values()))}",
            "restore to a moment (backstay_moment) or a set (backstay_set)",
        )


def _line(chain: List[Summary], logs: Dict[str, List[Summary]], reached_by: Covers) -> List[Summary]:
    return [*chain, *follow(chain[-1], logs.get(chain[-1].get("stream") or "", []), reached_by)]


def _nearest(summaries: List[Summary], moment: Optional[datetime]) -> str:
    """Return the phrase that names the nearest moments around a refused one, or the newest of all."""
    ends = [end for window in windows(summaries) for end in window[:2]]
    if not ends:
        return "there is no other set"
    if moment is None:
        return f"the newest moment that can be restored is {format_moment(max(ends))}"
    earlier = [end for end in ends if end <= moment]
    later = [end for end in ends if end > moment]
    before = f"nearest earlier: {format_moment(max(earlier))}" if earlier else "there is nothing earlier"
    after = f"nearest later: {format_moment(min(later))}" if later else "there is nothing later"
    return f"{before}; {after}"


def plan_hash(body: Dict[str, Any]) -> str:
    """Return the SHA-256 over everything a plan says, so that what was shown is what is done."""
    content = {key: body[key] for key in ("target", "stop_at", "position", "sets")}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def around(summaries: List[Summary], broken: str) -> str:
    """Return the phrase that names the nearest moments when set ``broken`` turns out to be damaged."""
    moment = next(item["consistent_at"] for item in summaries if item["set"] == broken)
    rest = [item for item in summaries if item["set"] != broken]
    return _nearest(rest, parse_moment(moment))


def require_plannable(receipt: Receipt) -> None:
    """Raise IntegrityError when no planner could ever choose the set of ``receipt``: to commit it would be a false OK."""
    name, stream = receipt["set"], receipt.get("stream") or {}
    if is_log(receipt):
        if not (stream.get("id") and stream.get("first", "") <= stream.get("last", "")):
            raise IntegrityError(f"log set {name} says not which stretch of which history it holds")
        return
    line = confirm({"sets": [item["set"] for item in [*receipt["chain"], receipt]]}, receipt, receipt["host"], receipt["app"])
    if not _is_base(line[0]) or any(_is_base(item) or item["kind"] == "full" for item in line[1:]):
        raise IntegrityError(f"set {name} does not stand on a full set")


def continued(
    newest: Optional[Dict[str, Any]], broken_because: Callable[[Dict[str, Any]], str], no_position: str
) -> Tuple[Optional[Receipt], str]:
    """Return the newest set that the next one of a server continues, or None and why it continues nothing.

    ``newest`` is what ``worker/newest.py`` keeps, ``broken_because`` says why the server does not continue a position (empty:
    it does). The newest log set comes first, so that no moment is lost between it and a data set made since; a data set is the
    beginning when no log set follows from it or the logs since the last log set are gone.
    """
    if not newest or not newest.get("data"):
        return None, "there is no full backup in the repository yet"
    if newest.get("broken"):
        return None, str(newest["broken"])
    reasons = []
    for item in (newest.get("log"), newest["data"]):
        if item is None or "stream" not in item:
            continue
        reason = broken_because(item["position"])
        if not reason:
            return item, ""
        reasons.append(reason)
    return None, reasons[0] if reasons else no_position


def landable(item: Summary) -> Receipt:
    """Return what landing needs of a log set, in the form of a receipt; its tags say it, so no receipt is fetched."""
    missing = [key for key in ("data", "sha256", "from") if key not in item]
    if missing:
        raise IntegrityError(f"the tags of log set {item['set']} do not say what to land ({', '.join(missing)})")
    artifact = {"name": "logs", "snapshot": item["data"], "path": item["from"], "sha256": item["sha256"]}
    stream = {"id": item["stream"], "first": item["first"], "last": item["last"]}
    stream.update({"mark": item["mark"]} if item.get("mark") else {})
    kept = {key: item[key] for key in ("set", "kind", "consistent_at")}
    return dict(kept, stream=stream, artifacts=[dict(artifact, bytes=item["stored"])])


def confirm(planned: Dict[str, Any], receipt: Receipt, host: str, app: str) -> List[Receipt]:
    """Return the receipts of the planned data sets, oldest first, taken from the last one's ``chain``.

    Raise IntegrityError when they are other sets than planned, of another host or app, or do not continue each other.
    """
    line = [*receipt["chain"], receipt]
    if [item["set"] for item in line] != planned["sets"][: len(line)]:
        raise IntegrityError(f"the receipt of set {receipt['set']} carries another chain than its tags say")
    for item in line:
        if (item["host"], item["app"]) != (host, app):
            raise IntegrityError(f"the receipt of set {item['set']} is of {item['app']} on {item['host']}")
    for parent, child in zip(line, line[1:]):
        if child["parent"] != parent["set"] or child["position"]["not_before"] != parent["position"]["not_after"]:
            raise IntegrityError(f"set {child['set']} does not continue set {parent['set']}")
    return line
