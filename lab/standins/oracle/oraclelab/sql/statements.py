# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements of sqlplus and rman: SELECT, ALTER, CREATE, ADMINISTER, STARTUP and SHUTDOWN."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oraclelab import archiver, clock, control, database, keystore, parameters
from oraclelab.errors import OracleError, cannot_create
from oraclelab.instance import Instance
from oraclelab.sql.select import Query, as_text, date
from oraclelab.sql.views import Views

Rows = tuple[list[str], list[tuple[Any, ...]]]


class Statements:
    """Runs statements of one session."""

    def __init__(self, db: Instance, say: Callable[[str], None], date_format: str) -> None:
        self.db = db
        self.say = say
        self.date_format = date_format
        self.container = "CDB$ROOT"
        patterns = {name[4:]: getattr(self, name) for name in dir(self) if name.startswith("_do_")}
        self.patterns = [(re.compile(FORMS[name], re.IGNORECASE | re.DOTALL), handler) for name, handler in patterns.items()]

    def execute(self, statement: str) -> Rows | None:
        """Run a statement; rows of a SELECT, nothing otherwise. ORA-00900 when it is not known here."""
        statement = statement.strip().rstrip(";").strip()
        if re.match(r"(?i)select\b|with\b", statement):
            found = self.select(statement)
            if self.say:
                for row in found[1]:
                    self.say(" ".join(as_text(value, self.date_format) for value in row))
            return found
        for pattern, handler in self.patterns:
            match = pattern.fullmatch(statement)
            if match:
                handler(match)
                return None
        raise OracleError("ORA-00900: invalid SQL statement")

    def select(self, statement: str) -> Rows:
        """Rows of a SELECT."""
        views = Views(self.db, self.container)
        query = Query(views.fill, self.date_format)
        if not views.memory:
            from oraclelab.instance import NOT_AVAILABLE

            raise OracleError(*NOT_AVAILABLE)

        def extend(connection: sqlite3.Connection) -> None:
            query.function(connection, "sys_context", lambda space, name: self._context(str(name)))
            query.function(connection, "scn_to_timestamp", self._time_of_scn)
            query.function(connection, "timestamp_to_scn", self._scn_of_time)

        return query.run(statement, extend)

    def _context(self, name: str) -> str:
        values = {
            "CON_NAME": self.container,
            "DB_NAME": self.db.parameter("db_name"),
            "INSTANCE_NAME": self.db.sid,
            "SESSION_USER": "SYS",
            "ISDBA": "TRUE",
        }
        if name.upper() not in values:
            raise OracleError("ORA-02003: invalid USERENV parameter")
        return values[name.upper()]

    def _known_times(self) -> list[tuple[int, int]]:
        """(SCN, moment) pairs the database knows, in order."""
        content = self.db.control()
        logs = [(log["first_scn"], log["first_time"]) for log in [*content["archived"], *content["groups"]] if log["first_scn"]]
        return sorted({*logs, (self.db.sga()["scn"], clock.now())})

    def _time_of_scn(self, scn: int) -> str | None:
        before = [moment for known, moment in self._known_times() if known <= scn]
        if not before or scn > self.db.sga()["scn"]:
            raise OracleError("ORA-08181: specified number is not a valid system change number")
        return date(before[-1])

    def _scn_of_time(self, value: str) -> int:
        moment = clock.from_local(value[1:])
        before = [scn for scn, known in self._known_times() if known <= moment]
        if not before:
            raise OracleError("ORA-08180: no snapshot found based on specified time")
        return before[-1]

    # Instance

    def startup(self, to: str, *, force: bool = False, pfile: str = "", dummy: bool = False, read_only: bool = False) -> None:
        """STARTUP up to NOMOUNT, MOUNT or OPEN."""
        if force and self.db.state != "DOWN":
            for line in database.shutdown(self.db, "ABORT"):
                self.say(line)
        elif self.db.state != "DOWN":
            self._go_on(to, read_only)
            return
        try:
            self.db.startup_nomount(pfile=pfile)
        except OracleError as error:
            if not dummy or not error.lines[0].startswith("ORA-01078"):
                raise
            for line in error.lines:
                self.say(f"startup failed: {line}")
            self.say("starting Oracle instance without parameter file for retrieval of spfile")
            self.db.startup_nomount(dummy=True)
        self.say("Oracle instance started")
        self._go_on(to, read_only)

    def _go_on(self, to: str, read_only: bool) -> None:
        if to == "nomount" and self.db.state != "NOMOUNT":
            raise OracleError("ORA-01081: cannot start already-running ORACLE - shut it down first")
        if to != "nomount" and self.db.state == "NOMOUNT":
            self.db.mount()
            self.say("database mounted")
        if to == "open":
            if self.db.state == "OPEN":
                raise OracleError("ORA-01081: cannot start already-running ORACLE - shut it down first")
            database.open_database(self.db, read_only=read_only)
            self.say("database opened")

    def shutdown(self, mode: str) -> None:
        """SHUTDOWN."""
        for line in database.shutdown(self.db, mode):
            self.say(line)

    # ALTER SYSTEM

    def _do_archive(self, _: re.Match[str]) -> None:
        if self.db.require("OPEN") and self.db.control()["log_mode"] != "ARCHIVELOG":
            raise OracleError("ORA-00258: manual archiving in NOARCHIVELOG mode must identify log")
        archiver.switch_and_archive(self.db)
        self.say("Statement processed")

    def _do_switch(self, _: re.Match[str]) -> None:
        archiver.switch_and_archive(self.db)
        self.say("Statement processed")

    def _do_checkpoint(self, _: re.Match[str]) -> None:
        with self.db.locked():
            self.db.require("OPEN")
            content = self.db.control()
            database.checkpoint(self.db, content)
            self.db.save_control(content)
        self.say("Statement processed")

    def _do_set(self, match: re.Match[str]) -> None:
        name, value = match["name"].lower(), match["value"].strip().strip("'\"")
        scope = (match["scope"] or "both").lower()
        with self.db.locked():
            memory = self.db.require("NOMOUNT", "MOUNT", "OPEN")
            if scope != "memory" and not memory["spfile"]:
                if match["scope"]:
                    raise OracleError("ORA-32001: write to SPFILE requested but no SPFILE is in use")
            elif scope != "memory":
                values = {**parameters.read_spfile(memory["spfile"]), name: value}
                Path(memory["spfile"]).write_bytes(parameters.as_spfile(values))
            if scope != "spfile":
                self.db.update_sga(parameters={**memory["parameters"], name: value})
        self.say("Statement processed")

    # ALTER DATABASE

    def _do_mount(self, _: re.Match[str]) -> None:
        self.db.mount()
        self.say("database mounted")

    def _do_open(self, match: re.Match[str]) -> None:
        words = (match["how"] or "").lower()
        database.open_database(
            self.db, resetlogs=words.split()[-1:] == ["resetlogs"], read_only="read only" in " ".join(words.split())
        )
        self.say("Statement processed")

    def _do_logmode(self, match: re.Match[str]) -> None:
        self.db.require("MOUNT", "OPEN")
        if self.db.state == "OPEN":
            raise OracleError("ORA-01126: database must be mounted in this instance and not open in any instance")
        with self.db.locked():
            content = self.db.control()
            if content["stop_scn"] is None:
                raise OracleError("ORA-00265: instance recovery required, cannot set ARCHIVELOG mode")
            content["log_mode"] = match["mode"].upper()
            self.db.save_control(content)
        self.say("Statement processed")

    def _do_forcelogging(self, match: re.Match[str]) -> None:
        with self.db.locked():
            self.db.require("MOUNT", "OPEN")
            content = self.db.control()
            content["force_logging"] = not match["no"]
            self.db.save_control(content)
        self.say("Statement processed")

    def _do_rename(self, match: re.Match[str]) -> None:
        old, new = match["old"], match["new"]
        with self.db.locked():
            self.db.require("MOUNT", "OPEN")
            content = self.db.control()
            entries = [entry for entry in [*content["datafiles"], *content["tempfiles"]] if entry["name"] == old]
            groups = [group for group in content["groups"] if old in group["members"]]
            if not entries and not groups:
                raise OracleError(
                    "ORA-01511: error in renaming log/data files",
                    f'ORA-01516: nonexistent log file, data file, or temporary file "{old}"',
                )
            for entry in entries:
                if not Path(new).exists():
                    raise OracleError(
                        "ORA-01511: error in renaming log/data files",
                        f"ORA-01141: error renaming data file {entry['file']} - new file '{new}' not found",
                    )
                entry["name"] = new
            for group in groups:
                group["members"] = [new if member == old else member for member in group["members"]]
            self.db.save_control(content)
        self.say("Statement processed")

    def _do_trace(self, match: re.Match[str]) -> None:
        self.db.require("MOUNT", "OPEN")
        content = self.db.control()
        path = Path(match["path"] or str(self.db.base / "diag" / f"{self.db.sid}_ctl_trace.sql"))
        if path.exists() and not match["reuse"]:
            raise OracleError(f"ORA-01580: error creating control backup file {path}", "ORA-27038: created file already exists")
        files = ",\n".join(f"  '{entry['name']}'" for entry in content["datafiles"])
        logs = ",\n".join(
            f"  GROUP {group['group']} '{group['members'][0]}' SIZE {group['bytes']}" for group in content["groups"]
        )
        head = f'CREATE CONTROLFILE REUSE DATABASE "{content["db_name"]}" RESETLOGS {content["log_mode"]}'
        text = f"{head}\nLOGFILE\n{logs}\nDATAFILE\n{files}\n;\n"
        self._write(path, text.encode())

    def _do_controlcopy(self, match: re.Match[str]) -> None:
        self.db.require("MOUNT", "OPEN")
        path = Path(match["path"])
        if path.exists() and not match["reuse"]:
            raise OracleError(f"ORA-01580: error creating control backup file {path}", "ORA-27038: created file already exists")
        with self.db.locked():
            content = self.db.control()
        content.update(type="BACKUP", stop_scn=None, recovered_scn=0, incomplete=False)
        self._write(path, control.packed(content))

    def _write(self, path: Path, data: bytes) -> None:
        try:
            path.parent.joinpath(path.name).write_bytes(data)
        except OSError as error:
            raise OracleError(
                f"ORA-01580: error creating control backup file {path}", *cannot_create(path, error).lines[1:]
            ) from error
        self.say("Statement processed")

    def _do_nothing(self, _: re.Match[str]) -> None:
        self.db.require("MOUNT", "OPEN")
        self.say("Statement processed")

    # PDBs, session

    def _do_pdb(self, match: re.Match[str]) -> None:
        name, what = match["name"].upper(), " ".join(match["what"].upper().split())
        with self.db.locked():
            memory = self.db.require("OPEN")
            content = self.db.control()
            chosen = [pdb for pdb in content["pdbs"] if pdb["name"] == name or (name == "ALL" and pdb["name"] != "PDB$SEED")]
            if not chosen:
                raise OracleError(f"ORA-65011: Pluggable database {name} does not exist.")
            modes = dict(memory["pdbs"])
            for pdb in chosen:
                self._change_pdb(content, modes, pdb, what, name == "ALL")
            self.db.update_sga(pdbs=modes)
            self.db.save_control(content)
        self.say("Statement processed")

    def _change_pdb(
        self, content: control.Control, modes: dict[str, str], pdb: dict[str, Any], what: str, all_of_them: bool
    ) -> None:
        key = str(pdb["con_id"])
        if what == "SAVE STATE":
            pdb["saved"] = modes[key] != "MOUNTED"
        elif what.startswith("CLOSE"):
            if modes[key] == "MOUNTED" and not all_of_them:
                raise OracleError(f"ORA-65020: pluggable database {pdb['name']} already closed")
            modes[key] = "MOUNTED"
        else:
            if modes[key] != "MOUNTED" and not all_of_them:
                raise OracleError(f"ORA-65019: pluggable database {pdb['name']} already open")
            read_only = "READ ONLY" in what or self.db.sga()["open_mode"] == "READ ONLY"
            modes[key] = modes[key] if modes[key] != "MOUNTED" else ("READ ONLY" if read_only else "READ WRITE")

    def _do_container(self, match: re.Match[str]) -> None:
        name = match["name"].upper()
        self.db.require("OPEN")
        if name != "CDB$ROOT" and name not in [pdb["name"] for pdb in self.db.control()["pdbs"]]:
            raise OracleError("ORA-65011: Pluggable database does not exist.")
        self.container = name
        self.say("Session altered.")

    def _do_dateformat(self, match: re.Match[str]) -> None:
        self.date_format = match["form"]
        self.say("Session altered.")

    # Parameter files, keystore

    def _do_createpfile(self, match: re.Match[str]) -> None:
        memory = self.db.sga()
        if match["source"].lower().startswith("memory"):
            values = self.db.require("NOMOUNT", "MOUNT", "OPEN")["parameters"]
        else:
            path = match["spfile"] or memory.get("spfile") or ("" if memory else self.db.spfile)
            if not path:
                raise OracleError("ORA-19598: can not backup SPFILE because the instance was not started with SPFILE")
            values = parameters.read_spfile(path)
        self._write_parameters(Path(match["path"] or self.db.pfile), parameters.as_text(values).encode())

    def _do_createspfile(self, match: re.Match[str]) -> None:
        memory = self.db.sga()
        path = match["path"] or self.db.spfile
        if memory.get("spfile") == path:
            raise OracleError("ORA-32002: cannot create SPFILE already being used by the instance")
        memory_asked = match["source"].lower().startswith("memory")
        values = memory["parameters"] if memory_asked else parameters.read_pfile(match["pfile"] or self.db.pfile)
        self._write_parameters(Path(path), parameters.as_spfile(values))

    def _write_parameters(self, path: Path, data: bytes) -> None:
        try:
            path.write_bytes(data)
        except OSError as error:
            raise cannot_create(path, error) from error
        self.say("Statement processed")

    def _do_keystore(self, match: re.Match[str]) -> None:
        self.db.require("NOMOUNT", "MOUNT", "OPEN")
        keystore.set_open(self.db, opened=match["what"].upper() == "OPEN", password=match["password"] or "")
        self.say("Statement processed")


