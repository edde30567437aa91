# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the places on the protected host: account, software, parameter file, staging and its room."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Dict

from ... import layout
from ...checks import Check, new_check, space_check
from ...errors import BackstayError
from ...executors import LocalExecutor
from ...files import free_bytes
from .client import Instance, sqlplus
from .text import quoted


def account_check(server: Instance) -> Check:
    """Return the check that the server's account is on its host."""
    try:
        server.executor.ids(server.account)
    except BackstayError as error:
        return new_check("account", "failed", error.message, error.hint or "set app_oracle_account")
    return new_check("account", "ok", server.account)


def software_check(server: Instance) -> Check:
    """Return the check that the software is where its home says."""
    for program in ("rman", "sqlplus"):
        if not server.executor.runs(Path(server.home) / "bin" / program):
            return new_check("software", "failed", f"{server.home}/bin/{program} is missing", "set app_oracle_home")
    return new_check("software", "ok", server.home)


def parameter_file_of(server: Instance) -> Path:
    """Return the text parameter file from which an instance without a server parameter file starts."""
    return Path(server.home) / "dbs" / f"init{server.sid}.ora"


def parameter_file_check(server: Instance, values: Dict[str, str]) -> Check:
    """Return the check that there is a parameter file to back up (ORA-5)."""
    if values.get("spfile"):
        return new_check("parameter file", "ok", values["spfile"])
    path = parameter_file_of(server)
    if not server.executor.exists(path):
        return new_check(
            "parameter file", "failed", f"the instance has no spfile and {path} is not there", "CREATE SPFILE FROM MEMORY"
        )
    return new_check("parameter file", "ok", f"{path}; no server parameter file")


def staging_check(server: Instance, host: str) -> Check:
    """Return the check that the server can write where the worker can read: the server writes a probe, the worker reads it."""
    from ...worker.collect import open_for_server

    folder = layout.staging(host, "oracle") / "probe"
    place = server.executor.staging(folder)
    name = "controlfile.sql"
    try:
        open_for_server(server.executor, folder, server.account)
        sqlplus(server, f"ALTER DATABASE BACKUP CONTROLFILE TO TRACE AS {quoted(str(place / name))} REUSE;")
        size = server.executor.size(place / name) if server.executor.pulls else (folder / name).stat().st_size
    except (OSError, BackstayError) as error:
        detail = error.message if isinstance(error, BackstayError) else f"{error.filename}: {error.strerror}"
        hint = f"the account {server.account} needs a way to {place.parent}"
        return new_check("staging", "failed", f"the server cannot write into staging: {detail}", hint)
    finally:
        with contextlib.suppress(OSError, BackstayError):
            # By whoever made it: on a share that is root of the worker, and the account may not remove a folder from root's.
            if server.executor.pulls:
                server.executor.remove(place)
            else:
                LocalExecutor().remove(folder)
    if size <= 0:
        return new_check("staging", "failed", f"what the server wrote into {place} arrived empty", "is it another file system?")
    return new_check("staging", "ok", f"{place.parent}{', pulled from there' if server.executor.pulls else ''}")


def staging_space_check(server: Instance, host: str, facts: Dict[str, Any]) -> Check:
    """Return the check of the room in staging, on both machines: all data files for a full backup, the logs for any."""
    needed = facts["log_bytes"] + (facts["data_bytes"] if facts.get("kind") == "full" else 0)
    folder = layout.staging(host, "oracle")
    place = server.executor.staging(folder)
    rooms = {f"{folder} on the worker": free_bytes(folder)} if server.executor.remote else {}
    rooms[str(place)] = server.executor.free(place)
    scarcest = min(rooms, key=lambda name: rooms[name])
    return space_check("space", scarcest, needed * 1.1, rooms[scarcest], "make room for staging")
