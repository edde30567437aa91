# SPDX-License-Identifier: GPL-3.0-or-later
"""Preflight of a backup: what the server is, which method it offers, whether its logs go on. Nothing is changed."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any, Dict, List, Tuple

from ...checks import Check, new_check, space_check
from ...errors import BackstayError
from ...files import free_bytes, human, read_plain, tree_bytes
from ...folders.walk import excluded, measure, selection
from ...process import acting_as
from ...yard import yard
from . import console, extents, ini, places, server, tasks
from .capture import live_numbers, log_state
from .logs import shelf_of
from .offline import PID_FILE, processes
from .target import inspect_target

Options = Dict[str, Any]
Facts = Dict[str, Any]
_NATIVE = 12  # the first release with a backup task
_INI_BYTES = 1 << 20


class _Stop(Exception):
    """A check failed without which no other one can be made."""


def preflight(options: Options, action: str) -> Dict[str, Any]:
    """Return checks and facts. The facts of a backup: ``server`` (how to reach it), ``method``, ``style``, ``folders``
    ``{artifact, folder, role, yard, exclude, bytes}``, ``ids``, ``kind``, ``because``, sizes."""
    if action != "backup":
        return inspect_target(options, action)
    checks: List[Check] = []
    facts: Facts = {"services": _services(options), "kind": options["kind"], "because": ""}
    try:
        _inspect(options, checks, facts)
    except _Stop:
        return {"checks": checks, "facts": facts}
    except BackstayError as error:
        return {"checks": [*checks, new_check("server", "failed", error.message, error.hint)], "facts": facts}
    return {"checks": checks, "facts": facts}


def _services(options: Options) -> List[Dict[str, Any]]:
    return [{"service": options["service"], **({"control": options["control"]} if options.get("control") else {})}]


def _inspect(options: Options, checks: List[Check], facts: Facts) -> None:
    given = dict(options["server"])
    settings = _settings(given, checks)
    # One spelling of every place: what a restore puts together is found by it.
    given.update(data=settings.data, ini=os.path.realpath(given["ini"]))
    apart = [folder for folder in (settings.daos, settings.log) if folder]
    host, found = server.server_from(given), places.scan(Path(settings.data), apart, options["leave_out"])
    console.patterns(host.patterns)
    tasks.command("-b", options["exclude"], verbose=False)  # raises for a pattern that cannot be said
    facts.update(_described(given, settings, found), ids=_id_files(settings, options, checks))
    _method(options, host, checks, facts)
    facts["data_bytes"] = sum(max(0, places.regular(Path(file))) for file in found.databases.values())
    facts["log_bytes"] = _log_checks(options, host, settings, checks, facts)
    full = facts["kind"] == "full"
    _require_folders(options, settings, facts, checks)
    facts["folders"] = _folders(options, settings, found, facts) if full else []
    if facts["method"] == "native":
        _target(host, checks, facts)
    facts["places"] = _places(facts) if full else {}


def _described(given: Dict[str, Any], settings: ini.Settings, found: places.Found) -> Facts:
    """Return what is known of the server before anything is asked of it."""
    return {
        "server": given,
        "data": settings.data,
        "ini": given["ini"],
        "keys": settings.keys,
        "account": given["account"],
        "owner": list(_owner(given["account"])),
        "style": settings.style,
        "log": settings.log,
        "daos": settings.daos,
        "apart": [*(folder for folder in (settings.daos, settings.log) if folder), *found.left],
        "links": found.links,
        "link_files": found.link_files,
        "linked_folders": found.folders,
        "databases": len(found.databases),
        "target": "",
    }


def _fail(checks: List[Check], name: str, detail: str, hint: str) -> None:
    checks.append(new_check(name, "failed", detail, hint))
    raise _Stop


def _settings(given: Dict[str, Any], checks: List[Check]) -> ini.Settings:
    """Return what NOTES.INI says, and note its place and the data directory's."""
    path = Path(given["ini"])
    if not path.is_file():
        _fail(checks, "NOTES.INI", f"there is no {path}", "set app_domino_data or app_domino_ini")
    found = ini.settings(read_plain(Path(os.path.realpath(str(path))), _INI_BYTES))
    settings = found._replace(
        data=os.path.realpath(found.data) if found.data else "",
        log=os.path.realpath(found.log) if found.log else "",
        daos=os.path.realpath(found.daos) if found.daos else "",
        keys={key: os.path.realpath(file) for key, file in found.keys.items()},
    )
    if settings.data != os.path.realpath(given["data"]):
        detail = f"{path} names the data directory {settings.data or '(none)'}, app_domino_data is {given['data']}"
        _fail(checks, "NOTES.INI", detail, "set app_domino_data and app_domino_ini to those of one server")
    if not Path(settings.data).is_dir():
        _fail(checks, "data directory", f"{settings.data} is not there", "is its disk mounted?")
    where = "" if places.below(str(path), settings.data) else ", outside of the data directory"
    checks.append(new_check("NOTES.INI", "ok", f"{path}{where}"))
    logging = {"none": "off", "archive": "archive style", "circular": "not of archive style"}[settings.style]
    where = f", in {settings.log}" if settings.style != "none" else ""
    checks.append(new_check("transaction logging", "ok", logging + where))
    return settings


