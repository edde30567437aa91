# SPDX-License-Identifier: GPL-3.0-or-later
"""Release: what brings the application back whatever happened to the worker.

It runs on the host, after the worker, from the unit's ``ExecStopPost=`` (or the supervisor, or the next boot), so it needs no
connection and no control node. It undoes what ``undo.json`` still holds - unless live data lies aside because of an
unfinished restore: then nothing is started on half-restored data, and the result names the command that puts back.
"""

from __future__ import annotations

import shutil
import sys
from typing import Any, Dict, List

from .. import layout
from ..errors import BackstayError, Interrupted
from . import services, swap
from .folder import JobFolder, Lock, all_folders
from .job import Job


def release(folder: JobFolder) -> None:
    """Undo what the job left undone and make sure it has a result. Safe to run again, and while the worker lives."""
    alive = Lock(folder.path / "alive")
    if not alive.take({"run": folder.path.name, "release": True}):
        alive.release()
        return
    try:
        problems = [] if swap.exchanged(folder.path) else undo(folder)
        if folder.result() is None:
            error = Interrupted("the worker ended before the job did", "look at journalctl on this host, then run again")
            folder.finish(failure(folder, error, problems))
        shutil.rmtree(str(folder.secrets), ignore_errors=True)
        job = Job(folder)
        job.clear_work()
        job.end()
    finally:
        alive.release()


def undo(folder: JobFolder) -> List[str]:
    """Undo every entry, newest first; return a sentence for each that failed and stays remembered."""
    problems = []
    for entry in reversed(folder.undo_entries()):
        try:
            services.start(entry["service"], 300)
            folder.drop_undo(entry)
            folder.event(f"released: service {entry['service']} started")
        except BackstayError as error:
            folder.event(f"release failed: {error.message}")
            problems.append(error.message)
    return problems


def failure(folder: JobFolder, error: BackstayError, release_problems: List[str]) -> Dict[str, Any]:
    """Return the result of a job that failed with ``error``."""
    specification = folder.specification()
    result = {key: specification[key] for key in ("run", "host", "source", "app", "action")}
    result.update(status="failed", error=error.as_dict(), step=_last_step(folder), release_problems=release_problems)
    exchanged = swap.exchanged(folder.path)
    if exchanged:
        result["put_back"] = put_back_command(folder)
        result["aside"] = exchanged["aside"]
    return result


def put_back_command(folder: JobFolder) -> str:
    """Return the one command, for a shell on this host, that puts the former data back."""
    return f"sudo {sys.executable} {sys.argv[0]} put-back {folder.path}"


def release_abandoned() -> int:
    """Release every job on this worker that has no result and no worker; return how many were found.

    Run at boot and before a new job starts: a job that was alive when the power went has nobody else.
    """
    found = 0
    for folder in all_folders():
        if folder.result() is None or folder.undo_entries():
            release(folder)
            found += 1
    return found


def put_back(folder: JobFolder) -> str:
    """Put the data back that a failed restore moved aside, with its service stopped meanwhile; return a sentence."""
    state = swap.exchanged(folder.path)
    names = [entry["service"] for entry in folder.undo_entries()]
    names += [n for n in folder.specification().get("facts", {}).get("services", []) if n not in names]
    if state:
        for name in names:
            services.stop(name, 300)
    sentence = swap.put_back(folder.path)
    for name in names:
        services.start(name, 300)
    for entry in folder.undo_entries():
        folder.drop_undo(entry)
    return sentence + (f"; started: {', '.join(names)}" if names else "")


def _last_step(folder: JobFolder) -> str:
    events = [event["event"] for event in folder.events() if not event["event"].startswith("release")]
    return events[-1] if events else "starting"


def prune_plans() -> None:
    """Keep the fifty newest plans."""
    root = layout.ROOT / "plans"
    if root.is_dir():
        for path in sorted(root.iterdir(), key=lambda item: item.stat().st_mtime)[:-50]:
            path.unlink()
