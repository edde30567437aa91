#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control a PowerShare server as a gateway does: process list, quit and launch events, files with both forks.

Exit status 0, or 1 and one line on stderr. README.md has the grammar and every refusal.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import ps_folder
import ps_formats as formats
import ps_host
import ps_replication
from ps_host import App, Refused

BUSY = "file busy (-47)"


def status(app: App, options: argparse.Namespace) -> None:
    """Print the process list."""
    names = ["Finder"]
    for role in ("mail", "catalog"):
        with contextlib.suppress(Refused):
            one = ps_host.installed(role)
            names += [one.process] if ps_host.running(one) else []
    print(", ".join([*names, "File Sharing Extension"]))


def quit_application(app: App, options: argparse.Namespace) -> None:
    """Send the quit event and wait for the end."""
    if not ps_host.alive(app):
        raise Refused("procNotFound (-600)")
    others = [name for name in ps_host.catalog_servers(app.server) if name != app.server]
    if app.role == "catalog" and others and not any(ps_replication.folders(name)["running"] for name in others):
        raise Refused("refused: no other catalog server is running")
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(options.timeout)
        try:
            link.connect(str(app.at_run("sock")))
            link.recv(1)  # the process holds the connection open as long as it lives
        except TimeoutError:
            raise Refused(f"errAETimeout (-1712): {app.process} did not quit within {options.timeout:g} s") from None
        except ConnectionError:
            pass
    wait(lambda: not ps_host.alive(app), options.timeout, f"errAETimeout (-1712): {app.process} did not quit")
    service_settles(app, options.timeout)


