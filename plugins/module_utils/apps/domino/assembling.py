# SPDX-License-Identifier: GPL-3.0-or-later
"""Put a server together from landed sets, while the live one still runs: databases to their places, logs applied, attachments.

No copy is opened or fixed up here: it would lose its tie to the log. Recovery is a command of the operator's, told of a
recovery server that is never started.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Tuple

from ... import layout
from ...errors import BadInput, CommandFailed, IntegrityError
from ...files import let_through, private_directory
from ...process import last_line, run, spell_status
from . import console, ini, planning
from .extents import name_of
from .gathering import INDEX

if TYPE_CHECKING:
    from ...worker.job import Job


class Landed:
    """The landed sets of a job, and what is made of them."""

    def __init__(self, job: Job, arguments: Dict[str, Any]) -> None:
        from ...worker.land import planned

        self.job, self.facts = job, job.specification["facts"]
        self.plan, self.source = planned(job.specification), job.specification["facts"]["source"]
        above = str(arguments["above"])
        self._above = above if "{yard}" in above else os.path.realpath(above)
        self.scratch = Path(self.above(self.facts["yard"]))
        self.logs = self.scratch / "logs"
        self.account = self.facts["server"]["account"]
        self.owner = job.executor.ids(self.account)
        self.indexes = self._indexes()
        self.native = self.source["method"] == "native"
        folders = [(item["folder"], f"{self.above(item['yard'])}/{item['artifact']}") for item in self.facts["folders"]]
        self.layout = planning.Layout(folders, self.source["data"], self.source["linked_folders"], self.source["links"])

    def above(self, yard: str) -> str:
        """Return the folder in which everything of one yard lands; the role names it, with or without ``{yard}``."""
        return self._above.replace("{yard}", yard)

    def let_account_through(self, folder: Path) -> None:
        """Let the server's account reach what it owns in ``folder``, where that lies in Backstay's own places."""
        root = Path(os.path.realpath(str(layout.ROOT)))
        if root in folder.parents:
            let_through(folder, root)

    def make_like(self, path: Path, saved: List[int]) -> None:
        """Give ``path`` the ``saved`` owner, group and mode; the account has the numbers of this host."""
        ids = [own if number == former else number for number, former, own in zip(saved, self.source["owner"], self.owner)]
        os.chown(str(path), *ids)
        path.chmod(saved[2])

    def _indexes(self) -> Dict[str, Dict[str, Any]]:
        """Return what each landed set of logs holds, every one held against its manifest."""
        from ...folders import manifest

        found = {}
        for item in self.plan["receipts"] if self.facts["log_kinds"] else []:
            place = self.logs / item["set"]
            manifest.prove(place, "logs")
            found[item["set"]] = json.loads((place / INDEX).read_bytes())
        planning.require_one_log(self.plan, found)
        return found

    def extents(self) -> Dict[int, Path]:
        """Return the landed extents by number."""
        found = {}
        for name, index in self.indexes.items():
            found.update({number: self.logs / name / "extents" / name_of(number) for number in index["extents"]})
        return found

    def saved(self) -> List[str]:
        """Return the paths of the databases in the full set."""
        root = self.scratch / "databases"
        files = (Path(folder, name) for folder, _folders, names in os.walk(str(root)) for name in names)
        return sorted(str(path.relative_to(root)) for path in files)

    def copy_of(self, database: str, base: planning.Base) -> Path:
        """Return the landed copy of a database in the set of its base."""
        if base.set == self.plan["receipts"][0]["set"]:
            return self.scratch / "databases" / database
        return self.logs / base.set / "databases" / database


def assemble(job: Job, arguments: Dict[str, Any]) -> None:
    """Put the landed server together, before anything of the live one is touched; ``arguments``: above (the folder in
    which all of a ``{yard}`` landed), roll_forward, timeout.
    """
    landed = Landed(job, arguments)
    for name in ("alone", "log", "recovery"):  # what is made here beside what landed
        job.folder.note_made("directory", str(landed.scratch / name))
    job.seen["domino"] = {"files": [], "landed": landed}
    try:
        _put_together(landed, list(arguments.get("roll_forward") or []), float(arguments["timeout"]))
    except OSError as error:
        place = error.filename or landed.scratch
        raise CommandFailed(f"{place} cannot be written: {error.strerror}", "nothing of the live server was changed") from error
    for name in ("recovery", "databases", "logs"):
        shutil.rmtree(str(landed.scratch / name), ignore_errors=True)


def _put_together(landed: Landed, words: List[str], timeout: float) -> None:
    if landed.native:
        chosen = planning.bases(landed.plan, landed.saved(), landed.indexes)
        placed = {path: _place(landed, path, base) for path, base in sorted(chosen.items())}
        _note_missing(landed, chosen)
        rolled = [(path, str(placed[path])) for path, base in sorted(chosen.items()) if base.roll]
        roll_forward(landed, rolled, words, timeout)
        _bring_attachments(landed)
        count = _bring_extents(landed)
    else:
        _bring_linked(landed)
        count = 0
    _bring_configuration(landed, recreate=count > 0)
    _give(landed)


def _place(landed: Landed, database: str, base: planning.Base) -> Path:
    """Move the copy of a database to where it belongs in the landings; return its place."""
    file = landed.layout.file_of(database)
    place = landed.layout.landing(file)
    if not place:
        place = str(landed.scratch / "alone" / database)
        landed.job.seen["domino"]["files"].append([place, file])
    if database in landed.source["links"]:
        _write_link(landed, database)
    copy = landed.copy_of(database, base)
    if not copy.is_file() or copy.is_symlink():
        raise IntegrityError(f"set {base.set} holds no copy of {database}", "restore another set")
    _move(landed, copy, Path(place))
    return Path(place)


def _write_link(landed: Landed, database: str) -> None:
    """Write the text file that leads to a linked database, with the owner and mode that it had."""
    link = Path(landed.layout.landing(landed.layout.entry_of(database)))
    _make_folder(landed, link.parent)
    with open(str(link), "w", encoding="utf-8", opener=_no_link) as stream:
        stream.write(landed.source["links"][database] + "\n")
    landed.make_like(link, landed.source["link_files"][database])


def _make_folder(landed: Landed, folder: Path) -> None:
    """Make a folder of the server's account, with what is missing above it; no link is followed out of the landing."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    if folder.resolve() != folder:
        raise IntegrityError(f"{folder} in the set is a link, and nothing is written through it", "restore another set")
    for path in reversed(missing):
        path.mkdir(mode=0o750)
        os.chown(str(path), *landed.owner)


