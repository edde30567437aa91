# SPDX-License-Identifier: GPL-3.0-or-later
"""Run RMAN and SQL*Plus as the account of the server: fixed language and dates, never a password on a command line.

The account comes in through the operating system (``/``) or through a wallet (``/@ALIAS``); nothing else is accepted.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional

from ...errors import BadInput, CommandFailed
from ...executors import Executor, LocalExecutor
from ...process import Tail, spell_status
from .cmdfile import render
from .messages import error_of, warnings
from .text import system_identifier

if TYPE_CHECKING:
    from ...worker.job import Job

Rows = List[List[str]]
ORATAB = Path("/etc/oratab")
_CONNECT = re.compile(r"^/(@[A-Za-z0-9_.]{1,64})?\Z")
_ASK_SECONDS = 300
_LEAD_ELSEWHERE = ("TWO_TASK", "LOCAL")
_MARK = "backstay-answer:"
# Numbers as wide as they are (the default shows an SCN as 1.2E+12), one CSV record a row, the first error ends it.
_PROLOGUE = """WHENEVER SQLERROR EXIT FAILURE
WHENEVER OSERROR EXIT FAILURE
SET DEFINE OFF
SET ECHO OFF
SET VERIFY OFF
SET FEEDBACK OFF
SET HEADING OFF
SET PAGESIZE 0
SET LINESIZE 32767
SET TRIMSPOOL ON
SET NUMWIDTH 40
"""


class Instance(NamedTuple):
    """One instance of the host and how to reach it. ``zone`` is the server's time zone, as TZ spells it; ``executor`` leads to
    its host."""

    sid: str
    home: str
    account: str
    connect: str = "/"
    base: str = ""
    tns_admin: str = ""
    zone: str = ":/etc/localtime"
    executor: Executor = LocalExecutor()

    def facts(self) -> Dict[str, str]:
        """Return the instance as plain data, without the way to its host."""
        return {name: value for name, value in self._asdict().items() if name != "executor"}

    def environment(self) -> Dict[str, str]:
        """Return the variables of every tool. The zone is the server's: who starts an instance gives it its clock."""
        found = {
            "ORACLE_SID": self.sid,
            "ORACLE_HOME": self.home,
            "NLS_LANG": "AMERICAN_AMERICA.AL32UTF8",
            "NLS_DATE_FORMAT": "YYYY-MM-DD HH24:MI:SS",
            "TZ": self.zone,
            "HOME": self.executor.home(self.account),
        }
        more = {"ORACLE_BASE": self.base, "TNS_ADMIN": self.tns_admin}
        return dict(found, **{name: value for name, value in more.items() if value})

    def rman_argv(self, cmdfile: str) -> List[str]:
        """Return the command line of RMAN on a command file."""
        return [*self._alone(), f"{self.home}/bin/rman", "target", self.connect, "nocatalog", f"cmdfile={cmdfile}"]

    def sqlplus_argv(self) -> List[str]:
        """Return the command line of SQL*Plus; statements come on standard input."""
        return [*self._alone(), f"{self.home}/bin/sqlplus", "-S", "-L", f"{self.connect} as sysdba"]

    def _alone(self) -> List[str]:
        """Return what takes the variables away that lead ``/`` to another instance than ORACLE_SID names.

        Only the login account of another machine could bring them; here every process begins with an environment of ours.
        """
        return ["env", *(word for name in _LEAD_ELSEWHERE for word in ("-u", name))] if self.executor.remote else []


def instance(options: Dict[str, Any], executor: Executor) -> Instance:
    """Return the instance that ``options`` name, on the host of ``executor``.

    Raise BadInput for what cannot be one, and for a password.
    """
    sid = system_identifier(str(options.get("sid") or ""))
    connect = options.get("connect") or "/"
    if not _CONNECT.match(connect):
        raise BadInput("app_oracle_connect must be / or /@ALIAS", "keep the password in a wallet (docs/systems/oracle.md)")
    home = options.get("home") or home_of(sid, executor)
    if not home.startswith("/"):
        raise BadInput(f"{ORATAB} does not name the home of {sid}", "set app_oracle_home")
    return Instance(
        sid,
        home.rstrip("/"),
        options.get("account") or "oracle",
        connect,
        options.get("base") or "",
        options.get("tns_admin") or "",
        options.get("zone") or ":/etc/localtime",
        executor,
    )


