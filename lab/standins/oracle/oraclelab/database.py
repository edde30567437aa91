# SPDX-License-Identifier: GPL-3.0-or-later
"""Checkpoints, opening and closing a database, with every reason why it may not open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oraclelab import archiver, blocks, clock, recovery, redo
from oraclelab.blocks import DataFile
from oraclelab.control import Control, incarnation
from oraclelab.errors import OracleError, cannot_create
from oraclelab.instance import Instance


def new_scn(db: Instance) -> int:
    """Take the next SCN."""
    scn = int(db.sga()["scn"]) + 1
    db.update_sga(scn=scn)
    return scn


def checkpoint(db: Instance, content: Control) -> int:
    """Note in all file headers that changes below a new SCN are on disk; returns the SCN."""
    scn, moment = new_scn(db), clock.now()
    for entry in content["datafiles"]:
        if not entry["read_only"]:
            with DataFile(entry["name"]) as file:
                file.set_header(ckp_scn=scn, ckp_time=moment)
                file.sync()
    content.update(ckp_scn=scn, ckp_time=moment)
    return scn


def file_line(entry: dict[str, Any]) -> str:
    """The line that names a data file."""
    return f"ORA-01110: data file {entry['file']}: '{entry['name']}'"


def header_of(content: Control, entry: dict[str, Any]) -> dict[str, Any]:
    """The header of a data file; ORA-01157, ORA-01122 or ORA-01190 when it is not one of this database."""
    number = entry["file"]
    try:
        header = blocks.header_of(entry["name"])
    except OSError as error:
        raise OracleError(
            f"ORA-01157: cannot identify/lock data file {number} - see DBWR trace file", file_line(entry)
        ) from error
    except blocks.CorruptBlockError as error:
        raise OracleError(f"ORA-01122: database file {number} failed verification check", file_line(entry)) from error
    if header.get("dbid") != content["dbid"] or header.get("file") != number:
        raise OracleError(f"ORA-01122: database file {number} failed verification check", file_line(entry))
    return header


def headers(content: Control) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """(control file entry, file header) of every data file."""
    return [(entry, header_of(content, entry)) for entry in content["datafiles"]]


def must_not_need_recovery(content: Control) -> None:
    """Plain OPEN: every file is as new as the control file says, ORA-01113 otherwise."""
    for entry, header in headers(content):
        if entry["read_only"]:
            continue
        if header["resetlogs_scn"] != content["resetlogs_scn"]:
            raise OracleError(
                f"ORA-01190: control file or data file {entry['file']} is from before the last RESETLOGS", file_line(entry)
            )
        if header["ckp_scn"] < content["ckp_scn"] or header["fuzzy_scn"] >= header["ckp_scn"]:
            raise OracleError(f"ORA-01113: file {entry['file']} needs media recovery", file_line(entry))


def must_be_consistent(content: Control) -> None:
    """OPEN RESETLOGS: all files at the SCN where recovery stopped, none fuzzy: ORA-01547 with ORA-01194 or ORA-01152."""
    found = [(entry, header) for entry, header in headers(content) if not entry["read_only"]]
    target = content["recovered_scn"] or max(header["ckp_scn"] for _, header in found)
    for entry, header in found:
        if header["fuzzy"] or header["fuzzy_scn"] >= header["ckp_scn"] or header["ckp_scn"] < target:
            reason = f"ORA-01194: file {entry['file']} needs more recovery to be consistent"
        elif header["ckp_scn"] > target:
            reason = f"ORA-01152: file {entry['file']} was not restored from a sufficiently old backup"
        else:
            continue
        raise OracleError(
            "ORA-01547: warning: RECOVER succeeded but OPEN RESETLOGS would get error below", reason, file_line(entry)
        )


def open_database(db: Instance, *, resetlogs: bool = False, read_only: bool = False) -> None:
    """ALTER DATABASE OPEN in one of its forms."""
    with db.locked():
        memory = db.require("MOUNT", "OPEN", "NOMOUNT")
        if memory["state"] == "NOMOUNT":
            raise OracleError("ORA-01507: database not mounted")
        if memory["state"] == "OPEN":
            raise OracleError("ORA-01531: a database already open by the instance")
        content = db.control()
        due = content["type"] == "BACKUP" or content["incomplete"]
        if resetlogs and not due:
            raise OracleError("ORA-01139: RESETLOGS option only valid after an incomplete database recovery")
        if read_only:
            _open_read_only(db, content)
        elif resetlogs:
            must_be_consistent(content)
            _reset_logs(db, content)
        elif due:
            raise OracleError("ORA-01589: must use RESETLOGS or NORESETLOGS option for database open")
        else:
            _open_as_it_was(db, content)
    if resetlogs:
        db.reached("open_resetlogs")


def _open_read_only(db: Instance, content: Control) -> None:
    must_be_consistent(content)
    if content["stop_scn"] is None and not content["incomplete"] and content["type"] == "CURRENT":
        raise OracleError("ORA-16005: database requires recovery")
    pdbs = {str(pdb["con_id"]): "READ ONLY" if pdb["name"] == "PDB$SEED" else "MOUNTED" for pdb in content["pdbs"]}
    db.update_sga(state="OPEN", open_mode="READ ONLY", pdbs=pdbs, scn=content["ckp_scn"], archiver_error="")


def _open_as_it_was(db: Instance, content: Control) -> None:
    """Open after a clean shutdown, or after a crash with recovery from the online logs."""
    must_not_need_recovery(content)
    group = archiver.current_group(content)
    member = _online_member(content, group)
    offset, last = redo.end_of(member)
    end = max(last, group["first_scn"], content["ckp_scn"])
    if content["stop_scn"] is None:
        recovery.crash_recovery(content, end)
    db.update_sga(scn=end + 1, redo_offset=offset, redo_sequence=group["sequence"])
    _begin(db, content, saved=True)


def _online_member(content: Control, group: dict[str, Any]) -> str:
    """A readable member of the current group; ORA-00313 when the online log is lost."""
    for member in group["members"]:
        try:
            header = redo.read_header(member)
        except (OSError, redo.CorruptLogError):
            continue
        if (header["dbid"], header["sequence"], header["resetlogs_scn"]) == (
            content["dbid"],
            group["sequence"],
            content["resetlogs_scn"],
        ):
            return member
    raise OracleError(
        f"ORA-00313: open failed for members of log group {group['group']} of thread 1",
        f"ORA-00312: online log {group['group']} thread 1: '{group['members'][0]}'",
    )


def _begin(db: Instance, content: Control, *, saved: bool) -> None:
    """Mark everything as in use: files are fuzzy from here on."""
    for entry in content["datafiles"]:
        if not entry["read_only"]:
            with DataFile(entry["name"]) as file:
                file.set_header(fuzzy=True, fuzzy_scn=0)
    content.update(stop_scn=None, incomplete=False, recovered_scn=0, type="CURRENT")
    db.update_sga(state="OPEN", open_mode="READ WRITE", pdbs=_pdbs_at_open(content, saved), archiver_error="")
    checkpoint(db, content)
    db.save_control(content)


def _pdbs_at_open(content: Control, saved: bool) -> dict[str, str]:
    """Open modes of the PDBs after the root has opened: only a saved state opens one, and not after RESETLOGS."""
    modes = {}
    for pdb in content["pdbs"]:
        if pdb["name"] == "PDB$SEED":
            modes[str(pdb["con_id"])] = "READ ONLY"
        else:
            modes[str(pdb["con_id"])] = "READ WRITE" if saved and pdb["saved"] else "MOUNTED"
    return modes


def _reset_logs(db: Instance, content: Control) -> None:
    """Begin a new incarnation at the SCN where recovery stopped."""
    before = incarnation(content)
    scn = content["recovered_scn"] or max(header["ckp_scn"] for _, header in headers(content))
    moment = max(clock.now(), before["time"] + 1)
    before["status"] = "PARENT"
    number = max(one["number"] for one in content["incarnations"]) + 1
    content["incarnations"].append(
        {"number": number, "scn": scn, "time": moment, "status": "CURRENT", "parent": before["number"]}
    )
    content.update(resetlogs_scn=scn, resetlogs_time=moment)
    for group in content["groups"]:
        group.update(sequence=0, status="UNUSED", archived=True, first_scn=0, first_time=0, next_scn=0, next_time=0)
    first = content["groups"][0]
    first.update(sequence=1, status="CURRENT", archived=False, first_scn=scn, first_time=moment)
    for group in content["groups"]:
        for member in group["members"]:
            try:
                redo.format_online(member, archiver.online_header(content, group), group["bytes"])
            except OSError as error:
                refusal = f"ORA-00344: unable to re-create online log '{member}'"
                raise OracleError(refusal, *cannot_create(member, error).lines[1:]) from error
    for entry in content["datafiles"]:
        with DataFile(entry["name"]) as file:
            file.set_header(resetlogs_scn=scn, resetlogs_time=moment)
    _make_tempfiles(content)
    db.update_sga(scn=scn, redo_offset=redo.HEADER_SIZE, redo_sequence=1)
    _begin(db, content, saved=False)


def _make_tempfiles(content: Control) -> None:
    """Temporary files hold nothing and are made anew when they are missing."""
    for entry in content["tempfiles"]:
        if not Path(entry["name"]).exists():
            try:
                blocks.create(entry["name"], {"dbid": content["dbid"], "temp": entry["file"]}, 16)
            except OSError as error:
                raise cannot_create(entry["name"], error) from error


def close_database(db: Instance) -> None:
    """Checkpoint and mark the files as consistent."""
    with db.locked():
        content = db.control()
        if db.sga().get("open_mode") == "READ WRITE":
            scn = checkpoint(db, content)
            for entry in content["datafiles"]:
                if not entry["read_only"]:
                    with DataFile(entry["name"]) as file:
                        file.set_header(fuzzy=False)
                        file.sync()
            content["stop_scn"] = scn
            db.save_control(content)
        db.update_sga(state="MOUNT", open_mode="", pdbs={})


def shutdown(db: Instance, mode: str) -> list[str]:
    """SHUTDOWN NORMAL, IMMEDIATE, TRANSACTIONAL or ABORT; returns what is said."""
    with db.locked():
        memory = db.require("NOMOUNT", "MOUNT", "OPEN")
        said = []
        if mode != "ABORT":
            if memory["state"] == "OPEN":
                close_database(db)
                said.append("database closed")
            if memory["state"] in ("OPEN", "MOUNT"):
                said.append("database dismounted")
        db.abort()
        return [*said, "Oracle instance shut down"]