def _move(landed: Landed, source: Path, target: Path) -> None:
    """Move a file, by rename where that can be; what lies there already was saved with it and gives way."""
    _make_folder(landed, target.parent)
    try:
        source.replace(target)
    except OSError:
        status = source.lstat()
        with source.open("rb") as reader, open(str(target), "wb", opener=_no_link) as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
            os.fchown(writer.fileno(), status.st_uid, status.st_gid)
            os.fchmod(writer.fileno(), status.st_mode & 0o7777)
        source.unlink()


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _note_missing(landed: Landed, chosen: Dict[str, planning.Base]) -> None:
    later = {entry["path"] for index in landed.indexes.values() for entry in index["databases"]} - set(chosen)
    if later:
        detail = f"{', '.join(sorted(later)[:5])}: the first backup is younger than {landed.plan['stop_at']}"
        landed.job.seen["checks"].append({"name": "databases not there yet", "status": "warning", "detail": detail})


# Logs


def roll_forward(landed: Landed, databases: List[Tuple[str, str]], words: List[str], timeout: float) -> None:
    """Roll copies forward through the landed extents, by the operator's command. Raise CommandFailed with what it says."""
    if not databases:
        return
    if not words:
        raise BadInput("no command to roll forward is configured", "set app_domino_roll_forward, or restore a full set")
    landed.let_account_through(landed.scratch)
    place = landed.scratch / "recovery"
    values = _recovery_server(landed, place)
    _give(landed)
    patterns = console.patterns(landed.facts["server"]["patterns"])
    for group in planning.batches(databases):
        argv = planning.roll_forward_argv(words, values, group)
        done = run(argv, timeout, account=landed.account)
        said = done.stdout + done.stderr
        if done.status != 0 or console.said(said, patterns["damaged"]):
            raise CommandFailed(
                f"{argv[0]} {spell_status(done.status)}: {last_line(said)}",
                "the copies could not be rolled forward; nothing of the live server was changed",
            )
    detail = f"{len(databases)} databases through {len(landed.extents())} extents to {values['until']}"
    landed.job.seen["checks"].append({"name": "roll forward", "status": "ok", "detail": detail})


def _recovery_server(landed: Landed, place: Path) -> Dict[str, str]:
    """Make a recovery server that is never started: its NOTES.INI and its log directory with the landed extents."""
    log, data = private_directory(place / "log"), private_directory(place / "data")
    for number, path in landed.extents().items():
        os.link(str(path), str(log / name_of(number)))
    numbers = {file: number for number, file in enumerate(landed.source["ids"])}
    held = {key: file for key, file in landed.source["keys"].items() if file in numbers}
    keys = {key: str(landed.scratch / "ids" / str(numbers[file]) / Path(file).name) for key, file in held.items()}
    text = ini.recovery(str(data), str(log), keys)
    (place / "notes.ini").write_text(text, encoding="utf-8")
    values = {"ini": str(place / "notes.ini"), "logs": str(log), "until": planning.until_of(landed.plan)}
    for path in (place, log, data, place / "notes.ini", *log.iterdir()):
        os.chown(str(path), *landed.owner)
    return values