def home_of(sid: str, executor: Executor) -> str:
    """Return the ORACLE_HOME of ``sid`` by the host's oratab, empty when it has no line there."""
    text = executor.read(ORATAB).decode("utf-8", "replace") if executor.exists(ORATAB) else ""
    for line in text.splitlines():
        fields = line.split("#", 1)[0].strip().split(":")
        if len(fields) >= 2 and fields[0] == sid:
            return fields[1]
    return ""


def sqlplus(server: Instance, statements: str, timeout: float = _ASK_SECONDS) -> str:
    """Run ``statements`` and return what they print. Raise the error that a failed one means."""
    done = server.executor.run(
        server.sqlplus_argv(),
        timeout,
        account=server.account,
        environment=server.environment(),
        feed=(_PROLOGUE + statements.rstrip("\n") + "\nEXIT SUCCESS\n").encode(),
    )
    if done.status != 0:
        raise error_of(f"SQL*Plus on {server.sid}", f"{done.stdout}\n{done.stderr}", spell_status(done.status))
    return done.stdout


def ask(server: Instance, questions: Dict[str, str], timeout: float = _ASK_SECONDS) -> Dict[str, Rows]:
    """Return the rows of every question (a SELECT without its end), all asked in one session; values are text."""
    lines = ["SET MARKUP CSV ON DELIMITER , QUOTE ON"]
    for name, sql in questions.items():
        lines += [f"PROMPT {_MARK}{name}", " ".join(sql.split()) + ";"]
    return answers(sqlplus(server, "\n".join(lines), timeout), list(questions))


def answers(output: str, names: List[str]) -> Dict[str, Rows]:
    """Return the rows of each named answer in ``output``. Raise CommandFailed when one is missing."""
    found: Dict[str, List[str]] = {}
    current: Optional[List[str]] = None
    for line in output.splitlines():
        if line.startswith(_MARK):
            current = found.setdefault(line[len(_MARK) :].strip(), [])
        elif current is not None and line.strip():
            current.append(line)
    missing = [name for name in names if name not in found]
    if missing:
        raise CommandFailed(f"SQL*Plus ended without an answer to: {', '.join(missing)}")
    return {name: [[cell.strip() for cell in row] for row in csv.reader(found[name])] for name in names}


def query(server: Instance, sql: str) -> Rows:
    """Return the rows of one SELECT."""
    return ask(server, {"rows": sql})["rows"]


def write_for_tools(job: Job, server: Instance, name: str, text: str) -> Path:
    """Write a file for a tool into a folder of the job that only the server's account reaches; return its path."""
    folder = server.executor.work(job.work) / "rman"
    server.executor.open_folder(folder, server.account)
    server.executor.write(folder / name, text.encode(), server.account)
    return folder / name


def rman(job: Job, server: Instance, name: str, commands: List[str], writes_to: Optional[Path] = None) -> str:
    """Run RMAN on ``commands`` and return what it said, which stays in the job's folder as ``rman-NAME.log``.

    RMAN is watched for a stall by what grows: its own words and the files in ``writes_to``. Raise the error that a failure
    means. Harmless warnings become checks of the set.
    """
    path = write_for_tools(job, server, f"{name}.rman", render(commands))
    process = server.executor.start(server.rman_argv(str(path)), server.environment(), server.account)
    said = Tail(process.stdout, 64 << 20, str(job.folder.path / f"rman-{name}.log"))
    job.watch([process], lambda: len(said.peek()) + (server.executor.used(writes_to) if writes_to else 0))
    text = said.text()
    if process.returncode != 0:
        error = error_of("RMAN", text, spell_status(process.returncode))
        error.hint = f"{error.hint + '; ' if error.hint else ''}see {job.folder.path}/rman-{name}.log"
        raise error
    for warning in warnings(text):
        job.seen["checks"].append({"name": "RMAN", "status": "warning", "detail": warning})
    return text