def launch(app: App, options: argparse.Namespace) -> None:
    """Open the application and wait until it runs."""
    if ps_host.state(app)["state"] == "running":
        return
    late = f"errAETimeout (-1712): {app.process} did not start within {options.timeout:g} s"
    wait(lambda: ps_host.state(app)["state"] != "quitting", options.timeout, late)
    if not ps_host.alive(app):
        with held(app):  # somebody who reads or writes the data keeps the application out
            pass
        app.at_run("state").unlink(missing_ok=True)
        service_settles(app, options.timeout)
        subprocess.run(["systemctl", "reset-failed", app.unit], check=False, stderr=subprocess.DEVNULL)
        done = subprocess.run(["systemctl", "start", "--no-block", app.unit], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Refused(f"fnfErr (-43): {app.process} cannot be opened: {done.stderr.strip()}")
    wait(lambda: ps_host.state(app)["state"] in ("asking", "running", "damaged", "failed"), options.timeout, late)
    said = ps_host.state(app)
    if said["state"] != "running":
        service_settles(app, options.timeout if said["state"] != "asking" else 0)
        raise Refused(said["reason"])


def service_settles(app: App, seconds: float) -> None:
    """Wait until the service manager has seen the process's end, so that both say the same."""

    def settled() -> bool:
        done = subprocess.run(["systemctl", "is-active", app.unit], capture_output=True, text=True, check=False)
        return done.stdout.strip() in ("inactive", "failed", "unknown")

    if seconds:
        wait(settled, seconds, f"errAETimeout (-1712): the service manager does not see that {app.process} has ended")


def wait(condition, seconds: float, otherwise: str) -> None:
    """Poll a condition; Refused with a text when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Refused(otherwise)
        time.sleep(0.05)


@contextlib.contextmanager
def held(app: App) -> Iterator[None]:
    """Have the data for oneself; Refused while the server runs or somebody else has it."""
    lock = app.at_run("lock")
    if not lock.exists():
        owner = ps_host.KEPT.stat()
        for made in (lock.parent, lock):
            made.mkdir(exist_ok=True) if made is lock.parent else made.touch()
            os.chown(made, owner.st_uid, owner.st_gid)
    with lock.open("rb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(BUSY) from None
        yield


def place_of(app: App, path: str) -> bytes:
    """Return where a Macintosh path of the volume lies."""
    if not app.volume.is_dir():
        raise Refused(f"nsvErr (-35): there is no volume {app.volume.name}")
    try:
        return os.fsencode(app.volume) + b"/" + formats.encode_path(path)
    except ValueError as error:
        raise Refused(f"bdNamErr (-37): {error}") from None


def folder_of(app: App, path: str) -> bytes:
    """Return where a folder lies that has to be there."""
    place = place_of(app, path)
    if not os.path.isdir(place):
        raise Refused(f"dirNFErr (-120): there is no folder '{path}'")
    return place


def list_folder(app: App, options: argparse.Namespace) -> None:
    """Print every file of a folder."""
    top = folder_of(app, options.path)
    for raw in sorted(ps_folder.listing(top)):
        if raw.rpartition(b"/")[2].startswith(b"._"):
            continue
        found, fork = os.stat(top + b"/" + raw), formats.Fork(b"????", b"????", 0, b"")
        with contextlib.suppress(OSError, ValueError), open(formats.fork_path(top + b"/" + raw), "rb") as handle:
            fork = formats.parse_apple_double(handle.read())
        modified = datetime.datetime.fromtimestamp(int(found.st_mtime), datetime.timezone.utc).isoformat()[:19]
        path = f"{options.path.strip(':')}:{formats.decode_path(raw)}"
        print(path, fork.kind.decode(), fork.creator.decode(), found.st_size, len(fork.resources), modified, sep="\t")


def get(app: App, options: argparse.Namespace) -> None:
    """Write a tar of a file with its fork, or of a folder, to stdout."""
    with held(app):
        place = place_of(app, options.path)
        if not os.path.lexists(place):
            raise Refused(f"fnfErr (-43): there is no '{options.path}'")
        folder, _, name = place.rpartition(b"/")
        fork = [] if os.path.isdir(place) else [formats.fork_path(name)]
        tar([b"--create", b"--format=posix", b"--directory", folder, b"--", name, *fork])


def put(app: App, options: argparse.Namespace) -> None:
    """Lay a folder down from the tar on stdin."""
    with held(app):
        place = place_of(app, options.path)
        if os.path.isdir(place) and os.listdir(place):
            raise Refused("refused: data folder not empty")
        if app.role == "catalog" and not options.force:
            refuse_if_replicas_live(app)
        folder, _, name = place.rpartition(b"/")
        os.makedirs(folder, exist_ok=True)
        tar([b"--extract", b"--preserve-permissions", b"--same-owner", b"--directory", folder, b"--", name])


def refuse_if_replicas_live(app: App) -> None:
    """A lost server gets its folders from the others when they all live there: no older set comes before that."""
    live: set[str] = set()
    for name in ps_host.catalog_servers(app.server):
        if name != app.server:
            found = ps_replication.folders(name)["folders"]
            live |= {folder for folder, entry in found.items() if entry["state"] == "good"}
    if set(ps_host.folders_of(app.server)) <= live:
        raise Refused("refused: live replicas of every folder exist")


def tar(argv: list[bytes]) -> None:
    """Run tar between here and stdin or stdout."""
    done = subprocess.run([b"tar", *argv], stderr=subprocess.PIPE, check=False)
    if done.returncode:
        raise Refused(f"ioErr (-36): {done.stderr.decode(errors='replace').strip().splitlines()[0]}")


def purge(app: App, options: argparse.Namespace) -> None:
    """Remove everything in a folder."""
    with held(app):
        place = folder_of(app, options.path)
        for entry in os.scandir(place):
            shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)


def folders(app: App, options: argparse.Namespace) -> None:
    """Print the catalog folders of this server or of all."""
    if app.role != "catalog":
        raise Refused(f"fnfErr (-43): {app.server} has no catalog server")
    if options.system:
        print(json.dumps({"servers": {name: ps_replication.folders(name) for name in ps_host.catalog_servers(app.server)}}))
    else:
        print(json.dumps(ps_replication.folders(app.server) if ps_host.running(app) else at_rest(app)))


def at_rest(app: App) -> dict:
    """Return the folders of a server that does not run, as they lie there."""
    with held(app):
        found = ps_folder.examine(os.fsencode(app.data))
    answer = {}
    numbers = {log["name"]: summary for log, summary in zip(found.state.get("logs", []), found.summaries)}
    for name, entry in ps_host.system()["folders"].items():
        if found.problems and app.server in entry["replicas"]:
            there = app.data.is_dir() and os.listdir(app.data)
            state = "damaged" if there else "missing"
            answer[name] = {"version": 0, "head": "", "state": state, "replicas": entry["replicas"]}
        elif name in numbers:
            answer[name] = ps_replication.one_folder(numbers[name][1], numbers[name][3], entry["replicas"], False)
        elif app.server in entry["replicas"]:
            answer[name] = {"version": 0, "head": "", "state": "missing", "replicas": entry["replicas"]}
    return {"server": app.server, "running": False, "folders": answer}


def replicate(app: App, options: argparse.Namespace) -> None:
    """Make a server take a folder from another."""
    try:
        ps_replication.ask(options.target, {"ask": "replicate", "folder": options.folder, "from": options.source}, timeout=600)
    except OSError:
        raise Refused(f"refused: {options.target} is not running") from None


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="psctl", description=__doc__.splitlines()[0])
    top.add_argument("--app", choices=("mail", "catalog"), help="which application, when the host has both")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, function, *arguments: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=function.__doc__)
        one.set_defaults(function=function)
        for argument in arguments:
            one.add_argument(argument)
        return one

    add("status", status)
    for name, function in (("quit", quit_application), ("launch", launch)):
        add(name, function).add_argument("--timeout", type=float, default=30, metavar="SECONDS")
    for name, function in (("list", list_folder), ("get", get), ("purge", purge)):
        add(name, function, "path")
    add("put", put, "path").add_argument("--force", action="store_true")
    listing = add("folders", folders)
    listing.add_argument("--json", action="store_true", required=True)
    listing.add_argument("--system", action="store_true")
    add("replicate", replicate, "folder", "source", "target")
    return top


def main() -> int:
    """Run one command; a refusal is one line on stderr."""
    options = parser().parse_args()
    try:
        options.function(ps_host.installed(options.app), options)
    except Refused as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"ioErr (-36): {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
