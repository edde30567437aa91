# SPDX-License-Identifier: GPL-3.0-or-later
"""Domino servers of the lab: drive them, prove their databases, know which documents they confirmed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lab_tools.domino_standin import Document
from lab_tools.fleet import Answer, Fleet
from lab_tools.waiting import wait_until

ARCHIVE, CIRCULAR, OFFLINE, SPARE = "domino1", "domino2", "domino9", "domino-spare1"
BIN = "/opt/hcl/domino/bin"
DATA, LOGS, DAOS, TARGET = "/local/notesdata", "/local/translog", "/local/daos", "/local/backup"
SERVICE, WRITER = "domino.service", "mailwriter.service"
CONFIRMED = "/var/lib/mailwriter/confirmed.log"
OWN = "/var/lib/domino-standin"
MAIL = ("mail/anna.nsf", "mail/bernd.nsf", "mail/Zoë Müller.nsf", "archive/year 2025.nsf", "apps/orders.nsf")
_KILL = f"systemctl kill --signal=KILL {SERVICE} || true; systemctl stop {SERVICE}; systemctl reset-failed"
BACKUPS = "dominobackup.nsf"  # the backup task's own database: it changes with every backup


@dataclass(frozen=True)
class Server:
    """One Domino server on its host."""

    fleet: Fleet
    host: str = ARCHIVE

    @property
    def ini(self) -> str:
        """Where NOTES.INI lies: on one host outside the data directory."""
        return "/etc/domino/notes.ini" if self.host == CIRCULAR else f"{DATA}/notes.ini"

    # Programs

    def ask(self, program: str, *arguments: str, timeout: float = 300) -> Answer:
        """Run a program of the Domino software as its account and return what it says."""
        words = ["runuser", "-u", "notes", "--", f"{BIN}/{program}", *arguments]
        return self.fleet.ask(self.host, words, timeout=timeout)

    def good(self, program: str, *arguments: str) -> str:
        """Run a program that has to succeed; what it said."""
        answer = self.ask(program, *arguments)
        assert answer.status == 0, f"{program} {arguments} on {self.host}: {answer.stdout}{answer.stderr}"
        return answer.stdout

    def shell(self, script: str) -> str:
        """Run a shell script as root and return its output."""
        return self.fleet.shell(self.host, script)

    def running(self) -> bool:
        """Whether the start script says that the server runs; its exit status means nothing."""
        return "Domino Server is running" in self.fleet.ask(self.host, ["domino", "status"]).stdout

    def said(self) -> str:
        """Return everything that the console said."""
        return self.fleet.ask(self.host, ["cat", f"{DATA}/notes.log"]).stdout

    def console(self, command: str, until: str, deadline: float = 90) -> str:
        """Say something to the console; what it said up to a text."""
        seen = len(self.said())
        self.good("server", f"={self.ini}", "-c", command)
        wait_until(lambda: until in self.said()[seen:], f"'{command}' says '{until}'", deadline)
        return self.said()[seen:]

    def configured(self, key: str) -> str:
        """Return a value of NOTES.INI."""
        return self.good("domino", "inivar", key).strip()

    def configure(self, key: str, value: str) -> None:
        """Change a value of NOTES.INI, as an administrator does."""
        self.console(f"set config {key}={value}", f"{key} was set to {value}")

    def documents(self, form: str) -> list[dict[str, Any]]:
        """Return documents of the backup task's database."""
        return [json.loads(line) for line in self.good("lab-documents", "--form", form).splitlines()]

    @contextmanager
    def knob(self, name: str, value: str = "on") -> Iterator[None]:
        """Order a fault while the block runs."""
        path = f"{OWN}/knobs/{name}"
        self.fleet.shell(self.host, f"cat > '{path}'; chown notes:notes '{path}'", stdin=value)
        try:
            yield
        finally:
            self.fleet.run(self.host, "rm", "-f", path)

    # Mail

    def start_writer(self) -> Document:
        """Have mail arriving without end; the first document since."""
        self.fleet.run(self.host, "systemctl", "start", WRITER)
        return self.goes_on()

    def stop_writer(self) -> None:
        """Let no more mail arrive."""
        self.fleet.run(self.host, "systemctl", "stop", WRITER)

    def last_confirmed(self) -> Document:
        """Return the newest document that the server confirmed to the writer."""
        at, _verb, number, digest, database = self.shell(f"tail -n 1 {CONFIRMED}").rstrip("\n").split(" ", 4)
        return Document(database, int(number), digest, at)

    def goes_on(self) -> Document:
        """Return a document that is confirmed from now on."""
        script = f"before=$(wc -l < {CONFIRMED} 2>/dev/null || echo 0);"
        script += f' while [ "$(wc -l < {CONFIRMED} 2>/dev/null || echo 0)" = "$before" ]; do sleep 0.1; done'
        self.fleet.run(self.host, "timeout", "90", "sh", "-c", script)
        return self.last_confirmed()

    def forget_confirmed(self) -> None:
        """Begin the writer's record anew, for a server that lost documents on purpose."""
        self.shell(f"[ ! -e {CONFIRMED} ] || : > {CONFIRMED}")

    def history(self) -> list[Document]:
        """Return every document of the databases that mail arrives in, oldest first."""
        found = []
        for path in MAIL:
            notes = [json.loads(line) for line in self.good("lab-documents", path).splitlines()]
            found += [Document(path, note["id"], note["hash"], note["time"]) for note in notes]
        return sorted(found, key=lambda document: document.time)

    def deliver(self, database: str = "apps/orders.nsf", count: int = 1, *options: str) -> Document:
        """Deliver documents; the last one."""
        return Document(**json.loads(self.good("lab-deliver", database, str(count), *options)))

    def extents(self) -> list[str]:
        """Return the names of the extents in the log directory."""
        return self.shell(f"cd {LOGS}; ls | grep '^S.*TXN$' || true").split()

    def fill_extent(self, database: str = "mail/bernd.nsf") -> Document:
        """Write until the log has gone to its next extent; the last document."""
        newest = self.extents()[-1]
        while self.extents()[-1] == newest:
            last = self.deliver(database, 60, "--bytes", "1600")
        return last

    # Proof

    def check(self, *known: Document, confirmed: bool = False) -> dict[str, Any]:
        """Return what lab-check finds, good or bad; ``known`` documents, and all confirmed ones, have to be there."""
        words = [word for document in known for word in ("--at", document.at)]
        answer = self.ask("lab-check", *words, *(["--confirmed", CONFIRMED] if confirmed else []))
        try:
            return dict(json.loads(answer.stdout))
        except ValueError:
            return {"ok": False, "problems": [(answer.stdout + answer.stderr).strip()]}

    def prove(self, *known: Document, confirmed: bool = False) -> dict[str, Any]:
        """Return the databases as lab-check sees them. Raise AssertionError with what is broken."""
        found = self.check(*known, confirmed=confirmed)
        assert found["ok"], f"the databases of {self.host} are broken: {found['problems']}"
        return dict(found["databases"])

    def main_process(self) -> str:
        """Return the process id of the server."""
        return self.fleet.run(self.host, "systemctl", "show", "--value", "--property=MainPID", SERVICE).strip()

    # Loss and repair

    def destroy(self) -> str:
        """Kill the server, delete everything that is its own (databases, other files, NOTES.INI, ID files, log, attachments,
        backup target) and what another server of the domain could give back; prove the loss."""
        self.stop_writer()
        self.shell(
            f"{_KILL}; find /local -mindepth 1 -delete; rm -f {self.ini}; find {OWN}/partner -mindepth 1 -delete;"
            ' test -z "$(ls -A /local)"'
        )
        found = self.check()
        assert not found["ok"], f"the databases of {self.host} survived their destruction: {found}"
        return "; ".join(map(str, found["problems"]))

    def alone(self) -> None:
        """Make it the only server of its domain: another one would give back whatever is newer than a restored database."""
        tasks = self.configured("ServerTasks").split(",")
        if "Replica" in tasks:
            self.configure("ServerTasks", ",".join(task for task in tasks if task != "Replica"))
        self.shell(f"find {OWN}/partner -mindepth 1 -delete")

    def repair(self) -> None:
        """Bring it into good order, whatever a test did: no faults, running, databases whole, or else a new server."""
        self.shell(f"rm -f {OWN}/knobs/*")
        if not self.running():
            self.fleet.ask(self.host, ["systemctl", "restart", SERVICE], timeout=120)
        if not (self.running() and self.check()["ok"]):
            self.renew()
        self.alone()
        self.prove()

    def renew(self) -> None:
        """Throw everything away and set the server up anew; the record of confirmed documents begins anew, too."""
        # What restores left, too: the lab gives everything there to the server's account.
        self.shell(f"{_KILL}; rm -rf {DATA} /local/.backstay-*")
        self.fleet.up(only=[self.host])


