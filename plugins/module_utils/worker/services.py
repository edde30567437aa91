# SPDX-License-Identifier: GPL-3.0-or-later
"""Services of the host: stop and start them, and believe only what the service manager reports afterwards."""

from __future__ import annotations

import time
from pathlib import Path
from typing import List

from ..errors import ApplicationDown, CommandFailed
from ..process import last_line, run


def has_systemd() -> bool:
    """Return whether systemd manages this host."""
    return Path("/run/systemd/system").is_dir()


def is_active(name: str) -> bool:
    """Return whether service ``name`` runs. Raise CommandFailed when the host has no such service."""
    if not has_systemd():
        return run(["service", name, "status"], 60).status == 0
    shown = run(["systemctl", "show", "--property=LoadState,ActiveState", "--", name], 60).stdout
    fields = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    if fields.get("LoadState") != "loaded":
        raise CommandFailed(f"this host has no service '{name}'", "check the service variable of the role")
    return fields.get("ActiveState") in ("active", "activating", "reloading", "deactivating")


def stop(name: str, timeout: float) -> None:
    """Stop service ``name`` and confirm that it is gone. Raise CommandFailed when it will not go within ``timeout``."""
    done = run(_argv("stop", name), timeout)
    if not _becomes(name, False, timeout if done.status == 0 else 0):
        raise CommandFailed(f"service '{name}' did not stop: {last_line(done.stderr)}", "it was not killed; look at its log")


def start(name: str, timeout: float) -> None:
    """Start service ``name`` and confirm that it is up. Raise ApplicationDown when it is not within ``timeout``."""
    done = run(_argv("start", name), timeout)
    if done.status != 0 or not _becomes(name, True, timeout):
        raise ApplicationDown(
            f"service '{name}' did not start: {last_line(done.stderr or done.stdout)}", f"see: journalctl -u {name}"
        )


def _argv(verb: str, name: str) -> List[str]:
    return ["systemctl", verb, "--", name] if has_systemd() else ["service", name, verb]


def _becomes(name: str, wanted: bool, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while is_active(name) is not wanted:
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.1)
    return True
