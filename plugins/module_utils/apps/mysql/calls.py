# SPDX-License-Identifier: GPL-3.0-or-later
"""The functions that steps of app_mysql may call: prepare, side instance, check."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Tuple

from ...errors import CommandFailed, IntegrityError, Refused
from ...files import write_atomic
from ...process import kill_group, last_line, run, spawn
from .client import await_server, connection_argv, object_counts
from .inspection import SETTINGS
from .logs import logs_argv, rotate
from .physical import prepare
from .replay import replay

if TYPE_CHECKING:
    from ...worker.job import Job


def check(job: Job, arguments: Dict[str, Any]) -> None:
    """Prove a restored server: it answers, its tables pass the engine's own check, nothing is missing.

    ``arguments``: socket, defaults_extra_file, thoroughness (``quick`` or ``full``), timeout (s to wait for its first answer).
    Raise IntegrityError naming what fails.
    """
    from ...worker.land import planned

    options = {"socket": arguments.get("socket"), "defaults_extra_file": arguments.get("defaults_extra_file")}
    await_server(options, float(arguments.get("timeout", 300)), job.seen.get("side"))
    # Debian upgrades the schema sys, which holds no data, behind the back of a server that has just been started.
    argv = ["mariadb-check", *connection_argv(options), "--all-databases", "--skip-database=sys", "--check"]
    argv += ["--quick"] if arguments.get("thoroughness", "quick") == "quick" else ["--extended"]
    done = run(argv, float(arguments.get("check_timeout", 43200)))
    if done.status != 0:
        raise IntegrityError(f"mariadb-check failed: {last_line(done.stderr or done.stdout)}")
    bad = check_problems(done.stdout)
    if bad:
        raise IntegrityError(f"{len(bad)} tables fail their check: " + "; ".join(bad[:5]))
    job.seen["checks"].append({"name": "mariadb-check", "status": "ok", "detail": arguments.get("thoroughness", "quick")})
    newest = planned(job.specification)["receipts"][-1]
    if newest["kind"] == "log":
        return  # what was made and dropped since the data was counted is in the logs
    facts, counts = newest["facts"], object_counts(options)
    missing, more = count_differences(facts["counts_before"], facts["counts_after"], counts)
    if missing:
        raise IntegrityError("the restored server lacks what the one backed up had: " + "; ".join(missing))
    listed = "; ".join(more) or ", ".join(f"{counts[name]} {name}" for name in sorted(counts))
    # More than counted: made and removed again while the capture ran.
    job.seen["checks"].append({"name": "object counts", "status": "warning" if more else "ok", "detail": listed})


def check_problems(output: str) -> List[str]:
    """Return the tables for which mariadb-check printed anything but OK or a note."""
    bad, table = [], ""
    for line in output.splitlines():
        text = line.strip()
        kind = text.split(":", 1)[0].strip().lower()
        if kind in ("note", "info", "status", "warning"):
            continue
        if kind == "error":
            bad.append(f"{table}: {text}")
        elif text.endswith(" OK") or not text:
            continue
        else:
            table = text.split()[0]
            if "corrupt" in text.lower():
                bad.append(text)
    return bad


def count_differences(before: Dict[str, int], after: Dict[str, int], found: Dict[str, int]) -> Tuple[List[str], List[str]]:
    """Return sentences about the kinds of objects of which a restored server has too few, and those with too many.

    The source was counted before and after its capture. Too few is a loss; too many were made and removed meanwhile.
    """
    missing, more = [], []
    for name in sorted(before):
        low, high = sorted((before[name], after[name]))
        expected = str(low) if low == high else f"{low} to {high}"
        if found.get(name, 0) < low:
            missing.append(f"{found.get(name, 0)} {name} instead of {expected}")
        elif found.get(name, 0) > high:
            more.append(f"{found[name]} {name} instead of {expected}")
    return missing, more


_LAYOUT_SETTINGS = ("innodb_data_file_path", "innodb_page_size", "innodb_undo_tablespaces")
_OF_A_LANDING = {"data", "logs", "incrementals"}


def start_side(job: Job, arguments: Dict[str, Any]) -> None:
    """Start a server of its own on a restored copy: socket only, no networking, no events, nothing of the host's own server.

    ``arguments``: directory (holds ``data``), user, detached (true: stays up after the job, as a transient unit).
    """
    from ...worker.land import planned

    directory, user = Path(arguments["directory"]), arguments.get("user", "mysql")
    own = {"directory": str(directory)} in job.folder.made()  # a replay had its server here before
    if not own and {path.name for path in directory.iterdir()} - _OF_A_LANDING:
        raise Refused(f"{directory} holds other things than the restored data", "restore to a directory of its own")
    job.folder.note_made("directory", str(directory))  # nothing of anybody else's is in it: it may go as a whole
    settings = {**server_settings(planned(job.specification)["receipts"][0]["facts"]), **copy_settings(directory / "data")}
    write_atomic(directory / "my.cnf", side_configuration(directory, user, settings).encode())
    shutil.chown(str(directory / "my.cnf"), user, user)
    shutil.chown(str(directory), user, user)
    argv = ["mariadbd", f"--defaults-file={directory}/my.cnf"]
    if arguments.get("detached"):
        unit = "backstay-side-" + job.specification["run"]
        job.folder.note_made("unit", unit + ".service")
        done = run(["systemd-run", "--quiet", "--collect", "--unit", unit, "--", *argv], 60)
        if done.status != 0:
            raise CommandFailed(f"the side instance could not be started: {last_line(done.stderr)}")
        job.seen["facts"].update(socket=f"{directory}/server.sock", stop_command=f"sudo systemctl stop {unit}")
        return
    process = spawn(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    job.cleanups.append(lambda: _end(process))
    job.seen["side"] = process


def stop_side(job: Job, arguments: Dict[str, Any]) -> None:
    """Stop the side instance of this job."""
    _end(job.seen.pop("side"))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a side instance: politely, then not. Its copy is thrown away, so nothing can be lost."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            kill_group(process)
            process.wait()


def server_settings(facts: Dict[str, Any]) -> Dict[str, str]:
    """Return the settings of the backed up server that change what a replayed statement means; plain words only."""
    kept = facts.get("settings") or {}
    return {name: kept[name] for name in SETTINGS if re.match(r"^[A-Za-z0-9_]+\Z", str(kept.get(name, "")))}


def copy_settings(data: Path) -> Dict[str, str]:
    """Return the settings of the copied server without which its files cannot be read, as the backup tool noted them."""
    note = data / "backup-my.cnf"
    lines = note.read_text(encoding="utf-8", errors="replace").splitlines() if note.exists() else []
    found = dict(line.split("=", 1) for line in lines if "=" in line)
    return {name: found[name] for name in _LAYOUT_SETTINGS if found.get(name)}


def side_configuration(directory: Path, user: str, settings: Dict[str, str]) -> str:
    """Return the whole configuration of a side instance; ``settings`` describe the layout of its files."""
    lines = {
        **settings,
        "datadir": f"{directory}/data",
        "socket": f"{directory}/server.sock",
        "pid-file": f"{directory}/server.pid",
        "log-error": f"{directory}/error.log",
        "user": user,
        "event-scheduler": "OFF",
        "innodb-buffer-pool-size": "256M",
        "max-allowed-packet": "1G",  # a replayed transaction may be as large as any that was committed
    }
    # Quoted: a bare value ends at a hash sign, and directories may have one.
    body = "".join(f"{name} = {_quoted(value)}\n" for name, value in lines.items())
    return f"[mariadbd]\n{body}skip-networking\nskip-log-bin\nskip-slave-start\n"


def _quoted(value: str) -> str:
    """Return ``value`` as an option file spells it."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


CALLS: Dict[str, Callable[[Job, Dict[str, Any]], Any]] = {
    "check": check,
    "logs_argv": logs_argv,
    "prepare": prepare,
    "replay": replay,
    "rotate": rotate,
    "start_side": start_side,
    "stop_side": stop_side,
}
