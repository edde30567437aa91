# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's own programs: make a database, commit transactions, check the data, start and stop what oratab lists."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from oraclelab import check, create, ledger
from oraclelab.errors import OracleError
from oraclelab.instance import Instance


def _instance(sid: str) -> Instance:
    home = os.environ["ORACLE_HOME"]
    return Instance(sid, home, os.environ.get("ORACLE_BASE") or str(Path(home).parents[2]))


def oracle_create(argv: list[str]) -> int:
    """Make a database: files, control files, parameter file; it is not started."""
    top = argparse.ArgumentParser(prog="oracle-create", description=oracle_create.__doc__)
    top.add_argument("sid")
    top.add_argument("--oradata", required=True)
    top.add_argument("--area", required=True)
    top.add_argument("--no-cdb", dest="cdb", action="store_false")
    top.add_argument("--pfile", dest="spfile", action="store_false")
    top.add_argument("--noarchivelog", dest="archivelog", action="store_false")
    top.add_argument("--area-bytes", type=int, default=1 << 30)
    top.add_argument("--log-bytes", type=int, default=256 << 10)
    top.add_argument("--file-blocks", type=int, default=64)
    top.add_argument("--keystore", default="", metavar="PASSWORD")
    top.add_argument("--autologin", action="store_true")
    options = top.parse_args(argv)
    create.create_database(_instance(options.sid), create.Wish(**vars(options)))
    return 0


def oracle_check(argv: list[str]) -> int:
    """Prove the application's data and print JSON: 0, 1 when an invariant is broken, 2 when it cannot be read."""
    top = argparse.ArgumentParser(prog="oracle-check", description=oracle_check.__doc__)
    top.add_argument("sid")
    top.add_argument("--at-id", default="", metavar="ID:HASH")
    top.add_argument("--below-scn", type=int, default=0)
    options = top.parse_args(argv)
    return check.main(_instance(options.sid), options.at_id, options.below_scn)


def oracle_transact(argv: list[str]) -> int:
    """Commit transactions now and print the last one as JSON."""
    top = argparse.ArgumentParser(prog="oracle-transact", description=oracle_transact.__doc__)
    top.add_argument("sid")
    top.add_argument("count", type=int, nargs="?", default=1)
    options = top.parse_args(argv)
    db = _instance(options.sid)
    try:
        known = {}
        for _ in range(options.count):
            known = ledger.commit(db)
    except OracleError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(known))
    return 0


def orawriter(argv: list[str]) -> int:
    """Commit transactions for ever; every durable one gets a synced line in the log."""
    top = argparse.ArgumentParser(prog="orawriter", description=orawriter.__doc__)
    top.add_argument("sid")
    top.add_argument("--log", type=Path, required=True)
    top.add_argument("--rate", type=float, default=float(os.environ.get("WRITER_RATE", "4")))
    options = top.parse_args(argv)
    ledger.write_forever(_instance(options.sid), options.log, options.rate)
    return 0


def _listed(argv: list[str]) -> list[str]:
    """SIDs of oratab, or the one that was named."""
    if argv:
        return argv
    lines = Path(os.environ.get("ORATAB", "/etc/oratab")).read_text().splitlines()
    return [line.split(":")[0] for line in lines if not line.startswith("#") and line.rstrip().endswith(":Y")]


def _sqlplus(sid: str, command: str) -> int:
    environment = {**os.environ, "ORACLE_SID": sid, "NLS_LANG": "AMERICAN_AMERICA.AL32UTF8"}
    program = Path(os.environ["ORACLE_HOME"]) / "bin" / "sqlplus"
    script = f"WHENEVER SQLERROR EXIT FAILURE\n{command}\nEXIT\n"
    return subprocess.run(
        [str(program), "-S", "-L", "/ as sysdba"], input=script, env=environment, text=True, check=False
    ).returncode


def dbstart(argv: list[str]) -> int:
    """Start the instances of oratab, or the one that is named; one that runs stays as it is."""
    return max((_sqlplus(sid, "STARTUP") for sid in _listed(argv) if _instance(sid).state == "DOWN"), default=0)


def dbshut(argv: list[str]) -> int:
    """Shut the instances down that run."""
    return max((_sqlplus(sid, "SHUTDOWN IMMEDIATE") for sid in _listed(argv) if _instance(sid).state != "DOWN"), default=0)
