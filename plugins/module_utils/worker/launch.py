# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a worker that nobody's death takes along: a transient systemd unit, or a supervisor where there is no systemd."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import List

from .. import layout
from ..errors import BackstayError, CommandFailed
from ..files import write_atomic
from ..process import environment, last_line, run
from ..unit_file import systemd_word
from .folder import JobFolder, lock_holder
from .services import has_systemd

_START_SECONDS = 30
_BOOT_UNIT = Path("/etc/systemd/system/backstay-release.service")


def launch(folder: JobFolder) -> str:
    """Start the worker on ``folder`` and return how: the unit's name or 'supervisor'. It returns when work began."""
    how = _as_unit(folder) if has_systemd() else _supervised(folder)
    deadline = time.monotonic() + _START_SECONDS
    while not (folder.path / "state.json").exists() and folder.result() is None:
        if time.monotonic() > deadline:
            raise BackstayError(f"the worker ({how}) did not start within {_START_SECONDS} s", f"see journalctl -u {how}")
        time.sleep(0.02)
    return how


def unit_argv(unit: str, program: List[str], folder: Path) -> List[str]:
    """Return the systemd-run command line of a job's unit: release after any end, no lingering child, no new privileges."""
    run_command = [*program, "run", str(folder)]
    release_command = " ".join(systemd_word(word, command=True) for word in [*program, "release", str(folder)])
    properties = {
        "KillMode": "mixed",
        "TimeoutStopSec": "infinity",  # it limits ExecStopPost= too, and a server may take long to come up
        "ExecStopPost": release_command,
        "UMask": "0077",
        "Nice": "5",
        "IOSchedulingClass": "best-effort",
    }
    argv = ["systemd-run", "--quiet", "--collect", "--unit", unit]
    argv += [f"--property={name}={value}" for name, value in properties.items()]
    argv += ["--setenv=BACKSTAY_ROOT=" + os.environ["BACKSTAY_ROOT"]] if "BACKSTAY_ROOT" in os.environ else []
    return [*argv, "--", *run_command]


def _program() -> List[str]:
    return [sys.executable, str(Path(sys.argv[0]).resolve())]


def _as_unit(folder: JobFolder) -> str:
    ensure_boot_release(_program())
    unit = "backstay-" + folder.path.name
    done = run(unit_argv(unit, _program(), folder.path), 60)
    if done.status != 0:
        raise CommandFailed(f"systemd-run could not start {unit}: {last_line(done.stderr)}")
    return unit + ".service"


def ensure_boot_release(program: List[str]) -> None:
    """Install the unit that releases abandoned jobs at boot: transient units do not survive one."""
    command = " ".join(systemd_word(word, command=True) for word in [*program, "release-abandoned"])
    content = (
        "# Installed by Backstay: brings applications back that a job held when this host went down.\n"
        "[Unit]\nDescription=Backstay: release abandoned jobs\nAfter=local-fs.target\n\n"
        f"[Service]\nType=oneshot\nExecStart={command}\n\n[Install]\nWantedBy=multi-user.target\n"
    ).encode()
    if _BOOT_UNIT.exists() and _BOOT_UNIT.read_bytes() == content:
        return
    write_atomic(_BOOT_UNIT, content)
    _BOOT_UNIT.chmod(0o644)
    for argv in (["systemctl", "daemon-reload"], ["systemctl", "enable", "--quiet", _BOOT_UNIT.name]):
        done = run(argv, 60)
        if done.status != 0:
            raise CommandFailed(f"{' '.join(argv)} failed: {last_line(done.stderr)}")


def _supervised(folder: JobFolder) -> str:
    log = os.open(str(folder.path / "supervisor.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        subprocess.Popen(
            [*_program(), "supervise", str(folder.path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=environment(),
        )
    finally:
        os.close(log)
    return "supervisor"


def supervise(path: Path) -> int:
    """Run the worker as a child and release after any end of it; the stand-in for a unit's ExecStopPost."""
    status = subprocess.call([*_program(), "run", str(path)], env=environment())
    return subprocess.call([*_program(), "release", str(path)], env=environment()) or status


def living(run_id: str) -> bool:
    """Return whether a worker is at work on run ``run_id``."""
    return lock_holder(layout.job(run_id) / "alive") is not None