TEXT = r"'(?P<{}>[^']+)'"
FORMS = {
    "archive": r"alter\s+system\s+archive\s+log\s+current",
    "switch": r"alter\s+system\s+switch\s+logfile",
    "checkpoint": r"alter\s+system\s+checkpoint",
    "set": r"alter\s+system\s+set\s+(?P<name>\w+)\s*=\s*(?P<value>'[^']*'|\"[^\"]*\"|[^\s]+)"
    r"(?:\s+scope\s*=\s*(?P<scope>memory|spfile|both))?",
    "mount": r"alter\s+database\s+mount",
    "open": r"alter\s+database\s+open(?P<how>(?:\s+read\s+(?:only|write))?(?:\s+(?:no)?resetlogs)?)",
    "logmode": r"alter\s+database\s+(?P<mode>(?:no)?archivelog)",
    "forcelogging": r"alter\s+database\s+(?P<no>no\s+)?force\s+logging",
    "rename": r"alter\s+database\s+rename\s+file\s+" + TEXT.format("old") + r"\s+to\s+" + TEXT.format("new"),
    "trace": r"alter\s+database\s+backup\s+controlfile\s+to\s+trace(?:\s+as\s+"
    + TEXT.format("path")
    + r"(?P<reuse>\s+reuse)?)?(?:\s+(?:no)?resetlogs)?",
    "controlcopy": r"alter\s+database\s+backup\s+controlfile\s+to\s+" + TEXT.format("path") + r"(?P<reuse>\s+reuse)?",
    "nothing": r"alter\s+database\s+(?:disable\s+block\s+change\s+tracking|flashback\s+off)",
    "pdb": r"alter\s+pluggable\s+database\s+(?P<name>[\w$]+)\s+"
    r"(?P<what>open(?:\s+read\s+(?:write|only))?|close(?:\s+immediate)?|save\s+state)",
    "container": r"alter\s+session\s+set\s+container\s*=\s*(?P<name>[\w$]+)",
    "dateformat": r"alter\s+session\s+set\s+nls_date_format\s*=\s*'(?P<form>[^']+)'",
    "createpfile": r"create\s+pfile(?:\s*=\s*"
    + TEXT.format("path")
    + r")?\s+from\s+(?P<source>memory|spfile(?:\s*=\s*"
    + TEXT.format("spfile")
    + r")?)",
    "createspfile": r"create\s+spfile(?:\s*=\s*"
    + TEXT.format("path")
    + r")?\s+from\s+(?P<source>memory|pfile(?:\s*=\s*"
    + TEXT.format("pfile")
    + r")?)",
    "keystore": r"administer\s+key\s+management\s+set\s+keystore\s+(?P<what>open|close)"
    r"(?:\s+identified\s+by\s+\"?(?P<password>[^\"\s]+)\"?)?(?:\s+container\s*=\s*\w+)?",
}
