# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances of their own on copies: the proof of a set, and a restore beside the live database. Live data is not touched."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict

from ... import layout
from ...chain import data_sets
from ...errors import CommandFailed, Refused
from ...files import let_through
from ...process import last_line, run
from . import cmdfile, dictionary, instances, parameters
from .capture import server_of
from .client import Instance, rman
from .restore import (
    known_files,
    moves,
    open_database,
    plan_of,
    prove_open,
    recover_files,
    restore_control_file,
    until_of,
)
from .text import quoted

if TYPE_CHECKING:
    from ...worker.job import Job

_PIECES_A_COMMAND = 50


def side_sid(run: str) -> str:
    """Return the SID of an instance that a job makes: eight characters, like no other on the host."""
    return "BS" + hashlib.sha256(run.encode()).hexdigest()[:6].upper()


def side_server(job: Job) -> Instance:
    """Return the job's own instance.

    It is reached through the operating system, by its SID: an alias (and the wallet behind it) leads to the live database.
    """
    return server_of(job)._replace(sid=side_sid(job.specification["run"]), connect="/", tns_admin="")


def begin_side(job: Job, arguments: Dict[str, Any]) -> None:
    """Start an instance of its own in ``directory`` on the control file of the set; ``arguments``: directory, landing."""
    server, directory = side_server(job), Path(arguments["directory"])
    _require_new(server)
    if server.executor.names(directory):
        raise Refused(f"{directory} is not empty", "restore to a directory of its own")
    if not server.executor.remote:  # elsewhere it lies in the folder of the job, which its guard removes
        job.folder.note_made("directory", str(directory))
    instances.give_directory(server, directory)
    if layout.ROOT in directory.parents and not server.executor.remote:
        let_through(directory.parent, layout.ROOT)
    instances.give_directories(server, [str(directory / name) for name in ("adump", "diag", "fra")])
    source = data_sets(plan_of(job))[0]["facts"]
    values = parameters.scratch(source["parameters"], str(directory), server.sid)
    instances.give_file(server, directory / "init.ora", parameters.write(values).encode())
    job.cleanups.append(lambda: _end(job, server))
    job.executor.on_loss([instances.abort_by_host(server)])
    instances.start(server, str(directory / "init.ora"))
    restore_control_file(job, server, str(arguments["landing"]))


def _require_new(server: Instance) -> None:
    """Raise Refused when an instance answers already: what this job did not start it must never end."""
    found = instances.status(server)
    if found:
        raise Refused(f"an instance answers as {server.sid} before this job started one ({found})", "find out whose it is")


def _end(job: Job, server: Instance) -> None:
    """End the instance unless it was handed over to a unit of its own."""
    if not job.seen.get("handed over"):
        instances.abort(server)
        instances.sweep(server)


def prove_set(job: Job, arguments: Dict[str, Any]) -> None:
    """Let RMAN read everything that a restore of the plan would use, and every landed piece; ``arguments``: landing, channels.

    RESTORE ... VALIDATE proves that the pieces suffice, VALIDATE BACKUPSET that each of them is whole, also those whose logs
    still lie on this host.
    """
    server, plan = side_server(job), plan_of(job)
    channels = int(arguments.get("channels", 1))
    data = data_sets(plan)[-1]
    end = int(plan["receipts"][-1]["stream"]["last"])
    redo = (int(data["facts"]["redo_from"]), end)
    commands = [*cmdfile.proof_of_set(until_of(plan), channels), *cmdfile.proof_of_logs(*redo, channels)]
    keys = dictionary.usable_sets(server, str(arguments["landing"]))
    if not keys:
        raise CommandFailed("RMAN knows none of the landed pieces")
    for index in range(0, len(keys), _PIECES_A_COMMAND):
        commands += cmdfile.proof_of_pieces(keys[index : index + _PIECES_A_COMMAND])
    rman(job, server, "prove", commands)
    detail = f"data files and redo of SCN {redo[0]} to {redo[1]} can be restored"
    job.seen["checks"].append({"name": "RESTORE VALIDATE", "status": "ok", "detail": detail})
    job.seen["checks"].append({"name": "VALIDATE BACKUPSET", "status": "ok", "detail": f"{len(keys)} sets read in full"})


def restore_side(job: Job, arguments: Dict[str, Any]) -> None:
    """Restore and recover the whole database below ``directory`` and open it; ``arguments``: directory, channels."""
    server, directory = side_server(job), str(arguments["directory"])
    recover_files(job, server, moves(known_files(server), directory), int(arguments.get("channels", 1)))
    open_database(job, server)
    instances.stop(server)


def keep_side(job: Job, arguments: Dict[str, Any]) -> None:
    """Start the restored copy again in a unit of its own, which outlives the job, and prove it; ``arguments``: directory."""
    server, directory = side_server(job), Path(arguments["directory"])
    unit = "backstay-side-" + job.specification["run"]
    script = directory / "start.sql"
    instances.give_file(server, script, f"STARTUP PFILE={quoted(str(directory / 'init.ora'))}\nEXIT\n".encode())
    job.folder.note_made("unit", unit + ".service")
    done = run(_unit_argv(server, unit, script), 1800)
    if done.status != 0:
        raise CommandFailed(f"the side instance could not be started: {last_line(done.stderr)}")
    prove_open(job, server)
    job.seen["handed over"] = True
    instances.give_file(server, directory / "sid", server.sid.encode() + b"\n")
    job.seen["facts"].update(sid=server.sid, stop_command=f"sudo systemctl stop {unit}")


def _unit_argv(server: Instance, unit: str, script: Path) -> list:
    """Return the command line that starts the instance in a unit; the instance ends when the unit is stopped."""
    properties = {"Type": "oneshot", "RemainAfterExit": "yes", "User": server.account, "WorkingDirectory": "/"}
    argv = ["systemd-run", "--quiet", "--collect", "--unit", unit]
    argv += [f"--property={name}={value}" for name, value in properties.items()]
    argv += [f"--setenv={name}={value}" for name, value in server.environment().items()]
    return [*argv, "--", *server.sqlplus_argv(), f"@{script}"]
