# SPDX-License-Identifier: GPL-3.0-or-later
"""The functions that steps of app_mysql may call, and the check of a restored server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, List

from ...errors import IntegrityError
from ...process import last_line, run
from .client import await_server, connection_argv, object_counts, restored_differences, warn_of_events
from .clone import clone, clone_argv
from .logical import accounts_argv, captured_dump_argv, load
from .logs import logs_argv, rotate
from .one_database import copy_database
from .physical import prepare
from .products import product_named
from .replay import replay
from .side import start_side, stop_side

if TYPE_CHECKING:
    from ...worker.job import Job


def check(job: Job, arguments: Dict[str, Any]) -> None:
    """Prove a restored server: it answers, its tables pass the engine's own check, nothing is missing.

    ``arguments``: socket, defaults_extra_file, thoroughness (``quick`` or ``full``), timeout (s to wait for its first answer).
    Raise IntegrityError naming what fails.
    """
    from ...worker.land import planned

    options = {"socket": arguments.get("socket"), "defaults_extra_file": arguments.get("defaults_extra_file")}
    await_server(options, float(arguments.get("timeout", 300)), job.seen.get("side"))
    receipts = planned(job.specification)["receipts"]
    tool = product_named(receipts[0]["facts"]["product"]).check
    # Debian upgrades the schema sys, which holds no data, behind the back of a server that has just been started.
    argv = [tool, *connection_argv(options), "--all-databases", "--skip-database=sys", "--check"]
    argv += ["--quick"] if arguments.get("thoroughness", "quick") == "quick" else ["--extended"]
    done = run(argv, float(arguments.get("check_timeout", 43200)))
    if done.status != 0:
        raise IntegrityError(f"{tool} failed: {last_line(done.stderr or done.stdout)}")
    bad = check_problems(done.stdout)
    if bad:
        raise IntegrityError(f"{len(bad)} tables fail their check: " + "; ".join(bad[:5]))
    job.seen["checks"].append({"name": tool, "status": "ok", "detail": arguments.get("thoroughness", "quick")})
    newest = receipts[-1]
    if newest["kind"] == "log":
        return  # what was made and dropped since the data was counted is in the logs
    counts = object_counts(options)
    missing, expired, more = restored_differences(newest["facts"], counts)
    if missing:
        raise IntegrityError("the restored server lacks what the one backed up had: " + "; ".join(missing))
    warn_of_events(job, expired)
    listed = "; ".join(more) or ", ".join(f"{counts[name]} {name}" for name in sorted(counts))
    # More than counted: made and removed again while the capture ran.
    job.seen["checks"].append({"name": "object counts", "status": "warning" if more else "ok", "detail": listed})


def check_problems(output: str) -> List[str]:
    """Return the tables for which the check printed anything but OK or a note."""
    bad, table = [], ""
    for line in output.splitlines():
        text = line.strip()
        kind = text.split(":", 1)[0].strip().lower()
        if kind in ("note", "info", "status", "warning"):
            continue
        if kind == "error":
            bad.append(f"{table}: {text}")
        elif text.endswith(" OK") or not text:
            continue
        else:
            table = text.split()[0]
            if "corrupt" in text.lower():
                bad.append(text)
    return bad


CALLS: Dict[str, Callable[[Job, Dict[str, Any]], Any]] = {
    "accounts_argv": accounts_argv,
    "check": check,
    "clone": clone,
    "clone_argv": clone_argv,
    "copy_database": copy_database,
    "dump_argv": captured_dump_argv,
    "load": load,
    "logs_argv": logs_argv,
    "prepare": prepare,
    "replay": replay,
    "rotate": rotate,
    "start_side": start_side,
    "stop_side": stop_side,
}
