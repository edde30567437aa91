# SPDX-License-Identifier: GPL-3.0-or-later
"""What the control node may ask a worker: one function a command, a JSON object in, a JSON object out."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from .. import layout, receipt, restic
from ..apps import load_app
from ..chain import confirm, is_log, landable
from ..chain import plan as choose
from ..errors import BackstayError, BadInput, Busy, IntegrityError, PreflightFailed, Refused, RepositoryError
from ..executors import open_executor
from ..files import private_directory, read_json, write_json
from ..job import replaces_live_data, validate_job
from ..moment import now, parse_moment
from ..overview import overview
from ..process import run
from . import launch, release, standby, swap
from .folder import JobFolder, about, jobs_of, prune_collected, start_lock, write_secrets
from .job import open_access
from .preflight import inspect, reach

Request = Dict[str, Any]
_PLANNING = ("set", "kind", "parent", "consistent_at", "stream", "first", "last")
_ASK_SECONDS = 1800  # a big repository whose index is in no cache yet takes its time


def preflight(request: Request) -> Dict[str, Any]:
    """Look at host, repository and application; change nothing. Adds the folders that steps may use."""
    seen = inspect(request)
    failed = [item for item in seen["checks"] if item["status"] == "failed"]
    if failed:
        sentences = [f"{item['name']}: {item['detail']}{' - ' + item['hint'] if item['hint'] else ''}" for item in failed]
        raise PreflightFailed(f"{len(failed)} of {len(seen['checks'])} checks failed: " + "; ".join(sentences))
    if request["action"] == "restore" and not seen["facts"].get("replaces"):
        raise BadInput(f"{request['app']} does not say what its restore replaces", "facts.replaces, see docs/contract.md")
    kind = seen["facts"].get("kind", request["kind"])
    consumes = request["action"] == "backup" and load_app(request["app"]).consumes(kind)
    executor = open_executor(request.get("executor"), request["host"], request["app"])
    work = executor.work(layout.work(request["host"], request["app"]))  # as the protected host names it
    return dict(seen, work=str(work), kind=kind, consumes=consumes)


def start(request: Request) -> Dict[str, Any]:
    """Start the job ``specification``, or attach to it when it already runs. Return ``{state, folder, uncollected}``."""
    specification = request["specification"]
    validate_job(specification)
    with start_lock(specification["run"]):
        return _start(request, specification)


def _start(request: Request, specification: Dict[str, Any]) -> Dict[str, Any]:
    folder = JobFolder(layout.job(specification["run"]))
    if (folder.path / "spec.json").exists():
        _require_same(folder, specification)
        return {"state": "attached", "folder": str(folder.path), "uncollected": []}
    mine = jobs_of(specification["host"], specification["app"])
    for other in mine:
        if launch.living(other.path.name):
            raise Busy(
                f"run {other.path.name} is still at work for {specification['app']} on {specification['host']}",
                f"wait for it, or attach to it with -e backstay_run={other.path.name}",
            )
    problems: Dict[str, str] = {}
    release.release_abandoned(problems)
    _require_released(mine, problems)
    if specification["action"] == "backup" or replaces_live_data(specification):
        _require_whole_data(mine, specification)
    release.prune_plans()
    uncollected = [found for found in (f.result() for f in mine if not (f.path / "collected").exists()) if found]
    standby.hold_stops(specification)
    folder = JobFolder.create(specification, request.get("secrets") or {})
    try:
        unit = launch.launch(folder)
    except BackstayError:
        release.release(folder)
        raise
    return {"state": "started", "unit": unit, "folder": str(folder.path), "uncollected": uncollected}


def _require_released(mine: List[JobFolder], problems: Dict[str, str]) -> None:
    """Raise Refused when a former job of this host and app could not be released; those of others are none of its business."""
    for folder in mine:
        if folder.path.name in problems:
            raise Refused(
                f"run {folder.path.name} could not be released: {problems[folder.path.name]}",
                "mend that first; it is tried again at every start of a job",
            )


def _require_whole_data(mine: List[JobFolder], specification: Dict[str, Any]) -> None:
    """Raise Refused where a failed restore left data exchanged, perhaps by half.

    A backup of it would be the newest set; another restore over it would mix both with what put-back brings. No other restore
    settles it: one in place is not begun meanwhile, one beside the live data says nothing about them.
    """
    failed = [folder for folder in mine if (folder.result() or {}).get("status") != "ok"]
    for unsettled in [folder for folder in failed if any(map(swap.lies_aside, swap.exchanged(folder.path)))]:
        worker = about(unsettled.specification()).get("worker")
        on = f", on {worker}" if worker else ""
        raise Refused(
            f"a restore of {specification['app']} on {specification['host']} failed in run {unsettled.path.name};"
            " what it exchanged is not proved",
            f"put the former data back first{on}: {release.put_back_command(unsettled)}"
            " (keep-restored instead keeps what came)",
        )


def _require_same(folder: JobFolder, specification: Dict[str, Any]) -> None:
    """Raise unless the run in ``folder`` may be attached to: another job's success must never be taken for this one's."""
    kept = folder.specification()
    for name in ("action", "app", "host", "source"):
        if kept[name] != specification[name]:
            raise BadInput(
                f"run {kept['run']} is the {kept['action']} of {kept['app']} for {kept['host']}, not this one",
                "give every host and app a run id of its own, or none",
            )
    _require_same_work(kept, specification)
    if (folder.path / "collected").exists():
        raise Refused(
            f"run {kept['run']} ended and was collected before", "choose another backstay_run, or none, for a new run"
        )


def _require_same_work(kept: Dict[str, Any], specification: Dict[str, Any]) -> None:
    """Raise BadInput when the run would bring back something else, or elsewhere, or saves less than is asked for."""
    hint = "give it a run id of its own, or none"
    if kept["action"] == "restore" and kept["resource"] != specification["resource"]:
        raise BadInput(f"run {kept['run']} works on {kept['resource']}, not on {specification['resource']}", hint)
    if kept.get("plan") != specification.get("plan"):
        last = (read_json(layout.plan(kept["plan"])) or {}).get("sets", ["?"])[-1]
        hint = f"to attach, ask for what it brings back (it ends with set {last}): the same backstay_moment, or backstay_set"
        raise BadInput(f"run {kept['run']} is the {kept['action']} by another plan", hint)
    if specification.get("kind") == "full" and kept.get("kind") != "full":
        raise BadInput(f"run {kept['run']} is a {kept.get('kind')} backup, not a full one", hint)


def collect(request: Request) -> Dict[str, Any]:
    """Return the result of a job that ended and mark it (and ``acknowledged`` earlier ones) as collected.

    A job whose worker died is released first, so the answer is always an end: ``{done, result}``.
    """
    folder = JobFolder(layout.job(request["run"]))
    if not folder.path.is_dir():
        raise BadInput(f"this host knows no run '{request['run']}'")
    if folder.result() is None:
        release.release(folder)
    result = folder.result()
    if result is None:
        return {"done": False, "result": None}
    for run_id in [request["run"], *request.get("acknowledged", [])]:
        if layout.job(run_id).is_dir():
            (layout.job(run_id) / "collected").touch()
    prune_collected(result["host"], result["app"])
    return {"done": True, "result": dict(result, events=folder.events()[-40:], folder=str(folder.path))}


def sets(request: Request) -> Dict[str, Any]:
    """Return ``{sets, lines}``: every restorable set of a host, oldest first, from one listing; and the same for people."""
    with _access(request) as access:
        listed = _listed(access, request["host"], request.get("app"))
    return {"sets": listed, "lines": overview(listed)}


def plan(request: Request) -> Dict[str, Any]:
    """Choose the sets that reach ``moment`` (``set``, ``position``, the latest), keep the plan here, return its outline.

    Two restic calls whatever the number of sets: the listing, and the receipt of the last data set, which carries its chain.
    Raises what the app has against the plan, so that nothing is stopped, or even brought back, for a restore that must fail.
    """
    moment = parse_moment(request["moment"]) if request.get("moment") else None
    with _access(request) as access:
        listed = _listed(access, request["host"], request["app"])
        chosen = choose(listed, now(), moment, request.get("set") or None, _position(request))
        known = {item["set"]: item for item in listed}
        line = [known[name] for name in chosen["sets"]]
        _require_one_claim(line)
        data = [item for item in line if not is_log(item)]
        receipts = confirm(chosen, _receipt(access, data[-1]), request["host"], request["app"])
    receipts += [landable(item) for item in line if is_log(item)]
    getattr(load_app(request["app"]), "judge", _any_plan)(dict(chosen, receipts=receipts))
    if not request.get("check_mode"):
        private_directory(layout.ROOT / "plans")
        # The summaries tell the nearest moments when a set turns out to be damaged.
        slim = [{key: item[key] for key in _PLANNING if key in item} for item in listed]
        write_json(layout.plan(chosen["hash"]), dict(chosen, receipts=receipts, summaries=slim))
    return dict(
        chosen,
        bytes=_bytes(receipts),
        kinds=[item["kind"] for item in receipts],
        facts=receipts[0]["facts"],
        app=request["app"],
    )


def _require_one_claim(line: List[Dict[str, Any]]) -> None:
    """Raise IntegrityError for a set that different receipts claim: not every client that added one is to be trusted."""
    for item in line:
        if item.get("rivals"):
            claims = " and ".join(snapshot[:8] for snapshot in [item["snapshot"], *item["rivals"]])
            raise IntegrityError(
                f"set {item['set']} is claimed by {1 + len(item['rivals'])} different receipts, snapshots {claims}",
                "the ledger of arrivals on the offsite server says which came first; restore another set, or have the false one"
                " removed from the repository",
            )


def _any_plan(_plan: Dict[str, Any]) -> None:
    """Have nothing against a plan."""


def _position(request: Request) -> Optional[Tuple[str, Callable[[Dict[str, Any]], bool]]]:
    """Return the position to restore to and the app's judgement of it. Raise BadInput for a position that is none."""
    text = request.get("position") or ""
    if not text:
        return None
    covers = getattr(load_app(request["app"]), "covers", None)
    if covers is None:
        raise BadInput(f"{request['app']} cannot be restored to a position", "restore to a moment or a set")
    covers(text, {})
    return text, lambda item: covers(text, item)


