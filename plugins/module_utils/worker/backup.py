# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup job from "start backup" to "end backup": steps, seal, upload, commit, read-back; and salvage before all.

A set exists only with its receipt (``commit``). A staged capture that no receipt covers is *salvaged*: checked and committed
under its own id before anything new is captured, when its capture completed and consumed something at the source.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Dict, List

from .. import layout, receipt, restic
from ..apps import load_app, require_kind
from ..chain import require_plannable
from ..errors import BadInput, CaptureFailed, RepositoryError
from ..files import empty_directory, read_json, write_atomic, write_json
from ..job import step_type, taken_artifact
from ..moment import format_moment, now
from ..names import quote_name
from . import newest, swap
from .capture import data_tags, require_staging_space
from .job import Job
from .newest import CAPTURED
from .preflight import require_offsite
from .steps import perform


def run_backup(job: Job) -> Dict[str, Any]:
    """Do a whole backup and return its result. Raise a BackstayError when no set came of it."""
    specification = job.specification
    require_kind(specification["app"], specification["kind"])
    _require_salvageable(specification)
    _require_nothing_taken_after_the_seal(specification)
    job.folder.event("start backup")
    job.seen["started_at"] = format_moment(now())
    require_offsite(job.access.url_file)
    salvaged = salvage(job)
    if specification["transport"] == "stage":
        require_staging_space(job)
        empty_directory(_staged(job, specification["set"]))
    draft = _perform_and_seal(job)
    sealed = upload_and_commit(job, dict(draft, outage_seconds=job.seen["outage_seconds"]))
    job.folder.event("end backup")
    swap.remove_tree(_staged(job, specification["set"]))
    return {"set": specification["set"], "salvaged": salvaged, **summary_for_people(sealed, job)}


def _require_salvageable(specification: Dict[str, Any]) -> None:
    """Raise BadInput for a capture that consumes and is not staged: a failed upload would lose what it took."""
    if specification["transport"] == "stream" and load_app(specification["app"]).consumes(specification["kind"]):
        raise BadInput(
            f"a {specification['kind']} backup of {specification['app']} takes logs that its server then gives up",
            "set backstay_transport: stage, so that they are kept until they are offsite",
        )


def _require_nothing_taken_after_the_seal(specification: Dict[str, Any]) -> None:
    """Raise BadInput for a function of a consuming app after the last capture: what it takes would be in no receipt."""
    if not load_app(specification["app"]).consumes(specification["kind"]):
        return
    names = [step_type(step) for step in specification["steps"]]
    last = max(index for index, step in enumerate(specification["steps"]) if taken_artifact(step))
    if "app" in names[last:]:
        step = specification["steps"][last + names[last:].index("app")]
        raise BadInput(
            f"step '{step['name']}' comes after the set is sealed", "let the last capture be the last that takes something"
        )


def _perform_and_seal(job: Job) -> Dict[str, Any]:
    """Do all steps; seal right after the last capture, so that what was captured is salvageable whatever fails later."""
    steps = job.specification["steps"]
    last = max(index for index, step in enumerate(steps) if taken_artifact(step))
    draft: Dict[str, Any] = {}
    for index, step in enumerate(steps):
        perform(job, step)
        if index == last:
            job.begin_step("seal receipt")
            draft = seal(job)
            require_plannable(draft)
            if job.specification["transport"] == "stage":
                write_json(_staged(job, job.specification["set"]) / CAPTURED, draft)
    return draft


def seal(job: Job) -> Dict[str, Any]:
    """Return the receipt of this run without the events that follow it and the snapshots of staged artifacts."""
    specification = job.specification
    consistent_at = format_moment(now())  # before the app is asked: nothing in the set is younger than this
    about = load_app(specification["app"]).seal(job)
    job.folder.event("seal receipt")
    return {
        "schema": receipt.SCHEMA_NAME,
        "set": specification["set"],
        "run": specification["run"],
        "host": specification["source"],
        "app": specification["app"],
        "kind": specification["kind"],
        "parent": about.get("parent"),
        "chain": about.get("chain", []),
        "position": about["position"],
        "started_at": job.seen["started_at"],
        "consistent_at": about.get("consistent_at", consistent_at),
        **({"stream": about["stream"]} if about.get("stream") else {}),
        "transport": specification["transport"],
        "artifacts": job.seen["artifacts"],
        "checks": about["checks"],
        "outage_seconds": job.seen["outage_seconds"],
        "events": job.folder.events(),
        "tools": about["tools"],
        "facts": about["facts"],
    }


