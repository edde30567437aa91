# SPDX-License-Identifier: GPL-3.0-or-later
"""Services of the host: stop and start them, and believe only what is reported afterwards.

The service manager controls them, or native commands: ``control`` is ``{start, stop, status[, listed]}``, command lines.
Without ``listed`` the exit status of ``status`` tells (0 runs, 3 does not, as the LSB says); with it ``status`` prints the
names of all processes, separated by comma and space, and the service runs when ``listed`` is one of them.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

from ..errors import ApplicationDown, CommandFailed
from ..executors import Executor
from ..files import write_atomic
from ..names import quote_name
from ..process import Finished, TookTooLong, last_line, require, run, spell_status

Control = Optional[Dict[str, Any]]
Host = Optional[Executor]  # where a service with a ``control`` runs, if that is not this machine
_BY_FORCE = ("timeout", "watchdog", "signal", "core-dump", "oom-kill")  # results of a unit; its clean signals are "success"


def has_systemd() -> bool:
    """Return whether systemd manages this host."""
    return Path("/run/systemd/system").is_dir()


def is_active(name: str, settled: bool = False, control: Control = None, host: Host = None) -> bool:
    """Return whether service ``name`` runs, or (unless ``settled``) is on its way up or down: then it is not gone either.

    Raise CommandFailed when the host has no such service, or its own status command says nothing that can be believed.
    """
    if control:
        return _runs_by_status(name, control, host)
    if not has_systemd():
        return _runs_by_script(name)
    shown = run(["systemctl", "show", "--property=LoadState,ActiveState", "--", name], 60).stdout
    fields = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    if fields.get("LoadState") != "loaded":
        raise _no_service(name)
    on_its_way = () if settled else ("activating", "deactivating")
    return fields.get("ActiveState") in ("active", "reloading", *on_its_way)


def _runs_by_script(name: str) -> bool:
    """Return what the status of a System V script means, as the LSB says: 0 runs; 1, 2 and 3 do not; all else is unknown."""
    done = run(["service", name, "status"], 60)
    if "unrecognized service" in done.stderr:
        raise _no_service(name)
    if done.status not in (0, 1, 2, 3):
        raise _unknown(name, "service", done, "look at the service's own script")
    return done.status == 0


def _no_service(name: str) -> CommandFailed:
    return CommandFailed(f"this host has no service '{name}'", "check the service variable of the role")


def _unknown(name: str, program: str, done: Finished, hint: str) -> CommandFailed:
    said = last_line(done.stderr or done.stdout)
    return CommandFailed(f"cannot tell whether '{name}' runs: {program} {spell_status(done.status)}: {said}", hint)


def _runs_by_status(name: str, control: Dict[str, Any], host: Host) -> bool:
    done = host.run(control["status"], 60) if host else run(control["status"], 60)
    if "listed" in control and done.status == 0:
        return control["listed"] in done.stdout.strip().split(", ")
    if "listed" not in control and done.status in (0, 3):
        return done.status == 0
    raise _unknown(name, control["status"][0], done, "check the control commands of the role")


def stop(name: str, timeout: float, control: Control = None, host: Host = None) -> None:
    """Stop service ``name`` and confirm that it is gone. Raise CommandFailed when it will not go within ``timeout``."""
    if control is None and has_systemd():
        _let_start_end(name, timeout)
    done = _tell("stop", name, timeout, control, host)
    if not _becomes(name, False, timeout if done.status == 0 else 0, control, host):
        raise CommandFailed(f"service '{name}' did not stop: {last_line(done.stderr)}", "it was not killed; look at its log")


def _let_start_end(name: str, timeout: float) -> None:
    """Let a start that is under way come to its end, for at most ``timeout`` seconds.

    A server that is told to end while it starts may never end: MariaDB 11.8 was seen to, with its event scheduler on.
    """
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if run(["systemctl", "show", "--property=SubState", "--value", "--", name], 60).stdout.strip() != "start":
            return
        time.sleep(0.1)


def require_own_end(name: str, control: Control = None) -> None:
    """Raise CommandFailed when the service manager killed the service at its stop, or it crashed: its data is not whole then.

    Native commands and System V scripts do not tell.
    """
    if control or not has_systemd():
        return
    result = run(["systemctl", "show", "--property=Result", "--value", "--", name], 60).stdout.strip()
    if result in _BY_FORCE:
        raise CommandFailed(
            f"service '{name}' did not end by itself when it was stopped: systemd says '{result}'",
            f"see: journalctl -u {name}; raise the unit's TimeoutStopSec=, or allow it in the variables of the role",
        )


def await_stop(name: str, timeout: float, control: Control = None, host: Host = None) -> None:
    """Let a stop that was asked for before take effect, for at most ``timeout`` seconds.

    Until then the service counts as up, and a start would change nothing: it would be down a moment later. The service manager
    keeps the order of what it is asked by itself.
    """
    if control is None and has_systemd():
        return
    with contextlib.suppress(CommandFailed):  # where nobody can tell, the start is tried all the same, and says so
        _becomes(name, False, timeout, control, host)


def start(name: str, timeout: float, control: Control = None, host: Host = None) -> None:
    """Start service ``name`` and confirm that it is up. Raise ApplicationDown when it is not within ``timeout``."""
    if control is None and has_systemd():
        # systemd refuses a start after some quick ones that failed: those of a server whose data was lost.
        run(["systemctl", "reset-failed", "--", name], 60)
    try:
        done = _tell("start", name, timeout, control, host)
        up = done.status == 0 and _becomes(name, True, timeout, control, host)
    except CommandFailed as error:
        raise ApplicationDown(f"service '{name}' did not start: {error.message}", error.hint) from error
    if not up:
        hint = "start it, and look at what it says" if control else f"see: journalctl -u {name}"
        raise ApplicationDown(f"service '{name}' did not start: {last_line(done.stderr or done.stdout)}", hint)


_UNITS = Path("/etc/systemd/system")
_TYPES = ("service", "socket", "target", "timer", "path", "mount", "automount", "slice", "scope", "swap", "device")
_ALLOWED = Path("/run/backstay-allowed")  # gone after a boot


def hold(name: str, run_id: str) -> None:
    """Keep service ``name`` from being started, by a boot or by anybody, until ``allow`` (this boot) or ``unhold``."""
    if not has_systemd():
        return
    allowed = _ALLOWED / quote_name(name)
    allowed.unlink(missing_ok=True)
    path = _hold_file(name)
    path.parent.mkdir(mode=0o755, exist_ok=True)
    path.parent.chmod(0o755)
    content = f"# Written by Backstay run {run_id}: former data lies aside until the restore is proved or put back.\n"
    write_atomic(path, f"{content}[Unit]\nAssertPathExists={allowed}\n".encode())
    path.chmod(0o644)
    require(["systemctl", "daemon-reload"], 60)


def allow(name: str) -> None:
    """Let a held service start until the next boot: the restore that holds it wants to prove it."""
    if _hold_file(name).exists():
        _ALLOWED.mkdir(mode=0o700, exist_ok=True)
        (_ALLOWED / quote_name(name)).touch()


def unhold(name: str) -> None:
    """Let a service start again whenever anybody wishes; one that is not held is left alone."""
    path = _hold_file(name)
    if not path.exists():
        return
    path.unlink()
    with contextlib.suppress(OSError):  # the administrator's own settings stay
        path.parent.rmdir()
    require(["systemctl", "daemon-reload"], 60)
    (_ALLOWED / quote_name(name)).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        _ALLOWED.rmdir()


def _hold_file(name: str) -> Path:
    # The same rule as systemctl's: a name without the suffix of a type of unit means a service.
    unit = name if name.rpartition(".")[2] in _TYPES else name + ".service"
    return _UNITS / f"{unit}.d" / "90-backstay-hold.conf"


def _tell(verb: str, name: str, timeout: float, control: Control, host: Host) -> Finished:
    if host and control:
        return host.run(control[verb], timeout)
    try:
        return run(_argv(verb, name, control), timeout)
    except TookTooLong:
        if control or not has_systemd():
            raise
        # Only systemctl was ended, which waits; what it asked for goes on.
        return Finished(1, "", f"its {verb} did not end within {timeout:g} s")


def _argv(verb: str, name: str, control: Control) -> List[str]:
    if control and verb == "start" and has_systemd():
        # In a scope of its own: what it leaves running must not end with the job's unit.
        return ["systemd-run", "--quiet", "--scope", "--collect", "--", *control["start"]]
    if control:
        return list(control[verb])
    return ["systemctl", verb, "--", name] if has_systemd() else ["service", name, verb]


def _becomes(name: str, wanted: bool, timeout: float, control: Control, host: Host) -> bool:
    deadline = time.monotonic() + timeout
    # A service that is restarted over and over is always activating: only settled counts as up.
    while is_active(name, wanted, control, host) is not wanted:
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.1)
    return True
