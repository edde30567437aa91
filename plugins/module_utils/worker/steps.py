# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps that a procedure may use: one function for every entry of ``job.STEP_ARGUMENTS``."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Callable, Dict

from ..apps import load_app
from ..errors import BadInput, CommandFailed, Refused
from ..job import step_type
from ..undo import SERVICE_SECONDS, by_host, command_entry, identity, service_entry
from . import exchange, picture, services, swap
from .capture import capture
from .collect import collect
from .job import Job
from .land import land
from .land_files import land_files
from .meter import proof_problem


def command(job: Job, arguments: Dict[str, Any]) -> None:
    """Run a native command. Raise CommandFailed when it does not prove its success.

    Its ``undo`` is remembered before; a command that is such an undo settles it.
    """
    argv = arguments["argv"]
    if arguments.get("undo"):
        job.folder.push_undo(command_entry(arguments))
        _leave_undo(job)
    done = job.executor.run(
        argv,
        float(arguments.get("timeout", 3600)),
        account=arguments.get("account"),
        environment=arguments.get("environment"),
        stderr_limit=64 << 20,  # a refused text may stand anywhere
    )
    problem = proof_problem(arguments.get("proof", {}), done.status, done.stdout, done.stderr)
    if problem:
        raise CommandFailed(f"{argv[0]} {problem}")
    settled = {"command": argv}
    if identity(settled) in map(identity, job.folder.undo_entries()):
        job.folder.drop_undo(settled)
        _leave_undo(job)


def service(job: Job, arguments: Dict[str, Any]) -> None:
    """Bring a service into a state and confirm it. A stop is remembered before it is done, and its outage measured."""
    name, limit, control = arguments["name"], float(arguments.get("timeout", SERVICE_SECONDS)), arguments.get("control")
    undo = service_entry(job.specification["steps"], name, control)
    mine, stopped = identity(undo), job.seen.setdefault("stopped", {})
    found_down = job.seen.setdefault("found_down", {})  # what this job wanted stopped and left down; a picture looks at it
    host = job.executor if job.executor.remote else None
    if arguments["state"] == "stopped":
        if services.is_active(name, control=control, host=host):
            job.folder.push_undo(undo)
            _leave_undo(job)
            stopped[mine] = time.monotonic()
            services.stop(name, limit, control, host)
            if job.specification["action"] == "backup" and not arguments.get("may_be_killed"):
                services.require_own_end(name, control)
        elif mine not in map(identity, job.folder.undo_entries()):
            found_down[mine] = undo
        return
    found_down.pop(mine, None)
    if arguments["state"] == "resumed" and mine not in map(identity, job.folder.undo_entries()):
        return  # it was down before this job
    services.allow(name)
    services.start(name, limit, control, host)
    job.folder.drop_undo(undo)
    _leave_undo(job)
    if mine in stopped:
        job.seen.setdefault("down_since", min(stopped.values()))
        del stopped[mine]
        if not stopped:  # the application is back when its last service is
            job.seen["outage_seconds"] += round(time.monotonic() - job.seen.pop("down_since"), 3)


def _leave_undo(job: Job) -> None:
    """Have the host undo by itself, should it lose its worker, what the release would; over exchanged data nothing."""
    left = [] if swap.exchanged(job.folder.path) else job.folder.undo_entries()
    job.executor.on_loss(by_host(left))


def discard(job: Job, arguments: Dict[str, Any]) -> None:
    """Remove a directory that this job made; of one that was there before, what the job landed in it. Raise Refused for any
    other."""
    path = Path(os.path.normpath(arguments["path"]))
    if job.executor.remote:
        if job.executor.work(job.work) not in path.parents:
            raise Refused(f"{path} was not made by this job and is not removed")
        job.executor.remove(path)
        return
    own = any({kind: str(path)} in job.folder.made() for kind in ("directory", "parent"))
    own = own or job.work in [path, *path.parents]
    mine = [path] if own else [into for into in job.seen.get("landed_in", []) if path in into.parents]
    if not mine:
        raise Refused(f"{path} was not made by this job and is not removed")
    for folder in mine:
        swap.remove_tree(folder)


def swap_directory(job: Job, arguments: Dict[str, Any]) -> None:
    """Put landed data in the place of live data, which moves aside; see ``swap``."""
    exchange.begin(job)
    landed = job.open_folders.get(arguments["landing"])
    place = swap.exchange(job.folder.path, job.specification["run"], arguments, landed)
    exchange.moved(job, str(place), arguments.get("keep_aside", True))


def app(job: Job, arguments: Dict[str, Any]) -> None:
    """Call a function of the app's own module with the job and plain data."""
    calls = load_app(job.specification["app"]).CALLS
    if arguments["call"] not in calls:
        raise BadInput(f"{job.specification['app']} has no call '{arguments['call']}' (known: {', '.join(sorted(calls))})")
    calls[arguments["call"]](job, arguments.get("arguments", {}))


STEPS: Dict[str, Callable[[Job, Dict[str, Any]], None]] = {
    "app": app,
    "archive": picture.archive,
    "capture": capture,
    "collect": collect,
    "command": command,
    "copy_ahead": picture.copy_ahead,
    "discard": discard,
    "land": land,
    "land_files": land_files,
    "picture": picture.picture,
    "prove": picture.prove,
    "service": service,
    "swap": swap_directory,
}


def perform(job: Job, step: Dict[str, Any]) -> None:
    """Do one step of the job."""
    name = step_type(step)
    job.begin_step(step["name"], int(step[name].get("estimate_bytes", 0)))
    job.folder.event(step["name"])
    STEPS[name](job, step[name])
