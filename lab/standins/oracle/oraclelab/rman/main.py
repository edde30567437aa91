# SPDX-License-Identifier: GPL-3.0-or-later
"""The rman program: arguments, connection, running of commands, error stacks and the exit status."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from oraclelab import environment
from oraclelab.errors import OracleError, file_lost
from oraclelab.instance import Instance
from oraclelab.messages import translated
from oraclelab.rman import backup, duplicate, listing, maintenance, recover, restore
from oraclelab.rman.parser import Command, Parser, SyntaxFault, parse
from oraclelab.rman.session import Session
from oraclelab.sql import statements

BANNER = (
    "Recovery Manager: Release 19.0.0.0.0 - Production on {date}",
    "Version 19.22.0.0.0",
    "",
    "Copyright (c) 1982, 2019, Oracle and/or its affiliates.  All rights reserved.",
    "",
)
FRAME = (
    "RMAN-00571: ===========================================================",
    "RMAN-00569: =============== ERROR MESSAGE STACK FOLLOWS ===============",
    "RMAN-00571: ===========================================================",
)


class LeaveError(Exception):
    """EXIT was said."""


class Output:
    """Where lines go: the log file when there is one, else stdout, in the client's language."""

    def __init__(self, log: str, *, append: bool) -> None:
        self.handle = Path(log).open("a" if append else "w", encoding="utf-8") if log else sys.stdout  # noqa: SIM115
        self.language = os.environ.get("NLS_LANG", "")

    def __call__(self, line: str = "") -> None:
        """Write a line."""
        self.handle.write(translated(line, self.language) + "\n")
        self.handle.flush()


def parse_arguments(argv: list[str]) -> dict[str, Any]:
    """Read rman's own kind of arguments; ValueError names one that is not known."""
    words, found = list(argv), {"target": "", "cmdfile": "", "log": "", "append": False, "checksyntax": False, "auxiliary": ""}
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        name = name.lower().lstrip("-")
        if word.startswith("@"):
            found["cmdfile"] = word[1:]
        elif name in ("target", "cmdfile", "log", "msglog", "auxiliary"):
            if not equals and not words:
                raise ValueError(word)
            found["log" if name == "msglog" else name] = (value if equals else words.pop(0)).strip("'")
        elif name in ("append", "checksyntax"):
            found[name] = True
        elif name not in ("nocatalog", ""):
            raise ValueError(word)
    return found


def must_connect(login: str) -> None:
    """Operating system authentication only: RMAN-00554 with the reason otherwise."""
    wrapper = (
        "RMAN-00554: initialization of internal recovery manager package failed",
        "RMAN-04005: error from target database:",
    )
    bare = login.strip().strip('"').strip().lower()
    if "@" in bare:
        raise OracleError(
            *wrapper, "ORA-12514: TNS:listener does not currently know of service requested in connect descriptor"
        )
    if bare not in ("/", "/ as sysdba", "/ as sysbackup") or not environment.is_software_owner():
        raise OracleError(*wrapper, "ORA-01017: invalid username/password; logon denied")


def connection_line(db: Instance) -> str:
    """What RMAN says after connecting; it tells the state."""
    state, memory = db.state, db.sga()
    if state == "DOWN":
        return "connected to target database (not started)"
    name = memory["parameters"]["db_name"]
    if state == "NOMOUNT":
        return f"connected to target database: {name} (not mounted)"
    dbid = db.control()["dbid"]
    return f"connected to target database: {name} (DBID={dbid}{'' if state == 'OPEN' else ', not open'})"


