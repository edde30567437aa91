# SPDX-License-Identifier: GPL-3.0-or-later
"""The Oracle stand-in on this machine: a database below a temporary directory, driven by raw rman and sqlplus."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from lab_tools.fleet import CHECKOUT, Answer

PROGRAMS = CHECKOUT / "lab/standins/oracle/bin"
PLAIN = "SET PAGES 0 FEEDBACK OFF HEADING OFF VERIFY OFF LINES 32767 TRIMSPOOL ON NUMWIDTH 20"


def lines(*commands: str) -> str:
    """Commands of one file."""
    return "\n".join(commands) + "\n"


@dataclass(frozen=True)
class Commit:
    """A transaction the application knows to be durable."""

    id: int
    hash: str
    scn: int
    written_at: str

    @property
    def at_id(self) -> str:
        """How oracle-check wants it."""
        return f"{self.id}:{self.hash}"


@dataclass
class Server:
    """One Oracle host: software, and the database of one SID."""

    root: Path
    sid: str = "TEST"
    zone: str = "<+0330>-3:30"
    more: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """ORACLE_HOME."""
        return self.root / "u01/app/oracle/product/19.0.0/dbhome_1"

    @property
    def stage(self) -> Path:
        """Where pieces go."""
        return self.root / "stage"

    @property
    def oradata(self) -> Path:
        """Data files, control files and online logs."""
        return self.root / "oradata" / self.sid

    @property
    def area(self) -> Path:
        """Recovery area."""
        return self.root / "fra"

    @property
    def knobs(self) -> Path:
        """Faults on demand."""
        return self.root / "u01/app/oracle/standin" / self.sid / "knobs"

    @property
    def environment(self) -> dict[str, str]:
        """What an Oracle administrator exports."""
        nls = {"NLS_LANG": "AMERICAN_AMERICA.AL32UTF8", "NLS_DATE_FORMAT": "YYYY-MM-DD HH24:MI:SS"}
        own = {"ORACLE_HOME": str(self.home), "ORACLE_SID": self.sid, "ORACLE_BASE": str(self.root / "u01/app/oracle")}
        return {"PATH": os.environ["PATH"], "TZ": self.zone, **own, **nls, **self.more}

    def install(self) -> None:
        """Software and empty directories."""
        for directory in (self.home / "dbs", self.stage, self.area, self.oradata.parent):
            directory.mkdir(parents=True, exist_ok=True)
        if not (self.home / "bin").exists():
            (self.home / "bin").symlink_to(PROGRAMS)

    def run(self, program: str, *arguments: str, stdin: str = "", **environment: str) -> Answer:
        """Run a program of the software; its answer whatever the exit status."""
        argv = [str(self.home / "bin" / program), *arguments]
        env = {name: value for name, value in {**self.environment, **environment}.items() if value}
        done = subprocess.run(argv, input=stdin, env=env, capture_output=True, text=True, timeout=60, check=False)
        return Answer(done.returncode, done.stdout, done.stderr)

    def create(self, *options: str) -> None:
        """Make the database and open it."""
        self.install()
        sizes = ("--file-blocks", "24", "--log-bytes", "65536")
        made = self.run(
            "oracle-create", self.sid, "--oradata", str(self.root / "oradata"), "--area", str(self.area), *sizes, *options
        )
        assert made.status == 0, made.stderr
        assert self.run("dbstart", self.sid).status == 0

    def rman(self, *commands: str, **environment: str) -> Answer:
        """Run commands from a cmdfile."""
        file = self.root / "commands.rman"
        file.write_text(lines(*commands))
        return self.run("rman", "target", "/", "nocatalog", f"cmdfile={file}", **environment)

    def good(self, *commands: str) -> str:
        """Run commands that have to succeed; what was said."""
        done = self.rman(*commands)
        assert done.status == 0, done.stdout
        assert not codes(done.stdout), done.stdout
        return done.stdout

    def refused(self, *commands: str) -> list[str]:
        """Run commands that have to fail with exit status 1 and the goodbye; the codes of the stack."""
        done = self.rman(*commands)
        assert done.status == 1, done.stdout
        assert "Recovery Manager complete." in done.stdout
        return codes(done.stdout)

    def sql(self, *statements: str) -> Answer:
        """Run statements, stopping at the first error."""
        prologue = ("WHENEVER SQLERROR EXIT FAILURE", "WHENEVER OSERROR EXIT FAILURE", PLAIN)
        return self.run("sqlplus", "-S", "-L", "/ as sysdba", stdin=lines(*prologue, *statements))

    def rows(self, select: str) -> list[list[str]]:
        """Rows of a SELECT as texts."""
        done = self.sql("SET MARKUP CSV ON QUOTE OFF DELIMITER '|'", select + ";")
        assert done.status == 0, done.stdout
        return [line.split("|") for line in done.stdout.splitlines() if line]

    def value(self, select: str) -> str:
        """The one value of a SELECT."""
        return self.rows(select)[0][0]

    def altered(self, *statements: str) -> None:
        """Run statements that have to succeed."""
        done = self.sql(*statements)
        assert done.status == 0, done.stdout

    def commit(self, count: int = 1) -> Commit:
        """Commit transactions; the last one."""
        done = self.run("oracle-transact", self.sid, str(count))
        assert done.status == 0, done.stderr
        return Commit(**json.loads(done.stdout))

    def check(self, *arguments: str) -> dict[str, object]:
        """The proof of the application's data."""
        return json.loads(self.run("oracle-check", self.sid, *arguments).stdout)

    def prove(self, last: Commit) -> None:
        """The open database ends with exactly this transaction, and everything in it holds together."""
        found = self.check("--at-id", last.at_id, "--below-scn", str(last.scn + 1))
        assert found["ok"], found
        assert found["last_id"] == last.id

    def pieces(self, pattern: str = "*") -> list[Path]:
        """Pieces in the staging directory."""
        return sorted(self.stage.glob(pattern))

    def full(self) -> None:
        """Level 0, logs, spfile when there is one, control file last."""
        spfile = (
            [f"BACKUP SPFILE FORMAT '{self.stage}/sp_%U';"] if (self.home / "dbs" / f"spfile{self.sid}.ora").exists() else []
        )
        self.good(
            "CONFIGURE CONTROLFILE AUTOBACKUP OFF;",
            f"BACKUP INCREMENTAL LEVEL 0 FILESPERSET 1 DATABASE FORMAT '{self.stage}/db_%U' TAG 'L0';",
            "SQL 'ALTER SYSTEM ARCHIVE LOG CURRENT';",
            f"BACKUP ARCHIVELOG ALL FORMAT '{self.stage}/al_%U' TAG 'AL';",
            *spfile,
            f"BACKUP CURRENT CONTROLFILE FORMAT '{self.stage}/ct_%U' TAG 'CT';",
        )

    def logs(self, sequence: int) -> None:
        """Logs from a sequence on, and the control file."""
        self.good(
            f"BACKUP ARCHIVELOG FROM SEQUENCE {sequence} THREAD 1 FORMAT '{self.stage}/al_%U' TAG 'AL';",
            f"BACKUP CURRENT CONTROLFILE FORMAT '{self.stage}/cz_%U' TAG 'CT';",
        )

    def crash(self) -> None:
        """Kill the instance."""
        for pid in instances(self):
            os.kill(pid, signal.SIGKILL)

    def lose_everything(self) -> None:
        """Kill the instance and remove every file of the database but the parameter file."""
        self.crash()
        for file in [*self.oradata.rglob("*"), *(self.area / self.sid).rglob("*")]:
            if file.is_file():
                file.unlink()

    def control_back(self, pattern: str = "c[tz]_*") -> tuple[str, ...]:
        """Commands that mount the newest control file of the staging directory and catalogue the pieces."""
        newest = max(self.pieces(pattern), key=lambda path: path.stat().st_mtime_ns)
        return (
            "STARTUP FORCE NOMOUNT;",
            f"RESTORE CONTROLFILE FROM '{newest}';",
            "ALTER DATABASE MOUNT;",
            f"CATALOG START WITH '{self.stage}/' NOPROMPT;",
        )


def codes(output: str) -> list[str]:
    """Codes of an error stack, without its frame and without warnings."""
    found = re.findall(r"^(ORA-\d{5}|RMAN-\d{5}(?!: warning)): ", output, re.MULTILINE)
    return [code for code in found if code not in ("RMAN-00571", "RMAN-00569", "RMAN-07517", "RMAN-07518")]


def instances(server: Server) -> list[int]:
    """Process numbers of the server's running instance."""
    memory = server.root / "u01/app/oracle/standin" / server.sid / "sga.json"
    if not memory.exists():
        return []
    pid = int(json.loads(memory.read_text())["pid"])
    try:
        name = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
    except OSError:
        return []
    return [pid] if name == f"ora_pmon_{server.sid}" else []
