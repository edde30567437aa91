# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders of any application, saved while it is stopped for a moment. The example to copy for a new app: docs/systems/files.md.

``options``: folders, exclude, service, control, allow_empty; for a restore also restore_to and source (the facts of the set).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, List, Tuple

from .. import layout
from ..checks import Check, new_check, side_check, space_check
from ..errors import BackstayError, CommandFailed, IntegrityError, Refused
from ..files import free_bytes, human
from ..folders import filesystem
from ..folders.walk import measure, selection
from ..pinned import opened
from ..process import last_line, run, spell_status
from ..yard import is_yard, yard

if TYPE_CHECKING:
    from ..worker.job import Job

__all__ = ["CALLS", "KINDS", "consumes", "preflight", "seal"]

Options = Dict[str, Any]

KINDS = ("full",)
_CLONING = ("btrfs", "xfs")  # a picture needs no room there, as a rule; ``copy_ahead`` finds out for certain


def preflight(options: Options, action: str) -> Dict[str, Any]:
    """Return checks and facts: ``folders`` ``{folder, real, artifact, yard, bytes}`` and ``services``."""
    if action == "backup":
        checks, folders = _inspect_sources(options)
    else:
        checks, folders = _inspect_targets(options, action)
    services = _services(options)
    checks += [_service_check(entry) for entry in services if action != "verify"]
    replaces = [item["real"] for item in folders]
    return {"checks": checks, "facts": {"folders": folders, "services": services, "replaces": replaces}}


def seal(job: Job) -> Dict[str, Any]:
    """Return what the receipt says: the moment of the pictures, and how each was made."""
    from ..worker.picture import sealed

    done = sealed(job)
    return {
        "position": done.position,
        "consistent_at": done.consistent_at,
        "checks": done.checks,
        "tools": {"archive": "pax"},
        "facts": {"folders": done.folders},
    }


def consumes(_kind: str) -> bool:
    """Return False: a picture takes nothing away."""
    return False


def check(job: Job, arguments: Dict[str, Any]) -> None:
    """Prove the restored application: its folders are there, and its own check (``argv``, if any) succeeds.

    ``arguments``: folders, argv, timeout (s). Raise IntegrityError with what is wrong.
    """
    for folder in arguments["folders"]:
        if not Path(folder).is_dir():
            raise IntegrityError(f"{folder} is not there after the restore", "look at the host's journal")
    job.seen["checks"].append({"name": "folders", "status": "ok", "detail": ", ".join(arguments["folders"])})
    argv = arguments.get("argv")
    if argv:
        done = run(argv, float(arguments.get("timeout", 3600)))
        if done.status != 0:
            said = last_line(done.stderr or done.stdout)
            raise IntegrityError(f"the application's own check {argv[0]} {spell_status(done.status)}: {said}")
        job.seen["checks"].append({"name": "application", "status": "ok", "detail": last_line(done.stdout)})


CALLS: Dict[str, Callable[[Job, Dict[str, Any]], Any]] = {"check": check}


# What preflight looks at


def artifact_names(folders: Iterable[str]) -> List[str]:
    """Return a name for the artifact of every folder, in order: its path in words, numbered where two would be equal."""
    names: List[str] = []
    for folder in folders:
        words = re.sub(r"[^a-z0-9]+", "-", folder.lower()).strip("-")
        name = base = words if words[:1].isalpha() else f"folder-{words}".rstrip("-")
        number = 2
        while name in names:
            name, number = f"{base}-{number}", number + 1
        names.append(name)
    return names


def overlaps(paths: List[str]) -> List[str]:
    """Return a sentence for every two of ``paths`` of which one holds the other."""
    found = []
    for index, one in enumerate(paths):
        for other in paths[index + 1 :]:
            inside_one, inside_other = os.path.join(one, ""), os.path.join(other, "")
            if inside_one.startswith(inside_other) or inside_other.startswith(inside_one):
                found.append(f"{one} and {other} overlap")
    return found


def _inspect_sources(options: Options) -> Tuple[List[Check], List[Dict[str, Any]]]:
    wanted = list(options.get("folders") or [])
    if not wanted:
        return [new_check("folders", "failed", "none is named", "set app_files_folders")], []
    folders = [_described(folder, name) for folder, name in zip(wanted, artifact_names(wanted))]
    checks = _place_checks(folders)
    misplaced = {item["name"] for item in checks}
    for item in folders:
        if _name(item) not in misplaced:
            checks += _content_checks(item, options)
    return checks, folders


def _described(folder: str, artifact: str) -> Dict[str, Any]:
    # A link may lead to another filesystem, and renames stay on one. POSIX lets "//" stand, Linux knows no such root.
    real = os.path.realpath(re.sub("^//+", "/", folder))
    return {"folder": folder, "real": real, "artifact": artifact, "yard": str(yard(Path(real))), "bytes": 0}


