# SPDX-License-Identifier: GPL-3.0-or-later
"""A server of its own on a restored copy: socket only, no events, no replication, no log, nothing of the host's own server.

Its zone is that of the server that was backed up: what is replayed may say NOW(), and events are of local times.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List

from ... import layout
from ...chain import data_sets
from ...checks import Check, new_check
from ...errors import CommandFailed, Refused
from ...files import let_through, private_directory, write_atomic
from ...process import acting_as, kill_group, last_line, run, spawn
from .products import Product, product_named
from .zone import zone_environment

if TYPE_CHECKING:
    from ...worker.job import Job

_LAYOUT_SETTINGS = ("innodb_data_file_path", "innodb_page_size", "innodb_undo_tablespaces")
_LONGEST_SOCKET = 107  # bytes of a path that the kernel takes for a socket
_OF_A_LANDING = {"data", "logs", "incrementals", "dump", "accounts"}
# What such a value may look like: it comes from a receipt, and goes into an option file.
_VALUE = re.compile(r"^[A-Za-z0-9_:;.]+\Z")


def socket_checks(place: Path) -> List[Check]:
    """Return a failed check where the path of a server's socket in ``place`` would be longer than the kernel takes."""
    if len(os.fsencode(f"{place}/server.sock")) <= _LONGEST_SOCKET:
        return []
    detail = f"a server in {place} would have a socket of more than {_LONGEST_SOCKET} bytes"
    return [new_check("target", "failed", detail, "restore to a directory with a shorter path")]


def configure(job: Job, directory: Path, user: str) -> Product:
    """Write the configuration of the server of a landed copy, and return whose it is. Raise Refused for a folder of others.

    The folder is the account's afterwards, so root writes nothing there, and reads by the rights of the account.
    """
    from ...worker.land import give, planned

    own = {"directory": str(directory)} in job.folder.made()  # a replay had its server here before
    if not own and {path.name for path in directory.iterdir()} - _OF_A_LANDING:
        raise Refused(f"{directory} holds other things than the restored data", "restore to a directory of its own")
    job.folder.note_made("directory", str(directory))  # nothing of anybody else's is in it: it may go as a whole
    facts = planned(job.specification)["receipts"][0]["facts"]
    product = product_named(facts["product"])
    with acting_as(user):
        of_copy = copy_settings(directory / "data")
    settings = {**server_settings(product, facts), **of_copy}
    _write_options(job, side_configuration(product, directory, user, settings))
    give(directory, user)
    return product


def option_file(job: Job) -> Path:
    """Return the file with the configuration of the server that this job starts on a copy."""
    return layout.side(job.specification["run"]) / "my.cnf"


def _write_options(job: Job, text: str) -> None:
    """Write the configuration where root alone writes and the account may read; it goes with the job."""
    path = option_file(job)
    job.folder.note_made("directory", str(path.parent))
    job.cleanups.append(lambda: shutil.rmtree(str(path.parent), ignore_errors=True))
    let_through(private_directory(path.parent), layout.ROOT)
    write_atomic(path, text.encode())
    path.chmod(0o644)


def start_side(job: Job, arguments: Dict[str, Any]) -> None:
    """Start a server of its own on a restored copy: socket only, no networking, no events, nothing of the host's own server.

    ``arguments``: directory (holds ``data``), user, detached (true: stays up after the job, as a transient unit).
    """
    from ...worker.land import planned

    directory, user = Path(arguments["directory"]), arguments.get("user", "mysql")
    newest = data_sets(planned(job.specification))[-1]
    environment = zone_environment(newest["facts"])
    product = configure(job, directory, user)
    argv = [product.server, f"--defaults-file={option_file(job)}"]
    if arguments.get("detached"):
        unit = "backstay-side-" + job.specification["run"]
        job.folder.note_made("unit", unit + ".service")
        how = ["--unit", unit, "--uid", user, *(f"--setenv={name}={value}" for name, value in environment.items())]
        done = run(["systemd-run", "--quiet", "--collect", *how, "--", *argv], 60)
        if done.status != 0:
            raise CommandFailed(f"the side instance could not be started: {last_line(done.stderr)}")
        job.seen["facts"].update(socket=f"{directory}/server.sock", stop_command=f"sudo systemctl stop {unit}")
        return
    # As the account from the beginning: a server that gives up root by itself would outlive a worker that is killed.
    process = spawn(argv, environment, user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
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


def server_settings(product: Product, facts: Dict[str, Any]) -> Dict[str, str]:
    """Return the settings of the backed up server that change what a replayed statement means; plain words only."""
    kept = facts.get("settings") or {}
    return {name: kept[name] for name in product.settings if _VALUE.match(str(kept.get(name, "")))}


def copy_settings(data: Path) -> Dict[str, str]:
    """Return the settings of the copied server without which its files cannot be read, as the backup tool noted them."""
    note = data / "backup-my.cnf"
    lines = note.read_text(encoding="utf-8", errors="replace").splitlines() if note.exists() else []
    found = dict(line.split("=", 1) for line in lines if "=" in line)
    return {name: found[name] for name in _LAYOUT_SETTINGS if found.get(name)}


def side_configuration(product: Product, directory: Path, user: str, settings: Dict[str, str]) -> str:
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
        "innodb-flush-log-at-trx-commit": "2",  # a copy of a dead machine is thrown away; a clean end leaves nothing unwritten
        "max-allowed-packet": "1G",  # a replayed transaction may be as large as any that was committed
    }
    # Quoted: a bare value ends at a hash sign, and directories may have one.
    body = "".join(f"{name} = {_quoted(value)}\n" for name, value in lines.items())
    return f"[{product.server}]\n{body}" + "".join(line + "\n" for line in product.side_lines)


def _quoted(value: str) -> str:
    """Return ``value`` as an option file spells it."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
