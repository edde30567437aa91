# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a database, as dbca would: files, control files, parameter file, password file; it is shut down cleanly afterwards."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

from oraclelab import blocks, clock, control, ledger, parameters, redo
from oraclelab.blocks import DataFile
from oraclelab.instance import Instance

ROOT, SEED, PDB = 1, 2, 3
FIRST_SCN = 1_000_000


@dataclasses.dataclass(frozen=True)
class Wish:
    """What the database is to be like."""

    sid: str
    oradata: str
    area: str
    cdb: bool = True
    spfile: bool = True
    archivelog: bool = True
    area_bytes: int = 1 << 30
    log_bytes: int = 256 << 10
    file_blocks: int = 64
    keystore: str = ""
    autologin: bool = False


def _files(wish: Wish) -> list[tuple[int, int, str, str, str]]:
    """(file number, container, tablespace, path below oradata/SID, what it holds)."""
    if not wish.cdb:
        return [
            (1, 0, "SYSTEM", "system01.dbf", "counter"),
            (2, 0, "SYSAUX", "sysaux01.dbf", ""),
            (3, 0, "UNDOTBS1", "undotbs01.dbf", "undo"),
            (4, 0, "USERS", "users01.dbf", "accounts"),
            (5, 0, "SHOP", "shop01.dbf", "ledger"),
        ]
    pdb = f"{wish.sid}PDB1"
    return [
        (1, ROOT, "SYSTEM", "system01.dbf", ""),
        (3, ROOT, "SYSAUX", "sysaux01.dbf", ""),
        (4, ROOT, "UNDOTBS1", "undotbs01.dbf", "undo"),
        (5, SEED, "SYSTEM", "pdbseed/system01.dbf", ""),
        (6, SEED, "SYSAUX", "pdbseed/sysaux01.dbf", ""),
        (7, ROOT, "USERS", "users01.dbf", ""),
        (8, PDB, "SYSTEM", f"{pdb}/system01.dbf", "counter"),
        (9, PDB, "SYSAUX", f"{pdb}/sysaux01.dbf", ""),
        (10, PDB, "USERS", f"{pdb}/users01.dbf", "accounts"),
        (11, PDB, "SHOP", f"{pdb}/shop01.dbf", "ledger"),
    ]


def _parameters(wish: Wish, directory: Path) -> dict[str, str]:
    values = {
        "db_name": wish.sid,
        "control_files": f"{directory}/control01.ctl,{directory}/control02.ctl",
        "db_recovery_file_dest": wish.area,
        "db_recovery_file_dest_size": str(wish.area_bytes),
        "log_archive_dest_1": "LOCATION=USE_DB_RECOVERY_FILE_DEST",
        "compatible": "19.0.0",
        "processes": "300",
    }
    if wish.cdb:
        values["enable_pluggable_database"] = "TRUE"
    return values


def _entry(wish: Wish, directory: Path, plan: tuple[int, int, str, str, str], moment: int) -> dict[str, Any]:
    number, container, tablespace, name, holds = plan
    return {
        "file": number,
        "name": str(directory / name),
        "ts": number - 1,
        "tablespace": tablespace,
        "con_id": container,
        "holds": holds,
        "read_only": container == SEED,
        "creation_scn": FIRST_SCN - 1000 + number,
        "created": moment,
    }