def upload_and_commit(job: Job, draft: Dict[str, Any]) -> Dict[str, Any]:
    """Upload staged artifacts, commit the receipt, read both back from the repository; return the receipt."""
    if draft["transport"] == "stage":
        job.begin_step("upload", sum(item["bytes"] for item in draft["artifacts"]))
        job.folder.event("upload")
        _upload_staged(job, draft)
    job.begin_step("commit")
    # The job itself says so only when the receipt was read back: a failed run never shows its end as a success (G-10).
    ended = {"at": format_moment(now()), "event": "end backup"}
    sealed = dict(draft, events=[*job.folder.events(), ended])
    raw = receipt.encode(sealed)
    path = job.folder.path / f"receipt-{sealed['set']}.json"
    write_atomic(path, raw)
    tags = receipt_tags(sealed, raw)
    argv = restic.backup_command_argv(job.access, sealed["host"], tags, f"/receipt-{sealed['set']}.json", ["cat", str(path)])
    committed = str(restic.summary_of(job.require_restic(argv, lambda: 0))["snapshot_id"])
    _read_back(job, sealed, committed)
    return sealed


def receipt_tags(sealed: Dict[str, Any], raw: bytes) -> Dict[str, str]:
    """Return the tags of a receipt snapshot: the summary for planning, and the hash and size that prove the receipt."""
    return {
        **_stretch_tags(sealed),
        "app": sealed["app"],
        "kind": sealed["kind"],
        "set": sealed["set"],
        "part": restic.RECEIPT_PART,
        "parent": sealed["parent"] or "",
        "at": sealed["consistent_at"],
        "bytes": str(sum(item["bytes"] for item in sealed["artifacts"])),
        "size": str(len(raw)),
        "receipt": receipt.digest(raw),
    }


def _stretch_tags(sealed: Dict[str, Any]) -> Dict[str, str]:
    """Return the tags that plan with the set's stretch of history. Log sets are many: theirs also tell what to land.

    So a restore over a thousand log sets needs none of their receipts, and receipts of log sets carry no chain.
    """
    if "stream" not in sealed:
        return {}
    stream = sealed["stream"]
    tags = {"stream": stream["id"], "first": stream["first"], "last": stream["last"]}
    if stream.get("mark"):
        tags["mark"] = quote_name(stream["mark"])
    if sealed["kind"] == "log":
        artifact = sealed["artifacts"][0]
        tags.update(data=artifact["snapshot"], sha256=artifact["sha256"], **{"from": quote_name(artifact["path"])})
    return tags


def _upload_staged(job: Job, draft: Dict[str, Any]) -> None:
    """Upload every staged artifact of ``draft`` in one snapshot and note its id in each of them (G-3, G-4)."""
    paths = [item["path"] for item in draft["artifacts"]]
    listing = job.folder.path / "upload"
    write_atomic(listing, restic.path_listing(paths))
    tags = data_tags(dict(job.specification, **_identity(draft)))
    argv = restic.backup_listed_argv(job.access, draft["host"], tags, str(listing))
    summary = restic.summary_of(job.require_restic(argv))
    expected = sum(item["bytes"] for item in draft["artifacts"])
    if summary["total_files_processed"] != len(paths) or summary["total_bytes_processed"] != expected:
        raise CaptureFailed(
            f"{len(paths)} staged files with {expected} bytes were to be uploaded,"
            f" {summary['total_files_processed']} with {summary['total_bytes_processed']} bytes were"
        )
    job.seen["data_added"] = job.seen.get("data_added", 0) + int(summary.get("data_added_packed", 0))
    for item in draft["artifacts"]:
        item["snapshot"] = str(summary["snapshot_id"])


def _identity(draft: Dict[str, Any]) -> Dict[str, Any]:
    return {key: draft[key] for key in ("app", "kind", "set")}


