# SPDX-License-Identifier: GPL-3.0-or-later
"""Landing: bring artifacts of planned sets back, hashing on the way, through the tool that unpacks them."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import subprocess
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

from .. import layout, pinned, restic
from ..chain import around, plan_hash
from ..errors import CommandFailed, IntegrityError, NoSpace, RepositoryError
from ..executors import Executor
from ..files import free_bytes, human, read_json
from ..folders.archive import UNPACK
from ..folders.metadata import drop_default_list
from ..process import last_line, spawn, spell_status
from .flow import pipe
from .job import Job

_FULL_BYTES = 4 << 20  # a write that did not fit may have been as large as this


def planned(specification: Dict[str, Any]) -> Dict[str, Any]:
    """Return the plan that the job follows. Raise IntegrityError when it is not the one that was shown."""
    kept = read_json(layout.plan(specification["plan"]))
    if kept is None or plan_hash(kept) != specification["plan"]:
        raise IntegrityError("the plan on this host is not the one that was shown", "plan again")
    return dict(kept)


def land(job: Job, arguments: Dict[str, Any]) -> None:
    """Land the artifact of every planned set of the given kinds, oldest first.

    ``into`` may hold ``{set}``, ``unpack`` may hold ``{into}``: the folder made for the artifact, in which the tool runs.
    Without ``unpack`` it is the one for archives of folders. Raise IntegrityError when bytes or hash differ from the receipt;
    what landed then is removed.
    """
    plan = planned(job.specification)
    wanted = [item for item in plan["receipts"] if item["kind"] in arguments["kinds"]]
    artifacts = [(item, _artifact(item, arguments["artifact"])) for item in wanted]
    total = sum(artifact["bytes"] for _item, artifact in artifacts)
    require_space(Path(arguments["into"].replace("{set}", "")), total)
    for item, artifact in artifacts:
        # Never by its name: whoever owns the directory above could have root unpack elsewhere.
        unpack = [word.replace("{into}", ".") for word in arguments.get("unpack", UNPACK)]
        with made_landing(job, arguments, item, artifact["bytes"]) as into, told_of(plan, item):
            _land_one(job, artifact, into, unpack, arguments.get("account"))
        job.seen.setdefault("landed", []).append(item["set"])


@contextlib.contextmanager
def told_of(plan: Dict[str, Any], item: Dict[str, Any]) -> Iterator[None]:
    """Make an error of what came back name the set ``item`` and the moments that can be had without it."""
    try:
        yield
    except (IntegrityError, RepositoryError) as error:
        error.message = f"set {item['set']}: {error.message}"
        again = "" if isinstance(error, IntegrityError) else "run again; "
        error.hint = f"{again}without this set, {around(plan['summaries'], item['set'])}; nothing was changed"
        raise


def _artifact(item: Dict[str, Any], name: str) -> Dict[str, Any]:
    for artifact in item["artifacts"]:
        if artifact["name"] == name:
            return dict(artifact)
    raise IntegrityError(f"set {item['set']} has no artifact '{name}'")


def _land_one(job: Job, artifact: Dict[str, Any], into: Path, unpack: List[str], account: Optional[str]) -> None:
    """Stream one artifact out of the repository into ``unpack``; every end of the pipe has to succeed.

    The tool runs as ``account``: what comes back was written by another host and may try to leave ``into``.
    """
    argv = restic.dump_argv(job.access, artifact["snapshot"], artifact["path"])
    source = spawn(argv, job.access.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    sink = spawn(
        unpack, account=account, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=str(into)
    )
    flow, said, complaint = pipe(job, source, sink)
    if source.returncode != 0 and not flow.reader_gone:
        raise restic.error_for(source.returncode, said)
    if sink.returncode != 0 and free_bytes(into) < _FULL_BYTES:  # tools do not say so: "my_write() failed"
        raise NoSpace(f"the filesystem of {into.resolve()} ran full while {unpack[0]} wrote to it", "make room, then run again")
    if sink.returncode != 0:
        raise CommandFailed(f"{unpack[0]} {spell_status(sink.returncode)}: {last_line(complaint)}")
    if flow.count() != artifact["bytes"] or flow.sha256() != artifact["sha256"]:
        raise IntegrityError(
            f"{flow.count()} bytes with SHA-256 {flow.sha256()} came back, the receipt promises {artifact['bytes']}"
            f" with {artifact['sha256']}",
            "this set is damaged; restore another one",
        )


@contextlib.contextmanager
def made_landing(job: Job, arguments: Dict[str, Any], item: Dict[str, Any], total: int) -> Iterator[Path]:
    """Begin the landing of set ``item`` with ``total`` bytes: give the path of the new, empty folder for it.

    On this host the path is good for this process, and whatever becomes of the names above.
    """
    into = Path(arguments["into"].replace("{set}", item["set"]))
    account = arguments.get("account")
    if os.path.normpath(str(into)) != str(into):
        raise IntegrityError(f"set {item['set']!r} would land in {into}", "this repository is not to be trusted")
    job.begin_step(f"land {item['kind']} set {item['set']}", total)
    linked = not job.executor.remote and into.is_symlink()
    if linked or job.executor.names(into):
        what = "a link" if linked else "not empty"
        raise CommandFailed(f"{into} is {what}; nothing is ever restored over other data", "remove it and try again")
    if job.executor.remote:
        job.executor.open_folder(into, account or "")
        yield into
        return
    with _made(job, into) as held:
        job.seen.setdefault("landed_in", []).append(into)
        job.keep_open(into, held)
        if account:
            _give(held, account)
        yield Path(pinned.place(held))


@contextlib.contextmanager
def _made(job: Job, into: Path) -> Iterator[int]:
    """Make the private folder ``into``; new folders above it may be passed through by the account that will own it."""
    missing = list(itertools.takewhile(lambda path: not path.exists(), into.parents))
    with contextlib.ExitStack() as way:
        above = way.enter_context(pinned.opened(into.parents[len(missing)]))
        for parent in reversed(missing):
            job.folder.note_made("parent", str(parent))
            above = pinned.make_folder(above, parent.name)
            way.callback(os.close, above)
            os.fchmod(above, 0o711)
        job.folder.note_made("directory", str(into))
        with contextlib.suppress(FileExistsError):  # an empty one may have been there, whoever owns it
            os.mkdir(into.name, 0o700, dir_fd=above)
        held = way.enter_context(pinned.opened_below(above, Path(into.name)))
        # What is unpacked has the access lists that it came with, and no others.
        drop_default_list(Path(pinned.place(held)))
        if pinned.names_in(held):
            raise CommandFailed(f"{into} was filled by somebody else meanwhile", "find out who uses it")
        yield held


def give(into: Path, account: str) -> None:
    """Make ``account`` the owner of the folder itself: whoever owns a folder above may have put a link in its place."""
    try:
        with pinned.opened(into.parent) as above, pinned.opened_below(above, Path(into.name)) as held:
            _give(held, account)
    except OSError as error:
        raise CommandFailed(f"{into} is no folder of this job any more: {error.strerror}", "find out who changes it") from error


def _give(held: int, account: str) -> None:
    try:
        owner = pwd.getpwnam(account).pw_uid
    except KeyError as error:
        raise CommandFailed(f"this host has no account '{account}'", "check the user variable of the role") from error
    os.chown(pinned.place(held), owner, -1)


def require_space(folder: Path, needed: int, executor: Optional[Executor] = None) -> None:
    """Raise NoSpace unless ``needed`` bytes fit into the filesystem of ``folder``, where ``executor`` leads."""
    free = executor.free(folder) if executor else free_bytes(folder)
    if free < needed * 1.02:
        raise NoSpace(f"the restore needs about {human(needed)} in {folder}, {human(free)} are free", "nothing was changed")