def _owner(account: str) -> Tuple[int, int]:
    try:
        entry = pwd.getpwnam(account)
    except KeyError:
        raise BackstayError(f"this host has no account '{account}'", "set app_domino_account") from None
    return entry.pw_uid, entry.pw_gid


def _id_files(settings: ini.Settings, options: Options, checks: List[Check]) -> List[str]:
    """Return the ID files: those that NOTES.INI names, those at the top of the data directory, those of the operator."""
    top = sorted(os.path.realpath(str(path)) for path in Path(settings.data).glob("*.[iI][dD]") if path.is_file())
    files = list(dict.fromkeys([*settings.keys.values(), *top, *map(os.path.realpath, options["id_files"])]))
    missing = [file for file in files if not Path(file).is_file()]
    if missing:
        hint = "without it server-encrypted databases and attachments of a restore are unreadable; check NOTES.INI"
        _fail(checks, "ID files", f"{missing[0]} is not there", hint)
    checks.append(new_check("ID files", "ok", ", ".join(files) or "none is named"))
    return files


# Method


def _method(options: Options, host: server.Server, checks: List[Check], facts: Facts) -> None:
    """Decide between the server's own backup task and a copy of the stopped server."""
    up, wanted, kind = server.runs(host), options["method"], facts["kind"]
    facts["running"] = up
    if up and server.console_file(host) is None and wanted != "offline":
        hint = "set app_domino_console (Console_Log_Enabled=1 in NOTES.INI makes console.log)"
        _fail(checks, "console", "there is no file with the console's words", hint)
    said = server.answer(host, "show server", host.words["release"], 20) if up and server.console_file(host) else ""
    facts["release"] = console.release_of(said, host.words)
    lacking = _lacks(facts, up)
    if up and not facts["release"] and wanted == "auto":  # a server is not stopped because it was slow to answer
        _fail(checks, "method", lacking[0], f"{lacking[1]}, or set app_domino_method")
    if kind == "log" and (lacking or wanted == "offline"):
        because = lacking[0] if lacking else "app_domino_method is offline"
        _fail(checks, "method", f"a log backup needs the running server's own backup task: {because}", _hint_of(lacking))
    if wanted == "native" and lacking:
        _fail(checks, "method", lacking[0], lacking[1])
    facts["method"] = "native" if wanted != "offline" and not lacking else "offline"
    if facts["method"] == "native":
        checks.append(new_check("method", "ok", f"the backup task of release {facts['release']}"))
        return
    because = f"; {lacking[0]}" if lacking and wanted == "auto" else ""
    checks.append(new_check("method", "ok", f"a copy of the stopped server{because}"))
    if not up:
        _require_clean(host, checks)


def _hint_of(lacking: Tuple[str, ...]) -> str:
    return lacking[1] if lacking else "set app_domino_method: auto"


def _lacks(facts: Facts, up: bool) -> Tuple[str, ...]:
    """Return what keeps the server from backing itself up, and what to do about it; empty when nothing does."""
    if not up:
        return "the server does not run", "start it, or set app_domino_method: offline"
    release = facts["release"].split(".")[0]
    if not release:
        return "the console does not say which release this is", "check app_domino_console and the pattern release"
    if int(release) < _NATIVE:
        detail = f"release {facts['release']} has no backup task, release {_NATIVE} and later have"
        return detail, "set app_domino_method: offline"
    if facts["style"] == "none":
        return "transaction logging is off, and the backup task needs it", "set app_domino_method: offline, or enable logging"
    return ()


def _require_clean(host: server.Server, checks: List[Check]) -> None:
    left = processes(host.account)
    if left:
        _fail(checks, "server", f"{left[0]} runs, and the server says that it does not", "look at its console")
    if os.path.lexists(os.path.join(host.data, PID_FILE)):
        detail = f"it does not run, and {PID_FILE} says that it was killed or crashed: its data is no clean source"
        _fail(checks, "server", detail, "start it, let it recover, then run again")
    checks.append(new_check("server", "warning", "does not run; a backup leaves it down"))


