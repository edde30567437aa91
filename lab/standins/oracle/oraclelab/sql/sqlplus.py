# SPDX-License-Identifier: GPL-3.0-or-later
"""The sqlplus program: its own commands, formatting of rows, exit statuses."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

from oraclelab import environment
from oraclelab.archiver import current_group, destination
from oraclelab.errors import OracleError, file_lost
from oraclelab.sql.display import SHORT, Display
from oraclelab.sql.statements import Statements

BANNER = (
    "",
    "SQL*Plus: Release 19.0.0.0.0 - Production",
    "Version 19.22.0.0.0",
    "",
    "Copyright (c) 1982, 2023, Oracle.  All rights reserved.",
    "",
)
SQL_WORDS = ("select", "with", "alter", "create", "administer")
DONE = {
    "alter database": "Database altered.",
    "alter system": "System altered.",
    "alter session": "Session altered.",
    "alter pluggable": "Pluggable database altered.",
}
EXIT_STATUS = {"": 0, "success": 0, "failure": 1, "warning": 2}


class LeaveError(Exception):
    """EXIT, with its status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status & 0xFF


class SqlPlus(Display):
    """One session."""

    def __init__(self, *, silent: bool, markup: dict[str, Any] | None = None) -> None:
        super().__init__(markup)
        self.silent = silent
        self.on_error: str | None = None
        self.on_os_error: str | None = None
        self.sqlcode = 0
        self.statements: Statements | None = None
        self.status = 0
        self.arguments: list[str] = []

    # Connection

    def connect(self, login: str) -> None:
        """Log on as SYSDBA by the operating system: ORA-01017 for everybody else."""
        words = " ".join(login.replace('"', " ").lower().split())
        if "@" in words:
            raise OracleError("ORA-12514: TNS:listener does not currently know of service requested in connect descriptor")
        if words not in ("/ as sysdba", "/ as sysbackup") or not environment.is_software_owner():
            raise OracleError("ORA-01017: invalid username/password; logon denied")
        db = environment.instance()
        self.statements = Statements(db, lambda line: None, os.environ.get("NLS_DATE_FORMAT", "") or "DD-MON-RR")
        if not self.silent:
            self.say("Connected to an idle instance." if db.state == "DOWN" else "Connected to:")

    def _session(self) -> Statements:
        if self.statements is None:
            raise OracleError("SP2-0640: Not connected")
        return self.statements

    def date_format(self) -> str:
        """The session's NLS_DATE_FORMAT."""
        return self._session().date_format

    # Running

    def run(self, source: str) -> None:
        """Run a script; LeaveError at EXIT or an error that WHENEVER makes one."""
        lines = source.splitlines()
        while lines:
            line = lines.pop(0)
            word = line.strip().split(" ")[0].lower().rstrip(";")
            if not line.strip() or line.strip().startswith("--"):
                continue
            if word in SQL_WORDS or (word == "alter"):
                text = [line]
                while not self._ended(text) and lines:
                    text.append(lines.pop(0))
                self._guarded(lambda text=text: self._sql("\n".join(text)))  # type: ignore[misc]
            else:
                self._guarded(lambda line=line: self._command(line.strip()))  # type: ignore[misc]

    @staticmethod
    def _ended(text: list[str]) -> bool:
        last = text[-1].strip()
        return last.endswith(";") or last == "/" or (last == "" and len(text) > 1)

    @staticmethod
    def _attempt(action: Any) -> None:
        try:
            action()
        except OSError as error:
            raise file_lost(error) from error

    def _guarded(self, action: Any) -> None:
        try:
            self._attempt(action)
            self.sqlcode = 0
        except OracleError as error:
            own = error.lines[0].startswith("SP2-")
            if not own:
                self.say("ERROR at line 1:")
                self.sqlcode = error.code
            for line in error.lines:
                self.say(line)
            self.say()
            how = self.on_error if not own else None
            if how is not None:
                raise LeaveError(self._exit_status(how)) from error

    def _exit_status(self, words: str) -> int:
        how = words.lower().split(" commit")[0].split(" rollback")[0].strip()
        if how == "sql.sqlcode":
            return self.sqlcode
        if how.isdigit():
            return int(how)
        if how not in EXIT_STATUS:
            raise OracleError(f'SP2-0584: EXIT variable "{words}" was non-numeric')
        return EXIT_STATUS[how]

    # Commands of SQL*Plus itself

    def _command(self, line: str) -> None:
        word, _, rest = line.rstrip(";").partition(" ")
        rest = rest.strip()
        for pattern, name in COMMANDS:
            if re.fullmatch(pattern, word.lower()):
                getattr(self, f"_on_{name}")(rest)
                return
        if word.startswith("@"):
            self._on_script(line[1:].lstrip("@").strip().rstrip(";"))
            return
        raise OracleError(f'SP2-0734: unknown command beginning "{line[:10]}..." - rest of line ignored.')

    def _on_script(self, rest: str) -> None:
        path, *self.arguments = rest.split()
        file = Path(path if Path(path).suffix else path + ".sql")
        if not file.exists():
            if self.on_os_error is not None:
                raise LeaveError(self._exit_status(self.on_os_error))
            raise OracleError(f'SP2-0310: unable to open file "{file}"')
        source = file.read_text()
        for number, value in enumerate(self.arguments, 1):
            source = source.replace(f"&{number}", value)
        self.run(source)

    def _on_nothing(self, rest: str) -> None:
        return

    def _on_prompt(self, rest: str) -> None:
        self.say(rest)

    def _on_connect(self, rest: str) -> None:
        self.connect(rest)

    def _on_exit(self, rest: str) -> None:
        raise LeaveError(self._exit_status(rest))

    def _on_whenever(self, rest: str) -> None:
        kind, action, *how = rest.lower().split()
        value = " ".join(how) if action == "exit" else None
        if kind not in ("sqlerror", "oserror") or action not in ("exit", "continue"):
            raise OracleError("SP2-0745: WHENEVER SQLERROR or OSERROR, EXIT or CONTINUE")
        if kind == "sqlerror":
            self.on_error = value
        else:
            self.on_os_error = value

    def _on_set(self, rest: str) -> None:
        words = re.findall(r"'[^']*'|\"[^\"]*\"|\S+", rest)
        if words and words[0].lower() in ("markup", "mark"):
            self._set_markup([word.lower() for word in words[1:]], words[1:])
            return
        while words:
            name = words.pop(0).lower()
            full = SHORT.get(name, name)
            if full not in self.settings or not words:
                raise OracleError(f'SP2-0158: unknown SET option "{name}"')
            value = words.pop(0)
            self.settings[full] = value.strip("'\"") if value[0] in "'\"" else value.lower()
            while full == "serveroutput" and words:
                words.pop(0)

    def _on_spool(self, rest: str) -> None:
        if self.say.spool:
            self.say.spool.close()
            self.say.spool = None
        path, _, how = rest.partition(" ")
        if path.lower() in ("off", "out", ""):
            return
        try:
            self.say.spool = Path(path).open("a" if how.lower().startswith("app") else "w")  # noqa: SIM115 - open for the session
        except OSError as error:
            if self.on_os_error is not None:
                raise LeaveError(self._exit_status(self.on_os_error)) from error
            raise OracleError(f'SP2-0606: Cannot create SPOOL file "{path}"') from error

    def _on_startup(self, rest: str) -> None:
        pfile = re.search(r"(?i)\bpfile\s*=\s*'?([^\s']+)'?", rest)
        words = re.sub(r"(?i)\bpfile\s*=\s*\S+", "", rest).lower().split()
        to = next((word for word in words if word in ("nomount", "mount", "open")), "open")
        if set(words) - {"nomount", "mount", "open", "force", "read", "only", "write", "quiet"}:
            raise OracleError("SP2-0714: invalid combination of STARTUP options")
        session = self._session()
        session.say = self._startup_line
        try:
            session.startup(to, force="force" in words, pfile=pfile[1] if pfile else "", read_only="only" in words)
        finally:
            session.say = lambda line: None

    def _startup_line(self, line: str) -> None:
        shown = {
            "Oracle instance started": "ORACLE instance started.",
            "Oracle instance shut down": "ORACLE instance shut down.",
        }
        self.say(shown.get(line, line.capitalize() + "."))

    def _on_shutdown(self, rest: str) -> None:
        mode = rest.upper() or "NORMAL"
        if mode not in ("NORMAL", "IMMEDIATE", "TRANSACTIONAL", "ABORT"):
            raise OracleError(f'SP2-0717: illegal SHUTDOWN option "{rest}"')
        session = self._session()
        session.say = self._startup_line
        try:
            session.shutdown(mode)
        finally:
            session.say = lambda line: None

    def _on_archive(self, rest: str) -> None:
        if rest.lower().split() != ["log", "list"]:
            raise OracleError("SP2-0718: illegal ARCHIVE LOG option")
        db = self._session().db
        db.require("MOUNT", "OPEN")
        content = db.control()
        on, group = content["log_mode"] == "ARCHIVELOG", current_group(content)
        waiting = [one["sequence"] for one in content["groups"] if one["sequence"] and not one["archived"]]
        self.say(f"Database log mode              {'Archive Mode' if on else 'No Archive Mode'}")
        self.say(f"Automatic archival             {'Enabled' if on else 'Disabled'}")
        self.say(f"Archive destination            {destination(db) or 'USE_DB_RECOVERY_FILE_DEST'}")
        self.say(f"Oldest online log sequence     {min(one['sequence'] for one in content['groups'] if one['sequence'])}")
        if on:
            self.say(f"Next log sequence to archive   {min(waiting, default=group['sequence'])}")
        self.say(f"Current log sequence           {group['sequence']}")

    def _on_show(self, rest: str) -> None:
        word, _, name = rest.lower().partition(" ")
        if word.startswith("param"):
            condition = f" where name like '%{name.strip()}%'" if name.strip() else ""
            self.show_rows(self._session().select(f"select name, value from v$parameter{condition}"))
        elif word == "pdbs":
            self.show_rows(self._session().select("select con_id, name as con_name, open_mode, restricted from v$pdbs"))
        elif word == "con_name":
            self.say(self._session().container)
        elif word == "user":
            self.say('USER is "SYS"')
        else:
            raise OracleError(f'SP2-0158: unknown SHOW option "{rest}"')

    # Statements

    def _sql(self, text: str) -> None:
        text = text.strip()
        statement = text[:-1].rstrip() if text.endswith("/") else text
        found = self._session().execute(statement)
        if found is not None:
            self.show_rows(found)
            return
        if self._feedback():
            begin = " ".join(statement.lower().split()[:2])
            self.say(DONE.get(begin, "File created." if begin.startswith("create") else "keystore altered."))
            self.say()