def _bring_extents(landed: Landed) -> int:
    """Put the landed extents into the log directory of the restored server; return how many they are.

    With them, without a control file, and with TRANSLOG_Recreate_Logctrl=1 the server goes on with that log; without any of
    them it begins a new one.
    """
    if not landed.source["log"]:
        return 0
    folder = Path(landed.layout.landing(landed.source["log"]) or landed.scratch / "log")
    own = [landed.above(item["yard"]) for item in landed.facts["exchanged"] if item["artifact"] == "log"]
    if own and own[0] != str(landed.scratch):
        folder = Path(own[0], "log")
        _open_landing(landed, folder.parent)
    _make_folder(landed, folder)
    for number, path in sorted(landed.extents().items()):
        _move(landed, path, folder / name_of(number))
        os.chown(str(folder / name_of(number)), *landed.owner)
    if landed.source["log"] in landed.source["places"]:
        landed.make_like(folder, landed.source["places"][landed.source["log"]])
    return len(landed.extents()) if landed.source["style"] == "archive" else 0


def _open_landing(landed: Landed, folder: Path) -> None:
    """Make the landing of the log directory, which no artifact brings, one rename away from it."""
    from ...yard import open_yard

    landed.job.folder.note_made("parent", str(folder))
    landed.job.folder.note_made("directory", str(folder / "log"))
    open_yard(Path(landed.source["log"]))
    folder.mkdir(mode=0o711, exist_ok=True)
    folder.chmod(0o711)


def _bring_attachments(landed: Landed) -> None:
    """Add the attachments in sets of logs to those of the full set; one of the same name is the same one."""
    place = landed.layout.landing(landed.source["daos"]) if landed.source["daos"] else ""
    for name in landed.indexes:
        root = landed.logs / name / "daos"
        if place and root.is_dir():
            for folder, _folders, names in os.walk(str(root)):
                for file in names:
                    source = Path(folder, file)
                    _move(landed, source, Path(place, source.relative_to(root)))


# Files beside the databases


def _saved_ini(landed: Landed) -> Tuple[str, Path]:
    path = landed.scratch / "ini" / "0" / Path(landed.source["ini"]).name
    return path.read_text(encoding="utf-8", errors="surrogateescape"), path


def _bring_configuration(landed: Landed, recreate: bool) -> None:
    """Put NOTES.INI and the ID files to their places; those that lie in no folder of the set are exchanged one by one."""
    text, path = _saved_ini(landed)
    if recreate:
        text = ini.changed(text, {"TRANSLOG_Recreate_Logctrl": "1"})
        with open(str(path), "w", encoding="utf-8", errors="surrogateescape", newline="", opener=_no_link) as stream:
            stream.write(text)
    wanted = [(path, landed.facts["ini"])]
    wanted += [(landed.scratch / "ids" / str(n) / Path(file).name, file) for n, file in enumerate(landed.source["ids"])]
    for source, file in wanted:
        place = landed.layout.landing(file)
        if place and source == path:
            _copy(landed, source, Path(place))
        elif not place:
            landed.job.seen["domino"]["files"].append([str(source), file])


def _copy(landed: Landed, source: Path, target: Path) -> None:
    status = source.lstat()
    _make_folder(landed, target.parent)
    if target.is_symlink():
        raise IntegrityError(f"{target} in the set is a link, and nothing is written through it", "restore another set")
    with source.open("rb") as reader, open(str(target), "wb", opener=_no_link) as writer:
        shutil.copyfileobj(reader, writer)
        os.fchown(writer.fileno(), status.st_uid, status.st_gid)
        os.fchmod(writer.fileno(), status.st_mode & 0o7777)


def _bring_linked(landed: Landed) -> None:
    """Note the linked databases of a stopped server that lie in folders of others: they are exchanged one by one."""
    for item in landed.facts["folders"]:
        if item["role"] == "links":
            place = f"{landed.above(item['yard'])}/{item['artifact']}"
            for file in landed.source["links"].values():
                if str(Path(file).parent) == item["folder"]:
                    landed.job.seen["domino"]["files"].append([f"{place}/{Path(file).name}", file])


def _give(landed: Landed) -> None:
    """Give everything that belonged to the account of the saved server to that of this host, where its number differs."""
    former, own = tuple(landed.source["owner"]), landed.owner
    if former == own:
        return
    for item in landed.facts["landings"]:
        for folder, folders, names in os.walk(landed.above(item["yard"])):
            for path in [folder, *(os.path.join(folder, name) for name in [*folders, *names])]:
                status = os.lstat(path)
                if (status.st_uid, status.st_gid) == former or status.st_uid == former[0]:
                    os.lchown(path, own[0], own[1] if status.st_gid == former[1] else -1)
