# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture: the output of a server's own tool becomes an artifact, streamed to the repository or staged."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import Any, Callable, Dict, List

from .. import layout, restic
from ..apps import load_app
from ..errors import CaptureFailed, NoSpace
from ..files import free_bytes, human, private_directory, read_json, write_json
from ..job import taken_artifact
from ..process import spawn
from .job import Job

ATTEMPTS = 3


def capture(job: Job, arguments: Dict[str, Any]) -> None:
    """Capture one artifact by the job's transport and remember it for the receipt."""
    specification = job.specification
    name = arguments["artifact"]
    take = _stream if specification["transport"] == "stream" else _stage

    def attempt() -> Dict[str, Any]:
        # Asked each time: what the app told the attempt before may be hours old.
        argv = arguments.get("argv") or load_app(specification["app"]).CALLS[arguments["argv_from"]](job, {"artifact": name})
        configuration = {"artifact": name, "argv": argv, "proof": arguments["proof"]}
        write_json(job.folder.path / f"meter-{name}.json", configuration)
        return take(job, name)

    job.seen["artifacts"].append(_taken(job, name, attempt, arguments.get("again_on", [])))


def _taken(job: Job, name: str, take: Callable[[], Dict[str, Any]], again_on: List[str]) -> Dict[str, Any]:
    """Return the artifact; a failure that says one of ``again_on`` is a matter of the moment, and the whole is taken again."""
    for attempt in range(1, ATTEMPTS):
        try:
            return take()
        except CaptureFailed as error:
            if not any(text in error.message for text in again_on):
                raise
            job.folder.event(f"attempt {attempt} to capture {name} failed: {error.message}")
    return take()


def data_tags(specification: Dict[str, Any]) -> Dict[str, str]:
    """Return the tags of a set's data snapshots."""
    return {
        "app": specification["app"],
        "kind": specification["kind"],
        "set": specification["set"],
        "part": restic.DATA_PART,
    }


def meter_argv(job: Job, artifact: str) -> list:
    """Return the command line that runs the meter for ``artifact`` from the same code as this process."""
    return [sys.executable, sys.argv[0], "meter", str(job.folder.path), artifact]


def metered_count(job: Job, artifact: str) -> Callable[[], int]:
    """Return a function that tells how many bytes the meter has passed on so far."""
    path = job.folder.path / f"count-{artifact}"

    def count() -> int:
        with contextlib.suppress(OSError, ValueError):
            return int(path.read_bytes())
        return 0

    return count


def _stream(job: Job, name: str) -> Dict[str, Any]:
    specification = job.specification
    path = f"/{specification['app']}-{name}"  # restic takes no directories in a name for standard input
    argv = restic.backup_command_argv(
        job.access, specification["source"], data_tags(specification), path, meter_argv(job, name)
    )
    done = job.restic(argv, metered_count(job, name))
    result = read_json(job.folder.path / f"metered-{name}.json")
    if result and result["problem"] and not _lost_its_reader(result):
        raise CaptureFailed(result["problem"], f"see {job.folder.path}/stderr-{name}.log")
    if result is None and restic.command_failed(done.stderr):
        raise CaptureFailed(
            f"the capture of {name} was killed and left no proof of success",
            "was memory short? See journalctl -k",
        )
    if done.status != 0:
        raise restic.error_for(done.status, done.stderr)
    if result is None or result["problem"]:
        raise CaptureFailed(f"the capture of {name} left no proof of success")
    summary = restic.summary_of(done.stdout)
    if summary["total_bytes_processed"] != result["bytes"]:
        raise CaptureFailed(f"{result['bytes']} bytes of {name} were captured, {summary['total_bytes_processed']} arrived")
    job.seen["data_added"] = job.seen.get("data_added", 0) + int(summary.get("data_added_packed", 0))
    return _artifact(result, path, str(summary["snapshot_id"]))


def _lost_its_reader(result: Dict[str, Any]) -> bool:
    """Return whether the meter failed only because restic went away: then restic's own error is the one to tell."""
    return "could not be passed on" in str(result["problem"])


def _stage(job: Job, name: str) -> Dict[str, Any]:
    specification = job.specification
    folder = private_directory(layout.staging(specification["source"], specification["app"]) / specification["set"])
    path = folder / name
    path.unlink(missing_ok=True)  # of an attempt before
    descriptor = os.open(str(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        process = spawn(meter_argv(job, name), stdout=descriptor, stderr=subprocess.DEVNULL)
        job.watch([process], metered_count(job, name))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    result = read_json(job.folder.path / f"metered-{name}.json")
    if result is None or result["problem"] or process.returncode != 0:
        raise CaptureFailed((result or {}).get("problem") or f"the capture of {name} left no proof of success")
    return _artifact(result, str(path), "")


def _artifact(result: Dict[str, Any], path: str, snapshot: str) -> Dict[str, Any]:
    kept = {key: result[key] for key in ("bytes", "sha256", "exit", "seconds")}
    return dict(kept, name=result["artifact"], path=path, snapshot=snapshot)


def require_staging_space(job: Job) -> None:
    """Raise NoSpace when staging is too small for what the steps announce; called before anything is touched."""
    taken = filter(None, map(taken_artifact, job.specification["steps"]))
    needed = sum(int(arguments.get("estimate_bytes", 0)) for arguments in taken)
    folder = layout.staging(job.specification["source"], job.specification["app"])
    free = free_bytes(folder)
    if free < needed * 1.05:
        raise NoSpace(
            f"staging needs about {human(needed)} in {folder}, {human(free)} are free",
            "make room, or use backstay_transport: stream",
        )