# Logs


def _log_checks(options: Options, host: server.Server, settings: ini.Settings, checks: List[Check], facts: Facts) -> int:
    """Return the bytes in the log directory; decide whether a log backup is possible, and warn of a log about to fill."""
    if settings.style == "none":
        if facts["kind"] == "log":
            _fail(checks, "log backup", "transaction logging is off", "enable it with archive style, or back up fully only")
        return 0
    live = live_numbers(host, settings.log)
    if not live and facts["method"] == "native":
        _fail(checks, "log directory", f"{settings.log} holds no extents", "TRANSLOG_Path of NOTES.INI names it")
    if facts["kind"] == "log":
        _decide(options, host, settings, checks, facts)
    if settings.style == "archive":
        checks.append(fill_check(settings, len(live), _filesystem(settings.log), options["log_warning"]))
        # A warning of preflight is read by nobody when the run succeeds; the result says it again.
        facts["log_space"] = checks[-1]["detail"] if checks[-1]["status"] == "warning" else ""
    return tree_bytes(Path(settings.log))


def _decide(options: Options, host: server.Server, settings: ini.Settings, checks: List[Check], facts: Facts) -> None:
    """Refuse a log backup that can never be, make a full one of one that cannot continue the newest set."""
    if settings.style != "archive":
        detail = "transaction logging is not of archive style, so extents are used again without being backed up"
        _fail(checks, "log backup", detail, "set archive style in the Server document, or back up fully only")
    if not host.documents:
        detail = "nothing tells which extents of which log were saved"
        _fail(checks, "log backup", detail, "set app_domino_documents to a command that prints the inventory")
    state = log_state(host, settings.log, shelf_of(server.entries(host)))
    found, reason = extents.link(options.get("newest"), state)
    if found is not None:
        facts["parent"] = found.parent
        checks.append(new_check("chain", "ok", f"continues set {found.parent} at {extents.name_of(found.extent)}"))
        return
    if not options["full_when_broken"]:
        _fail(checks, "chain", reason, "run a full backup, or set app_domino_full_when_broken")
    facts.update(kind="full", because=reason)
    checks.append(new_check("chain", "warning", f"{reason}; a full backup is made instead"))


def _filesystem(folder: str) -> Tuple[int, int]:
    """Return the bytes of the filesystem of a folder, and how many of them are free."""
    status = os.statvfs(folder) if Path(folder).is_dir() else None
    return (status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize) if status else (0, 0)


def fill_check(settings: ini.Settings, count: int, disk: Tuple[int, int], limit: Any) -> Check:
    """Return the check that the log will not be full soon: with archive style the server ends with a PANIC then.

    ``count``: extents in the log directory; ``disk``: bytes of its filesystem, bytes free. Each extent counts 64 MB.
    """
    hint = "run log backups more often; never remove extents by hand"
    most = settings.max_size // extents.EXTENT_MEGABYTES
    if most and count * 100 >= most * float(limit):
        detail = f"{count} of {most} extents (TRANSLOG_MaxSize) are in use"
        return new_check("log space", "warning", f"{detail}; the server ends with a PANIC when the log is full", hint)
    if disk[0] and (disk[0] - disk[1]) * 100 >= disk[0] * float(limit):
        detail = f"{human(disk[1])} of {human(disk[0])} are free in the filesystem of {settings.log}"
        return new_check("log space", "warning", f"{detail}; the server ends with a PANIC when it is full", hint)
    bound = f"{count} of {most} extents" if most else f"{count} extents, TRANSLOG_MaxSize does not bound them"
    return new_check("log space", "ok", bound)


# What is saved


def _require_folders(options: Options, settings: ini.Settings, facts: Facts, checks: List[Check]) -> None:
    """Demand that the folders of attachments and logs are there, and in the set: without them a set would be a part of one."""
    wanted = [("DAOS folder", settings.daos, "DAOSBasePath")]
    wanted += [("log directory", settings.log, "TRANSLOG_Path")] if settings.style != "none" else []
    for name, folder, key in filter(lambda item: item[1], wanted):
        if not Path(folder).is_dir():
            _fail(checks, name, f"{folder} is not there", f"is its disk mounted? {key} of NOTES.INI names it")
        if not places.below(folder, settings.data):
            continue
        if os.path.ismount(folder):
            detail = f"{folder} is a filesystem of its own inside of the data directory, which no restore could exchange"
            _fail(checks, name, detail, f"mount it elsewhere, and name that place in {key}")
        inside = os.fsencode(os.path.relpath(folder, settings.data))
        patterns = [os.fsencode(pattern) for pattern in options["leave_out"]]
        needed = name == "DAOS folder" or facts["method"] == "offline"
        if needed and any(excluded(path, patterns) for path in _and_above(inside)):
            _fail(checks, name, f"app_domino_leave_out leaves {folder} out, and no set is whole without it", "leave it in")


