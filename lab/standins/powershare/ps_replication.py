# SPDX-License-Identifier: GPL-3.0-or-later
"""Catalog servers among each other: one JSON object per line over TCP, question and answer, then the connection ends.

A folder is a chain of entries. Of two copies of which one is the other's beginning, the longer is newer and the
shorter catches up. Copies that part from each other are a conflict: nothing is taken before somebody decides.
"""

from __future__ import annotations

import base64
import json
import socket
import socketserver
import threading
from collections.abc import Callable
from typing import Any

import ps_formats as formats
import ps_host
from ps_host import Refused
from ps_store import Store

AT_ONCE = 500
TIMEOUT = 3.0


def ask(server: str, question: dict[str, Any], timeout: float = TIMEOUT) -> dict[str, Any]:
    """Ask another catalog server and return its answer. OSError when it is down, Refused when it refuses."""
    with socket.create_connection((server, ps_host.system()["port"]), timeout) as link:
        link.sendall(json.dumps(question).encode() + b"\n")
        line = link.makefile("rb").readline()
    if not line:
        raise ConnectionError(f"{server} ended the connection")
    answer = json.loads(line)
    if "refused" in answer:
        raise Refused(answer["refused"])
    return answer


def folders(server: str) -> dict[str, Any]:
    """Return what a server says of its folders; one that is down has none that anybody could use."""
    try:
        return ask(server, {"ask": "folders"})
    except OSError:
        return {"server": server, "running": False, "folders": {}}


class Replicas:
    """The folders of a running catalog server, for the others and from the others."""

    def __init__(self, server: str, store: Store, guard: threading.RLock):
        self.server, self.store, self.guard = server, store, guard
        self.slots = {log.name: slot for slot, log in enumerate(store.logs)}
        self.conflicts: dict[str, str] = {}

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """Answer another server or psctl."""
        if question["ask"] == "replicate":  # asks another server itself, so without the guard
            return self.replicate(question["folder"], question["from"])
        with self.guard:
            if question["ask"] == "folders":
                return {"server": self.server, "running": True, "folders": self.folders()}
            log = self.store.logs[self._slot(question["folder"])]
            if question["ask"] == "hash":
                version = question["version"]
                known = 0 < version <= len(log.places)
                return {"hash": log.places[version - 1][1].hex() if known else ""}
            found = self.store.read(self._slot(question["folder"]), question["after"], AT_ONCE)
        return {"records": [[number, digest.hex(), base64.b64encode(body).decode()] for number, digest, body in found]}

    def _slot(self, folder: str) -> int:
        if folder not in self.slots:
            raise Refused(f"refused: {self.server} does not hold '{folder}'")
        return self.slots[folder]

    def folders(self) -> dict[str, Any]:
        """Return versions and states of all folders that this server has or should have."""
        found = {}
        for name, entry in ps_host.system()["folders"].items():
            if name in self.slots:
                log = self.store.logs[self.slots[name]]
                found[name] = one_folder(log.number, log.head, entry["replicas"], name in self.conflicts)
            elif self.server in entry["replicas"]:
                found[name] = {"version": 0, "head": "", "state": "missing", "replicas": entry["replicas"]}
        return found

    def catch_up(self) -> None:
        """Ask every other server once and take what it has more of; one that is down is passed over."""
        self.conflicts = {}
        for peer in ps_host.catalog_servers(self.server):
            if peer == self.server:
                continue
            for name, theirs in folders(peer)["folders"].items():
                if name in self.slots and theirs["state"] in ("good", "conflict"):
                    try:
                        self._compare(peer, name, theirs)
                    except OSError:
                        break  # it went down meanwhile

    def _compare(self, peer: str, name: str, theirs: dict[str, Any]) -> None:
        log = self.store.logs[self.slots[name]]
        with self.guard:
            version, head = log.number, log.head.hex()
            ours = log.places[theirs["version"] - 1][1].hex() if theirs["version"] <= version else ""
        if theirs["version"] <= version:
            same = ours == theirs["head"]
        else:
            same = version == 0 or ask(peer, {"ask": "hash", "folder": name, "version": version})["hash"] == head
        if not same:
            self.conflicts[name] = peer
        elif theirs["version"] > version:
            self._take(peer, name)

    def _take(self, peer: str, name: str) -> None:
        slot = self.slots[name]
        while True:
            after = self.store.logs[slot].number
            records = fetch(peer, name, after)
            with self.guard:
                for number, digest, body in records:
                    log = self.store.logs[slot]
                    if number != log.number + 1 or formats.chain_hash(log.head, number, body) != digest:
                        self.conflicts[name] = peer
                        return
                    self.store.append(slot, number, body)
            if len(records) < AT_ONCE:
                return

    def replicate(self, name: str, source: str) -> dict[str, Any]:
        """Take a folder from another server, whatever there is of it here."""
        slot = self._slot(name)
        state = folders(source)["folders"].get(name, {}).get("state") if source != self.server else None
        if state not in ("good", "conflict"):
            raise Refused("refused: no source copy")
        records: list[tuple[int, bytes, bytes]] = []
        while True:
            more = fetch(source, name, len(records))
            records += more
            if len(more) < AT_ONCE:
                break
        with self.guard:
            self.store.replace(slot, records)
            self.conflicts.pop(name, None)
            return {"version": self.store.logs[slot].number}


def one_folder(version: int, head: bytes, replicas: list[str], conflict: bool) -> dict[str, Any]:
    """Return how a folder is described to others."""
    state = "conflict" if conflict else "good" if version else "empty"
    return {"version": version, "head": head.hex() if version else "", "state": state, "replicas": replicas}


def fetch(peer: str, name: str, after: int) -> list[tuple[int, bytes, bytes]]:
    """Return the next records of a folder of another server."""
    said = ask(peer, {"ask": "records", "folder": name, "after": after})["records"]
    return [(number, bytes.fromhex(digest), base64.b64decode(body)) for number, digest, body in said]


class _Handler(socketserver.StreamRequestHandler):
    timeout = TIMEOUT

    def handle(self) -> None:
        try:
            answer = self.server.answer(json.loads(self.rfile.readline()))  # type: ignore[attr-defined]
        except Refused as error:
            answer = {"refused": str(error)}
        except OSError:
            answer = {"refused": "refused: no source copy"}
        self.wfile.write(json.dumps(answer).encode() + b"\n")


class Listener(socketserver.ThreadingTCPServer):
    """Answers the other servers until ``shutdown``."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, answer: Callable[[dict[str, Any]], dict[str, Any]]):
        super().__init__(("", ps_host.system()["port"]), _Handler)
        self.answer = answer
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
