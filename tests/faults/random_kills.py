# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a protected host: start a job again and kill its worker at a random moment, many times.

Read by ``kills.py`` and fed to the host's Python; standard library only. One JSON object as the only argument::

    {run, count, longest, seed, service}

``run`` is a job that succeeded and whose specification is taken, ``longest`` the seconds within which the kill falls. Prints
one JSON line a kill: ``{run, set, delay, step, status, down, active}``, once the release has ended; ``down`` tells whether the
service was down right before the kill, ``active`` its state at the end.
"""

import contextlib
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path("/var/lib/backstay")
PATIENCE = 120


def worker():
    """Return the newest program of the worker."""
    return str(max((ROOT / "worker").glob("*.pyz"), key=lambda path: path.stat().st_mtime))


def show(unit, name):
    done = subprocess.run(
        ["systemctl", "show", "--value", f"--property={name}", unit], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def start(former, number):
    """Start the job of ``former`` under another id; return the specification."""
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    token = secrets.token_hex(4)
    specification = dict(former, run=f"{moment}-{former['app']}-{token}", set=f"{moment}-{token}")
    done = subprocess.run(
        [sys.executable, worker(), "start"],
        input=json.dumps({"specification": specification}),
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout)
    if "ok" not in answer:
        sys.exit(f"kill {number}: the job did not start: {answer}")
    return specification


def ended(run):
    """Return the result once the job and its release are over."""
    deadline = time.monotonic() + PATIENCE
    path = ROOT / "jobs" / run / "result.json"
    while not path.exists() or show(f"backstay-{run}.service", "ActiveState") not in ("inactive", "failed"):
        if time.monotonic() > deadline:
            sys.exit(f"run {run} did not end")
        time.sleep(0.05)
    return json.loads(path.read_text())


def main():
    wanted = json.loads(sys.argv[1])
    former = json.loads((ROOT / "jobs" / wanted["run"] / "spec.json").read_text())
    chance = random.Random(wanted["seed"])
    for number in range(wanted["count"]):
        specification = start(former, number)
        delay = chance.uniform(0, wanted["longest"])
        pid = int(show(f"backstay-{specification['run']}.service", "MainPID") or 0)
        time.sleep(delay)
        down = show(wanted["service"], "ActiveState") != "active"
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        result = ended(specification["run"])
        (ROOT / "jobs" / specification["run"] / "collected").touch()
        seen = {"run": specification["run"], "set": specification["set"], "delay": round(delay, 3), "down": down}
        seen.update(status=result["status"], step=result.get("step", ""), active=show(wanted["service"], "ActiveState"))
        print(json.dumps(seen), flush=True)


main()
