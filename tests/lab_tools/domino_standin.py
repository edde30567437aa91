# SPDX-License-Identifier: GPL-3.0-or-later
"""The Domino stand-in on this machine: a server below a temporary directory, driven by raw commands."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab_tools.fleet import CHECKOUT, Answer
from lab_tools.waiting import wait_until

PROGRAMS = CHECKOUT / "lab/standins/domino/bin"
EXTENT = 32768  # bytes of an extent in these tests


@dataclass(frozen=True)
class Document:
    """A document that was confirmed to be durable."""

    database: str
    id: int
    hash: str
    time: str

    @property
    def at(self) -> str:
        """How lab-check wants it."""
        return f"{self.database}:{self.id}:{self.hash}"


@dataclass
class Server:
    """One Domino server."""

    root: Path

    @property
    def bin(self) -> Path:
        """The program directory."""
        return self.root / "opt/hcl/domino/bin"

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.root / "local/notesdata"

    @property
    def logs(self) -> Path:
        """The transaction log's folder."""
        return self.root / "local/translog"

    @property
    def target(self) -> Path:
        """Where the backup task writes."""
        return self.root / "local/backup"

    @property
    def ini(self) -> Path:
        """NOTES.INI, where these tests put it."""
        return Path(json.loads((self.bin.parent / "standin.json").read_text())["ini"])

    def knob(self, name: str, value: str = "on") -> None:
        """Order a fault."""
        (self.root / "var/lib/domino-standin/knobs" / name).write_text(value)

    def no_knob(self, name: str) -> None:
        """End a fault."""
        (self.root / "var/lib/domino-standin/knobs" / name).unlink()

    # Programs

    def run(self, program: str, *arguments: str, cwd: Path | None = None) -> Answer:
        """Run a program in the data directory; its answer whatever the exit status."""
        argv = [str(self.bin / program), *arguments]
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TZ": "UTC", "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            argv, cwd=cwd or self.data, env=environment, capture_output=True, text=True, timeout=90, check=False
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def good(self, program: str, *arguments: str) -> str:
        """Run a program that has to succeed; what it said."""
        done = self.run(program, *arguments)
        assert done.status == 0, (program, arguments, done.stdout, done.stderr)
        return done.stdout

    def create(self, *options: str) -> None:
        """Set the server up and start it."""
        self.bin.parent.mkdir(parents=True)
        self.bin.symlink_to(PROGRAMS)
        self.data.parent.mkdir(parents=True)
        made = self.run("lab-create", str(self.root), "--extent-bytes", str(EXTENT), "--no-replica", *options, cwd=self.root)
        assert made.status == 0, made.stderr
        self.start()

    def start(self) -> None:
        """Start the server, which has to come up."""
        done = self.run("domino", "start")
        assert done.status == 0, self.said()

    def refuses_to_start(self) -> str:
        """Start the server, which has to end by itself; what it said."""
        seen = len(self.said())
        assert self.run("domino", "start").status == 1
        return self.said()[seen:]

    def stop(self) -> None:
        """Shut the server down in order."""
        self.good("domino", "stop")

    @property
    def pid(self) -> int:
        """The server's process."""
        return int((self.root / "var/lib/domino-standin/domino.pid").read_text())

    def kill(self) -> None:
        """Kill the server; return when logasio has seen it."""
        os.kill(self.pid, signal.SIGKILL)
        wait_until(lambda: "logasio" not in self._processes(), "logasio ended")

    def _processes(self) -> str:
        """Names of processes that belong to this server."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if str(self.root / "var/lib/domino-standin") in (folder / "cmdline").read_text():
                    found.append((folder / "comm").read_text().strip())
            except (FileNotFoundError, ProcessLookupError):
                continue
        return " ".join(found)

    def end(self) -> None:
        """Leave nothing running."""
        if (self.root / "var/lib/domino-standin/domino.pid").exists():
            cmdline = Path(f"/proc/{self.pid}/cmdline")
            if cmdline.exists() and str(self.root) in cmdline.read_text():
                os.kill(self.pid, signal.SIGKILL)

    # Console

    def said(self) -> str:
        """Everything the console said."""
        log = self.data / "notes.log"
        return log.read_text() if log.exists() else ""

    def console(self, command: str, until: str) -> str:
        """Say something to the console; what it said up to a text."""
        seen = len(self.said())
        self.good("server", f"={self.ini}", "-c", command)
        # Not only until the first ERROR: more words follow it, and some tests want errors.
        try:
            wait_until(lambda: until in self.said()[seen:], f"'{command}' says '{until}'", pause=0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.said()[seen:]}") from None
        return self.said()[seen:]

    def refused(self, command: str) -> str:
        """Say something to the console that it refuses; the words."""
        seen = len(self.said())
        self.good("server", f"={self.ini}", "-c", command)
        wait_until(lambda: len(self.said()[seen:].splitlines()) > 1, f"'{command}' is answered", pause=0.05)
        return self.said()[seen:]

    def back_up(self, options: str) -> Path:
        """Run a backup that has to end without errors; the folder of its files."""
        words = self.console(f"load backup {options}", "Finished")
        assert " 0 errors" in words, words
        return Path(words.split(" to ", 1)[1].splitlines()[0])

    # Content

    def deliver(self, database: str = "mail/anna.nsf", count: int = 1, *options: str) -> Document:
        """Deliver documents; the last one."""
        return Document(**json.loads(self.good("lab-deliver", database, str(count), *options)))

    def fill_extent(self, database: str = "mail/bernd.nsf") -> None:
        """Write until the log has gone to its next extent."""
        before = self.extents()[-1]
        while self.extents()[-1] == before:
            self.deliver(database, 8, "--bytes", "1600")

    def extents(self, folder: Path | None = None) -> list[str]:
        """Names of the extents in a folder, the log's own without one."""
        return sorted(path.name for path in (folder or self.logs).glob("S*.TXN"))

    def check(self, *documents: Document) -> dict[str, Any]:
        """What lab-check finds."""
        done = self.run("lab-check", *(word for document in documents for word in ("--at", document.at)))
        return json.loads(done.stdout)

    def in_order(self, *documents: Document) -> dict[str, Any]:
        """What lab-check finds, which has to be in order; the databases."""
        found = self.check(*documents)
        assert found["ok"], found["problems"]
        return found["databases"]

    def dbiid(self, database: str = "mail/anna.nsf") -> str:
        """The DBIID of a database."""
        return self.check()["databases"][database]["dbiid"]

    def documents(self, form: str) -> list[dict[str, Any]]:
        """Documents in dominobackup.nsf."""
        return [json.loads(line) for line in self.good("lab-documents", "--form", form).splitlines()]

    def restore(self, *request: str) -> str:
        """Make a restore request and have it worked through; what the console said."""
        self.good("lab-restore-request", *request)
        seen = len(self.said())
        self.good("server", f"={self.ini}", "-c", "load restore")
        wait_until(lambda: "Restore: Finished" in self.said()[seen:], "the restore ended", pause=0.05)
        return self.said()[seen:]

    def copy_of_everything(self, name: str) -> Path:
        """Copy all folders of the server, as an offline backup does; where."""
        copy = self.root / name
        shutil.copytree(self.root / "local", copy, ignore=shutil.ignore_patterns("backup"), symlinks=True)
        return copy

    def put_back(self, copy: Path) -> None:
        """Put copied folders in the place of the server's."""
        for folder in copy.iterdir():
            shutil.rmtree(self.root / "local" / folder.name)
            shutil.copytree(folder, self.root / "local" / folder.name, symlinks=True)
