# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs of the stand-in. ``server`` and ``domino`` are Domino's; the others, named lab-*, are the lab's own."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from dominolab import check, create, nsf, recovery
from dominolab.errors import DominoError
from dominolab.inventory import STORE, listed
from dominolab.places import Places, demand_account, places_of
from dominolab.server import Server, ask, is_running


def server(argv: list[str]) -> int:
    """``server [=NOTES.INI] [-c "command" | -q]``: be the server, or tell the running one something and return at once."""
    places, rest = places_of(argv)
    if not rest:
        if is_running(places):
            raise DominoError("Server is running already, or another process uses its data directory")
        Path("/proc/self/comm").write_text("server")
        return Server(places).run()
    if rest == ["-q"]:
        ask(places, do="console", text="quit")
        return 0
    if len(rest) == 2 and rest[0] == "-c":
        ask(places, do="console", text=rest[1])
        return 0
    raise DominoError(f"server does not know {shlex.join(rest)}; a console command needs quotes")


def _lab_places() -> Places:
    places = Places(sys.argv[0])
    demand_account(places)
    return places


def lab_create(argv: list[str]) -> int:
    """Set a server up below a directory."""
    top = argparse.ArgumentParser(prog="lab-create", description=lab_create.__doc__)
    top.add_argument("root", type=Path)
    top.add_argument("--version", default="14.0")
    top.add_argument("--name", default="domino1")
    top.add_argument("--style", choices=("archive", "circular", "none"), default="archive")
    top.add_argument("--ini", default="local/notesdata/notes.ini", help="below the directory")
    top.add_argument("--max-size", type=int, default=4096, help="TRANSLOG_MaxSize, 64 per extent")
    top.add_argument("--extent-bytes", type=int, default=1 << 20)
    top.add_argument("--no-daos", dest="daos", action="store_false")
    top.add_argument("--no-replica", dest="replica", action="store_false")
    top.add_argument("--dates", choices=("us", "de"), default="us")
    top.add_argument("--shutdown-timeout", type=int, default=600)
    top.add_argument("--unit", default="")
    wish = vars(top.parse_args(argv))
    create.create_server(wish.pop("root"), Path(sys.argv[0]).absolute().parents[1], wish)
    return 0


def lab_check(argv: list[str]) -> int:
    """Prove the databases: JSON on stdout; 0, 1 when an invariant is broken, 2 when they cannot be read."""
    top = argparse.ArgumentParser(prog="lab-check", description=lab_check.__doc__)
    top.add_argument("--at", action="append", default=[], metavar="PATH:ID:HASH", help="a document that has to be there")
    top.add_argument("--confirmed", type=Path, metavar="LOG", help="what lab-mailwriter knows to be durable")
    top.add_argument("--copy", action="append", default=[], type=Path, metavar="FILE", help="prove only this copy, unopened")
    options = top.parse_args(argv)
    if options.copy:
        problems = [f"{file}: {problem}" for file in options.copy for problem in nsf.read_notes(file)[1]]
        print(json.dumps({"ok": not problems, "problems": problems}))
        return 1 if problems else 0
    places = Places(sys.argv[0])
    try:
        # What is known comes first: a document that arrives meanwhile would be looked for in pages that still are half written.
        known = options.at + (check.confirmed(options.confirmed) if options.confirmed else [])
        running = is_running(places)
        found = ask(places, do="report", known=known) if running else check.report(places, known)
    except (DominoError, OSError) as error:
        print(json.dumps({"ok": False, "problems": [f"cannot be read: {error}"]}))
        return 2
    found["ok"] = not found["problems"]
    print(json.dumps(found))
    return 0 if found["ok"] else 1