def content(databases: dict[str, Any]) -> str:
    """Return a hash of all documents; the backup task's own database is left out."""
    held = sorted((path, item["last_hash"]) for path, item in databases.items() if path != BACKUPS)
    return hashlib.sha256(repr(held).encode()).hexdigest()


def between(history: list[Document], document: Document) -> str:
    """Return the moment in the middle between a document and the next one that arrived anywhere."""
    later = next(item.time for item in history if item.time > document.time)
    begin, end = (datetime.fromisoformat(moment.replace("Z", "+00:00")) for moment in (document.time, later))
    return (begin + (end - begin) / 2).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def demand_moment(databases: dict[str, Any], history: list[Document], moment: str) -> None:
    """Demand that the databases that mail arrives in hold exactly what they held at a moment: see ``Server.history``."""
    newest = {document.database: document for document in history if document.time <= moment}
    assert set(newest) == set(MAIL), "some database was still empty at that moment, which proves nothing"
    for path, last in newest.items():
        found = (databases[path]["documents"], databases[path]["last_hash"])
        assert found == (last.id, last.hash), f"{path} holds {found[0]} documents, not the {last.id} of {moment}"


def documents_at_rest(fleet: Fleet, host: str, folder: str) -> dict[str, dict[str, Any]]:
    """Return what databases below a folder hold whose server does not run, by their path there; they are only read."""
    return dict(json.loads(fleet.run(host, "python3", "-B", "-", folder, stdin=_AT_REST)))


_AT_REST = """
import json, sys
from pathlib import Path
sys.path.insert(0, "/opt/hcl/domino/software")
from dominolab import nsf
found, top = {}, Path(sys.argv[1])
for path in sorted(top.rglob("*")):
    if path.suffix in nsf.SUFFIXES and path.is_file() and path.open("rb").read(1) != b"/":
        notes, problems = nsf.read_notes(path)
        state, header = nsf.read_header(path)
        last = notes[-1]["hash"] if notes else nsf.GENESIS
        found[str(path.relative_to(top))] = {"documents": len(notes), "last_hash": last, "problems": problems,
            "state": state.decode(), "tied": header["tied"], "replicate": header["replicate"], "replica": header["replica"]}
print(json.dumps(found))
"""
