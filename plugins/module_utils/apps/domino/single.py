# SPDX-License-Identifier: GPL-3.0-or-later
"""One database into the running server, under another path, through the server's own restore task.

The task works through request documents; no source shows how to make one without its own user interface, so that is a
command of the operator's, which asks for replication to be disabled: a replica elsewhere would bring back what was undone.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List

from ...errors import BadInput, CommandFailed
from ...files import private_directory
from ...process import last_line, spell_status
from . import console, places, planning, server
from .assembling import Landed
from .capture import server_of
from .extents import name_of

if TYPE_CHECKING:
    from ...worker.job import Job


def restore_database(job: Job, arguments: Dict[str, Any]) -> None:
    """Bring one database back; ``arguments``: above, database, target, request (words).

    Raise BadInput when no set holds it, CommandFailed when the task refuses it or it is not there afterwards.
    """
    landed, host, database, target = Landed(job, arguments), server_of(job), arguments["database"], arguments["target"]
    chosen = planning.bases(landed.plan, landed.saved(), landed.indexes)
    if database not in chosen:
        near = ", ".join(sorted(path for path in chosen if path.lower() == database.lower())) or f"{len(chosen)} others"
        raise BadInput(f"the planned sets hold no database {database}", f"they hold {near}")
    base = chosen[database]
    copy, logs = landed.copy_of(database, base), _extents_for(landed)
    landed.let_account_through(copy.parent)
    os.chown(str(copy), *landed.owner)
    values = {"database": database, "target": target, "file": str(copy), "logs": str(logs) if base.roll else ""}
    # A moment in any case: the live log goes on, and with it what is to be undone.
    values["until"] = str(landed.plan["stop_at"] or landed.plan["receipts"][-1]["consistent_at"]) if base.roll else ""
    argv = [planning.filled(word, values) for word in arguments["request"]]
    done = server.call(host, argv, 600)
    if done.status != 0:
        said = last_line(done.stderr or done.stdout)
        raise CommandFailed(f"the restore request was not made: {argv[0]} {spell_status(done.status)}: {said}")
    said = run_task(host)
    if target not in places.scan(Path(host.data)).databases:
        raise CommandFailed(f"the restore task says that it finished, and {target} is not there: {said}", "look at the console")
    detail = f"{database} is {target} now, of {values['until'] or 'its backup'}; replication was asked to be disabled"
    job.seen["checks"].append({"name": "database", "status": "ok", "detail": detail})


def _extents_for(landed: Landed) -> Path:
    """Bring the landed extents into one folder that the server may read."""
    place = private_directory(landed.scratch / "extents")
    for number, path in landed.extents().items():
        target = place / name_of(number)
        path.replace(target)
        os.chown(str(target), *landed.owner)
    os.chown(str(place), *landed.owner)
    return place


def run_task(host: server.Server) -> str:
    """Have the restore task work through its requests; return its last words. Raise CommandFailed for what it refuses."""
    place, words = server.mark(host), host.words
    server.tell(host, "load restore")

    def judge() -> Any:
        outcome = console.judge_restore(server.since(host, place), words)
        if outcome.state in ("failed", "absent", "busy"):
            raise CommandFailed(f"load restore: {outcome.line}", "nothing was replaced; the copy went with the scratch folder")
        return outcome.line if outcome.state == "finished" else None

    return str(server.await_task(host, judge, "'load restore'"))


__all__: List[str] = ["restore_database", "run_task"]
