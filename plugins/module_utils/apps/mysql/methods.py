# SPDX-License-Identifier: GPL-3.0-or-later
"""The methods of a backup: who seals what was captured. Logs have one of their own, a full backup that of its product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict

from . import clone, logical, physical
from .logs import seal_logs

if TYPE_CHECKING:
    from ...worker.job import Job

# What a restore has to know of the server that a set is of, whatever the method.
_KEPT = ("product", "method", "version", "datadir", "server_id", "settings", "time_zone")
SEALS: Dict[str, Callable[[Job], Dict[str, Any]]] = {
    "clone": clone.seal,
    "dump": logical.seal,
    "mariadb-backup": physical.seal,
}


def seal(job: Job) -> Dict[str, Any]:
    """Return what the receipt says of the set that was just captured."""
    if job.specification["kind"] == "log":
        return seal_logs(job)
    facts = job.specification["facts"]
    sealed = SEALS[facts["method"]](job)
    if facts["gap"]:
        sealed.pop("stream", None)  # logs that lack commits must never continue a set
        detail = f"log backups cannot follow this set: {facts['gap']}"
        sealed["checks"].append({"name": "binary log", "status": "warning", "detail": detail})
    return dict(sealed, facts=dict({name: facts[name] for name in _KEPT}, **sealed["facts"]))


def consumes(kind: str) -> bool:
    """Return whether a capture of ``kind`` is all that is left once the server has purged: closed logs do not stay."""
    return kind == "log"
