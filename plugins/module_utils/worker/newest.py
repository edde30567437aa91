# SPDX-License-Identifier: GPL-3.0-or-later
"""The newest sets of a host's app: what the next log or incremental backup continues.

Only receipts that were read back from the repository count, never what the engine remembers of itself. They are kept on the
worker, so that a log backup every few minutes asks the repository nothing; every commit proves that its parent is still there
(``backup._read_back``). When they are not kept, or of another repository, the repository is asked.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from .. import layout, receipt, restic
from ..apps import load_app
from ..files import private_directory, read_json, write_json
from ..moment import format_moment, now
from ..process import run

if TYPE_CHECKING:
    from .job import Job

CAPTURED = "captured.json"  # in a set's staging folder: everything its receipt needs, written when capture completed
# The hint of an error after which nothing continues the newest set.
FULL_IS_NEXT = "the next backup is a full one; until then nothing after the newest set can be restored"
_ASK_SECONDS = 1800

# {repository, data: receipt of the newest data set, log: of the newest log set since, broken: why nothing may continue them}
Newest = Dict[str, Any]


def newest_of(job: Job) -> Optional[Newest]:
    """Return the newest sets of the job's host and app that its repository holds, None when this worker keeps none."""
    return kept(job.specification["source"], job.specification["app"], job.access.url_file)


def kept(host: str, app: str, url_file: str) -> Optional[Newest]:
    """Return the newest sets that this worker keeps of the repository in ``url_file``, None when it keeps none."""
    found = read_json(layout.newest(host, app))
    if found is None or found.get("repository") != _repository(url_file) or not found.get("data"):
        return None
    return _unless_restored(dict(found), host, app)


def with_drafts(found: Newest, host: str, app: str) -> Newest:
    """Return the newest sets as they will be once the captures that still are staged have been salvaged."""
    for draft in consumed_drafts(host, app):
        found = _with(found, draft)
    return found


def mark_restored(host: str, app: str, run: str) -> None:
    """Remember, before it is done, that the server's data is exchanged: nothing made before may be continued by it.

    Its logs may lie elsewhere and look as if nothing had happened. Outlives what is kept and what the repository says.
    """
    path = layout.restored(host, app)
    private_directory(path.parent)
    write_json(path, {"at": format_moment(now()), "run": run})


def _unless_restored(found: Newest, host: str, app: str) -> Newest:
    marker = read_json(layout.restored(host, app))
    if marker and found.get("data") and found["data"]["started_at"] <= marker["at"]:
        return dict(found, broken=f"the server was restored by run {marker['run']} since the newest full backup")
    return found


def consumed_drafts(host: str, app: str) -> List[Dict[str, Any]]:
    """Return what complete captures that took something from their source left in staging, oldest first."""
    root = layout.staging(host, app)
    folders = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    drafts = [read_json(path / CAPTURED) for path in folders]
    return [draft for draft in drafts if draft is not None and consumed(draft)]


def consumed(draft: Dict[str, Any]) -> bool:
    """Return whether the capture of ``draft`` took something that its source no longer offers."""
    return bool(load_app(draft["app"]).consumes(draft["kind"]))


def fetch(access: restic.Access, host: str, app: str) -> Newest:
    """Return the newest sets by asking the repository: one listing, and the receipts of the newest data set and of the log set
    that goes farthest in its stream. Without any data set nothing can be continued."""
    listed = _call(access, restic.snapshots_argv(access, host, {"part": restic.RECEIPT_PART, "app": app}))
    sets = restic.committed_sets(json.loads(listed))
    data = [item for item in sets if item["kind"] != "log"][-1:]
    logs = [item for item in sets if item["kind"] == "log" and data and item.get("stream") == data[0].get("stream", "")]
    found: Newest = {"repository": _repository(access.url_file)}
    for summary in [*data, *sorted(logs, key=lambda item: str(item["last"]))[-1:]]:
        raw = _call(access, restic.dump_argv(access, summary["snapshot"], summary["path"])).encode()
        found = _with(found, receipt.decode(raw, summary["receipt_sha256"]))
    return _unless_restored(found, host, app)


def _call(access: restic.Access, argv: List[str]) -> str:
    done = run(argv, _ASK_SECONDS, extra_environment=access.environment, stdout_limit=restic.LISTING_BYTES)
    if done.status != 0:
        raise restic.error_for(done.status, done.stderr)
    return done.stdout


def note(url_file: str, sealed: Dict[str, Any]) -> None:
    """Keep ``sealed``, which was read back from the repository in ``url_file``, as the newest of its kind."""
    host, app = sealed["host"], sealed["app"]
    found = kept(host, app, url_file)
    if found or sealed["kind"] != "log":
        store(host, app, _with(found or {"repository": _repository(url_file)}, sealed))


def store(host: str, app: str, newest: Newest) -> None:
    """Keep ``newest`` on this worker."""
    path = layout.newest(host, app)
    private_directory(path.parent)
    write_json(path, newest)


def forget(host: str, app: str) -> None:
    """Keep nothing of a host's app: its repository has to be asked."""
    layout.newest(host, app).unlink(missing_ok=True)


def mark_broken(job: Job, because: str) -> None:
    """Remember that the logs of the job's server cannot be continued, so that its next backup is a full one."""
    found = newest_of(job)
    if found:
        store(job.specification["source"], job.specification["app"], dict(found, broken=because))


def _with(found: Newest, sealed: Dict[str, Any]) -> Newest:
    """Return ``found`` with ``sealed`` as its newest data or log set; a full one mends what was broken."""
    slim = {key: sealed[key] for key in sealed if key not in ("events", "checks")}
    if sealed["kind"] == "log":
        return dict(found, log=slim)
    # The whole receipt: the receipts of what builds on it will carry it.
    more = dict(found, data=sealed)
    if sealed["kind"] == "full":
        more.pop("broken", None)
    if "log" in more and more["log"].get("stream", {}).get("id") != sealed.get("stream", {}).get("id"):
        del more["log"]  # of a history that ended
    return more


def _repository(url_file: str) -> str:
    """Return what tells one repository from another: its place, whatever the user and password of the day are."""
    place = re.sub(r"//[^/@]*@", "//", Path(url_file).read_text(encoding="utf-8").strip())
    return hashlib.sha256(place.encode()).hexdigest()