def _name(item: Dict[str, Any]) -> str:
    """Return the name of the check of one folder."""
    return f"folder {item['folder']}"


def _place_checks(folders: List[Dict[str, Any]]) -> List[Check]:
    """Return the checks that need no look into the folders."""
    together = overlaps([item["real"] for item in folders])
    checks = [new_check("overlap", "failed", text, "name the outer folder only") for text in together]
    own = os.path.realpath(str(layout.ROOT))
    for item in folders:
        if not item["folder"].startswith("/"):
            checks.append(new_check(_name(item), "failed", "not an absolute path", "write it from the root"))
        elif overlaps([item["real"], own]) or any(is_yard(path) for path in [Path(item["real"]), *Path(item["real"]).parents]):
            detail = f"{item['real']} holds or is Backstay's own place {own}"
            checks.append(new_check(_name(item), "failed", detail, "name the folders of the application only"))
        else:
            checks += _link_checks(item)
    return checks


def _link_checks(item: Dict[str, Any]) -> List[Check]:
    """Return a failed check when the folder lies behind a link that its application could let lead to anything of root's."""
    try:
        with opened(Path(item["folder"])):
            return []
    except Refused as error:
        return [new_check(_name(item), "failed", error.message, error.hint)]
    except OSError:
        return []  # that it is not there is found by others


def _content_checks(item: Dict[str, Any], options: Options) -> List[Check]:
    """Return the checks of one folder that is to be saved, and note its size in ``item``."""
    name, real = _name(item), Path(item["real"])
    if not real.is_dir():
        return [new_check(name, "failed", f"{item['folder']} is not a folder on this host", "is its disk mounted?")]
    try:
        size = measure(real, selection(real, options.get("exclude") or []))
    except BackstayError as error:
        return [new_check(name, "failed", error.message, error.hint)]
    except OSError as error:
        return [new_check(name, "failed", f"cannot read {error.filename!r}: {error.strerror}", "mend it, or exclude it")]
    item["bytes"] = size.archive
    if size.entries == 0 and not options.get("allow_empty"):
        hint = "is its disk mounted? If it may be empty: app_files_allow_empty"
        return [new_check(name, "failed", f"{item['folder']} is empty", hint)]
    free = free_bytes(real)
    if filesystem.kind(real) not in _CLONING and free < size.occupied:
        detail = f"a copy of {item['folder']} needs {human(size.occupied)} beside it, {human(free)} are free"
        return [new_check(name, "failed", detail, "make room, or keep the folder on btrfs or XFS")]
    return [new_check(name, "ok", f"{size.entries} entries, {human(size.archive)}")]


def _inspect_targets(options: Options, action: str) -> Tuple[List[Check], List[Dict[str, Any]]]:
    saved = (options.get("source") or {}).get("folders") or []
    folders = [dict(_described(item["folder"], item["artifact"]), bytes=item.get("bytes", 0)) for item in saved]
    checks = [_tar_check()]
    if not folders:
        checks.append(new_check("set", "failed", "the set names no folders", "restore a set of the app files"))
    if action == "verify":
        return checks, folders
    side = options.get("restore_to")
    if side:
        live = [*(item["real"] for item in folders), *(options.get("folders") or [])]
        room = space_check("space", side, sum(item["bytes"] for item in folders), free_bytes(Path(side)), "make room")
        return [*checks, side_check(side, live), room], folders
    checks += _place_checks(folders)
    checks += [_target_check(item) for item in folders]
    return checks, folders


def _target_check(item: Dict[str, Any]) -> Check:
    """Return the check of the place of one folder; the whole folder may be lost."""
    name, real = _name(item), Path(item["real"])
    if not real.parent.is_dir() or (real.exists() and not real.is_dir()):
        return new_check(name, "failed", f"there is no place for {item['folder']} on this host", "make its parent folder")
    hint = "make room, or restore elsewhere with backstay_restore_to"
    return space_check(name, real.parent, item["bytes"], free_bytes(real), hint)


def _tar_check() -> Check:
    try:
        done = run(["tar", "--version"], 30)
    except BackstayError as error:
        return new_check("tar", "failed", error.message, "install GNU tar")
    if "GNU tar" not in done.stdout:
        return new_check("tar", "failed", "this host's tar is not GNU tar", "install GNU tar")
    return new_check("tar", "ok", done.stdout.splitlines()[0])


def _services(options: Options) -> List[Dict[str, Any]]:
    if not options.get("service"):
        return []
    return [{"service": options["service"], **({"control": options["control"]} if options.get("control") else {})}]


def _service_check(entry: Dict[str, Any]) -> Check:
    from ..worker import services

    try:
        running = services.is_active(entry["service"], control=entry.get("control"))
    except CommandFailed as error:
        return new_check("service", "failed", error.message, error.hint)
    if not running:
        return new_check("service", "warning", f"{entry['service']} does not run; a backup leaves it down")
    return new_check("service", "ok", f"{entry['service']} runs")
