# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing of backup sets: names, pieces, records, and the blocks of data files that change meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from oraclelab import archiver, blocks, clock, control, pieces
from oraclelab.blocks import CorruptBlockError, DataFile
from oraclelab.database import new_scn
from oraclelab.errors import OracleError, cannot_create
from oraclelab.rman import repository
from oraclelab.rman.session import Session, stamp_of

Options = dict[str, Any]

DEFAULT_FILES_PER_SET = 64


class SetWriter:
    """Makes one backup set: names its pieces, writes them, and records the set when it is whole."""

    def __init__(
        self, session: Session, options: Options, number: int, *, level: int | None = None, piece_count: int = 1
    ) -> None:
        self.session = session
        self.options = options
        self.channel, self.channel_format = session.channel(number)
        with session.repository() as content:
            content["set_count"] = content.get("set_count", 0) + 1
            self.content = content
        self.started = clock.now()
        self.record: dict[str, Any] = {
            "set": content["set_count"],
            "stamp": stamp_of(self.started),
            "level": level,
            "tag": options["tag"],
            "started": self.started,
            "completed": self.started,
            "piece_count": piece_count,
            "datafiles": [],
            "logs": [],
            "control": None,
            "spfile": None,
            "resetlogs_scn": content["resetlogs_scn"],
        }
        self.done: list[dict[str, Any]] = []

    def key(self) -> bytes:
        """The key for encrypted pieces, empty without encryption; ORA-28365 with a closed keystore."""
        wanted = self.content["configure"].get("ENCRYPTION FOR DATABASE") == "ON"
        return self.session.key() if wanted else b""

    def _path(self, piece: int) -> str:
        form = self.options.get("format") or self.channel_format or self.session.default_format(self.content)
        path = self.session.expand(
            form,
            set_count=self.record["set"],
            piece=piece,
            stamp=self.record["stamp"],
            dbid=self.content["dbid"],
            name=self.content["db_name"],
        )
        if not path.startswith("/"):
            path = f"{self.session.db.home}/dbs/{path}"
        return path

    def piece(self, number: int, fill: Callable[[pieces.Writer], None], *, path: str = "", tagged: bool = True) -> None:
        """Write one piece of the set; what was written is removed when it cannot be finished."""
        say, session = self.session.say, self.session
        path = path or self._path(number)
        say(f"channel {self.channel}: starting piece {number} at {session.shown(clock.now())}")
        try:
            archiver.make_directory(session.db, path)
        except OSError as error:
            raise cannot_create(path, error) from error
        writer = pieces.Writer(path, compressed=self.options["as"] == "compressed", key=self.key(), budget=session.budget)
        try:
            fill(writer)
            header = self._header(number)
            size = writer.close(header)
            with session.db.locked():
                archiver.reserve(session.db, session.db.control(), path, size)
        except BaseException:
            writer.abandon()
            raise
        self.done.append({"path": path, **pieces.read_header(path)})
        say(f"channel {self.channel}: finished piece {number} at {session.shown(clock.now())}")
        say(f"piece handle={path}{' tag=' + self.record['tag'] if tagged else ''} comment=NONE")

    def _header(self, number: int) -> dict[str, Any]:
        now = clock.now()
        self.record["completed"] = now
        whole = {name: self.content[name] for name in ("dbid", "db_name")} | {
            name: self.record[name] for name in ("set", "stamp", "tag", "started")
        }
        return {**whole, "piece": number, "completed": now, "record": self.record}

    def finish(self) -> int:
        """Record the set; returns its size in bytes."""
        elapsed = clock.now() - self.started
        self.session.say(
            f"channel {self.channel}: backup set complete, elapsed time: {time.strftime('%H:%M:%S', time.gmtime(elapsed))}"
        )
        with self.session.repository() as content:
            recorded = [repository.piece_record(content, header, header["path"]) for header in self.done]
            content["sets"].append({**self.record, "recid": control.next_recid(content), "pieces": recorded})
        return sum(piece["bytes"] for piece in recorded)


def read_steady(file: DataFile, number: int) -> tuple[bytes, int]:
    """Bytes and SCN of a block; a block that is just being written is read again. CorruptBlockError when it stays damaged."""
    for attempt in range(20):
        data = file.raw(number)
        try:
            return data, blocks.unpacked(data, number)[0]
        except CorruptBlockError:
            if attempt == 19:
                raise
            time.sleep(0.005)
    raise AssertionError


def start_of_file(session: Session, entry: dict[str, Any]) -> dict[str, Any]:
    """Checkpoint a data file when the database writes to it; returns its header."""
    from oraclelab.database import header_of

    with session.db.locked():
        header = header_of(session.db.control(), entry)
        if session.db.sga().get("open_mode") == "READ WRITE" and not entry["read_only"]:
            with DataFile(entry["name"]) as file:
                header = file.set_header(ckp_scn=new_scn(session.db), ckp_time=clock.now())
        return header


def copy_blocks(
    session: Session, entry: dict[str, Any], wanted: range, from_scn: int, put: Callable[[int, bytes], None]
) -> tuple[int, int]:
    """Hand over the used blocks of a range not older than an SCN; returns (highest SCN seen, blocks handed over)."""
    newest, count = 0, 0
    with DataFile(entry["name"], write=False) as file:
        for number in wanted:
            try:
                data, scn = read_steady(file, number)
            except CorruptBlockError as error:
                note_corruption(session, entry, number)
                raise OracleError(f"ORA-19566: exceeded limit of 0 corrupt blocks for file {entry['name']}") from error
            if data and data != blocks.ZERO and scn >= from_scn:
                put(number, data)
                newest, count = max(newest, scn), count + 1
            session.db.paced(number)
            if number == wanted.start + 1:
                session.db.reached(f"backup_datafile_{entry['file']}")
    return newest, count


def note_corruption(session: Session, entry: dict[str, Any], number: int) -> None:
    """Remember a damaged block for v$database_block_corruption."""
    with session.repository() as content:
        found = {"file": entry["file"], "block": number}
        if found not in content["corruption"]:
            content["corruption"].append(found)


def chosen_files(session: Session, options: Options) -> list[dict[str, Any]]:
    """Control file entries of the data files a command names; RMAN-20201 or RMAN-20202 for an unknown one."""
    entries = session.db.control()["datafiles"]
    if options["object"] == "datafile":
        known = {entry["file"]: entry for entry in entries}
        for number in options["files"]:
            if number not in known:
                raise OracleError(f"RMAN-20201: datafile not found in the recovery catalog: {number}")
        return [known[number] for number in options["files"]]
    if options["object"] == "tablespace":
        chosen = [entry for entry in entries if entry["tablespace"] in options["names"]]
        if not chosen:
            raise OracleError(f"RMAN-20202: Tablespace not found in the recovery catalog: {', '.join(options['names'])}")
        return chosen
    return list(entries)
