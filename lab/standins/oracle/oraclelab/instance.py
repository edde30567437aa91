# SPDX-License-Identifier: GPL-3.0-or-later
"""One instance: its places, its memory (a file that counts only while ora_pmon_SID lives), lock and control file."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from oraclelab import clock, control, parameters
from oraclelab.errors import OracleError

ORDER = ("DOWN", "NOMOUNT", "MOUNT", "OPEN")
NOT_AVAILABLE = (
    "ORA-01034: ORACLE not available",
    "ORA-27101: shared memory realm does not exist",
    "Linux-x86_64 Error: 2: No such file or directory",
)


def started_at(pid: int) -> str:
    """What tells a process from another with its number: its start time; empty when it does not run."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return "" if fields[0] in "ZX" else f"{boot}/{fields[19]}"


class Instance:
    """The instance that ORACLE_SID names, running or not."""

    def __init__(self, sid: str, home: str, base: str) -> None:
        self.sid = sid
        self.home = Path(home)
        self.base = Path(base)
        self.own = self.base / "standin" / sid
        self._depth = 0
        self._lock = -1

    # Places

    @property
    def spfile(self) -> str:
        """Path of the server parameter file, there or not."""
        return str(self.home / "dbs" / f"spfile{self.sid}.ora")

    @property
    def pfile(self) -> str:
        """Path of the text parameter file, there or not."""
        return str(self.home / "dbs" / f"init{self.sid}.ora")

    def knob(self, name: str) -> Path:
        """A file that asks for a fault."""
        return self.own / "knobs" / name

    # Exclusion

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else changes the instance or its files; may be nested."""
        if self._depth == 0:
            (self.own / "knobs").mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.own / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            self._finish_pending()
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0:
                os.close(self._lock)

    def _finish_pending(self) -> None:
        """Write the blocks of a transaction whose process was killed between redo and data files.

        A data file that cannot be written ends the instance, as it does with Oracle; the redo has the transaction.
        """
        from oraclelab.recovery import write_changes

        memory = self.sga()
        if memory.get("pending"):
            try:
                write_changes(*memory["pending"])
            except OSError:
                self.abort()
                return
            self.save_sga({**memory, "pending": None})

    # Memory

    def sga(self) -> dict[str, Any]:
        """The instance's memory; empty when it is not running."""
        try:
            memory = json.loads((self.own / "sga.json").read_text())
        except (OSError, ValueError):
            return {}
        return memory if started_at(memory["pid"]) == memory["pid_started"] else {}

    def save_sga(self, memory: dict[str, Any]) -> None:
        """Keep the instance's memory."""
        fresh = self.own / "sga.new"
        fresh.write_text(json.dumps(memory))
        fresh.rename(self.own / "sga.json")

    def update_sga(self, **changes: Any) -> dict[str, Any]:
        """Change fields of the memory."""
        memory = {**self.sga(), **changes}
        self.save_sga(memory)
        return memory

    @property
    def state(self) -> str:
        """DOWN, NOMOUNT, MOUNT or OPEN."""
        return self.sga().get("state", "DOWN")

    def require(self, *states: str) -> dict[str, Any]:
        """The memory when the instance is in one of the states, ORA-01034, ORA-01507 or ORA-01109 otherwise."""
        memory = self.sga()
        state = memory.get("state", "DOWN")
        if state in states:
            return memory
        if state == "DOWN":
            raise OracleError(*NOT_AVAILABLE)
        if state == "NOMOUNT":
            raise OracleError("ORA-01507: database not mounted")
        raise OracleError("ORA-01109: database not open" if "OPEN" in states else "ORA-01100: database already mounted")

    def parameter(self, name: str) -> str:
        """Value of a parameter of the running instance; empty when it is not set."""
        return self.sga()["parameters"].get(name, "")

    # Control file

    def control_paths(self) -> list[str]:
        """Paths of the control files."""
        return self.parameter("control_files").split(",")

    def control(self) -> control.Control:
        """Read the control file."""
        return control.read(self.control_paths())

    def save_control(self, content: control.Control) -> None:
        """Write the control file; the caller holds the lock since it read it."""
        control.write(self.control_paths(), content)

    # Life

    def _find_parameters(self, pfile: str) -> tuple[dict[str, str], str]:
        """(parameters, spfile in use or empty): what was named, else the spfile, else the pfile."""
        if pfile:
            return parameters.read_pfile(pfile), ""
        if Path(self.spfile).exists():
            return parameters.read_spfile(self.spfile), self.spfile
        return parameters.read_pfile(self.pfile), ""

    def startup_nomount(self, *, pfile: str = "", dummy: bool = False) -> None:
        """Start the processes. dummy: without a parameter file, as RMAN does for the retrieval of the spfile."""
        with self.locked():
            if self.state != "DOWN":
                raise OracleError("ORA-01081: cannot start already-running ORACLE - shut it down first")
            if dummy:
                values, spfile = {"db_name": "DUMMY", "control_files": ""}, ""
            else:
                values, spfile = self._find_parameters(pfile)
            values = {**parameters.DEFAULTS, **values}
            values.setdefault("db_unique_name", values["db_name"])
            if "control_files" not in values:
                values["control_files"] = str(self.home / "dbs" / f"cntrl{self.sid}.dbf")
            pid = self._start_pmon()
            self.save_sga(
                {
                    "pid": pid,
                    "pid_started": started_at(pid),
                    "state": "NOMOUNT",
                    "started": clock.now(),
                    "parameters": values,
                    "spfile": spfile,
                    "dummy": dummy,
                    "scn": 0,
                    "pending": None,
                    "pdbs": {},
                    "keystore": "OPEN" if self._wallet(values, "cwallet.sso").exists() else "CLOSED",
                }
            )

    def _start_pmon(self) -> int:
        """Start the background process in a session of its own; it belongs to the caller's unit, as Oracle's do."""
        body = Path(__file__).with_name("pmon.py")
        argv = [f"ora_pmon_{self.sid}", "-I", str(body), str(os.getpid())]
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(
            argv, executable=sys.executable, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True, cwd="/"
        )
        return process.pid

    def _wallet(self, values: dict[str, str], name: str) -> Path:
        return Path(values.get("wallet_root") or str(self.base / "admin" / self.sid / "wallet")) / name

    def wallet(self, name: str) -> Path:
        """A file of the keystore."""
        return self._wallet(self.sga()["parameters"], name)

    def mount(self) -> None:
        """Open the control file: ORA-00205 when it is missing, ORA-01103 when it is another database's."""
        with self.locked():
            memory = self.require("NOMOUNT", "MOUNT", "OPEN")
            if memory["state"] != "NOMOUNT":
                raise OracleError("ORA-01100: database already mounted")
            content = self.control()
            name = memory["parameters"]["db_name"]
            if content["db_name"] != name:
                raise OracleError(f"ORA-01103: database name '{content['db_name']}' in control file is not '{name}'")
            self.update_sga(state="MOUNT", scn=content["ckp_scn"])

    def abort(self) -> None:
        """End the background process at once and wait until it is gone."""
        memory = self.require("NOMOUNT", "MOUNT", "OPEN")
        os.kill(memory["pid"], signal.SIGKILL)
        while self.sga():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(memory["pid"], os.WNOHANG)
            time.sleep(0.01)

    # Faults

    def reached(self, point: str) -> None:
        """A point where a test may want to hold or kill something."""
        for name in ("kill_rman_at", "kill_instance_at", "hold_at"):
            knob = self.knob(name)
            if not knob.exists() or knob.read_text().strip() != point:
                continue
            if name == "hold_at":
                self.knob("held").touch()
                while knob.exists():
                    time.sleep(0.02)
                self.knob("held").unlink(missing_ok=True)  # whoever held it may have cleaned up
                continue
            knob.unlink()
            os.kill(os.getpid() if name == "kill_rman_at" else self.sga()["pid"], signal.SIGKILL)

    def paced(self, blocks: int) -> None:
        """Slow down when a test asks for it."""
        knob = self.knob("slow")
        if blocks % 64 == 0 and knob.exists():
            time.sleep(float(knob.read_text()))
