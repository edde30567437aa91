# SPDX-License-Identifier: GPL-3.0-or-later
"""Run one job to its end: lock, action, result. Whatever happens, the folder holds a result afterwards."""

from __future__ import annotations

import contextlib
import sys
import traceback
from pathlib import Path
from typing import Any, Callable, Dict, List

from ..errors import BackstayError, IntegrityError
from ..job import validate_job
from ..redact import redact
from . import swap
from .backup import run_backup
from .folder import JobFolder, Lock, about, holder_of, lock_resource
from .job import Job
from .land import planned
from .release import failure, put_back_command, remove_made, undo
from .steps import perform


def run_restore(job: Job) -> Dict[str, Any]:
    """Follow the plan through the declared steps; see ``land`` and ``swap``. Also serves ``verify``."""
    specification = job.specification
    plan = planned(specification)
    job.folder.event(f"start {specification['action']}")
    landing = [index for index, step in enumerate(specification["steps"]) if "land" in step or "land_files" in step]
    if not landing:
        require_all_landed(job, plan)
    for index, step in enumerate(specification["steps"]):
        perform(job, step)
        if index == max(landing, default=-1):
            require_all_landed(job, plan)
    job.folder.event(f"end {specification['action']}")
    result = {
        "set": plan["sets"][-1],
        "target": plan["target"],
        "stop_at": plan["stop_at"],
        "checks": job.seen["checks"],
    }
    result.update(facts=job.seen["facts"], outage_seconds=job.seen["outage_seconds"])
    result.update(bytes=sum(artifact["bytes"] for item in plan["receipts"] for artifact in item["artifacts"]))
    if job.seen.get("aside"):
        result["aside"] = ", ".join(job.seen["aside"])
    return result


def require_all_landed(job: Job, plan: Dict[str, Any]) -> None:
    """Raise IntegrityError unless every planned set was brought back: what a step left out would be missing in silence."""
    landed = job.seen.get("landed", [])
    missing = [item for item in plan["receipts"] if item["set"] not in landed]
    if missing:
        kinds = ", ".join(sorted({item["kind"] for item in missing}))
        raise IntegrityError(
            f"{len(missing)} planned sets were brought back by no step (kinds: {kinds}), the first is {missing[0]['set']}",
            "nothing was changed; the role's landing steps have to name these kinds",
        )


RUNNERS: Dict[str, Callable[[Job], Dict[str, Any]]] = {
    "backup": run_backup,
    "restore": run_restore,
    "verify": run_restore,
}


def run_job(path: Path) -> int:
    """Run the job in folder ``path``; return 0 when it succeeded."""
    folder = JobFolder(path)
    alive = Lock(path / "alive")
    if not alive.take({"run": path.name}) or folder.result() is not None:
        return 3  # another process works, or has worked, on this job
    job = Job(folder)
    lock = None
    try:
        validate_job(job.specification)
        lock = lock_resource(job.specification)
        job.executor.hold(job.specification["resource"], job.specification.get("account"), holder_of(job.specification))
        job.prepare_work()
        job.begin_step("starting")
        result = _concluded(job, dict(_success(job), **RUNNERS[job.specification["action"]](job)))
    except BackstayError as error:
        result = _failed(job, error)
    except Exception as error:
        with contextlib.suppress(OSError):  # a full disk may be what it is about
            (path / "traceback.log").write_text(redact(traceback.format_exc()), encoding="utf-8")
        unexpected = BackstayError(f"unexpected {type(error).__name__}: {error}", f"see {path}/traceback.log")
        result = _failed(job, unexpected)
    job.clear_work()
    folder.finish(result)
    job.end()
    if lock:
        lock.release()
    alive.release()
    return 0 if result["status"] == "ok" else 1


def _success(job: Job) -> Dict[str, Any]:
    return dict(about(job.specification), status="ok")


def _concluded(job: Job, result: Dict[str, Any]) -> Dict[str, Any]:
    """Undo what is left, and only when nothing is, give up former data that was not to be kept; return the result then."""
    problems = _released(job)
    if problems:
        result.update(status="failed", release_problems=problems)
        if swap.exchanged(job.folder.path):
            result["put_back"] = put_back_command(job.folder)
    elif "aside" in result and not job.seen["keep_aside"]:
        swap.forget_aside(job.folder.path, job.executor)
        del result["aside"]
    return result


def _released(job: Job) -> List[str]:
    """End what the job itself runs, then undo what it left stopped or begun; return a sentence for each that failed.

    A service that is started over an instance of the job would be called started, and go down with it.
    """
    in_the_way = job.clean_up()
    return [*(in_the_way if job.folder.undo_entries() else []), *undo(job.folder)]


def _failed(job: Job, error: BackstayError) -> Dict[str, Any]:
    """Release what the job holds, then return the result of its failure with secrets removed."""
    if swap.exchanged(job.folder.path):
        job.clean_up()
        problems = []
    else:
        problems = _released(job)
    remove_made(job.folder)
    error.message, error.hint = redact(error.message), redact(error.hint)
    print(f"{error.code}: {error.message}", file=sys.stderr)
    return failure(job.folder, error, problems)
