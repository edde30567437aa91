# SPDX-License-Identifier: GPL-3.0-or-later
"""What the caller's environment says: ORACLE_HOME, ORACLE_SID, ORACLE_BASE, and who the caller is."""

from __future__ import annotations

import os
from pathlib import Path

from oraclelab.errors import OracleError
from oraclelab.instance import Instance


def is_software_owner() -> bool:
    """Whether the caller may log on as SYSDBA by the operating system: here only the owner of the software."""
    home = os.environ.get("ORACLE_HOME", "")
    return bool(home) and Path(home).is_dir() and Path(home).stat().st_uid == os.geteuid()


def instance() -> Instance:
    """The instance that the environment names; ORA-12162 without ORACLE_SID."""
    home = os.environ.get("ORACLE_HOME", "")
    if not home or not Path(home).is_dir():
        raise OracleError("SP2-0750: You may need to set ORACLE_HOME to your Oracle software directory")
    sid = os.environ.get("ORACLE_SID", "")
    if not sid:
        raise OracleError("ORA-12162: TNS:net service name is incorrectly specified")
    # dbhome_1 lies at product/RELEASE/dbhome_1 below ORACLE_BASE.
    return Instance(sid, home, os.environ.get("ORACLE_BASE") or str(Path(home).parents[2]))
