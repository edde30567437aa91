# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things lie on a worker. Every path is made here."""

from __future__ import annotations

import os
from pathlib import Path

from .names import quote_name

ROOT = Path(os.environ.get("BACKSTAY_ROOT", "/var/lib/backstay"))
REPOSITORIES = Path("/etc/backstay/repositories")


def jobs() -> Path:
    """Return the folder of all job folders."""
    return ROOT / "jobs"


def job(run: str) -> Path:
    """Return the folder of one job: specification, state, events, result."""
    return jobs() / quote_name(run)


def resource_lock(resource: str) -> Path:
    """Return the file whose lock a job holds while it works on ``resource``."""
    return ROOT / "locks" / (quote_name(resource)[:200] + ".lock")


def work(host: str, app: str) -> Path:
    """Return the scratch folder of a host's app; emptied before and after every job."""
    return ROOT / "work" / f"{quote_name(host)}+{app}"


def staging(host: str, app: str) -> Path:
    """Return the staging folder of a host's app: one folder per set, fixed so that restic finds its parent."""
    return ROOT / "staging" / f"{quote_name(host)}+{app}"


def side(run: str) -> Path:
    """Return the folder with the configuration of a server that a job starts on a copy: root writes, its account reads."""
    return ROOT / "side" / quote_name(run)


def newest(host: str, app: str) -> Path:
    """Return the file that keeps the newest receipts of a host's app that were read back from its repository."""
    return ROOT / "newest" / f"{quote_name(host)}+{app}.json"


def restored(host: str, app: str) -> Path:
    """Return the file that says when data of a host's app was last exchanged by a restore."""
    return ROOT / "restored" / f"{quote_name(host)}+{app}.json"


def standby(system: str, host: str) -> Path:
    """Return the file that keeps which servers of ``system`` count on ``host`` to stay up, and who is about to stop it."""
    return ROOT / "standby" / f"{quote_name(system)}+{quote_name(host)}.json"


def plan(plan_hash: str) -> Path:
    """Return the file that keeps a plan between showing it and doing it."""
    return ROOT / "plans" / f"{plan_hash}.json"


def cache() -> Path:
    """Return restic's cache folder."""
    return ROOT / "cache"


def repository(name: str) -> Path:
    """Return the folder with the access files of a repository; written by roles/repository."""
    return REPOSITORIES / quote_name(name)
