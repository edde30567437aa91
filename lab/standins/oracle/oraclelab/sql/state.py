# SPDX-License-Identifier: GPL-3.0-or-later
"""What views are computed from."""

from __future__ import annotations

from typing import Any

from oraclelab.control import Control
from oraclelab.errors import OracleError
from oraclelab.instance import Instance
from oraclelab.sql.select import date

BLOCK = 8192
Row = dict[str, Any]


def yes(flag: object) -> str:
    """YES or NO."""
    return "YES" if flag else "NO"


class State:
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

    def _entries(self) -> list[Row]:
        """Data files of the container that the session is in."""
        content = self.control
        own = next((pdb["con_id"] for pdb in content["pdbs"] if pdb["name"] == self.container), None)
        return [entry for entry in content["datafiles"] if own is None or entry["con_id"] == own]

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
