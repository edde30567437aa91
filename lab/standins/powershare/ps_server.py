#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A PowerShare mail or catalog server: keeps changing its data folder until it is asked to quit.

Every confirmed message or entry is noted outside the data folder, synced, after it is on the disk itself:

    2026-11-21T12:00:00.123456Z confirm ID HASH    everything up to this one is durable
    2026-11-21T12:00:00.123456Z resume ID HASH     started; this is the newest one found
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import secrets
import signal
import socket
import sys
import threading
import time

import ps_folder
import ps_host
from ps_formats import CLOSED
from ps_host import App
from ps_replication import Listener, Replicas
from ps_store import Store

TICK = 0.25  # seconds; a quit event wakes it at once
CONFIRM_EVERY = 0.5


class Ended(Exception):
    """The server cannot or need not go on; status and the reason for the user."""

    def __init__(self, status: int, state: str, reason: str):
        super().__init__(reason)
        self.status, self.state = status, state


class Server:
    """One process of the application."""

    def __init__(self, app: App):
        self.app = app
        self.guard = threading.RLock()
        self.asked: list[socket.socket] = []  # who waits for the end
        self.terminated = False
        self.wake = threading.Event()
        self.quit_at: float | None = None
        self.due = 0.0
        self.turn = 0
        self.asked_others = app.role == "mail"
        self.confirmed = self._record("confirmed")
        self.uptime = self._record("uptime")
        self.here: list[int] = []
        self.store: Store
        self.replicas: Replicas

    def _record(self, what: str) -> int:
        return os.open(self.app.kept(what), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def say(self, state: str, reason: str = "") -> None:
        """Let psctl see what the process does."""
        ps_host.write_whole(self.app.at_run("state"), json.dumps({"pid": os.getpid(), "state": state, "reason": reason}))

    # Start

    def start(self) -> None:
        """Come to run. Ended when that is not possible or no longer wanted."""
        knobs = ps_host.knobs(self.app)
        self.say("starting")
        self.listen()
        self.wait(lambda: False, knobs["launch-delay"])
        if knobs["launch-fails"]:
            raise Ended(1, "failed", "memFullErr (-108): the application could not be opened")
        if not self.app.data.is_dir():
            self.say("asking", f"{self.app.process} asks which volume holds '{self.app.folder}'")
            self.wait(self.app.data.is_dir, float("inf"))
        self.open_store()
        if self.app.role == "catalog":
            self.replicas = Replicas(self.app.server, self.store, self.guard)
            Listener(self.replicas.answer)
            threading.Thread(target=self.replicate, daemon=True).start()
        note(self.uptime, "up")
        self.here = self.written_here() if self.app.role == "catalog" else []
        for identity, digest in self.newest():
            note(self.confirmed, "resume", identity, digest)
        self.say("running")
        notify("READY=1")

    def wait(self, until, seconds: float) -> None:
        """Wait for a condition or a time; Ended when the application is told to quit meanwhile."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not until():
            if self.terminated or self.asked:
                raise Ended(0, "ended", "")
            self.pause()

    def pause(self) -> None:
        """Let a tick go by, or less when there is something to do."""
        self.wake.wait(TICK)
        self.wake.clear()

    def terminate(self) -> None:
        """Take the quit event of the service manager."""
        self.terminated = True
        self.wake.set()

    def open_store(self) -> None:
        """Open the data folder; an empty one is filled as a new server does."""
        root = os.fsencode(self.app.data)
        if not os.listdir(root):
            folders = ps_host.folders_of(self.app.server) if self.app.role == "catalog" else []
            ps_folder.create(root, ps_folder.new_state(self.app.role, folders, self.app.cold_mib))
        found = ps_folder.examine(root)
        crashed = found.session != CLOSED and self.is_ours(root, found)
        if found.problems and not crashed:
            raise Ended(1, "damaged", f"{self.app.process} found damaged data: {found.problems[0]}")
        session = secrets.token_bytes(16)
        self.write_prefs(root, found, session)
        self.store = Store(root, found.state, found.quit_number, session)
        if crashed:
            self.store.recover()
        else:
            self.store.load()

    def is_ours(self, root: bytes, found: ps_folder.Examined) -> bool:
        """Whether these very files were left by a crash of this server: the prefs know session and inodes, a copy differs."""
        try:
            prefs = json.loads(self.app.prefs.read_text(encoding="utf-8"))
            return found.session.hex() in prefs["sessions"] and prefs["inodes"] == inodes(root, found)
        except (OSError, ValueError, KeyError):
            return False

    def write_prefs(self, root: bytes, found: ps_folder.Examined, session: bytes) -> None:
        """Remember what is open, so that a crash can be told from a copy."""
        sessions = [session.hex(), found.session.hex()]
        prefs = {"volume": str(self.app.volume), "sessions": sessions, "inodes": inodes(root, found)}
        ps_host.write_whole(self.app.prefs, json.dumps(prefs))

    # Work

    def work(self) -> None:
        """Write until it is time to quit."""
        confirm_at = 0.0
        while not self.may_quit():
            knobs = ps_host.knobs(self.app)
            with self.guard:
                self.due += knobs["rate"] * TICK if self.asked_others or not knobs["replication"] else 0
                while self.due >= 1:
                    self.due -= 1
                    self.write_one()
            if time.monotonic() >= confirm_at:
                self.confirm()
                confirm_at = time.monotonic() + CONFIRM_EVERY
            self.pause()

    def write_one(self) -> None:
        """Take a message or an entry from a client."""
        self.turn += 1
        text = {
            "at": ps_host.now(),
            "from": f"user {random.randrange(100)}",
            "text": random.randbytes(random.randrange(50, 400)).hex(),
        }
        body = json.dumps(text).encode()
        if self.app.role == "mail":
            number = self.store.newest() + 1
            self.store.append((number - 1) % len(self.store.logs), number, body)
        elif self.here:
            slot = self.here[self.turn % len(self.here)]
            self.store.append(slot, self.store.logs[slot].number + 1, body)

    def written_here(self) -> list[int]:
        """Return the catalog folders that this server takes entries for."""
        folders = ps_host.system()["folders"]
        return [n for n, log in enumerate(self.store.logs) if folders.get(log.name, {}).get("written_on") == self.app.server]

    def newest(self) -> list[tuple[str, str]]:
        """Return id and chain hash of the newest message, or of the newest entry of every folder written here."""
        logs = self.store.logs
        if self.app.role == "mail":
            log = max(logs, key=lambda one: one.number)
            return [(str(log.number), log.head.hex())] if log.number else []
        return [(f"{logs[n].name}/{logs[n].number}", logs[n].head.hex()) for n in self.here if logs[n].number]

    def confirm(self) -> None:
        """Make durable what was taken, then say so."""
        with self.guard:
            newest = self.newest()
            self.store.sync()
        for identity, digest in newest:
            note(self.confirmed, "confirm", identity, digest)

    def replicate(self) -> None:
        """Catch up with the other catalog servers again and again."""
        while True:
            if ps_host.knobs(self.app)["replication"]:
                self.replicas.catch_up()
                self.asked_others = True
            time.sleep(1)

    # End

    def listen(self) -> None:
        """Take quit events at the control socket."""
        path = self.app.at_run("sock")
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()

        def accept() -> None:
            while True:
                self.asked.append(listener.accept()[0])
                self.wake.set()

        threading.Thread(target=accept, daemon=True).start()

    def may_quit(self) -> bool:
        """Whether the server was asked to quit, no dialog is open and its delay is over."""
        knobs = ps_host.knobs(self.app)
        if self.quit_at is None:
            for link in [one for one in self.asked if not still_waits(one)]:
                self.asked.remove(link)
            if (self.asked or self.terminated) and not knobs["quit-dialog"]:
                self.quit_at = time.monotonic() + knobs["quit-delay"]
                self.say("quitting")
        return self.quit_at is not None and time.monotonic() >= self.quit_at

    def end(self) -> None:
        """Put the data folder in order."""
        with self.guard:
            self.confirm()
            self.store.close()
            note(self.uptime, "down")
            self.say("ended")
            os._exit(0)  # threads that want the guard never get it again


def inodes(root: bytes, found: ps_folder.Examined) -> dict[str, int]:
    """Return the inode of every file that changes."""
    paths = ps_folder.changing(found.state)
    return {path: os.stat(ps_folder.path_of(root, path)).st_ino for path in paths}


def still_waits(link: socket.socket) -> bool:
    """Whether the sender of a quit event has not taken it back."""
    try:
        return link.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def note(descriptor: int, *words: str) -> None:
    """Append a line to a record and return when it is on the disk."""
    os.write(descriptor, " ".join([ps_host.now(), *words]).encode() + b"\n")
    os.fsync(descriptor)


def notify(text: str) -> None:
    """Tell the service manager."""
    if "NOTIFY_SOCKET" in os.environ:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
            link.sendto(text.encode(), os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))


def main() -> int:
    """Run the application; one sentence on stderr when it cannot."""
    app = ps_host.installed(sys.argv[1])
    lock = os.open(app.at_run("lock"), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"{app.process}: file busy (-47)", file=sys.stderr)
        return 1
    server = Server(app)
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    try:
        server.start()
        server.work()
        server.end()
    except Ended as end:
        server.say(end.state, str(end))
        print(end, file=sys.stderr)
        return end.status
    except OSError as error:
        reason = f"{app.process} cannot go on: {error.strerror or error} ({error.filename or app.data})"
        with contextlib.suppress(OSError):
            server.say("failed", reason)
        print(reason, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