def _and_above(path: bytes) -> List[bytes]:
    names = path.split(b"/")
    return [b"/".join(names[:count]) for count in range(1, len(names) + 1)]


def _folders(options: Options, settings: ini.Settings, found: places.Found, facts: Facts) -> List[Dict[str, Any]]:
    """Return the folders of a full backup. DAOS comes last: every reference in a database copy then resolves.

    While the server runs, its databases and extents are left out; the backup task saves them.
    """
    native = facts["method"] == "native"
    live = places.LIVE if native else []
    linked = places.outermost(found.folders.values())
    outside = [folder for folder in linked if not places.below(folder, settings.data)]
    wanted = [("data", "data", settings.data, [*live, *options["leave_out"]])]
    names = [pattern for pattern in options["leave_out"] if "/" not in pattern]
    wanted += [(f"linked-{number}", "linked", folder, [*live, *names]) for number, folder in enumerate(outside, 1)]
    inside = [settings.data, *outside]
    if not native:
        wanted += _alone(found, inside)
        if settings.log and Path(settings.log).is_dir():
            wanted.append(("log", "log", settings.log, []))
    if settings.daos and Path(settings.daos).is_dir():
        wanted.append(("daos", "daos", settings.daos, []))
    roots = [folder for _artifact, _role, folder, _exclude in wanted]
    kept = [item for item in wanted if not any(places.below(item[2], other) and item[2] != other for other in roots)]
    return [_folder(*item) for item in kept]


def _alone(found: places.Found, inside: List[str]) -> List[Tuple[str, str, str, List[str]]]:
    """Return the folders of linked databases that lie in no folder that is saved; all else in them is left out."""
    files = [file for file in found.links.values() if not any(places.below(file, folder) for folder in inside)]
    result = []
    for number, folder in enumerate(dict.fromkeys(str(Path(file).parent) for file in files), 1):
        own = {Path(file).name for file in files if str(Path(file).parent) == folder}
        others = [_literal(name) for name in sorted(os.listdir(folder)) if name not in own]
        result.append((f"links-{number}", "links", folder, others))
    return result


def _literal(name: str) -> str:
    """Return the shell pattern that stands for ``name`` only."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _folder(artifact: str, role: str, folder: str, exclude: List[str]) -> Dict[str, Any]:
    real = Path(os.path.realpath(folder))
    size = measure(real, selection(real, exclude))
    return {
        "artifact": artifact,
        "role": role,
        "folder": str(real),
        "yard": str(yard(real)),
        "exclude": exclude,
        "bytes": size.archive,
    }


def _places(facts: Facts) -> Dict[str, List[int]]:
    """Return owner, group and mode of the folders that a restore needs and no archive brings: of the log directory, the backup
    target, and those in which single files lie."""
    kept = [item["folder"] for item in facts["folders"] if item["role"] != "links"]
    single = [*facts["links"].values(), facts["ini"], *facts["ids"]]
    wanted = [facts["log"], facts["target"], *(str(Path(file).parent) for file in single)]
    inside = [folder for folder in wanted if any(places.below(folder, other) for other in kept)]
    return places.described(folder for folder in wanted if folder not in inside)


def _target(host: server.Server, checks: List[Check], facts: Facts) -> None:
    """Report where the server's own configuration has its backups go, and whether they fit there."""
    listed = server.entries(host)
    roots = [str(Path(entry.file).parent) for entry in listed[-1:]]
    named = host.named
    if host.documents and Path(host.data, "dominobackup.nsf").exists():
        told = [str(item.get(named["target"], "")) for item in server.documents(host, named["configuration"])]
        roots = [item for item in told[-1:] if item.startswith("/")] or roots
    if not roots:
        checks.append(new_check("backup target", "warning", "not known before the first backup of the server", ""))
        return
    place = Path(roots[0])
    facts["target"] = str(place)
    with acting_as(host.account):
        free = free_bytes(place)
    needed = (facts["data_bytes"] if facts["kind"] == "full" else 0) + facts["log_bytes"]
    hint = "let the server's own retention prune it (load backup -p), or make room"
    checks.append(space_check("backup target", place, needed * 1.05, free, hint))
