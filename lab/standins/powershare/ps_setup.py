#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install the stand-in on this host: user, places, commands, units, an empty data folder where there is none. May run again."""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
import sys
from pathlib import Path

import ps_host

HERE = Path(__file__).resolve().parent
USER = "powershare"


def put(source: Path, target: Path) -> bool:
    """Copy a file when it differs; returns whether it did."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and filecmp.cmp(source, target, shallow=False):
        return False
    shutil.copyfile(source, target)
    return True


def own(path: Path) -> None:
    """Make a folder that belongs to the server's user."""
    path.mkdir(parents=True, exist_ok=True)
    shutil.chown(path, USER, USER)


def main() -> int:
    """Install and start every application of this host."""
    if subprocess.run(["id", USER], capture_output=True, check=False).returncode:
        subprocess.run(["useradd", "--system", "--user-group", "--home-dir", "/nonexistent", USER], check=True)
    put(HERE / "system.json", ps_host.SYSTEM)
    for folder in (ps_host.KEPT, ps_host.PREFERENCES):
        own(folder)
    for name in ("psctl", "psknob"):
        link = Path("/usr/local/bin") / name
        link.write_text(f'#!/bin/sh\nexec /usr/bin/python3 -B /opt/powershare/{name}.py "$@"\n', encoding="utf-8")
        link.chmod(0o755)
    for role in ps_host.system()["hosts"][os.uname().nodename]:
        app = ps_host.installed(role)
        own(app.volume)
        if not app.data.exists():
            own(app.data)
        if put(HERE / app.unit, Path("/etc/systemd/system") / app.unit):
            subprocess.run(["systemctl", "daemon-reload"], check=True)
        subprocess.run(["systemctl", "--quiet", "enable", app.unit], check=True)
        subprocess.run(["systemctl", "start", app.unit], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
