# SPDX-License-Identifier: GPL-3.0-or-later
"""The start script: ``domino start|stop|status|cmd|inivar|listini``."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

from dominolab.errors import DominoError
from dominolab.places import Places, demand_account
from dominolab.server import PID_FILE, ask, is_running

WAIT_AFTER_COMMAND = 5  # seconds, as the real one


def domino(argv: list[str]) -> int:
    """Do what the start script does; root becomes the server's account, or systemd's client where there is a unit."""
    places = Places(sys.argv[0])
    verb, rest = (argv[0] if argv else ""), argv[1:]
    if os.geteuid() == 0 and places.settings["unit"] and verb in ("start", "stop"):
        return subprocess.run(["systemctl", verb, places.settings["unit"]], check=False).returncode
    _become_owner(places)
    demand_account(places)
    calls = {"start": _start, "stop": _stop, "status": _status, "cmd": _command, "inivar": _inivar, "listini": _listini}
    if verb not in calls:
        raise DominoError("Usage: domino {start|stop|status|cmd|inivar|listini}")
    return calls[verb](places, rest)


def _become_owner(places: Places) -> None:
    owner = places.data.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.setgroups([owner.st_gid])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)


def _start(places: Places, _: list[str]) -> int:
    if is_running(places):
        print("Domino Server already running")
        return 0
    program = places.software / "bin/server"
    with places.output_log.open("ab") as output:
        process = subprocess.Popen(
            [str(program), f"={places.ini.path}"],
            cwd=places.data,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    # The unit's main process is the server, not this script.
    (places.own / "domino.pid").write_text(f"{process.pid}\n")
    while process.poll() is None and not _answers(places):
        time.sleep(0.05)
    print(f"Starting Domino for the owner of {places.data}")
    return 0 if process.poll() is None else 1


def _answers(places: Places) -> bool:
    """Return whether the server has come up; one that listens may still recover its databases."""
    try:
        return ask(places, do="ping") == "up"
    except DominoError:
        return False


def _stop(places: Places, _: list[str]) -> int:
    """Say quit and wait; a server that does not end in time is killed, and then the exit status is 1."""
    if not is_running(places):
        print("Domino Server is NOT running")
        return 0
    pid = int((places.data / PID_FILE).read_text())
    ask(places, do="console", text="quit")
    deadline = time.monotonic() + places.settings["shutdown_timeout"]
    while Path(f"/proc/{pid}").exists() and not _is_zombie(pid):
        if time.monotonic() > deadline:
            print("Domino Server did not shut down in time, killing it (NSD)")
            os.kill(pid, 9)
            return 1
        time.sleep(0.1)
    print("Domino Server shutdown completed")
    return 0


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def _status(places: Places, _: list[str]) -> int:
    """Print whether it runs. The exit status is that of the script's code; its documentation says the reverse."""
    running = is_running(places)
    print(f"Domino Server is running ({places.data})" if running else "Domino Server is NOT running")
    documented = bool(places.knob("status_as_documented"))
    return 0 if running != documented else 3


def _command(places: Places, rest: list[str]) -> int:
    if not rest:
        raise DominoError("No command specified")
    ask(places, do="console", text=rest[0])
    if len(rest) > 1:
        time.sleep(WAIT_AFTER_COMMAND)
        with places.output_log.open(encoding="utf-8") as log:
            sys.stdout.writelines(deque(log, int(rest[1])))
    return 0


def _inivar(places: Places, rest: list[str]) -> int:
    print(places.ini.get(rest[0]))
    return 0


def _listini(places: Places, _: list[str]) -> int:
    print("\n".join(places.ini.lines))
    return 0
