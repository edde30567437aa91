# SPDX-License-Identifier: GPL-3.0-or-later
"""What the receipt of a set says: where its databases stand in the history of the log, and what a restore needs to know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List

from ...checks import history_checks
from ...errors import CaptureFailed
from . import extents, places
from .logs import changed_dbiids, renewed_in_full

if TYPE_CHECKING:
    from ...worker.job import Job

# Of the facts of preflight, what a restore of the set needs.
_KEPT = (
    *("method", "style", "release", "data", "ini", "log", "daos", "account", "owner", "ids", "links", "link_files"),
    *("target", "places", "linked_folders", "keys"),
)


def seal(job: Job) -> Dict[str, Any]:
    """Return what the receipt says of the set that was just captured. Raise CaptureFailed where its proof fails."""
    if job.specification["facts"]["method"] == "offline":
        return _seal_offline(job)
    if job.specification["kind"] == "log":
        return _seal_logs(job)
    return _seal_databases(job)


def _kept(job: Job) -> Dict[str, Any]:
    facts = job.specification["facts"]
    folders = [{key: item[key] for key in ("artifact", "folder", "role", "bytes")} for item in facts["folders"]]
    seen = job.seen["domino"]
    kept = dict({name: facts[name] for name in _KEPT}, host=job.specification["source"], folders=folders)
    kept.update(mark=seen["mark"], mark_end=seen.get("mark_end", seen["mark"]))
    # The first backup of a server makes the configuration that names the target.
    if not kept["target"] and seen.get("target"):
        kept.update(target=seen["target"], places={**kept["places"], **places.described([seen["target"]])})
    return kept


def _tools(job: Job) -> Dict[str, str]:
    return {"server": job.specification["facts"]["release"] or "unknown", "archive": "pax"}


def _seal_offline(job: Job) -> Dict[str, Any]:
    """Return what the receipt of a stopped server says; nothing proves one without the confirmation of its clean end."""
    from ...worker.picture import sealed

    quit_at, done = job.seen.get("quit"), sealed(job)
    if not quit_at or quit_at < done.position["not_after"]["taken_at"]:
        raise CaptureFailed("nothing proves that the server was down while its data was taken", "run again")
    checks = [{"name": "server was down", "status": "ok", "detail": f"until {quit_at}"}, *done.checks]
    return {
        "position": done.position,
        "consistent_at": done.consistent_at,
        "checks": [*job.seen["checks"], *checks],
        "tools": _tools(job),
        "facts": dict(_kept(job), databases=job.specification["facts"]["databases"]),
    }


def _checks(job: Job) -> List[Dict[str, str]]:
    facts, seen = job.specification["facts"], job.seen["domino"]
    checks = list(job.seen["checks"])
    if facts.get("log_space"):
        checks.append({"name": "log space", "status": "warning", "detail": facts["log_space"]})
    reason = "" if seen["link"] else seen["reason"]
    return checks + history_checks(facts.get("because", ""), reason, "the logs before this set do not lead to it: {}")


def _extents_told(seen: Dict[str, Any]) -> str:
    numbers = sorted(seen["logs"].files)
    if not numbers:
        return "none was full"
    log_id = f", LogID {seen['log_id']}" if seen["log_id"] else ""
    return f"{extents.name_of(numbers[0])} to {extents.name_of(numbers[-1])}{log_id}, without a gap"


def _seal_databases(job: Job) -> Dict[str, Any]:
    facts, seen, archive = job.specification["facts"], job.seen["domino"], job.specification["facts"]["style"] == "archive"
    about = seen["databases"]
    left_out = f", {about['left_out']} left out by app_domino_exclude" if about["left_out"] else ""
    checks = [*_checks(job), {"name": "databases", "status": "ok", "detail": f"{about['count']} saved{left_out}"}]
    kept = dict(_kept(job), databases=about["count"])
    place: Dict[str, Any] = {"taken_at": job.seen["started_at"]}
    result: Dict[str, Any] = {}
    if archive:
        place = {"log_id": seen["log_id"], "extent": seen["logs"].next}
        stream = seen["link"].stream if seen["link"] else job.specification["set"]
        result["stream"] = extents.data_stretch(stream, seen["logs"].next, job.seen["started_at"])
        checks.append({"name": "log extents", "status": "ok", "detail": _extents_told(seen)})
        kept.update(covered=seen["covered"], active=seen["copies"][1], copies=seen["copies"], translog=seen["translog"])
        kept.update(dbiids=seen["dbiids"], renewed=renewed_in_full(seen.get("newest"), seen["dbiids"]) if seen["link"] else [])
    else:
        detail = f"transaction logging is {facts['style']}: no log backup is possible"
        checks.append({"name": "log extents", "status": "ok", "detail": detail})
    result.update(
        position={"not_before": place, "not_after": place, "exact": False}, checks=checks, tools=_tools(job), facts=kept
    )
    return result


def _seal_logs(job: Job) -> Dict[str, Any]:
    seen = job.seen["domino"]
    link, taken, changed = seen["link"], seen["logs"], seen["changed"]
    begin, end = {"log_id": link.log_id, "extent": seen["first"]}, {"log_id": seen["log_id"], "extent": taken.next}
    checks = [*_checks(job), {"name": "log extents", "status": "ok", "detail": _extents_told(seen)}]
    checks.append({"name": "changed databases", "status": "ok", "detail": f"{len(changed.entries)} saved"})
    facts = dict(_kept(job), covered=seen["covered"], translog=seen["translog"], copies=seen["copies"])
    facts["dbiids"] = changed_dbiids(seen["newest"], changed.entries)
    return {
        "position": {"not_before": begin, "not_after": end, "exact": True},
        "stream": {
            "id": link.stream,
            "first": link.end,
            "last": extents.order(taken.next, job.seen["started_at"]),
            "mark": extents.mark(seen["log_id"], taken.next, seen["gaps"]),
        },
        "consistent_at": seen["covered"],
        "parent": link.parent,
        "checks": checks,
        "tools": _tools(job),
        "facts": facts,
    }
