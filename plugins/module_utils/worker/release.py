# SPDX-License-Identifier: GPL-3.0-or-later
"""Release: what brings the application back whatever happened to the worker.

It runs on the host, after the worker, from the unit's ``ExecStopPost=`` (or the supervisor, or the next boot), so it needs no
connection and no control node. It undoes what ``undo.json`` still holds - unless live data lies aside because of an
unfinished restore: then nothing is started on half-restored data, and the result names the command that puts back.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from .. import layout
from ..errors import BackstayError, BadInput, Busy, Interrupted
from ..executors import Executor, open_executor
from ..folders.filesystem import remove_snapshot
from ..pinned import opened, place
from ..process import run
from ..undo import SERVICE_SECONDS, Entry, identity, needed_services
from . import launch, services, swap
from .folder import (
    JobFolder,
    Lock,
    about,
    all_folders,
    holder_of,
    jobs_of,
    lock_holder,
    lock_resource,
    resource_lock,
    start_lock,
)
from .job import Job

_COMMAND_SECONDS = 3600
_PLAN_SECONDS = 7 * 86400


def release(folder: JobFolder) -> None:
    """Undo what the job left undone and make sure it has a result. Safe to run again, and while the worker lives.

    A job that ended by itself has nothing to release; its scratch folder may already be the next job's.
    """
    if folder.result() is not None and not folder.undo_entries():
        return
    alive = Lock(folder.path / "alive")
    if not alive.take({"run": folder.path.name, "release": True}):
        alive.release()
        return
    try:
        job = Job(folder)
        problems = [] if swap.exchanged(folder.path) else undo(folder)
        if folder.result() is None:
            remove_made(folder)
            error = Interrupted("the worker ended before the job did", "look at journalctl on this host, then run again")
            folder.finish(failure(folder, error, problems))
            job.clear_work()
        shutil.rmtree(str(folder.secrets), ignore_errors=True)
        job.end()
    finally:
        alive.release()


def undo(folder: JobFolder) -> List[str]:
    """Undo every entry, newest first; return a sentence for each that failed and stays remembered.

    Over a way of its own to the protected host: that of the job may be what failed.
    """
    problems, executor = _unhold(folder), executor_of(folder)
    at_work = folder.result() is None
    for entry in reversed(folder.undo_entries()):
        kind, name = _kind_of(entry, UNDO)
        try:
            if at_work and "stop_timeout" in entry:
                services.await_stop(entry["service"], entry["stop_timeout"], entry.get("control"), elsewhere(executor))
            done = UNDO[kind](entry, executor)
            folder.drop_undo(entry)
            folder.event(f"released: {kind} {name} {done}")
        except BackstayError as error:
            problems.append(error.message)
        except OSError as error:  # a full disk must not keep the other services down
            problems.append(f"{name}: {error.strerror}")
    for problem in problems:
        with contextlib.suppress(OSError):
            folder.event(f"release failed: {problem}")
    executor.end()
    return problems


def _start_service(entry: Entry, executor: Executor) -> str:
    services.start(entry["service"], entry.get("timeout", SERVICE_SECONDS), entry.get("control"), elsewhere(executor))
    return "started"


def _run_command(entry: Entry, executor: Executor) -> str:
    executor.require(entry["command"], _COMMAND_SECONDS, account=entry.get("account"), environment=entry.get("environment"))
    return "done"


# What undoes an entry of undo.json, by its type, and says what it did; see ``undo.py``.
UNDO: Dict[str, Callable[[Entry, Executor], str]] = {"service": _start_service, "command": _run_command}


def _kind_of(entry: Dict[str, Any], table: Dict[str, Any]) -> Tuple[str, str]:
    """Return the type of an entry and what it is about, for a sentence."""
    kind = next(kind for kind in table if kind in entry)
    subject = entry[kind]
    return kind, subject if isinstance(subject, str) else " ".join(subject)


def remove_made(folder: JobFolder) -> None:
    """Remove what the job made, newest first - unless live data lies aside for it: then both copies are kept."""
    for entry in [] if swap.exchanged(folder.path) else reversed(folder.made()):
        kind, name = _kind_of(entry, MADE)
        try:
            MADE[kind](name)
        except (OSError, BackstayError) as error:
            with contextlib.suppress(OSError):
                folder.event(f"release failed: {name} is left behind: {error}")


def _stop_unit(name: str) -> None:
    run(["systemctl", "stop", name], 120)  # one that is gone already was stopped by its own end


def _remove_snapshot(path: str) -> None:
    with contextlib.suppress(FileNotFoundError), opened(Path(path).parent) as above:  # by no link of others: it is root's ioctl
        remove_snapshot(Path(place(above)) / Path(path).name)


def _remove_parent(path: str) -> None:
    with contextlib.suppress(OSError):  # somebody else uses it by now
        Path(path).rmdir()


# What removes an entry of made.json, by its type; see ``JobFolder.made``.
MADE: Dict[str, Callable[[str], None]] = {
    "hold": services.unhold,
    "unit": _stop_unit,
    "snapshot": _remove_snapshot,
    "directory": lambda path: swap.remove_tree(Path(path)),
    "parent": _remove_parent,
}


def _unhold(folder: JobFolder) -> List[str]:
    """Let every service that the job held start again whenever anybody wishes; return a sentence for each that cannot."""
    problems = []
    for entry in folder.made():
        if "hold" in entry:
            try:
                services.unhold(entry["hold"])
            except (OSError, BackstayError) as error:
                problems.append(f"{entry['hold']} is still held: {error}")
    return problems


def failure(folder: JobFolder, error: BackstayError, release_problems: List[str]) -> Dict[str, Any]:
    """Return the result of a job that failed with ``error``."""
    result = about(folder.specification())
    result.update(status="failed", error=error.as_dict(), step=_last_step(folder), release_problems=release_problems)
    exchanged = swap.exchanged(folder.path)
    if exchanged:
        result["put_back"] = put_back_command(folder)
        result["aside"] = ", ".join(state["aside"] for state in exchanged)
    return result


def put_back_command(folder: JobFolder) -> str:
    """Return the one command, for a shell on this host, that puts the former data back."""
    return f"sudo {sys.executable} {sys.argv[0]} put-back {folder.path}"


def release_abandoned(problems: Dict[str, str]) -> int:
    """Release every job on this worker that has no result and no worker; return how many were.

    One that cannot be released must not keep the applications of others down: ``problems`` gets its run and why.

    Run at boot and before a new job starts: a job that was alive when the power went has nobody else. What a former job could
    not undo is left alone while another one works on the same thing: it may have stopped it on purpose.
    """
    found = 0
    for folder in all_folders():
        try:
            if lock_holder(resource_lock(folder.specification())):
                continue
            if folder.result() is None or folder.undo_entries():
                release(folder)
                found += 1
        except FileNotFoundError as error:
            if folder.path.exists():  # else it was collected and removed meanwhile
                problems[folder.path.name] = str(error)
        except Exception as error:
            problems[folder.path.name] = error.message if isinstance(error, BackstayError) else str(error)
    return found


def put_back(folder: JobFolder) -> str:
    """Put the data back that a failed restore moved aside, with its service stopped meanwhile; return a sentence.

    Raise Busy while any job of the same host and app is at work.
    """
    with _alone(folder), holding(folder) as executor:
        entries = _services(folder)
        if swap.exchanged(folder.path):
            for entry in entries:
                limit = entry.get("stop_timeout", SERVICE_SECONDS)
                services.stop(entry["service"], limit, entry.get("control"), elsewhere(executor))
        sentence = swap.put_back(folder.path, executor)
        return sentence + _bring_up(folder, entries, executor)


def executor_of(folder: JobFolder) -> Executor:
    """Return the way to the protected host that the job in ``folder`` has."""
    specification = folder.specification()
    return open_executor(specification.get("executor"), specification["host"], specification["app"])


def elsewhere(executor: Executor) -> Optional[Executor]:
    """Return ``executor`` where services are another machine's, None where they are this one's."""
    return executor if executor.remote else None


@contextlib.contextmanager
def holding(folder: JobFolder) -> Iterator[Executor]:
    """Give the way to the protected host while its resource is locked there."""
    specification, executor = folder.specification(), executor_of(folder)
    try:
        executor.hold(specification["resource"], specification.get("account"), holder_of(specification))
        yield executor
    finally:
        executor.end()


def keep_restored(folder: JobFolder) -> str:
    """Settle for the restored data of a restore that failed after its exchange; return a sentence. Nothing is removed.

    Raise Busy while any job of the same host and app is at work.
    """
    with _alone(folder):
        return _keep_restored(folder)


@contextlib.contextmanager
def _alone(folder: JobFolder) -> Iterator[None]:
    """Be the only one at work for the host and app of a job that ended; until the end of the block, no other one starts."""
    mine = folder.specification()
    with contextlib.ExitStack() as locks:
        alive = Lock(folder.path / "alive")
        locks.callback(alive.release)
        with start_lock(folder.path.name):
            if not alive.take({"run": folder.path.name, "put_back": True}):
                raise Busy(f"run {folder.path.name} is still at work", "wait for its end")
            for other in jobs_of(mine["host"], mine["app"]):
                if other.path != folder.path and launch.living(other.path.name):
                    raise Busy(f"run {other.path.name} is at work for {mine['app']} on {mine['host']}", "wait for its end")
        locks.callback(lock_resource(mine).release)
        yield


def _keep_restored(folder: JobFolder) -> str:
    states = swap.exchanged(folder.path)
    wanted = [step for step in folder.specification()["steps"] if "swap" in step]
    if not states or len(states) < len(wanted) or any(state["state"] != "done" for state in states):
        raise BadInput(f"{folder.path.name} left no wholly exchanged data", "put back what lies aside")
    executor = executor_of(folder)
    try:
        started = _bring_up(folder, _services(folder), executor)
    finally:
        executor.end()
    swap.settle(folder.path)
    kept = [f"{state['target']} keeps the restored data; its former content stays in {state['aside']}" for state in states]
    return "; ".join(kept) + started


def _bring_up(folder: JobFolder, entries: List[Dict[str, Any]], executor: Executor) -> str:
    """Start the services of ``entries`` and undo all else that the job left; return the end of a sentence about it.

    Raise the first failure: what failed stays remembered.
    """
    _unhold(folder)
    left = folder.undo_entries()
    known = [identity(entry) for entry in left]
    for entry in [*reversed(left), *(entry for entry in entries if identity(entry) not in known)]:
        UNDO[_kind_of(entry, UNDO)[0]](entry, executor)
        folder.drop_undo(entry)
    names = [entry["service"] for entry in entries]
    return f"; started: {', '.join(names)}" if names else ""


def _services(folder: JobFolder) -> List[Entry]:
    """Return the services that the job stopped or that its app said it needs, each once, as entries of undo.json."""
    entries = [entry for entry in folder.undo_entries() if "service" in entry]
    known = [identity(entry) for entry in entries]
    return entries + [entry for entry in needed_services(folder.specification()) if identity(entry) not in known]


def _last_step(folder: JobFolder) -> str:
    events = [event["event"] for event in folder.events() if not event["event"].startswith("release")]
    return events[-1] if events else "starting"


def prune_plans() -> None:
    """Keep the fifty newest plans, and all of the last week: a restore that follows one may take long."""
    root, made = layout.ROOT / "plans", []
    for path in root.iterdir() if root.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):  # one that is being written has another name by now
            made.append((path.stat().st_mtime, path))
    for moment, path in sorted(made)[:-50]:
        if moment < time.time() - _PLAN_SECONDS:
            path.unlink(missing_ok=True)