COMMANDS = [
    (r"set", "set"),
    (r"spo(ol?)?", "spool"),
    (r"whenever", "whenever"),
    (r"pro(m(pt?)?)?", "prompt"),
    (r"conn(ect?)?", "connect"),
    (r"rem(ark?)?|col(umn)?|cle(ar)?|tti(tle)?|bti(tle)?|undef(ine)?|/", "nothing"),
    (r"exit|quit", "exit"),
    (r"startup", "startup"),
    (r"shutdown", "shutdown"),
    (r"archive", "archive"),
    (r"sho(w)?", "show"),
    (r"sta(rt)?", "script"),
]


def parse_arguments(argv: list[str]) -> tuple[set[str], str, str, str]:
    """(options, login, script with arguments, markup) of the command line."""
    words, options, markup = list(argv), set(), ""
    while words and words[0].startswith("-"):
        word = words.pop(0)
        options.add(word[:2].upper())
        if word[:2].upper() == "-M":
            markup = words.pop(0)
        elif word[:2].upper() == "-R":
            words.pop(0)
    at = next((number for number, word in enumerate(words) if word.startswith("@")), len(words))
    return options, " ".join(words[:at]), " ".join(words[at:])[1:], markup


def main(argv: list[str]) -> int:
    """Run sqlplus; returns its exit status."""
    options, login, script, markup = parse_arguments(argv)
    plus = SqlPlus(silent="-S" in options)
    if markup:
        plus._set_markup(markup.lower().split(), markup.split())
    if "-S" not in options:
        for line in BANNER:
            plus.say(line)
    try:
        if login.lower() != "/nolog":
            plus.connect(login)
    except OracleError as error:
        plus.say("ERROR:")
        for line in error.lines:
            plus.say(line)
        plus.say()
        plus.say("SP2-0306: Invalid option." if login == "" else "SP2-0751: Unable to connect to Oracle.  Exiting SQL*Plus")
        return 1
    try:
        if script:
            plus.run("@" + script)
        plus.run(sys.stdin.read())
    except LeaveError as leave:
        return leave.status
    return 0
