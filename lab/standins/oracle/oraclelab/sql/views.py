# SPDX-License-Identifier: GPL-3.0-or-later
"""The dictionary views, computed from instance, control file and file headers when a statement names them."""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oraclelab import archiver, blocks, keystore, ledger, parameters
from oraclelab.control import Control
from oraclelab.errors import OracleError
from oraclelab.instance import NOT_AVAILABLE, Instance
from oraclelab.sql.select import date

VERSION = "19.0.0.0.0"
BLOCK = 8192
Row = dict[str, Any]


def yes(flag: object) -> str:
    """YES or NO."""
    return "YES" if flag else "NO"


class Views:
    """Rows of every view for one statement; the state is read once."""

    def __init__(self, db: Instance, container: str) -> None:
        self.db = db
        self.container = container
        self.memory = db.sga()
        self._control: Control | None = None

    @property
    def control(self) -> Control:
        """The control file; ORA-01507 before MOUNT."""
        if self.memory["state"] == "NOMOUNT":
            raise OracleError("ORA-01507: database not mounted")
        if self._control is None:
            with self.db.locked():
                self._control = self.db.control()
        return self._control

    def fill(self, connection: sqlite3.Connection, name: str) -> bool:
        """Make the table of a view when there is one of that name."""
        method: Callable[[], list[Row]] | None = getattr(self, "view_" + ALIASES.get(name, name).replace("$", "_"), None)
        if method is None:
            return False
        if not self.memory:
            raise OracleError(*NOT_AVAILABLE)
        if name.startswith(("dba_", "cdb_")) and self.memory["state"] != "OPEN":
            raise OracleError(
                "ORA-01219: database or pluggable database not open: queries allowed on fixed tables or views only"
            )
        rows = method()
        columns = COLUMNS[ALIASES.get(name, name)].split()
        connection.execute(f'create table "{name}" ({", ".join(chr(34) + column + chr(34) for column in columns)})')
        marks = ", ".join("?" * len(columns))
        values = [[None if row.get(column) == "" else row.get(column) for column in columns] for row in rows]
        connection.executemany(f'insert into "{name}" values ({marks})', values)
        return True

    # Instance

    def view_v_instance(self) -> list[Row]:
        status = {"NOMOUNT": "STARTED", "MOUNT": "MOUNTED", "OPEN": "OPEN"}[self.memory["state"]]
        archiving = self.memory["state"] != "NOMOUNT" and self.control["log_mode"] == "ARCHIVELOG"
        archiver_state = "FAILED" if self.memory.get("archiver_error") else ("STARTED" if archiving else "STOPPED")
        row = {
            "instance_number": 1,
            "instance_name": self.db.sid,
            "host_name": socket.gethostname(),
            "version": VERSION,
            "version_full": "19.22.0.0.0",
        }
        more = {
            "startup_time": date(self.memory["started"]),
            "status": status,
            "archiver": archiver_state,
            "database_status": "ACTIVE",
        }
        return [{**row, **more, "instance_role": "PRIMARY_INSTANCE", "edition": "EE", "thread#": 1}]

    def view_v_version(self) -> list[Row]:
        banner = "Oracle Database 19c Enterprise Edition Release 19.0.0.0.0 - Production"
        return [{"banner": banner, "banner_full": banner + "\nVersion 19.22.0.0.0"}]

    def view_v_parameter(self) -> list[Row]:
        values = {**self.memory["parameters"], "spfile": self.memory["spfile"], "instance_name": self.db.sid}
        values.setdefault("wallet_root", "")
        return [{"name": name, "value": value} for name, value in sorted(values.items())]

    def view_v_spparameter(self) -> list[Row]:
        values = parameters.read_spfile(self.memory["spfile"]) if self.memory["spfile"] else {}
        return [{"name": name, "value": value, "isspecified": "TRUE"} for name, value in sorted(values.items())]

    # Database

    def view_v_database(self) -> list[Row]:
        content, memory = self.control, self.memory
        before = self._incarnation_rows()[-1]
        row = {key: content[key] for key in ("dbid", "log_mode")} | {
            "name": content["db_name"],
            "db_unique_name": self.db.parameter("db_unique_name"),
        }
        position = {"current_scn": memory["scn"] if memory["state"] == "OPEN" else 0, "checkpoint_change#": content["ckp_scn"]}
        kept = {
            "controlfile_type": content["type"],
            "controlfile_change#": content["ckp_scn"],
            "controlfile_time": date(content["ckp_time"]),
        }
        current = next(one for one in self._incarnation_rows() if one["status"] == "CURRENT") or before
        reset = {
            name: current[name]
            for name in ("resetlogs_change#", "resetlogs_time", "prior_resetlogs_change#", "prior_resetlogs_time")
        }
        rest = {
            "created": date(content["created"]),
            "cdb": yes(content["cdb"]),
            "con_id": 0,
            "database_role": "PRIMARY",
            "open_mode": memory["open_mode"] if memory["state"] == "OPEN" else "MOUNTED",
            "force_logging": yes(content["force_logging"]),
            "flashback_on": "NO",
            "archivelog_change#": max((log["next_scn"] for log in content["archived"]), default=0),
            "platform_name": "Linux x86 64-bit",
            "last_open_incarnation#": current["incarnation#"],
        }
        return [{**row, **position, **kept, **reset, **rest}]

    def _incarnation_rows(self) -> list[Row]:
        by_number = {one["number"]: one for one in self.control["incarnations"]}
        rows = []
        for one in self.control["incarnations"]:
            parent = by_number.get(one["parent"], {"scn": 0, "time": 0})
            reset = {"resetlogs_change#": one["scn"], "resetlogs_time": date(one["time"]), "resetlogs_id": one["time"]}
            prior = {
                "prior_resetlogs_change#": parent["scn"],
                "prior_resetlogs_time": date(parent["time"]),
                "prior_incarnation#": one["parent"],
            }
            rows.append({"incarnation#": one["number"], "status": one["status"], **reset, **prior})
        return rows

    def view_v_database_incarnation(self) -> list[Row]:
        return self._incarnation_rows()

    def view_v_pdbs(self) -> list[Row]:
        modes = self.memory["pdbs"]
        rows = [
            {**pdb, "open_mode": modes.get(str(pdb["con_id"]), "MOUNTED"), "restricted": "NO"} for pdb in self.control["pdbs"]
        ]
        return [row for row in rows if self.container in ("CDB$ROOT", row["name"])]

    def view_v_containers(self) -> list[Row]:
        content = self.control
        mode = self.memory["open_mode"] if self.memory["state"] == "OPEN" else "MOUNTED"
        name = "CDB$ROOT" if content["cdb"] else content["db_name"]
        root = {
            "con_id": 1 if content["cdb"] else 0,
            "dbid": content["dbid"],
            "name": name,
            "open_mode": mode,
            "restricted": "NO",
        }
        return [*([root] if self.container == "CDB$ROOT" else []), *self.view_v_pdbs()]

    def view_dba_pdbs(self) -> list[Row]:
        return [{"pdb_id": row["con_id"], "pdb_name": row["name"], "status": "NORMAL", **row} for row in self.view_v_pdbs()]

    # Files

    def _entries(self) -> list[Row]:
        """Data files of the container that the session is in."""
        content = self.control
        own = next((pdb["con_id"] for pdb in content["pdbs"] if pdb["name"] == self.container), None)
        return [entry for entry in content["datafiles"] if own is None or entry["con_id"] == own]

    def view_v_datafile(self) -> list[Row]:
        content, rows = self.control, []
        for entry in self._entries():
            try:
                size, header = Path(entry["name"]).stat().st_size, blocks.header_of(entry["name"])
            except (OSError, blocks.CorruptBlockError):
                size, header = 0, {"ckp_scn": content["ckp_scn"], "ckp_time": content["ckp_time"]}
            place = {"file#": entry["file"], "name": entry["name"], "ts#": entry["ts"], "con_id": entry["con_id"]}
            shape = {
                "bytes": size,
                "blocks": size // BLOCK,
                "block_size": BLOCK,
                "creation_change#": entry["creation_scn"],
                "creation_time": date(entry["created"]),
            }
            position = {
                "checkpoint_change#": header["ckp_scn"],
                "checkpoint_time": date(header["ckp_time"]),
                "last_change#": content["stop_scn"],
            }
            status = "SYSTEM" if entry["tablespace"] == "SYSTEM" else "ONLINE"
            enabled = "READ ONLY" if entry["read_only"] else "READ WRITE"
            rows.append({**place, **shape, **position, "status": status, "enabled": enabled, "unrecoverable_change#": 0})
        return rows

    def view_v_datafile_header(self) -> list[Row]:
        rows = []
        for entry in self._entries():
            row: Row = {
                "file#": entry["file"],
                "name": entry["name"],
                "con_id": entry["con_id"],
                "status": "ONLINE",
                "tablespace_name": entry["tablespace"],
            }
            try:
                header = blocks.header_of(entry["name"])
            except OSError:
                rows.append({**row, "error": "FILE NOT FOUND", "checkpoint_change#": 0})
                continue
            except blocks.CorruptBlockError:
                rows.append({**row, "error": "CORRUPT HEADER", "checkpoint_change#": 0})
                continue
            position = {
                "checkpoint_change#": header["ckp_scn"],
                "checkpoint_time": date(header["ckp_time"]),
                "fuzzy": yes(header["fuzzy"]),
            }
            reset = {"resetlogs_change#": header["resetlogs_scn"], "resetlogs_time": date(header["resetlogs_time"])}
            behind = not entry["read_only"] and (
                header["ckp_scn"] < self.control["ckp_scn"] or header["fuzzy_scn"] >= header["ckp_scn"]
            )
            rows.append({**row, **position, **reset, "recover": yes(behind)})
        return rows

    def view_v_recover_file(self) -> list[Row]:
        rows = [row for row in self.view_v_datafile_header() if row.get("error") or row.get("recover") == "YES"]
        keys = ("file#", "error")
        return [
            {
                **{key: row.get(key) for key in keys},
                "online_status": "ONLINE",
                "change#": row["checkpoint_change#"],
                "time": row.get("checkpoint_time"),
            }
            for row in rows
        ]

    def view_v_tempfile(self) -> list[Row]:
        rows = []
        for entry in self.control["tempfiles"]:
            size = Path(entry["name"]).stat().st_size if Path(entry["name"]).exists() else 0
            rows.append(
                {
                    "file#": entry["file"],
                    "name": entry["name"],
                    "ts#": 90,
                    "con_id": entry["con_id"],
                    "bytes": size,
                    "status": "ONLINE",
                }
            )
        return rows

    def view_v_tablespace(self) -> list[Row]:
        return [{"ts#": entry["ts"], "name": entry["tablespace"], "con_id": entry["con_id"]} for entry in self._entries()]

    def view_dba_data_files(self) -> list[Row]:
        rows = []
        for entry, row in zip(self._entries(), self.view_v_datafile()):
            names = {"file_id": entry["file"], "file_name": entry["name"], "tablespace_name": entry["tablespace"]}
            rows.append({**names, "bytes": row["bytes"], "status": "AVAILABLE", "con_id": entry["con_id"]})
        return rows

    def view_dba_tablespaces(self) -> list[Row]:
        kinds = {"TEMP": "TEMPORARY", "UNDOTBS1": "UNDO"}
        names = dict.fromkeys([*(entry["tablespace"] for entry in self._entries()), "TEMP"])
        return [{"tablespace_name": name, "status": "ONLINE", "contents": kinds.get(name, "PERMANENT")} for name in names]

    def view_v_controlfile(self) -> list[Row]:
        return [
            {
                "name": path,
                "block_size": 16384,
                "file_size_blks": -(-Path(path).stat().st_size // 16384) if Path(path).exists() else 0,
            }
            for path in (self.control and self.db.control_paths())
        ]

    # Redo

    def view_v_log(self) -> list[Row]:
        rows = []
        for group in self.control["groups"]:
            place = {
                "group#": group["group"],
                "thread#": 1,
                "sequence#": group["sequence"],
                "bytes": group["bytes"],
                "blocksize": 512,
            }
            state = {"members": len(group["members"]), "archived": yes(group["archived"]), "status": group["status"]}
            last = group["next_scn"] or (1 << 60 if group["sequence"] else 0)
            scns = {
                "first_change#": group["first_scn"],
                "first_time": date(group["first_time"]),
                "next_change#": last,
                "next_time": date(group["next_time"]),
            }
            rows.append({**place, **state, **scns})
        return rows

    def view_v_logfile(self) -> list[Row]:
        return [
            {"group#": group["group"], "type": "ONLINE", "member": member}
            for group in self.control["groups"]
            for member in group["members"]
        ]

    def view_v_thread(self) -> list[Row]:
        current = archiver.current_group(self.control)
        state = "OPEN" if self.memory["state"] == "OPEN" else "CLOSED"
        return [{"thread#": 1, "status": state, "sequence#": current["sequence"]}]

    def _log_columns(self, log: Row) -> Row:
        reset = {
            "resetlogs_change#": log["resetlogs_scn"],
            "resetlogs_time": date(log["resetlogs_time"]),
            "resetlogs_id": log["resetlogs_time"],
        }
        edges = {
            "first_change#": log["first_scn"],
            "first_time": date(log["first_time"]),
            "next_change#": log["next_scn"],
            "next_time": date(log["next_time"]),
        }
        size = {"blocks": -(-log["bytes"] // 512), "block_size": 512}
        return {"thread#": log["thread"], "sequence#": log["sequence"], **reset, **edges, **size}

    def view_v_archived_log(self) -> list[Row]:
        rows = []
        for log in self.control["archived"]:
            name = None if log["status"] == "D" else log["name"]
            record = {
                "recid": log["recid"],
                "stamp": log["completed"],
                "name": name,
                "dest_id": 1,
                "archived": "YES",
                "applied": "NO",
                "creator": "ARCH",
            }
            state = {"deleted": yes(log["status"] == "D"), "status": log["status"], "completion_time": date(log["completed"])}
            rows.append({**self._log_columns(log), **record, **state, "backup_count": archiver.backup_count(self.control, log)})
        return rows

    def view_v_archive_dest(self) -> list[Row]:
        error = self.memory.get("archiver_error")
        place = archiver.destination(self.db) or "USE_DB_RECOVERY_FILE_DEST"
        first = {
            "dest_id": 1,
            "dest_name": "LOG_ARCHIVE_DEST_1",
            "status": "ERROR" if error else "VALID",
            "error": error,
            "destination": place,
            "target": "PRIMARY",
        }
        return [first, {"dest_id": 2, "dest_name": "LOG_ARCHIVE_DEST_2", "status": "INACTIVE", "target": "PRIMARY"}]

    def view_v_recovery_file_dest(self) -> list[Row]:
        root = self.db.parameter("db_recovery_file_dest")
        if not root:
            return []
        files = archiver.area_files(self.db, self.control)
        used = {
            "space_used": sum(size for _, size, _ in files),
            "space_reclaimable": sum(size for _, size, free in files if free),
        }
        return [
            {
                "name": root,
                "space_limit": parameters.size(self.db.parameter("db_recovery_file_dest_size")),
                **used,
                "number_of_files": len(files),
            }
        ]

    def view_v_encryption_wallet(self) -> list[Row]:
        status, kind = keystore.status(self.db)
        return [
            {
                "wrl_type": "FILE",
                "wrl_parameter": str(self.db.wallet("")) + os.sep,
                "status": status,
                "wallet_type": kind,
                "con_id": 1,
            }
        ]

    # Repository

    def view_v_backup_set(self) -> list[Row]:
        rows = []
        for one in self.control["sets"]:
            level = one["level"]
            kind = "L" if one["logs"] else ("I" if level == 1 else "D")
            key = {
                "recid": one["recid"],
                "stamp": one["stamp"],
                "set_stamp": one["stamp"],
                "set_count": one["set"],
                "backup_type": kind,
            }
            holds = {
                "controlfile_included": yes(one["control"]),
                "incremental_level": level,
                "pieces": one["piece_count"],
                "block_size": 512 if one["logs"] else BLOCK,
            }
            times = {
                "start_time": date(one["started"]),
                "completion_time": date(one["completed"]),
                "elapsed_seconds": one["completed"] - one["started"],
            }
            rows.append({**key, **holds, **times})
        return rows

    def view_v_backup_piece(self) -> list[Row]:
        rows = []
        for one in self.control["sets"]:
            for piece in one["pieces"]:
                key = {
                    "recid": piece["recid"],
                    "stamp": one["stamp"],
                    "set_stamp": one["stamp"],
                    "set_count": one["set"],
                    "piece#": piece["piece"],
                    "copy#": 1,
                }
                file = {
                    "device_type": "DISK",
                    "handle": piece["handle"],
                    "tag": one["tag"],
                    "status": piece["status"],
                    "bytes": piece["bytes"],
                    "deleted": "NO",
                }
                times = {"start_time": date(piece["started"]), "completion_time": date(piece["completed"])}
                rows.append(
                    {**key, **file, **times, "compressed": yes(piece["compressed"]), "encrypted": yes(piece["encrypted"])}
                )
        return rows

    def view_v_backup_datafile(self) -> list[Row]:
        rows = []
        for one in self.control["sets"]:
            key = {
                "recid": one["recid"],
                "set_stamp": one["stamp"],
                "set_count": one["set"],
                "block_size": BLOCK,
                "completion_time": date(one["completed"]),
            }
            for entry in one["datafiles"]:
                fuzzy = {
                    "absolute_fuzzy_change#": entry["fuzzy_scn"],
                    "resetlogs_change#": entry["resetlogs_scn"],
                    "incremental_level": one["level"],
                }
                position = {
                    "checkpoint_change#": entry["ckp_scn"],
                    "checkpoint_time": date(entry["ckp_time"]),
                    "incremental_change#": entry["from_scn"],
                }
                rows.append(
                    {
                        **key,
                        **fuzzy,
                        **position,
                        "file#": entry["file"],
                        "datafile_blocks": entry["blocks"],
                        "blocks": entry["used"],
                        "creation_change#": 0,
                    }
                )
            if one["control"]:
                position = {
                    "checkpoint_change#": one["control"]["ckp_scn"],
                    "checkpoint_time": date(one["control"]["ckp_time"]),
                }
                rows.append(
                    {
                        **key,
                        **position,
                        "file#": 0,
                        "resetlogs_change#": one["resetlogs_scn"],
                        "blocks": 1,
                        "datafile_blocks": 1,
                    }
                )
        return rows

    def view_v_backup_redolog(self) -> list[Row]:
        return [
            {**self._log_columns(log), "recid": one["recid"], "set_stamp": one["stamp"], "set_count": one["set"]}
            for one in self.control["sets"]
            for log in one["logs"]
        ]

    def view_v_backup_spfile(self) -> list[Row]:
        rows = []
        for one in self.control["sets"]:
            if one["spfile"]:
                row = {
                    "recid": one["recid"],
                    "set_stamp": one["stamp"],
                    "set_count": one["set"],
                    "completion_time": date(one["completed"]),
                }
                rows.append(
                    {
                        **row,
                        "modification_time": date(one["spfile"]["time"]),
                        "bytes": 4096,
                        "db_unique_name": one["spfile"]["db_unique_name"],
                    }
                )
        return rows

    def view_v_datafile_copy(self) -> list[Row]:
        rows = []
        for one in self.control["copies"]:
            entry, piece = one["datafiles"][0], one["pieces"][0]
            place = {
                "recid": one["recid"],
                "name": piece["handle"],
                "file#": entry["file"],
                "tag": one["tag"],
                "status": piece["status"],
                "bytes": piece["bytes"],
            }
            position = {
                "checkpoint_change#": entry["ckp_scn"],
                "checkpoint_time": date(entry["ckp_time"]),
                "incremental_level": one["level"],
            }
            rows.append({**place, **position, "completion_time": date(one["completed"])})
        return rows

    def view_v_rman_configuration(self) -> list[Row]:
        return [
            {"conf#": number, "name": name, "value": value}
            for number, (name, value) in enumerate(self.control["configure"].items(), 1)
        ]

    def view_v_rman_backup_job_details(self) -> list[Row]:
        rows = []
        for job in self.control["jobs"]:
            key = {"session_key": job["key"], "session_recid": job["key"], "session_stamp": job["start"]}
            times = {
                "start_time": date(job["start"]),
                "end_time": date(job["end"]),
                "elapsed_seconds": job["end"] - job["start"],
            }
            rows.append({**key, **times, "status": job["status"], "input_type": job["type"], "output_bytes": job["bytes"]})
        return rows

    def view_v_rman_output(self) -> list[Row]:
        return [
            {"recid": number, "session_recid": job["key"], "output": line}
            for job in self.control["jobs"]
            for number, line in enumerate(job["output"], 1)
        ]

    def view_v_database_block_corruption(self) -> list[Row]:
        kind = {"blocks": 1, "corruption_change#": 0, "corruption_type": "CHECKSUM"}
        return [{"file#": one["file"], "block#": one["block"], **kind} for one in self.control["corruption"]]

    def view_v_block_change_tracking(self) -> list[Row]:
        return [{"status": "DISABLED", "filename": None}]

    # The application's tables

    def _application(self) -> tuple[dict[int, list[Any]], dict[int, int], list[Any]]:
        with self.db.locked():
            self.db.require("OPEN")
            content = self.db.control()
            own = next(
                (pdb["name"] for pdb in content["pdbs"] if pdb["con_id"] == ledger.places(content)["ledger"]["con_id"]),
                "CDB$ROOT",
            )
            if own != self.container:
                raise OracleError("ORA-00942: table or view does not exist")
            ledger.require_open(self.db, content, write=False)
            return ledger.read_rows(content)

    def view_ledger(self) -> list[Row]:
        names = ("account", "other", "amount", "note", "written_at", "scn", "previous", "hash")
        return [{"id": number, **dict(zip(names, row))} for number, row in sorted(self._application()[0].items())]

    def view_accounts(self) -> list[Row]:
        return [{"id": number, "balance": balance} for number, balance in sorted(self._application()[1].items())]


ALIASES = {
    "v$backup_archivelog_details": "v$backup_redolog",
    "cdb_data_files": "dba_data_files",
    "cdb_pdbs": "dba_pdbs",
}
COLUMNS = {
    "v$instance": "instance_number instance_name host_name version version_full startup_time status archiver database_status instance_role edition thread#",
    "v$version": "banner banner_full",
    "v$parameter": "name value",
    "v$spparameter": "name value isspecified",
    "v$database": "dbid name db_unique_name created cdb con_id database_role open_mode log_mode force_logging flashback_on current_scn checkpoint_change#"
    " controlfile_type controlfile_change# controlfile_time resetlogs_change# resetlogs_time prior_resetlogs_change# prior_resetlogs_time archivelog_change#"
    " platform_name last_open_incarnation#",
    "v$database_incarnation": "incarnation# resetlogs_change# resetlogs_time prior_resetlogs_change# prior_resetlogs_time status resetlogs_id prior_incarnation#",
    "v$pdbs": "con_id dbid name open_mode restricted",
    "v$containers": "con_id dbid name open_mode restricted",
    "dba_pdbs": "pdb_id pdb_name status con_id dbid",
    "v$datafile": "file# name ts# con_id bytes blocks block_size creation_change# creation_time checkpoint_change# checkpoint_time last_change# status enabled"
    " unrecoverable_change#",
    "v$datafile_header": "file# name con_id status error recover fuzzy checkpoint_change# checkpoint_time resetlogs_change# resetlogs_time tablespace_name",
    "v$recover_file": "file# online_status error change# time",
    "v$tempfile": "file# name ts# con_id bytes status",
    "v$tablespace": "ts# name con_id",
    "dba_data_files": "file_id file_name tablespace_name bytes status con_id",
    "dba_tablespaces": "tablespace_name status contents",
    "v$controlfile": "name status block_size file_size_blks",
    "v$log": "group# thread# sequence# bytes blocksize members archived status first_change# first_time next_change# next_time",
    "v$logfile": "group# status type member",
    "v$thread": "thread# status sequence#",
    "v$archived_log": "recid stamp name dest_id thread# sequence# resetlogs_change# resetlogs_time resetlogs_id first_change# first_time next_change# next_time"
    " blocks block_size archived applied deleted status completion_time backup_count creator",
    "v$archive_dest": "dest_id dest_name status error destination target",
    "v$recovery_file_dest": "name space_limit space_used space_reclaimable number_of_files",
    "v$encryption_wallet": "wrl_type wrl_parameter status wallet_type con_id",
    "v$backup_set": "recid stamp set_stamp set_count backup_type controlfile_included incremental_level pieces start_time completion_time elapsed_seconds block_size",
    "v$backup_piece": "recid stamp set_stamp set_count piece# copy# device_type handle tag status start_time completion_time bytes deleted compressed encrypted",
    "v$backup_datafile": "recid set_stamp set_count file# creation_change# resetlogs_change# incremental_level incremental_change# checkpoint_change# checkpoint_time"
    " absolute_fuzzy_change# datafile_blocks blocks block_size completion_time",
    "v$backup_redolog": "recid set_stamp set_count thread# sequence# resetlogs_change# resetlogs_time first_change# first_time next_change# next_time blocks block_size",
    "v$backup_spfile": "recid set_stamp set_count modification_time bytes db_unique_name completion_time",
    "v$datafile_copy": "recid name file# tag status incremental_level checkpoint_change# checkpoint_time bytes completion_time",
    "v$rman_configuration": "conf# name value",
    "v$rman_backup_job_details": "session_key session_recid session_stamp start_time end_time status input_type output_bytes elapsed_seconds",
    "v$rman_output": "recid session_recid output",
    "v$database_block_corruption": "file# block# blocks corruption_change# corruption_type",
    "v$block_change_tracking": "status filename",
    "ledger": "id account other amount note written_at scn previous hash",
    "accounts": "id balance",
}