def _make_file(content: control.Control, entry: dict[str, Any], size: int) -> None:
    Path(entry["name"]).parent.mkdir(parents=True, exist_ok=True)
    header = {
        "dbid": content["dbid"],
        "db_name": content["db_name"],
        "file": entry["file"],
        "tablespace": entry["tablespace"],
        "ckp_scn": content["ckp_scn"],
        "ckp_time": content["ckp_time"],
        "fuzzy": False,
        "fuzzy_scn": 0,
        "resetlogs_scn": content["resetlogs_scn"],
        "resetlogs_time": content["resetlogs_time"],
    }
    blocks.create(entry["name"], header, size)
    with DataFile(entry["name"]) as file:
        # What a dictionary holds does not matter, that there is something in every file does.
        for block in range(1, size // 4):
            seed = f"{content['dbid']}/{entry['file']}/{block}"
            noise = f"{random.Random(seed).getrandbits(256):064x}"
            file.write(block + size // 2, FIRST_SCN - 500, {"fill": noise * 20}) if not entry["holds"] else None
        if entry["holds"] == "accounts":
            for block, rows in ledger.opening_rows().items():
                file.write(block, FIRST_SCN - 400, rows)


def _control(wish: Wish, directory: Path) -> control.Control:
    moment = clock.now()
    scn = FIRST_SCN
    groups = [
        {
            "group": n,
            "members": [f"{directory}/redo0{n}.log"],
            "bytes": wish.log_bytes,
            "sequence": 0,
            "status": "UNUSED",
            "archived": True,
        }
        | dict.fromkeys(("first_scn", "first_time", "next_scn", "next_time"), 0)
        for n in (1, 2, 3)
    ]
    groups[0].update(sequence=1, status="CURRENT", archived=False, first_scn=scn, first_time=moment)
    pdbs = [{"con_id": SEED, "name": "PDB$SEED", "saved": False}, {"con_id": PDB, "name": f"{wish.sid}PDB1", "saved": True}]
    return {
        "db_name": wish.sid,
        "dbid": random.SystemRandom().randrange(1 << 30, 1 << 32),
        "cdb": wish.cdb,
        "created": moment,
        "log_mode": "ARCHIVELOG" if wish.archivelog else "NOARCHIVELOG",
        "force_logging": True,
        "type": "CURRENT",
        "ckp_scn": scn,
        "ckp_time": moment,
        "stop_scn": scn,
        "incomplete": False,
        "recovered_scn": 0,
        "resetlogs_scn": scn,
        "resetlogs_time": moment,
        "incarnations": [{"number": 1, "scn": scn, "time": moment, "status": "CURRENT", "parent": 0}],
        "datafiles": [_entry(wish, directory, plan, moment) for plan in _files(wish)],
        "tempfiles": [
            {"file": 1, "name": str(directory / "temp01.dbf"), "tablespace": "TEMP", "con_id": ROOT if wish.cdb else 0}
        ],
        "pdbs": [{**pdb, "dbid": random.SystemRandom().randrange(1 << 30, 1 << 32)} for pdb in pdbs] if wish.cdb else [],
        "groups": groups,
        "archived": [],
        "sets": [],
        "copies": [],
        "configure": {},
        "jobs": [],
        "corruption": [],
        "recid": 0,
    }


def create_database(db: Instance, wish: Wish) -> None:
    """Make everything the wish names; OSError or FileExistsError when something is there already."""
    from oraclelab import archiver

    directory = Path(wish.oradata) / wish.sid
    directory.mkdir(parents=True)
    (Path(wish.area) / wish.sid / "archivelog").mkdir(parents=True)
    (db.home / "dbs").mkdir(parents=True, exist_ok=True)
    content = _control(wish, directory)
    for entry in content["datafiles"]:
        _make_file(content, entry, wish.file_blocks)
    blocks.create(content["tempfiles"][0]["name"], {"dbid": content["dbid"], "temp": 1}, 16)
    for group in content["groups"]:
        redo.format_online(group["members"][0], archiver.online_header(content, group), group["bytes"])
    values = _parameters(wish, directory)
    control.write(values["control_files"].split(","), content)
    if wish.spfile:
        Path(db.spfile).write_bytes(parameters.as_spfile(values))
    else:
        Path(db.pfile).write_text(parameters.as_text(values))
    (db.home / "dbs" / f"orapw{wish.sid}").write_bytes(b"ORACLE Remote Password file\0" + random.randbytes(512))
    _make_keystore(db, wish)


def _make_keystore(db: Instance, wish: Wish) -> None:
    if not wish.keystore:
        return
    wallet = db.base / "admin" / wish.sid / "wallet"
    wallet.mkdir(parents=True, mode=0o700)
    text = json.dumps({"password": wish.keystore, "key": f"{random.SystemRandom().getrandbits(256):064x}"})
    for name in ("ewallet.p12", "cwallet.sso") if wish.autologin else ("ewallet.p12",):
        (wallet / name).write_text(text)
        (wallet / name).chmod(0o600)
