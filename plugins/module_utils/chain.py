# SPDX-License-Identifier: GPL-3.0-or-later
"""Chains: which sets bring a server back to a moment. Pure functions.

Planning works on *summaries* ``{set, kind, parent, consistent_at, ...}``, which the tags of the receipt snapshots hold,
so one listing plans any restore. The receipt of the last set then carries its whole chain, and ``confirm`` holds it
against the plan by the engine's own positions (never by file times).
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any, Dict, List, Optional, Tuple

from .errors import BadInput, IntegrityError, PlanRefused
from .moment import format_moment, parse_moment

Summary = Dict[str, Any]
Receipt = Dict[str, Any]


def chains(summaries: List[Summary]) -> Dict[str, List[Summary]]:
    """Return for every restorable set its chain, oldest first, itself last.

    A set whose line of parents does not end in a full set, or runs in a circle, is left out: it can not be restored.
    """
    known = {item["set"]: item for item in summaries}
    result: Dict[str, List[Summary]] = {}
    for item in summaries:
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


def reach(chain: List[Summary]) -> Tuple[datetime, datetime]:
    """Return the earliest and the latest moment that ``chain`` can be brought to.

    Without logs both are the moment of the last set. Logs reach every moment since the data that they build on.
    """
    latest = parse_moment(chain[-1]["consistent_at"])
    if chain[-1]["kind"] != "log":
        return latest, latest
    data = [item for item in chain if item["kind"] != "log"]
    return parse_moment(data[-1]["consistent_at"]), latest


def plan(
    summaries: List[Summary], now: datetime, moment: Optional[datetime] = None, wanted_set: Optional[str] = None
) -> Dict[str, Any]:
    """Return ``{target, stop_at, sets, hash}``: the ids to land, oldest first, and where to stop.

    Without ``moment`` the latest. ``stop_at`` is a moment only where logs are replayed up to it. A server without log
    sets gets its newest set at or before ``moment`` and ``target`` says which moment that is; a server with log sets
    gets the moment itself or a refusal. Raise PlanRefused naming the nearest moments, BadInput for an unknown set.
    """
    usable = chains(summaries)
    if not usable:
        raise PlanRefused("there is no set to restore from", "run playbooks/backup.yml, or check backstay_source")
    if wanted_set is not None:
        if wanted_set not in usable:
            raise BadInput(f"there is no set '{wanted_set}'", "playbooks/sets.yml lists the sets of each host")
        usable = {wanted_set: usable[wanted_set]}
    if moment is not None and moment > now:
        raise PlanRefused(f"{format_moment(moment)} lies in the future", _nearest(usable, moment))
    chosen = _choose(list(usable.values()), moment)
    if chosen is None:
        assert moment is not None  # without a moment something always fits
        raise PlanRefused(f"{format_moment(moment)} cannot be restored", _nearest(usable, moment))
    earliest, latest = reach(chosen)
    stop_at = moment if moment is not None and earliest <= moment < latest else None
    body = {
        "target": format_moment(stop_at or latest),
        "stop_at": format_moment(stop_at) if stop_at else None,
        "sets": [item["set"] for item in chosen],
    }
    return dict(body, hash=plan_hash(body))


def plan_hash(body: Dict[str, Any]) -> str:
    """Return the SHA-256 over everything a plan says, so that what was shown is what is done."""
    content = {key: body[key] for key in ("target", "stop_at", "sets")}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def confirm(planned: Dict[str, Any], receipt: Receipt, host: str, app: str) -> List[Receipt]:
    """Return the receipts of the planned sets, oldest first, taken from the last one's ``chain``.

    Raise IntegrityError when they are other sets than planned, of another host or app, or do not continue each other.
    """
    line = [*receipt["chain"], receipt]
    if [item["set"] for item in line] != planned["sets"]:
        raise IntegrityError(f"the receipt of set {receipt['set']} carries another chain than its tags say")
    for item in line:
        if (item["host"], item["app"]) != (host, app):
            raise IntegrityError(f"the receipt of set {item['set']} is of {item['app']} on {item['host']}")
    for parent, child in zip(line, line[1:]):
        if child["parent"] != parent["set"] or child["position"]["not_before"] != parent["position"]["not_after"]:
            raise IntegrityError(f"set {child['set']} does not continue set {parent['set']}")
    return line


def _choose(usable: List[List[Summary]], moment: Optional[datetime]) -> Optional[List[Summary]]:
    """Return the chain that comes closest to, and never past, ``moment``."""
    demands_exact = moment is not None and any(chain[-1]["kind"] == "log" for chain in usable)
    best, best_key = None, None
    for chain in usable:
        earliest, latest = reach(chain)
        if moment is not None and (earliest > moment or (demands_exact and latest < moment)):
            continue
        reached = latest if moment is None else min(latest, moment)
        # The shortest chain to the same moment: least to fetch, least to go wrong; then the newer set.
        key = (reached, -len(chain), chain[-1]["set"])
        if best_key is None or key > best_key:
            best, best_key = chain, key
    return best


def _nearest(usable: Dict[str, List[Summary]], moment: datetime) -> str:
    """Return the phrase that names the nearest moments around a refused one."""
    ends = [end for chain in usable.values() for end in reach(chain)]
    earlier = [end for end in ends if end <= moment]
    later = [end for end in ends if end > moment]
    before = f"nearest earlier: {format_moment(max(earlier))}" if earlier else "there is nothing earlier"
    after = f"nearest later: {format_moment(min(later))}" if later else "there is nothing later"
    return f"{before}; {after}"
