# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a server through its own command-line client; options, never a password, on the command line."""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

from ...errors import ApplicationDown, BackstayError, CommandFailed
from ...process import environment, last_line, run
from .products import MARIADB, PRODUCTS, SYSTEM_SCHEMAS

if TYPE_CHECKING:
    from ...worker.job import Job

Options = Dict[str, Any]

# The server's own schemas do not count: they are of its version, and a started server may be upgrading them meanwhile.
OBJECT_COUNTS = """
SELECT 'schemas', COUNT(*) FROM information_schema.schemata WHERE schema_name NOT IN {system}
UNION ALL SELECT 'tables', COUNT(*) FROM information_schema.tables
  WHERE table_schema NOT IN {system} AND table_type IN ('BASE TABLE', 'SEQUENCE')
UNION ALL SELECT 'views', COUNT(*) FROM information_schema.tables
  WHERE table_schema NOT IN {system} AND table_type = 'VIEW'
UNION ALL SELECT 'routines', COUNT(*) FROM information_schema.routines WHERE routine_schema NOT IN {system}
UNION ALL SELECT 'triggers', COUNT(*) FROM information_schema.triggers WHERE trigger_schema NOT IN {system}
UNION ALL SELECT 'events', COUNT(*) FROM information_schema.events WHERE event_schema NOT IN {system}
""".replace("{system}", str(SYSTEM_SCHEMAS))
USER_SCHEMAS = "SELECT schema_name FROM information_schema.schemata WHERE schema_name NOT IN {system} ORDER BY 1".replace(
    "{system}", str(SYSTEM_SCHEMAS)
)


def options_of(job: Job) -> Options:
    """Return how the live server of a job is reached, as preflight found it."""
    facts = job.specification["facts"]
    return {"socket": facts["socket"], "defaults_extra_file": facts.get("defaults_extra_file")}


def connection_argv(options: Options) -> List[str]:
    """Return the options that reach the server. A defaults file must come first or the tools reject it (exit 7).

    No other option file is read beside it. A host in it would mean TCP, and lead the tools to the live server whatever the
    socket: so the protocol is said.
    """
    argv = ["--no-defaults"] if options.get("no_defaults") else []
    if options.get("defaults_extra_file"):
        argv.append(f"--defaults-file={options['defaults_extra_file']}")
    if options.get("socket"):
        argv += [f"--socket={options['socket']}", "--protocol=socket"]
    return argv


def client_program() -> str:
    """Return the client to ask with: that of either product, before anybody knows which one the server is."""
    path = environment()["PATH"]
    found = [product.client for product in PRODUCTS.values() if shutil.which(product.client, path=path)]
    return found[0] if found else MARIADB.client


def query(options: Options, sql: str, timeout: float = 120) -> List[List[str]]:
    """Return the rows of ``sql``, every value as text. Raise CommandFailed with the client's last words."""
    argv = [client_program(), *connection_argv(options), "--batch", "--skip-column-names", "--connect-timeout=10", "-e", sql]
    done = run(argv, timeout)
    if done.status != 0:
        raise CommandFailed(last_line(done.stderr))
    return [line.split("\t") for line in done.stdout.splitlines()]


def variables(options: Options, names: List[str]) -> Dict[str, str]:
    """Return the values of the server variables ``names``, empty text for one that this version does not have."""
    listed = ", ".join(f"'{name}'" for name in names)
    rows = query(options, f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({listed})")
    found = {row[0]: row[1] if len(row) > 1 else "" for row in rows}
    return {name: found.get(name, "") for name in names}


def value(options: Options, expression: str) -> str:
    """Return the value of ``expression``, on one line."""
    return query(options, f"SELECT {expression}")[0][0].replace("\\n", "")


def object_counts(options: Options) -> Dict[str, int]:
    """Return how many schemas, tables, views, routines, triggers and events the server has beside its own."""
    return {name: int(count) for name, count in query(options, OBJECT_COUNTS)}


def count_differences(before: Dict[str, int], after: Dict[str, int], found: Dict[str, int]) -> Tuple[List[str], List[str]]:
    """Return sentences about the kinds of objects of which a restored server has too few, and those with too many.

    The source was counted before and after its capture. Too few is a loss; too many were made and removed meanwhile.
    """
    missing, more = [], []
    for name in sorted(before):
        low, high = sorted((before[name], after[name]))
        expected = str(low) if low == high else f"{low} to {high}"
        if found.get(name, 0) < low:
            missing.append(f"{found.get(name, 0)} {name} instead of {expected}")
        elif found.get(name, 0) > high:
            more.append(f"{found[name]} {name} instead of {expected}")
    return missing, more


def restored_differences(facts: Dict[str, Any], found: Dict[str, int]) -> Tuple[List[str], List[str], List[str]]:
    """Return what a restored server lacks, which events it lacks, and what it has too many of; ``facts`` are the receipt's.

    Events stand apart: a server drops one whose time is over when it starts, or when the event is created.
    """
    before, after = facts["counts_before"], facts["counts_after"]
    events = [{name: number for name, number in counts.items() if name == "events"} for counts in (before, after)]
    missing, more = count_differences(before, after, found)
    expired, _more = count_differences(events[0], events[1], found)
    return [sentence for sentence in missing if sentence not in expired], expired, more


def warn_of_events(job: Job, expired: List[str]) -> None:
    """Add to the result that a restored server lacks events, if it does."""
    if expired:
        detail = "; ".join(expired) + ": a server drops events whose time is over by itself; look whether it lacks others"
        job.seen["checks"].append({"name": "events", "status": "warning", "detail": detail})


def await_server(options: Dict[str, Any], timeout: float, process: Optional[subprocess.Popen[bytes]] = None) -> None:
    """Wait until the server answers. Raise ApplicationDown when it does not within ``timeout`` s, or ``process`` ended."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            query(options, "SELECT 1")
            return
        except BackstayError as error:
            refused = "Access denied" in error.message or "is not loaded" in error.message  # ... the plugin of the account
            hopeless = refused or (process is not None and process.poll() is not None)
            if hopeless or time.monotonic() > deadline:
                raise ApplicationDown(f"the restored server does not answer: {error.message}") from error
            time.sleep(0.2)
