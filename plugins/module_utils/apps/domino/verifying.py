# SPDX-License-Identifier: GPL-3.0-or-later
"""Verification: everything of a set came back whole; more can be asked of throw-away duplicates only.

Opening or scanning a database changes it, so the landed copies themselves are never touched: they go with the scratch folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict

from ...chain import log_sets
from ...errors import IntegrityError
from ...process import last_line, run, spell_status
from . import console, planning
from .assembling import Landed, roll_forward

if TYPE_CHECKING:
    from ...worker.job import Job


def check_duplicates(job: Job, arguments: Dict[str, Any]) -> None:
    """Prove the landed sets; ``arguments``: above, roll_forward, timeout, verify. Raise IntegrityError where they fail."""
    landed = Landed(job, arguments)
    if not landed.native:
        return
    saved = landed.saved()
    if len(saved) != landed.source["databases"]:
        raise IntegrityError(f"{len(saved)} databases came back, the receipt promises {landed.source['databases']}")
    chosen = planning.bases(landed.plan, saved, landed.indexes)
    detail = f"{len(chosen)} databases, {len(landed.extents())} extents"
    job.seen["checks"].append({"name": "contents", "status": "ok", "detail": detail})
    for folder in sorted({landed.copy_of(path, base).parent for path, base in chosen.items()}):
        landed.let_account_through(folder)
    _roll(job, landed, chosen, arguments)
    words = list(arguments.get("verify") or [])
    if not words:
        detail = "no command opens a duplicate (app_domino_verify); whether the copies open was not proved"
        job.seen["checks"].append({"name": "databases", "status": "warning", "detail": detail})
        return
    files = [(path, str(landed.copy_of(path, base))) for path, base in sorted(chosen.items())]
    patterns = console.patterns(landed.facts["server"]["patterns"])
    for group in planning.batches(files):
        done = run(planning.roll_forward_argv(words, {}, group), 14400, account=landed.account)
        if done.status != 0 or console.said(done.stdout + done.stderr, patterns["damaged"]):
            said = last_line(done.stderr or done.stdout)
            raise IntegrityError(f"{words[0]} {spell_status(done.status)} on a duplicate: {said}", "restore another set")
    job.seen["checks"].append({"name": "databases", "status": "ok", "detail": f"{len(files)} duplicates are in order"})


def _roll(job: Job, landed: Landed, chosen: Dict[str, planning.Base], arguments: Dict[str, Any]) -> None:
    if not log_sets(landed.plan):
        return
    if not arguments.get("roll_forward"):
        detail = "no command rolls forward (app_domino_roll_forward): the extents are whole, and no more was proved"
        job.seen["checks"].append({"name": "roll forward", "status": "warning", "detail": detail})
        return
    files = [(path, str(landed.copy_of(path, base))) for path, base in sorted(chosen.items()) if base.roll]
    roll_forward(landed, files, list(arguments["roll_forward"]), float(arguments["timeout"]))