class Runner:
    """Executes commands in a session."""

    def __init__(self, db: Instance, out: Output, file: str) -> None:
        self.db = db
        self.out = out
        self.session = Session(db, out, date_format=os.environ.get("NLS_DATE_FORMAT", ""), file=file)
        self.sql = statements.Statements(db, out, self.session.date_format)

    def run(self, command: Command) -> None:
        """Execute one command; OracleError with its wrapper line when it fails."""
        if command.verb == "exit":
            raise LeaveError
        if command.verb == "run":
            self._run_block(command.arguments["commands"])
            return
        try:
            self._handled(command)
        except OracleError as error:
            at = time.strftime("%m/%d/%Y %H:%M:%S")
            first = error.lines[0]
            channel = error.channel or (
                self.session.channels[0][0] if self.session.channels and first.startswith("ORA-") else None
            )
            if command.verb in ("backup", "restore") and channel:
                wrapper = f"RMAN-03009: failure of {command.verb} command on {channel} channel at {at}"
            else:
                wrapper = f"RMAN-03002: failure of {command.verb} command at {at}"
            raise OracleError(wrapper, *error.lines) from error

    def _handled(self, command: Command) -> None:
        try:
            self._handler(command.verb)(command.arguments)
        except OSError as error:
            raise file_lost(error) from error

    def _run_block(self, commands: list[Command]) -> None:
        self.session.reset_run()
        try:
            for command in commands:
                self.run(command)
        finally:
            for name, _ in self.session.channels:
                self.out(f"released channel: {name}")
            self.session.reset_run()

    def _handler(self, verb: str) -> Callable[[dict[str, Any]], None]:
        session = self.session
        handlers: dict[str, Callable[[dict[str, Any]], None]] = {
            "connect": lambda arguments: must_connect(arguments["as"]),
            "set": self._set,
            "allocate": lambda arguments: session.allocate(arguments["id"], arguments["format"]),
            "release": self._release,
            "backup": lambda arguments: backup.backup(session, arguments),
            "restore": lambda arguments: restore.restore(session, arguments),
            "recover": lambda arguments: recover.recover(session, arguments),
            "switch": lambda arguments: restore.switch(session, arguments),
            "validate": lambda arguments: maintenance.validate(session, arguments),
            "crosscheck": lambda arguments: maintenance.crosscheck(session, arguments),
            "list": lambda arguments: listing.list_objects(session, arguments),
            "report": lambda arguments: listing.report(session, arguments),
            "show": lambda arguments: listing.show(session, arguments),
            "configure": lambda arguments: maintenance.configure(session, arguments),
            "catalog": lambda arguments: maintenance.catalog(session, arguments),
            "change": lambda arguments: maintenance.change(session, arguments),
            "delete": lambda arguments: maintenance.delete(session, arguments),
            "reset": lambda arguments: maintenance.reset_database(session, arguments),
            "duplicate": lambda arguments: duplicate.duplicate(session, arguments),
            "startup": self._startup,
            "shutdown": lambda arguments: self.sql.shutdown(arguments["mode"]),
            "sql statement": self._sql,
        }
        return handlers[verb]

    def _sql(self, arguments: dict[str, Any]) -> None:
        self.sql.execute(arguments["statement"])
        self._must_be_dbid()

    def _must_be_dbid(self) -> None:
        """After MOUNT: the database has to be the one SET DBID named."""
        if self.session.dbid is not None and self.db.state in ("MOUNT", "OPEN"):
            mounted = self.db.control()["dbid"]
            if mounted != self.session.dbid:
                raise OracleError(
                    f"RMAN-06189: current DBID {self.session.dbid} does not match target mounted database ({mounted})"
                )

    def _startup(self, arguments: dict[str, Any]) -> None:
        to = arguments["to"]
        self.sql.startup(
            to, force=arguments["force"], pfile=arguments["pfile"], dummy=to == "nomount" and not arguments["pfile"]
        )
        self._must_be_dbid()

    def _release(self, arguments: dict[str, Any]) -> None:
        self.session.channels = [channel for channel in self.session.channels if channel[0].lower() != arguments["id"].lower()]
        self.out(f"released channel: {arguments['id']}")

    def _set(self, arguments: dict[str, Any]) -> None:
        session, what = self.session, arguments["what"]
        if what == "echo":
            session.echo = arguments["value"] == "on"
            return
        if what == "autobackup format":
            if "%F" not in arguments["value"]:
                raise OracleError("RMAN-06492: controlfile autobackup format must include %F")
            session.run_autobackup_format = session.autobackup_format = arguments["value"]
        elif what == "dbid":
            session.dbid = arguments["value"]
            self._must_be_dbid()
        elif what == "until":
            self.db.require("MOUNT", "OPEN")
            session.until = session.resolve_until(arguments["value"], self.db.control())
        elif what == "newname":
            session.newnames.append(arguments)
        else:
            self.sql.execute(f'ADMINISTER KEY MANAGEMENT SET KEYSTORE OPEN IDENTIFIED BY "{arguments["value"]}"')
        self.out("executing command: SET " + what)
        self.out()


