# SPDX-License-Identifier: GPL-3.0-or-later
"""Views of RMAN's repository."""

from __future__ import annotations

from oraclelab.sql.select import date
from oraclelab.sql.state import BLOCK, Row, State, yes


class RepositoryViews(State):
    """Sets, pieces, copies, settings and jobs."""

    def _view_v_backup_set(self) -> list[Row]:
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

    def _view_v_backup_piece(self) -> list[Row]:
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

    def _view_v_backup_datafile(self) -> list[Row]:
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

    def _view_v_backup_redolog(self) -> list[Row]:
        return [
            {**self._log_columns(log), "recid": one["recid"], "set_stamp": one["stamp"], "set_count": one["set"]}
            for one in self.control["sets"]
            for log in one["logs"]
        ]

    def _view_v_backup_spfile(self) -> list[Row]:
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

    def _view_v_datafile_copy(self) -> list[Row]:
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

    def _view_v_rman_configuration(self) -> list[Row]:
        return [
            {"conf#": number, "name": name, "value": value}
            for number, (name, value) in enumerate(self.control["configure"].items(), 1)
        ]

    def _view_v_rman_backup_job_details(self) -> list[Row]:
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

    def _view_v_rman_output(self) -> list[Row]:
        return [
            {"recid": number, "session_recid": job["key"], "output": line}
            for job in self.control["jobs"]
            for number, line in enumerate(job["output"], 1)
        ]

    def _view_v_database_block_corruption(self) -> list[Row]:
        kind = {"blocks": 1, "corruption_change#": 0, "corruption_type": "CHECKSUM"}
        return [{"file#": one["file"], "block#": one["block"], **kind} for one in self.control["corruption"]]

    def _view_v_block_change_tracking(self) -> list[Row]:
        return [{"status": "DISABLED", "filename": None}]