def _bytes(receipts: List[Dict[str, Any]]) -> int:
    return sum(artifact["bytes"] for item in receipts for artifact in item["artifacts"])


@contextlib.contextmanager
def _access(request: Request) -> Iterator[restic.Access]:
    """Give access to a repository: the host's own files, or secrets that came with the request, gone afterwards."""
    secrets: Optional[Dict[str, str]] = request.get("secrets")
    if not secrets:
        yield _usable(request, Path(request["directory"]))
        return
    base = "/run" if os.access("/run", os.W_OK) else None
    folder = tempfile.mkdtemp(prefix="backstay-", dir=base)
    try:
        write_secrets(Path(folder), secrets)
        yield _usable(request, Path(folder))
    finally:
        shutil.rmtree(folder)


def _usable(request: Request, directory: Path) -> restic.Access:
    """Return the access in ``directory``, which in check mode leaves no cache. Raise RepositoryError when nothing answers."""
    access = open_access(directory)
    if request.get("check_mode"):
        access = access._replace(cache=None)
    found = reach(access)
    if found["status"] == "failed":
        raise RepositoryError(found["detail"], found["hint"])
    return access


def _listed(access: restic.Access, host: str, app: Optional[str]) -> List[Dict[str, Any]]:
    argv = restic.snapshots_argv(access, host, {"part": restic.RECEIPT_PART})
    done = run(argv, _ASK_SECONDS, extra_environment=access.environment, stdout_limit=restic.LISTING_BYTES)
    if done.status != 0:
        raise restic.error_for(done.status, done.stderr)
    found = restic.committed_sets(json.loads(done.stdout))
    return [item for item in found if app in (None, item["app"])]


def _receipt(access: restic.Access, summary: Dict[str, Any]) -> Dict[str, Any]:
    done = run(
        restic.dump_argv(access, summary["snapshot"], summary["path"]), _ASK_SECONDS, extra_environment=access.environment
    )
    if done.status != 0:
        raise restic.error_for(done.status, done.stderr)
    return receipt.decode(done.stdout.encode(), summary["receipt_sha256"])


COMMANDS: Dict[str, Callable[[Request], Dict[str, Any]]] = {
    "collect": collect,
    "plan": plan,
    "preflight": preflight,
    "sets": sets,
    "standby": standby.answer,
    "start": start,
}
