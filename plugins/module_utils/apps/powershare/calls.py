# SPDX-License-Identifier: GPL-3.0-or-later
"""The functions that steps of app_powershare may call: leases of a catalog system, proofs of a quit and of a start."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Callable, Dict, List

from ...errors import ApplicationDown, CaptureFailed, IntegrityError
from ...moment import format_moment, now
from ...process import last_line, run, spell_status

if TYPE_CHECKING:
    from ...worker.job import Job


def _running(service: Dict[str, Any], settled: bool) -> bool:
    from ...worker import services

    return services.is_active(service["name"], settled, service.get("control"))


def _claim_stop(job: Job, arguments: Dict[str, Any]) -> None:
    from ...worker import standby

    standby.claim_stop(job, arguments)


def _end_stop(job: Job, arguments: Dict[str, Any]) -> None:
    from ...worker import standby

    standby.end_stop(job, arguments)


def confirm_quit(job: Job, arguments: Dict[str, Any]) -> None:
    """Demand that the application still is gone now that its picture was taken (PS-1, PS-2), and note the moment.

    ``arguments``: server, title, service. Raise CaptureFailed when somebody started it meanwhile: the picture may be live then.
    """
    if _running(arguments["service"], settled=False):
        raise CaptureFailed(
            f"the {arguments['title']} was started while its data was taken: the picture is not of one moment",
            "nothing was stored; keep it from being started by others and run again",
        )
    job.seen.setdefault("quit", {})[arguments["server"]] = format_moment(now())


def confirm_running(job: Job, arguments: Dict[str, Any]) -> None:
    """Prove a restored server: it runs, it still runs after ``seconds``, and its command in ``checks`` (if any) exits with 0.

    A server that finds damaged data starts and then ends. ``arguments``: server, title, service, seconds, checks. Raise
    ApplicationDown or IntegrityError.
    """
    end = time.monotonic() + float(arguments["seconds"])
    while True:
        if not _running(arguments["service"], settled=True):
            raise ApplicationDown(
                f"the {arguments['title']} started on the restored data and ended again", "look at its own messages"
            )
        if time.monotonic() >= end:
            break
        time.sleep(0.2)
    detail = f"runs for {float(arguments['seconds']):g} s"
    check = arguments["checks"].get(arguments["server"])
    if check:
        done = run(check, 3600)
        if done.status != 0:
            raise IntegrityError(
                f"the check of the {arguments['title']} {spell_status(done.status)}: {last_line(done.stderr or done.stdout)}"
            )
        detail += f", {check[0]} found it in order"
    job.seen["checks"].append({"name": arguments["title"], "status": "ok", "detail": detail})


def prefs_argv(job: Job, arguments: Dict[str, Any]) -> List[str]:
    """Return the command line that writes the prefs of a server to its standard output, for the artifact ``KIND-prefs``."""
    kind = arguments["artifact"].partition("-")[0]
    server = next(server for server in job.specification["facts"]["servers"] if server["kind"] == kind)
    return ["tar", "--create", "--file=-", "--xattrs", f"--directory={server['preferences']}", "--", *server["prefs"]]


CALLS: Dict[str, Callable[[Job, Dict[str, Any]], Any]] = {
    "claim_stop": _claim_stop,
    "confirm_quit": confirm_quit,
    "confirm_running": confirm_running,
    "end_stop": _end_stop,
    "prefs_argv": prefs_argv,
}
