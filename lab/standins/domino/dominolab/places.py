# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things are: the software, NOTES.INI and what it names, the stand-in's own folder; who may run programs."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dominolab.errors import DominoError

EXTENT_MEGABYTES = 64  # what TRANSLOG_MaxSize counts, whatever size the lab's extents have


class NotesIni:
    """NOTES.INI as it was read; keys are free of case, order and unknown lines stay."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = path.read_text(encoding="utf-8").splitlines()

    def _index(self, key: str) -> int:
        wanted = key.lower() + "="
        return next((n for n, line in enumerate(self.lines) if line.lower().startswith(wanted)), -1)

    def get(self, key: str, default: str = "") -> str:
        """Return a value."""
        place = self._index(key)
        return default if place < 0 else self.lines[place].partition("=")[2]

    def set(self, key: str, value: str) -> None:
        """Change a value and write the whole file from memory: what somebody edited meanwhile is lost."""
        place = self._index(key)
        if place < 0:
            self.lines.append(f"{key}={value}")
        else:
            self.lines[place] = f"{self.lines[place].partition('=')[0]}={value}"
        self.path.write_text("\n".join(self.lines) + "\n", encoding="utf-8")


class Places:
    """One server: the software's standin.json and its NOTES.INI."""

    def __init__(self, program: str, ini: Path | None = None) -> None:
        self.software = Path(program).absolute().parents[1]
        self.settings: dict[str, Any] = json.loads((self.software / "standin.json").read_text(encoding="utf-8"))
        self.own = Path(self.settings["own"])
        self.ini = NotesIni(ini or Path(self.settings["ini"]))
        self.data = Path(self.ini.get("Directory"))

    @property
    def version(self) -> tuple[int, int]:
        """Return release and its part, such as (12, 0)."""
        major, minor = [*self.settings["version"].split("."), "0"][:2]
        return int(major), int(minor)

    def under_data(self, key: str, default: str) -> Path:
        """Return a folder that NOTES.INI names; relative ones lie under the data directory."""
        return self.data / (self.ini.get(key) or default)

    @property
    def log_folder(self) -> Path:
        """Return the transaction log's folder."""
        return self.under_data("TRANSLOG_Path", "LOGDIR")

    @property
    def logging(self) -> bool:
        """Return whether transaction logging is on."""
        return self.ini.get("TRANSLOG_Status") == "1"

    @property
    def archive_style(self) -> bool:
        """Return whether extents are kept until they were backed up."""
        return self.ini.get("TRANSLOG_Style") == "1"

    @property
    def extents(self) -> int:
        """Return how many extents the log may have."""
        return max(3, int(self.ini.get("TRANSLOG_MaxSize", "192")) // EXTENT_MEGABYTES)

    @property
    def socket(self) -> Path:
        """Return where the running server listens."""
        return self.own / "server.sock"

    @contextlib.contextmanager
    def socket_address(self) -> Iterator[str]:
        """Give the address of that socket in a form that is short enough whatever the path is."""
        folder = os.open(self.own, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield f"/proc/self/fd/{folder}/{self.socket.name}"
        finally:
            os.close(folder)

    @property
    def console_log(self) -> Path:
        """Return the console's log."""
        return self.data / "IBM_TECHNICAL_SUPPORT" / "console.log"

    @property
    def output_log(self) -> Path:
        """Return the start script's log of the server's output."""
        return self.data / "notes.log"

    def knob(self, name: str) -> str:
        """Return what a fault on demand was told; empty when it is not wanted."""
        try:
            return (self.own / "knobs" / name).read_text(encoding="utf-8").strip() or "on"
        except FileNotFoundError:
            return ""

    def reached(self, point: str) -> None:
        """Be killed at a point where a test wants it."""
        if self.knob("kill_at") == point:
            (self.own / "knobs" / "kill_at").unlink()
            os.kill(os.getpid(), 9)


def demand_account(places: Places) -> None:
    """Refuse every account but the owner of the data directory, root included; DominoError."""
    if os.geteuid() != places.data.stat().st_uid:
        raise DominoError("You are not permitted to run this program: it runs as the owner of the data directory")


def places_of(arguments: list[str]) -> tuple[Places, list[str]]:
    """Return the places and the other arguments; NOTES.INI is named by ``=PATH`` or lies in the working directory."""
    if arguments and arguments[0].startswith("="):
        ini, rest = Path(arguments[0][1:]), arguments[1:]
    else:
        ini, rest = Path.cwd() / "notes.ini", arguments
    if not ini.is_file():
        raise DominoError(f"NOTES.INI was not found: {ini}")
    found = Places(sys.argv[0], ini)
    demand_account(found)
    return found, rest


def stamp(moment: float, style: str = "us") -> str:
    """Return a console time in the server's local time; ``de`` is the other locale that the stand-in knows."""
    return time.strftime("%d.%m.%Y %H:%M:%S" if style == "de" else "%m/%d/%Y %I:%M:%S %p", time.localtime(moment))
