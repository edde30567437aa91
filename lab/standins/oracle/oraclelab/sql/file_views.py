# SPDX-License-Identifier: GPL-3.0-or-later
"""Views of data files, control files and redo."""

from __future__ import annotations

import os
from pathlib import Path

from oraclelab import archiver, blocks, keystore, parameters
from oraclelab.sql.select import date
from oraclelab.sql.state import BLOCK, Row, State, yes

_STANDBY_RECIDS = 1_000_000


class FileViews(State):
    """Data files, control files, online and archived logs, recovery area, keystore."""

    def _view_v_datafile(self) -> list[Row]:
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

    def _view_v_datafile_header(self) -> list[Row]:
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

    def _view_v_recover_file(self) -> list[Row]:
        rows = [row for row in self._view_v_datafile_header() if row.get("error") or row.get("recover") == "YES"]
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

    def _view_v_tempfile(self) -> list[Row]:
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

    def _view_v_tablespace(self) -> list[Row]:
        return [{"ts#": entry["ts"], "name": entry["tablespace"], "con_id": entry["con_id"]} for entry in self._entries()]

    def _view_dba_data_files(self) -> list[Row]:
        rows = []
        for entry, row in zip(self._entries(), self._view_v_datafile()):
            names = {"file_id": entry["file"], "file_name": entry["name"], "tablespace_name": entry["tablespace"]}
            rows.append({**names, "bytes": row["bytes"], "status": "AVAILABLE", "con_id": entry["con_id"]})
        return rows

    def _view_dba_tablespaces(self) -> list[Row]:
        kinds = {"TEMP": "TEMPORARY", "UNDOTBS1": "UNDO"}
        names = dict.fromkeys([*(entry["tablespace"] for entry in self._entries()), "TEMP"])
        return [{"tablespace_name": name, "status": "ONLINE", "contents": kinds.get(name, "PERMANENT")} for name in names]

    def _view_v_controlfile(self) -> list[Row]:
        return [
            {
                "name": path,
                "block_size": 16384,
                "file_size_blks": -(-Path(path).stat().st_size // 16384) if Path(path).exists() else 0,
            }
            for path in (self.control and self.db.control_paths())
        ]

    # Redo

    def _view_v_log(self) -> list[Row]:
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

    def _view_v_logfile(self) -> list[Row]:
        return [
            {"group#": group["group"], "type": "ONLINE", "member": member}
            for group in self.control["groups"]
            for member in group["members"]
        ]

    def _view_v_thread(self) -> list[Row]:
        current = archiver.current_group(self.control)
        state = "OPEN" if self.memory["state"] == "OPEN" else "CLOSED"
        return [{"thread#": 1, "status": state, "sequence#": current["sequence"]}]

    def _view_v_archived_log(self) -> list[Row]:
        rows: list[Row] = []
        service = archiver.standby(self.db)
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
                "standby_dest": "NO",
            }
            state = {"deleted": yes(log["status"] == "D"), "status": log["status"], "completion_time": date(log["completed"])}
            rows.append({**self._log_columns(log), **record, **state, "backup_count": archiver.backup_count(self.control, log)})
            if service:  # its row has the service in the place of a path, and outlives the file here
                there = {"dest_id": 2, "recid": log["recid"] + _STANDBY_RECIDS, "name": service, "standby_dest": "YES"}
                rows.append({**rows[-1], **there, "deleted": "NO", "status": "A", "backup_count": 0})
        return rows

    def _view_v_archive_dest(self) -> list[Row]:
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
        second = {"dest_id": 2, "dest_name": "LOG_ARCHIVE_DEST_2", "status": "INACTIVE", "target": "PRIMARY"}
        service = archiver.standby(self.db)
        if service:
            second.update(status="VALID", destination=service, target="STANDBY")
        return [first, second]

    def _view_v_recovery_file_dest(self) -> list[Row]:
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

    def _view_v_encryption_wallet(self) -> list[Row]:
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
