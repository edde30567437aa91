# SPDX-License-Identifier: GPL-3.0-or-later
"""The server: one loop that answers the console and users, takes tasks a small step on, and writes checkpoints."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dominolab import check, console, daos
from dominolab.errors import DominoError, PanicError
from dominolab.places import Places, stamp
from dominolab.replica import Partner
from dominolab.store import Store

CHECKPOINT_SECONDS = 1.0
PID_FILE = "pid.nbf"


class Server:
    """The running server."""

    task_delay = 0.3  # a task begins later than the command that asked for it

    def __init__(self, places: Places) -> None:
        self.places = places
        self.quit_wanted = False
        self.running: dict[str, Iterator[float]] = {}
        self._due: dict[str, float] = {}
        self.store = Store(places, self.say)
        self.partner = Partner(places)
        self._logger: subprocess.Popen[bytes] | None = None

    def say(self, text: str) -> None:
        """Write a line to the console and to its log."""
        line = f"[{os.getpid()}:0002] {stamp(time.time(), self.places.settings.get('dates', 'us'))}  {text}"
        print(line, flush=True)
        self.places.console_log.parent.mkdir(exist_ok=True)
        with self.places.console_log.open("a", encoding="utf-8") as log:
            log.write(line + "\n")

    def start(self, name: str, task: Iterator[float]) -> None:
        """Add a task."""
        self.running[name], self._due[name] = task, time.monotonic()

    def status_lines(self) -> list[str]:
        """Return what ``show server`` prints."""
        major, minor = self.places.version
        name = self.places.settings["name"]
        logging = "Not Enabled"
        if self.places.logging:
            logging = "Enabled, archive style" if self.places.archive_style else "Enabled, circular style"
        return [
            f"Lotus Domino (r) Server (Release {major}.{minor} for Linux/64)",
            f"Server name:            {name}",
            f"Server directory:       {self.places.data}",
            f"Transaction logging:    {logging}",
        ]

    def task_lines(self) -> list[str]:
        """Return what ``show tasks`` prints."""
        return ["Task                 Description", *(f"{name.capitalize():<20} Working" for name in self.running)]

    # Life

    def run(self) -> int:
        """Serve until somebody says quit; the exit status."""
        pid_file = self.places.data / PID_FILE
        try:
            with self._listening() as listener:
                pid_file.write_text(str(os.getpid()))
                self.store.open_all()
                self._start_logger()
                self.say(f"Database Server started on {self.places.settings['name']}")
                self._serve(listener)
                self.store.close_all()
        except (PanicError, OSError) as error:
            self.say(f"PANIC: {error}")
            return 5
        except DominoError as error:
            self.say(str(error))
            return 1
        self._end_logger()
        pid_file.unlink()
        self.say("Server shutdown complete")
        return 0

    @contextlib.contextmanager
    def _listening(self) -> Iterator[socket.socket]:
        listener = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(FileNotFoundError):
            self.places.socket.unlink()
        with self.places.socket_address() as address:
            listener.bind(address)
        listener.listen(64)
        try:
            yield listener
        finally:
            listener.close()
            self.places.socket.unlink(missing_ok=True)

    def _start_logger(self) -> None:
        """Start logasio; it notices the death of this process and closes the case (see logasio.py)."""
        argv = ["logasio", "-I", str(Path(__file__).with_name("logasio.py")), str(self.places.own / "session.json")]
        self._logger = subprocess.Popen(argv, executable=sys.executable, stdin=subprocess.PIPE, cwd="/")

    def _end_logger(self) -> None:
        if self._logger and self._logger.stdin:
            self._logger.stdin.write(b"done\n")
            self._logger.stdin.close()
            self._logger.wait()

    def _serve(self, listener: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            checkpoint = time.monotonic()
            while not (self.quit_wanted and not self.running and not self.places.knob("quit_hangs")):
                for _ in selector.select(self._pause()):
                    self._answer(listener.accept()[0])
                self._step()
                if time.monotonic() - checkpoint > CHECKPOINT_SECONDS and not self.places.knob("no_checkpoint"):
                    self._housekeeping()
                    checkpoint = time.monotonic()

    def _pause(self) -> float:
        soonest = min((due - time.monotonic() for due in self._due.values()), default=CHECKPOINT_SECONDS)
        return min(max(soonest, 0), 0.2 if self.quit_wanted else CHECKPOINT_SECONDS)

    def _step(self) -> None:
        for name in [name for name, due in self._due.items() if due <= time.monotonic()]:
            try:
                self._due[name] = time.monotonic() + next(self.running[name])
            except StopIteration:
                del self.running[name], self._due[name]

    def _housekeeping(self) -> None:
        self.store.checkpoint()
        if self._logger and self._logger.poll() is not None:
            raise PanicError("logasio ended")
        if "replica" in self.places.ini.get("ServerTasks").lower():
            for path in sorted(self.store.databases):
                self._replicate(path)

    def _replicate(self, path: str) -> None:
        database = self.store.databases[path]
        if database.header["replicate"] and path.startswith("mail/"):
            told = self.partner.replicate(self.store, database)
            if told:
                self.say(told)

    # Answers

    def _answer(self, connection: socket.socket) -> None:
        """Answer one request of a program: one line of JSON each way."""
        with connection, connection.makefile("rb") as stream:
            connection.settimeout(5)
            try:
                request = json.loads(stream.readline())
            except (OSError, ValueError):
                return  # whoever asked has gone
            try:
                answer = {"answer": self._do(request)}
            except DominoError as error:
                answer = {"error": str(error)}
            with contextlib.suppress(OSError):
                connection.sendall(json.dumps(answer).encode() + b"\n")

    def _do(self, request: dict[str, Any]) -> Any:
        verb = request.pop("do")
        if verb == "ping":
            return "up"
        if verb == "console":
            return console.execute(self, request["text"])
        if self.quit_wanted:
            raise DominoError("The server is shutting down")
        if verb == "deliver":
            return self._deliver(**request)
        if verb == "append":
            return self.store.append(request["database"], request["fields"])
        if verb == "documents":
            return self.store.need(request["database"]).notes()
        if verb == "report":
            self.store.checkpoint()
            return check.report(self.places, request["known"], running=self.store.unusable)
        raise DominoError(f"unknown request {verb}")

    def _deliver(self, database: str, body: str, attachment: str) -> dict[str, Any]:
        fields = {"form": "Memo", "body": body}
        if attachment and self.places.ini.get("DAOSEnable") == "1":
            fields["nlo"] = daos.store(self.places, attachment.encode())
        note = self.store.append(database, fields)
        return {"database": database, "id": note["id"], "hash": note["hash"], "time": note["time"]}


def ask(places: Places, **request: Any) -> Any:
    """Ask the running server; DominoError when it does not run or refuses."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.settimeout(60)
            with places.socket_address() as address:
                connection.connect(address)
            with connection.makefile("rwb") as stream:
                stream.write(json.dumps(request).encode() + b"\n")
                stream.flush()
                line = stream.readline()
        except OSError:
            line = b""
    if not line:
        raise DominoError("Server is not running")
    answer = json.loads(line)
    if "error" in answer:
        raise DominoError(answer["error"])
    return answer["answer"]


def is_running(places: Places) -> bool:
    """Return whether a server process listens."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            with places.socket_address() as address:
                connection.connect(address)
        except OSError:
            return False
    return True
