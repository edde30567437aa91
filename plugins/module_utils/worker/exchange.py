# SPDX-License-Identifier: GPL-3.0-or-later
"""The exchange of live data, whatever moves it: what comes before the first rename, and what the result says afterwards.

The ``swap`` step exchanges directories. An app whose files share their directories with others sets them aside one by one
with ``set_aside`` and ends with ``finish``.
"""

from __future__ import annotations

from typing import Optional, Sequence

from ..undo import needed_services
from . import aside, newest, services
from .job import Job


def begin(job: Job) -> None:
    """Prepare for live data that moves aside, before it does.

    What was stopped for it is held, and what was down already: after a power cut no boot may start it on data that is half
    exchanged or not proved yet. And nothing made before may be continued afterwards.
    """
    entries = [*job.folder.undo_entries(), *needed_services(job.specification)]
    # The service manager holds; a native command cannot.
    for name in dict.fromkeys(entry["service"] for entry in entries if "service" in entry and "control" not in entry):
        job.folder.note_made("hold", name)
        services.hold(name, job.specification["run"])
    newest.mark_restored(job.specification["host"], job.specification["app"], job.specification["run"])
    job.seen["exchange"] = True


def set_aside(job: Job, owner: str, paths: Sequence[str], account: Optional[str] = None) -> None:
    """Begin unless that was done, then move the live files ``paths`` of ``owner`` (a word for people) aside."""
    if not job.seen.get("exchange"):
        begin(job)
    aside.set_aside(job.folder.path, job.specification["run"], owner, paths, account=account, host=job.executor)


def finish(job: Job, keep_aside: bool) -> None:
    """Remember that everything is in its place; the former files go when the job ends well unless ``keep_aside``."""
    place = aside.finish(job.folder.path)
    if place:
        moved(job, place, keep_aside)


def moved(job: Job, place: str, keep_aside: bool) -> None:
    """Have the result name ``place``, where former data lies."""
    job.seen.setdefault("aside", []).append(place)
    job.seen["keep_aside"] = keep_aside