def lab_deliver(argv: list[str]) -> int:
    """Deliver documents to a database now and print the last one as JSON."""
    top = argparse.ArgumentParser(prog="lab-deliver", description=lab_deliver.__doc__)
    top.add_argument("database")
    top.add_argument("count", type=int, nargs="?", default=1)
    top.add_argument("--bytes", type=int, default=200, help="length of a body")
    top.add_argument("--attachment", default="")
    options = top.parse_args(argv)
    places, known = _lab_places(), {}
    for _ in range(options.count):
        body = os.urandom(options.bytes // 2).hex()
        known = ask(places, do="deliver", database=options.database, body=body, attachment=options.attachment)
    print(json.dumps(known))
    return 0


def lab_mailwriter(argv: list[str]) -> int:
    """Deliver mail for ever; every durable document gets a synced line in the log."""
    top = argparse.ArgumentParser(prog="lab-mailwriter", description=lab_mailwriter.__doc__)
    top.add_argument("--log", type=Path, required=True)
    top.add_argument("--rate", type=float, default=float(os.environ.get("MAILWRITER_RATE", "2")))
    options = top.parse_args(argv)
    places, sent, said = _lab_places(), 0, ""
    descriptor = os.open(options.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    while True:
        database = create.MAIL[sent % len(create.MAIL)]
        attachment = f"attachment {sent} {os.urandom(400).hex()}" if sent % 10 == 0 else ""
        try:
            known = ask(places, do="deliver", database=database, body=f"message {sent} Überweisung", attachment=attachment)
        except DominoError as error:
            if str(error) != said:
                print(f"waiting: {error}", flush=True)
            said = str(error)
            time.sleep(0.5)
            continue
        os.write(descriptor, f"{known['time']} deliver {known['id']} {known['hash']} {database}\n".encode())
        os.fdatasync(descriptor)
        sent += 1
        time.sleep(1 / options.rate)


def lab_documents(argv: list[str]) -> int:
    """Print the documents of a database as JSON lines; on a real server that takes a Notes client or an agent."""
    top = argparse.ArgumentParser(prog="lab-documents", description=lab_documents.__doc__)
    top.add_argument("database", nargs="?", default=STORE)
    top.add_argument("--form", default="")
    options = top.parse_args(argv)
    places = _lab_places()
    if is_running(places):
        notes = ask(places, do="documents", database=options.database)
    else:
        notes = nsf.read_notes(nsf.located(places.data)[options.database])[0]
    for note in listed(notes):
        if options.form in ("", note["form"]):
            print(json.dumps(note, ensure_ascii=False))
    return 0


def lab_configure(argv: list[str]) -> int:
    """Change the configuration document of the backup task: lab-configure NAME=VALUE ... (JSON values)."""
    places = _lab_places()
    documents = ask(places, do="documents", database=STORE)
    current = [note for note in documents if note["form"] == "Config"][-1]
    fields = {key: value for key, value in current.items() if key not in ("id", "hash", "time")}
    fields.update({name: json.loads(value) for name, _, value in (word.partition("=") for word in argv)})
    ask(places, do="append", database=STORE, fields=fields)
    return 0


def lab_restore_request(argv: list[str]) -> int:
    """Make a restore request document, as somebody does with a Notes client; ``load restore`` then works through it."""
    top = argparse.ArgumentParser(prog="lab-restore-request", description=lab_restore_request.__doc__)
    top.add_argument("database")
    top.add_argument("--target", default="", help="another path below the data directory")
    top.add_argument("--until", default="", help="roll forward to this moment (UTC, as lab-deliver prints it) or to 'latest'")
    top.add_argument("--source", default="", help="the backup copy, where the inventory does not know it")
    top.add_argument("--logs", default="", help="folder with saved extents, where the inventory does not know them")
    top.add_argument("--no-replication", dest="replicate", action="store_false", help="disable replication of what comes back")
    wish: dict[str, Any] = vars(top.parse_args(argv))
    wish["target"] = wish["target"] or wish["database"]
    note = ask(_lab_places(), do="append", database=STORE, fields={"form": "RestoreRequest", **wish})
    print(json.dumps({"request": note["id"]}))
    return 0


def lab_media_recovery(argv: list[str]) -> int:
    """Roll backup copies forward on a recovery server that is never started, through the extents in its log directory.

    Its NOTES.INI is named by ``=PATH`` as the first argument; without that it is the server's own.
    """
    other = Path(argv[0][1:]) if argv and argv[0].startswith("=") else None
    argv = argv[1:] if other else argv
    top = argparse.ArgumentParser(prog="lab-media-recovery", description=lab_media_recovery.__doc__)
    top.add_argument("copies", nargs="+", metavar="PATH=FILE", help="path the database had, and its backup copy")
    top.add_argument("--until", default=recovery.LATEST)
    options = top.parse_args(argv)
    places = Places(sys.argv[0], other)
    demand_account(places)
    if other is None and is_running(places):
        raise DominoError("a recovery server is never started: its server runs")
    if not places.archive_style or not places.logging or places.ini.get("TRANSLOG_MEDIAONLY") != "1":
        raise DominoError("NOTES.INI of a recovery server has TRANSLOG_Status=1, TRANSLOG_Style=1 and TRANSLOG_MEDIAONLY=1")
    for path, _, copy in (word.rpartition("=") for word in options.copies):
        recovery.roll_forward(Path(copy), path, [places.log_folder], options.until)
    for word in options.copies:
        recovery.cut_loose(Path(word.rpartition("=")[2]))
    return 0


def main(name: str, argv: list[str]) -> int:
    """Run a program; what it refuses goes to stdout, as Domino's programs do, with exit status 1."""
    from dominolab.startscript import domino

    table = {"domino": domino, "server": server}
    call = table.get(name) or globals()[name.replace("-", "_")]
    try:
        return call(argv)
    except (DominoError, OSError) as error:
        print(error, flush=True)
        return 1
