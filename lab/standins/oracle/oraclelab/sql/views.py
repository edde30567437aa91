# SPDX-License-Identifier: GPL-3.0-or-later
"""The dictionary views, computed from instance, control file and file headers when a statement names them."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Callable
from typing import Any

from oraclelab import ledger, parameters
from oraclelab.errors import OracleError
from oraclelab.instance import NOT_AVAILABLE
from oraclelab.sql.columns import ALIASES, COLUMNS
from oraclelab.sql.file_views import FileViews
from oraclelab.sql.repository_views import RepositoryViews
from oraclelab.sql.select import date
from oraclelab.sql.state import Row, yes

VERSION = "19.0.0.0.0"


class Views(FileViews, RepositoryViews):
    """All views; rows of one statement, the state is read once."""

    def fill(self, connection: sqlite3.Connection, name: str) -> bool:
        """Make the table of a view when there is one of that name."""
        method: Callable[[], list[Row]] | None = getattr(self, "_view_" + ALIASES.get(name, name).replace("$", "_"), None)
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

    def _view_v_instance(self) -> list[Row]:
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

    def _view_v_version(self) -> list[Row]:
        banner = "Oracle Database 19c Enterprise Edition Release 19.0.0.0.0 - Production"
        return [{"banner": banner, "banner_full": banner + "\nVersion 19.22.0.0.0"}]

    def _view_v_parameter(self) -> list[Row]:
        values = {**self.memory["parameters"], "spfile": self.memory["spfile"], "instance_name": self.db.sid}
        values.setdefault("wallet_root", "")
        return [{"name": name, "value": value} for name, value in sorted(values.items())]

    def _view_v_spparameter(self) -> list[Row]:
        values = parameters.read_spfile(self.memory["spfile"]) if self.memory["spfile"] else {}
        return [{"name": name, "value": value, "isspecified": "TRUE"} for name, value in sorted(values.items())]

    # Database

    def _view_v_database(self) -> list[Row]:
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

    def _view_v_database_incarnation(self) -> list[Row]:
        return self._incarnation_rows()

    def _view_v_pdbs(self) -> list[Row]:
        modes = self.memory["pdbs"]
        rows = [
            {**pdb, "open_mode": modes.get(str(pdb["con_id"]), "MOUNTED"), "restricted": "NO"} for pdb in self.control["pdbs"]
        ]
        return [row for row in rows if self.container in ("CDB$ROOT", row["name"])]

    def _view_v_containers(self) -> list[Row]:
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
        return [*([root] if self.container == "CDB$ROOT" else []), *self._view_v_pdbs()]

    def _view_dba_pdbs(self) -> list[Row]:
        return [{"pdb_id": row["con_id"], "pdb_name": row["name"], "status": "NORMAL", **row} for row in self._view_v_pdbs()]

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

    def _view_ledger(self) -> list[Row]:
        names = ("account", "other", "amount", "note", "written_at", "scn", "previous", "hash")
        return [{"id": number, **dict(zip(names, row))} for number, row in sorted(self._application()[0].items())]

    def _view_accounts(self) -> list[Row]:
        return [{"id": number, "balance": balance} for number, balance in sorted(self._application()[1].items())]
