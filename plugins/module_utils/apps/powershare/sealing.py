# SPDX-License-Identifier: GPL-3.0-or-later
"""What the receipt of a PowerShare backup says: every server of it was quit while its data was taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict

from ...errors import CaptureFailed

if TYPE_CHECKING:
    from ...worker.job import Job


def consumes(kind: str) -> bool:
    """Return False: nothing that a backup takes is given up by its server."""
    return False


def seal(job: Job) -> Dict[str, Any]:
    """Return what the receipt says. Raise CaptureFailed when a server was not proved to be quit while its data was taken."""
    from ...worker.picture import sealed

    facts, quits = job.specification["facts"], job.seen.get("quit", {})
    done = sealed(job)
    pictures = {item["artifact"]: item for item in done.folders}
    checks = [_quit_check(server, quits, pictures) for server in facts["servers"]]
    kept = {
        server["kind"]: dict(pictures[server["kind"]], bytes=server["bytes"], prefs=server["prefs"])
        for server in facts["servers"]
    }
    return {
        "position": done.position,
        "consistent_at": done.consistent_at,
        "checks": checks + done.checks,
        "tools": {"archive": "pax"},
        "facts": {"servers": kept, "catalog": facts.get("catalog", {}), "system": facts.get("system", "")},
    }


def _quit_check(server: Dict[str, Any], quits: Dict[str, str], pictures: Dict[str, Any]) -> Dict[str, str]:
    """Return the check that a server's picture lies between its quit and the proof that it had not come back."""
    kind = server["kind"]
    if kind not in pictures or kind not in quits or quits[kind] < pictures[kind]["taken_at"]:
        raise CaptureFailed(
            f"nothing proves that the {server['title']} was quit while its data was taken",
            "a PowerShare server has no valid backup while it runs (PS-1, PS-2)",
        )
    return {"name": f"{server['title']} was quit", "status": "ok", "detail": f"until {quits[kind]}"}
