# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a protected host: wait until a job is at a point, then hit one of its processes at once.

Read by ``injection.py`` and fed to the host's Python; standard library only. One JSON object as the only argument::

    {run, step, bytes, exists, hit, signal, deadline}

``step`` is the beginning of the step's name, ``bytes`` what that step must have moved at least, ``exists`` a path that must be
there, ``hit`` the part a process plays for the job (worker, meter, tool, restic, unpack, dump, client) or the number of any
other one, and ``signal`` what it gets.
Prints ``{pid, bytes, step}`` of the moment. Exit status 1 with one sentence when the point never came or nothing was to hit.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

JOBS = Path("/var/lib/backstay/jobs")
PAUSE = 0.002
SEEN = {}  # part: the process that plays it, once it was seen


def processes():
    """Return ``{pid: (parent, argv)}`` of everything that runs here."""
    found = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                argv = (path / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")[:-1]
                parent = int((path / "stat").read_bytes().rpartition(b")")[2].split()[1])
            except OSError:
                continue
            found[int(path.name)] = (parent, argv)
    return found


def player(run, part):
    """Return the process that plays ``part`` for the job, None when there is none at this moment."""
    if part.isdigit():
        return int(part)
    running = processes()
    folder = str(JOBS / run)

    def children(parent):
        return {pid: argv for pid, (above, argv) in running.items() if above == parent and argv}

    def of_worker(command):
        return next((pid for pid, (_above, argv) in running.items() if argv[2:4] == [command, folder]), None)

    if part in ("worker", "meter"):
        return of_worker("run" if part == "worker" else "meter")
    if part in ("tool", "dump"):  # a dump passes a program of ours, which is the tool then
        tool = next(iter(children(of_worker("meter"))), None)
        return tool if part == "tool" else next(iter(children(tool)), None)
    own = children(of_worker("run"))
    if part == "client":
        return next((pid for pid, argv in own.items() if Path(argv[0]).name == "mysql"), None)
    restic = {pid for pid, argv in own.items() if Path(argv[0]).name == "restic"}
    return next(iter(restic if part == "restic" else set(own) - restic), None)


def look(run, closely=False):
    """Return ``(step, bytes)`` that the job shows; counts of captures and landings are fresher than its state."""
    try:
        state = json.loads((JOBS / run / "state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "", 0
    moved = state["bytes"]
    if closely:
        moved = max(moved, passed(run, "unpack" if state["step"].startswith("land ") else "tool"))
    for path in (JOBS / run).glob("count-*"):
        moved = max(moved, int(path.read_bytes() or b"0"))
    return state["step"], moved


def passed(run, part):
    """Return what the process at the end of the pipe has read or written: all may be over before a state is written again."""
    pid = SEEN.get(part) or player(run, part)
    try:
        words = Path(f"/proc/{pid}/io").read_text(encoding="utf-8").split()
    except OSError:
        pid, words = None, ["rchar:", "0", "wchar:", "0"]
    SEEN[part] = pid
    return int(words[1] if part == "unpack" else words[3])


def arrived(wanted, step, moved):
    """Return whether the job is where the fault is to happen."""
    if wanted["exists"]:
        return Path(wanted["exists"]).exists()
    return step.startswith(wanted["step"]) and moved >= wanted["bytes"]


def await_point(wanted):
    """Return ``(step, bytes)`` once the job is there; end the program with a sentence when it will not be."""
    deadline = time.monotonic() + wanted["deadline"]
    while True:
        step, moved = look(wanted["run"], closely=wanted["bytes"] > 0)
        if arrived(wanted, step, moved):
            return step, moved
        seen = f"last seen in step '{step}' with {moved} bytes"
        if (JOBS / wanted["run"] / "result.json").exists():
            sys.exit(f"the job ended before the fault: {seen}")
        if time.monotonic() > deadline:
            sys.exit(f"the job never came to the point of the fault: {seen}")
        if not wanted["exists"]:  # a path appears in the middle of something short
            time.sleep(PAUSE)


def main():
    wanted = json.loads(sys.argv[1])
    step, moved = await_point(wanted)
    pid = None
    if wanted["hit"]:
        pid = player(wanted["run"], wanted["hit"])
        while pid is None and step and look(wanted["run"])[0] == step:  # a step begins before its process does
            pid = player(wanted["run"], wanted["hit"])
        if pid is None:
            sys.exit(f"there is no {wanted['hit']} to hit in step '{step}' with {moved} bytes")
        os.kill(pid, getattr(signal, wanted["signal"]))
    print(json.dumps({"pid": pid, "bytes": moved, "step": step}))


main()