def commands_on_stdin(file: str) -> Iterator[Command | SyntaxFault]:
    """Commands one after the other from stdin; a command that cannot be parsed is given as its fault and skipped to its end."""
    parser = Parser(sys.stdin.read(), file)
    while parser.token.kind != "end":
        try:
            yield parser.command()
        except SyntaxFault as fault:
            yield fault
            parser.in_run = False
            while parser.token.kind != "end" and parser.take().text != ";":
                continue


def print_stack(out: Output, lines: tuple[str, ...] | list[str]) -> None:
    """An error stack under its frame."""
    for line in (*FRAME, *lines):
        out(line)
    out()


def run_file(runner: Runner, source: str, file: str) -> int:
    """Parse all, then run, and stop at the first error; returns the exit status."""
    out = runner.out
    for number, line in enumerate(source.splitlines(), 1):
        shown = re.sub(r"(?i)(identified\s+by\s+)(\S+)", r"\1*", line)
        out(f"{'RMAN> ' if number == 1 else f'{number}> '}{shown}")
    out()
    try:
        commands = parse(source, file)
    except SyntaxFault as fault:
        print_stack(out, fault.lines)
        return 1
    try:
        for command in commands:
            runner.run(command)
    except LeaveError:
        return 0
    except OracleError as error:
        print_stack(out, error.lines)
        runner.session.record_failure()
        return 1
    return 0


def run_stdin(runner: Runner) -> int:
    """Every command by itself; any error makes the exit status 1."""
    status = 0
    for command in commands_on_stdin("standard input"):
        try:
            if isinstance(command, SyntaxFault):
                raise OracleError(*command.lines)
            runner.run(command)
        except LeaveError:
            break
        except OracleError as error:
            print_stack(runner.out, error.lines)
            status = 1
    return status


def main(argv: list[str]) -> int:
    """Run rman; returns its exit status."""
    try:
        arguments = parse_arguments(argv)
    except ValueError as error:
        print(f'RMAN-00552: syntax error in command line arguments\nArgument "{error}" is not known')
        return 1
    out = Output(arguments["log"], append=arguments["append"])
    for line in BANNER:
        out(line.format(date=time.strftime("%a %b %d %H:%M:%S %Y")))
    source = ""
    if arguments["cmdfile"]:
        try:
            source = Path(arguments["cmdfile"]).read_text()
        except OSError:
            print_stack(
                out,
                [
                    "RMAN-00554: initialization of internal recovery manager package failed",
                    f"RMAN-01002: cannot open cmdfile {arguments['cmdfile']}",
                ],
            )
            return 1
    if arguments["checksyntax"]:
        return check_syntax(out, source, arguments["cmdfile"])
    return connected(arguments, out, source)


def check_syntax(out: Output, source: str, file: str) -> int:
    """rman checksyntax: parse only."""
    try:
        parse(source, file)
    except SyntaxFault as fault:
        print_stack(out, fault.lines)
        return 1
    out("The cmdfile has no syntax errors")
    out()
    out("Recovery Manager complete.")
    return 0


def connected(arguments: dict[str, Any], out: Output, source: str) -> int:
    """Connect, run, say goodbye."""
    try:
        db = environment.instance()
        login = arguments["target"] or arguments["auxiliary"]
        if login:
            must_connect(login)
            out(connection_line(db) if arguments["target"] else connection_line(db).replace("target", "auxiliary"))
            out("using target database control file instead of recovery catalog" if arguments["target"] else "")
        elif not re.search(r"(?i)^\s*connect\s+target", source, re.MULTILINE):
            raise OracleError("RMAN-06171: not connected to target database")
    except OracleError as error:
        print_stack(out, error.lines)
        return 1
    runner = Runner(db, out, arguments["cmdfile"])
    status = run_file(runner, source, arguments["cmdfile"]) if arguments["cmdfile"] else run_stdin(runner)
    out()
    out("Recovery Manager complete.")
    return status
