# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of rman: what was set, which channels there are, what was said, and the job it leaves in the repository."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

from oraclelab import archiver, clock, control, keystore
from oraclelab.errors import OracleError
from oraclelab.instance import Instance
from oraclelab.pieces import Budget

BASE32 = "0123456789abcdefghijklmnopqrstuv"


@dataclasses.dataclass(frozen=True)
class Until:
    """Where restore and recovery stop, exclusively: an SCN, or a moment in whole seconds."""

    scn: int | None = None
    time: int | None = None

    def covers(self, scn: int, moment: int) -> bool:
        """Whether something of that SCN and moment lies before the stop."""
        return (self.scn is None or scn <= self.scn) and (self.time is None or moment < self.time)


def stamp_of(moment: float) -> int:
    """Oracle's time stamp: seconds of a calendar in which every month has 31 days."""
    t = time.localtime(moment)
    return ((((t.tm_year - 1988) * 12 + t.tm_mon - 1) * 31 + t.tm_mday - 1) * 24 + t.tm_hour) * 3600 + t.tm_min * 60 + t.tm_sec


def base32(number: int, width: int) -> str:
    """A number in the digits of %u."""
    text = ""
    while number or len(text) < width:
        text, number = BASE32[number % 32] + text, number // 32
    return text


class Session:
    """State of one rman run."""

    def __init__(self, db: Instance, say: Callable[[str], None], *, date_format: str, file: str = "") -> None:
        self.db = db
        self._say = say
        self.date_format = date_format or clock.DEFAULT_DATE_FORMAT
        self.file = file
        self.dbid: int | None = None
        self.autobackup_format = ""
        self.echo = False
        self.warned = False
        self.said: list[str] = []
        self.job: int | None = None
        self.begun = clock.now()
        self.reset_run()
        knob = db.knob("disk_full_after")
        self.budget = Budget(int(knob.read_text()) if knob.exists() else None)

    def reset_run(self) -> None:
        """Forget what counts only inside RUN."""
        self.channels: list[tuple[str, str]] = []
        self.until: Until | None = None
        self.newnames: list[dict[str, Any]] = []
        self.restored: dict[str, dict[int, str]] = {"datafile": {}, "tempfile": {}}
        self.run_autobackup_format = ""

    def say(self, line: str = "") -> None:
        """Print a line of output."""
        self.said.append(line)
        self._say(line)

    # Times and names

    def shown(self, moment: float) -> str:
        """A moment in NLS_DATE_FORMAT."""
        return clock.formatted(clock.local(moment), self.date_format)

    @contextlib.contextmanager
    def section(self, what: str) -> Iterator[None]:
        """'Starting backup at ...' and 'Finished backup at ...'."""
        self.begun = clock.now()
        self.say(f"Starting {what} at {self.shown(self.begun)}")
        yield
        self.say(f"Finished {what} at {self.shown(clock.now())}")
        self.say()

    def elapsed(self) -> str:
        """Time since the command began, HH:MM:SS."""
        return time.strftime("%H:%M:%S", time.gmtime(clock.now() - self.begun))

    def channel(self, number: int = 0) -> tuple[str, str]:
        """(id, format) of a channel; the default one is allocated on first use and lasts for the run."""
        if not self.channels:
            self.allocate("ORA_DISK_1", "")
        return self.channels[number % len(self.channels)]

    def allocate(self, name: str, form: str) -> None:
        """Allocate a channel."""
        self.db.require("NOMOUNT", "MOUNT", "OPEN")
        if any(name == known for known, _ in self.channels):
            raise OracleError(
                "RMAN-06010: error while looking up stored channel", f"RMAN-06012: channel: {name} already allocated"
            )
        self.channels.append((name, form))
        self.say(f"allocated channel: {name}")
        self.say(f"channel {name}: SID={40 + len(self.channels)} device type=DISK")

    def expand(self, form: str, *, set_count: int, piece: int, stamp: int, dbid: int, name: str) -> str:
        """A file name of a FORMAT."""
        day = time.localtime()
        unique = base32(set_count, 2) + base32(stamp, 6)
        values = {
            "U": f"{unique}_{set_count}_{piece}_1",
            "u": unique,
            "d": name,
            "I": str(dbid),
            "T": time.strftime("%Y%m%d", day),
            "D": time.strftime("%d", day),
            "M": time.strftime("%m", day),
            "Y": time.strftime("%Y", day),
            "s": str(set_count),
            "p": str(piece),
            "c": "1",
            "t": str(stamp),
            "%": "%",
        }

        def value(match: re.Match[str]) -> str:
            if match[1] not in values:
                raise OracleError(f"RMAN-06493: only UNTIL and FORMAT elements are allowed, not %{match[1]}")
            return values[match[1]]

        return re.sub(r"%(.)", value, form)

    def default_format(self, content: control.Control) -> str:
        """Where pieces go when nobody said: the recovery area, or dbs."""
        if self.db.parameter("db_recovery_file_dest"):
            return f"{archiver.recovery_area(self.db)}/backupset/{time.strftime('%Y_%m_%d')}/o1_mf_%U.bkp"
        return f"{self.db.home}/dbs/%U"

    # Until

    def resolve_until(self, wish: dict[str, Any], content: control.Control) -> Until:
        """An UNTIL clause as SCN or moment; RMAN-20207 or RMAN-20208 before the current incarnation."""
        if "sequence" in wish:
            return Until(scn=self._scn_of_sequence(wish["sequence"], content))
        if "scn" in wish:
            if wish["scn"] < content["resetlogs_scn"]:
                raise OracleError("RMAN-20208: UNTIL CHANGE is before RESETLOGS change")
            return Until(scn=wish["scn"])
        moment = self.moment(wish["time"])
        if moment < content["resetlogs_time"]:
            raise OracleError("RMAN-20207: UNTIL TIME or RECOVERY WINDOW is before RESETLOGS time")
        return Until(time=moment)

    def moment(self, expression: str) -> int:
        """The moment a date expression means, in the server's own time."""
        from oraclelab.sql.select import evaluate_date

        return clock.from_local(evaluate_date(expression, self.date_format))

    def _scn_of_sequence(self, sequence: int, content: control.Control) -> int:
        """First SCN of a log of the current incarnation; RMAN-20206 when the repository does not know it."""
        known = [*content["archived"], *(log for one in content["sets"] for log in one["logs"])]
        current = [log for log in known if log["resetlogs_scn"] == content["resetlogs_scn"]]
        current += [{**group, "resetlogs_scn": content["resetlogs_scn"]} for group in content["groups"] if group["sequence"]]
        for log in current:
            if log["sequence"] == sequence:
                return int(log["first_scn"])
        for log in current:
            if log["sequence"] == sequence - 1 and log["next_scn"]:
                return int(log["next_scn"])
        raise OracleError(f"RMAN-20206: log sequence not found in the repository: {sequence}")

    def key(self) -> bytes:
        """The keystore's key."""
        return keystore.key(self.db)

    # Repository

    @contextlib.contextmanager
    def repository(self) -> Iterator[control.Control]:
        """The control file, written again at the end; nobody else changes it meanwhile."""
        with self.db.locked():
            self.db.require("MOUNT", "OPEN")
            content = self.db.control()
            yield content
            self.db.save_control(content)

    def record_failure(self) -> None:
        """Mark the job of this run as failed, when it has one and the repository can be written."""
        if self.job is not None and self.db.state in ("MOUNT", "OPEN"):
            self.record_job("", 0, "FAILED")

    def record_job(self, kind: str, size: int, status: str) -> None:
        """Keep v$rman_backup_job_details and v$rman_output up to date."""
        with self.repository() as content:
            found = next((job for job in content["jobs"] if job["key"] == self.job), None)
            if found is None:
                self.job = control.next_recid(content)
                found = {"key": self.job, "start": clock.now(), "type": kind, "bytes": 0, "status": "COMPLETED"}
                content["jobs"] = [*content["jobs"][-50:], found]
            found.update(end=clock.now(), bytes=found["bytes"] + size, output=self.said[-200:])
            if found["status"] != "FAILED":
                found["status"] = "COMPLETED WITH WARNINGS" if self.warned and status == "COMPLETED" else status
            if kind.startswith("DB"):
                found["type"] = kind
