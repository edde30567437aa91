# SPDX-License-Identifier: GPL-3.0-or-later
"""The methods of a backup: who seals what was captured. Logs have one of their own, a full backup that of its product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict

from . import clone, logical, physical
from .logs import seal_logs

if TYPE_CHECKING:
    from ...worker.job import Job

SEALS: Dict[str, Callable[[Job], Dict[str, Any]]] = {
    "clone": clone.seal,
    "dump": logical.seal,
    "mariadb-backup": physical.seal,
}


def seal(job: Job) -> Dict[str, Any]:
    """Return what the receipt says of the set that was just captured."""
    specification = job.specification
    return seal_logs(job) if specification["kind"] == "log" else SEALS[specification["facts"]["method"]](job)


def consumes(kind: str) -> bool:
    """Return whether a capture of ``kind`` is all that is left once the server has purged: closed logs do not stay."""
    return kind == "log"
