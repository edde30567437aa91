# SPDX-License-Identifier: GPL-3.0-or-later
"""Set a server up: NOTES.INI, ID files, databases, linked folders, other files. It is not started."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from dominolab import nsf

ODS = 52
MAIL = ("mail/anna.nsf", "mail/bernd.nsf", "mail/Zoë Müller.nsf", "archive/year 2025.nsf", "apps/orders.nsf")
OTHERS = ("names.nsf", "admin4.nsf", "log.nsf", "mail.box", "pernames.ntf")


def new_header(title: str, *, logged: bool, log_id: str) -> dict[str, Any]:
    """Return the header of a new database."""
    return {
        "title": title,
        "replica": secrets.token_hex(8).upper(),
        "dbiid": secrets.token_hex(8),
        "ods": ODS,
        "logged": logged,
        "log_id": log_id,
        "session": "",
        "replicate": True,
        "tied": False,
    }


def notes_ini(root: Path, wish: dict[str, Any]) -> str:
    """Return a NOTES.INI."""
    lines = {
        "Directory": root / "local/notesdata",
        "NotesProgram": root / "opt/hcl/domino/bin",
        "ServerTasks": "Update,Replica,Router,AMgr,AdminP" if wish["replica"] else "Update,Router,AMgr,AdminP",
        "KeyFileName": root / "local/notesdata/server.id",
        "ServerKeyFileName": root / "local/notesdata/server.id",
        "TRANSLOG_Status": 0 if wish["style"] == "none" else 1,
        "TRANSLOG_Style": 1 if wish["style"] == "archive" else 0,
        "TRANSLOG_Path": root / "local/translog",
        "TRANSLOG_MaxSize": wish["max_size"],
        "TRANSLOG_AutoFixup": 1,
        "DAOSEnable": 1 if wish["daos"] else 0,
        "DAOSBasePath": root / "local/daos",
    }
    return "\n".join(["[Notes]", *(f"{key}={value}" for key, value in lines.items())]) + "\n"


def create_server(root: Path, software: Path, wish: dict[str, Any]) -> None:
    """Make everything below ``root``; FileExistsError when there is a server already."""
    data, ini = root / "local/notesdata", root / wish["ini"]
    data.mkdir(parents=True)
    for folder in ("local/daos", "local/archive", "local/linked", "local/backup"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    ini.parent.mkdir(parents=True, exist_ok=True)
    ini.write_text(notes_ini(root, wish), encoding="utf-8")
    settings = {
        "version": wish["version"],
        "name": wish["name"],
        "own": str(root / "var/lib/domino-standin"),
        "ini": str(ini),
        "extent_bytes": wish["extent_bytes"],
        "backup_target": str(root / "local/backup"),
        "dates": wish["dates"],
        "shutdown_timeout": wish["shutdown_timeout"],
        "unit": wish["unit"],
    }
    (Path(settings["own"]) / "knobs").mkdir(parents=True, exist_ok=True)
    (software / "standin.json").write_text(json.dumps(settings, indent=1), encoding="utf-8")
    for name in ("server.id", "cert.id"):
        (data / name).write_bytes(secrets.token_bytes(2048))
    (data / "domino/html").mkdir(parents=True)
    (data / "domino/html/grüße.txt").write_text("Grüße\n", encoding="utf-8")
    (data / "archive.dir").write_text(f"{root}/local/archive\n", encoding="utf-8")
    linked = root / "local/linked/parts.nsf"
    (data / "apps").mkdir()
    (data / "apps/parts.nsf").write_text(f"{linked}\n", encoding="utf-8")
    nsf.create(linked, new_header("Parts", logged=False, log_id=""))
    for path in (*MAIL, *OTHERS):
        place = root / "local" / path if path.startswith("archive/") else data / path
        nsf.create(place, new_header(place.stem, logged=False, log_id=""))