def _read_back(job: Job, sealed: Dict[str, Any], committed: str) -> None:
    """Raise RepositoryError unless the repository now lists the receipt and every data snapshot of the set."""
    parent = [{"set": sealed["parent"], "part": restic.RECEIPT_PART}] if sealed["parent"] else []
    argv = restic.snapshots_argv(job.access, sealed["host"], {"set": sealed["set"]}, *parent)
    listed = json.loads(job.require_restic(argv, lambda: 0))
    found = {snapshot["id"] for snapshot in listed}
    wanted = {committed, *(item["snapshot"] for item in sealed["artifacts"])}
    sets = {item["set"]: item["snapshot"] for item in restic.committed_sets(listed)}
    if wanted - found or sets.get(sealed["set"]) != committed:
        raise RepositoryError(
            f"the repository does not list what was just stored for set {sealed['set']}",
            "the set does not count; run again",
        )
    if parent and sealed["parent"] not in sets:
        newest.forget(sealed["host"], sealed["app"])
        raise RepositoryError(
            f"set {sealed['set']} continues set {sealed['parent']}, which the repository no longer has",
            "run again: the next backup looks into the repository and is a full one when it has to be",
        )
    newest.note(job.access.url_file, sealed)


def salvage(job: Job) -> List[str]:
    """Commit what earlier runs captured and could not upload; return the ids of those sets.

    A complete capture is always worth its upload when it consumed something at the source; every other leftover (capture
    never completed, or the source still has it all) is swept.
    """
    saved = []
    root = layout.staging(job.specification["source"], job.specification["app"])
    leftovers = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    for folder in leftovers:
        draft = read_json(folder / CAPTURED)
        if draft is None or not newest.consumed(draft):
            swap.remove_tree(folder)
            continue
        if _committed(job, draft):
            # It died between commit and note: what it holds must not be taken again, or for missing.
            newest.store(draft["host"], draft["app"], newest.fetch(job.access, draft["host"], draft["app"]))
        else:
            job.begin_step(f"salvage {draft['set']}")
            job.folder.event(f"salvage {draft['set']}")
            _verify_staged(draft)
            upload_and_commit(job, dict(draft, salvaged=True))
            saved.append(str(draft["set"]))
        swap.remove_tree(folder)
    return saved


def _committed(job: Job, draft: Dict[str, Any]) -> bool:
    """Return whether the repository already has the receipt of ``draft``: then only its staging was left behind."""
    argv = restic.snapshots_argv(job.access, draft["host"], {"set": draft["set"]})
    listed = json.loads(job.require_restic(argv, lambda: 0))
    return any(item["set"] == draft["set"] for item in restic.committed_sets(listed))


def _verify_staged(draft: Dict[str, Any]) -> None:
    """Raise CaptureFailed unless every staged file still is what was captured (its hash was taken in flight)."""
    for item in draft["artifacts"]:
        hasher = hashlib.sha256()
        if not Path(item["path"]).is_file():
            raise CaptureFailed(
                f"{item['path']} of the interrupted set {draft['set']} is missing", "look for it, or remove its folder"
            )
        with Path(item["path"]).open("rb") as stream:
            for block in iter(lambda: stream.read(1 << 20), b""):
                hasher.update(block)
        if hasher.hexdigest() != item["sha256"]:
            raise CaptureFailed(
                f"{item['path']} of the interrupted set {draft['set']} was changed since its capture",
                "it was left in place; move it away to give it up",
            )


def _staged(job: Job, name: str) -> Path:
    return layout.staging(job.specification["source"], job.specification["app"]) / name


def summary_for_people(sealed: Dict[str, Any], job: Job) -> Dict[str, Any]:
    """Return what a result says of a receipt: small, whatever the set holds."""
    return {
        "kind": sealed["kind"],
        "consistent_at": sealed["consistent_at"],
        "position": sealed["position"],
        "bytes": sum(item["bytes"] for item in sealed["artifacts"]),
        "data_added": job.seen.get("data_added", 0),
        "artifacts": [{key: item[key] for key in ("name", "bytes", "sha256")} for item in sealed["artifacts"]][:10],
        "outage_seconds": sealed["outage_seconds"],
        "transport": sealed["transport"],
        "checks": sealed["checks"],
    }
