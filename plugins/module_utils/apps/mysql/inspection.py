# SPDX-License-Identifier: GPL-3.0-or-later
"""Preflight of MariaDB servers: product, version, tool, privileges, places."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Dict, List, Optional, Set, Tuple

from ...errors import BackstayError
from ...files import free_bytes, human, tree_bytes
from ...process import run
from ...yard import yard
from .client import Options, object_counts, query, variables
from .history import link, number_of, read_server

Check = Dict[str, str]

OLDEST = (10, 6)
# What mariadb-backup itself demands; it names the first missing one and exits 1 (measured on 10.11).
# Each may be granted under any of its names; ALL PRIVILEGES grants them all.
PRIVILEGES: Tuple[Tuple[str, ...], ...] = (
    ("RELOAD",),
    ("PROCESS",),
    ("LOCK TABLES",),
    ("BINLOG MONITOR", "REPLICATION CLIENT"),
)
_VARIABLES = [
    "version",
    "version_comment",
    "datadir",
    "log_bin",
    "server_id",
    "binlog_format",
    "sync_binlog",
    "innodb_flush_log_at_trx_commit",
    "innodb_data_home_dir",
    "innodb_log_group_home_dir",
    "innodb_undo_directory",
    "aria_log_dir_path",
    "gtid_binlog_pos",
    "encrypt_binlog",
    "binlog_storage_engine",
    "socket",
]
# What changes the meaning of a replayed statement and stands in no backup note.
SETTINGS = ("lower_case_table_names", "default_storage_engine", "innodb_default_row_format", "innodb_file_per_table")
_PLACES = ("innodb_data_home_dir", "innodb_log_group_home_dir", "innodb_undo_directory", "aria_log_dir_path")


def preflight(options: Options, action: str) -> Dict[str, Any]:
    """Return checks and facts. A restore or verify works without a running server and looks at tool and places only."""
    tool_check, tool = tool_version()
    if action == "backup":
        checks, facts = inspect_server(options, tool)
    else:
        checks, facts = inspect_target(options, tool)
    facts.update(tool_version=tool, services=[{"service": options["service"]}] if options.get("service") else [])
    facts.update(defaults_extra_file=options.get("defaults_extra_file") or "")  # the seal asks the server again
    return {"checks": [tool_check, *checks], "facts": facts}


def _check(name: str, status: str, detail: str, hint: str = "") -> Check:
    return {"name": name, "status": status, "detail": detail, "hint": hint}


def series(version: str) -> Tuple[int, ...]:
    """Return the series of a version text: (11, 8) for '11.8.3-MariaDB-0+deb13u1'; empty when there is none."""
    match = re.search(r"(\d+)\.(\d+)\.\d+", version)
    return (int(match.group(1)), int(match.group(2))) if match else ()


def tool_version() -> Tuple[Check, str]:
    """Return the check of mariadb-backup and its version."""
    try:
        done = run(["mariadb-backup", "--version"], 30)
    except BackstayError as error:
        return _check("backup tool", "failed", error.message, "install the mariadb-backup package of the server's series"), ""
    match = re.search(r"(\d+\.\d+\.\d+)\S*", done.stdout + done.stderr)
    if not match:
        return _check("backup tool", "failed", "mariadb-backup does not tell its version"), ""
    return _check("backup tool", "ok", f"mariadb-backup {match.group(1)}"), match.group(1)


def inspect_server(options: Options, tool: str) -> Tuple[List[Check], Dict[str, Any]]:
    """Return checks and facts of the running server that is to be backed up."""
    try:
        values = variables(options, [*_VARIABLES, *SETTINGS])
    except BackstayError as error:
        return [_check("server", "failed", error.message, "is the server up, and the socket or defaults file right?")], {}
    version = values["version"]
    checks = [version_check(version, tool), places_check(values)]
    if checks[0]["status"] == "failed":
        return checks, {}
    checks += [privileges_check(options), binary_log_check(values, options.get("kind", "full"))]
    if any(item["status"] == "failed" for item in checks):
        return checks, {}
    kind_check, chosen = choose_kind(options, values)
    if kind_check:
        checks.append(kind_check)
    datadir = os.path.realpath(values["datadir"])  # one spelling: the lock of a restore must be the lock of a backup
    facts = {
        "product": "mariadb",
        "version": version,
        "datadir": datadir,
        "socket": options.get("socket") or values["socket"],
        "log_bytes": chosen.pop("log_bytes", 0),
        "settings": {name: values[name] for name in SETTINGS},
        "server_id": values["server_id"],
        "binary_log": values["log_bin"] == "ON",
        **chosen,
    }
    if chosen["kind"] != "log":  # a log backup every few minutes must not look at every table
        facts.update(data_bytes=_data_bytes(Path(datadir)), counts=object_counts(options))
    return checks, facts


def choose_kind(options: Options, values: Dict[str, str]) -> Tuple[Optional[Check], Dict[str, Any]]:
    """Return the kind of backup that is possible and, for an incremental one, its parent; with why it is another one.

    A log or incremental backup continues the newest set. Where the server's history does not, it would be worth nothing: then
    a full one is due, at once, and says why.
    """
    wanted, newest = options.get("kind", "full"), options.get("newest")
    if wanted == "full":
        return None, {"kind": "full"}
    server = None
    if values["log_bin"] == "ON":
        server = read_server(options)
        found, because = link(newest if wanted == "log" else {**(newest or {}), "log": None}, server)
    else:
        found, because = None, "the binary log is off, so nothing proves that the server is the one of the parent"
    if found is None:
        detail = f"{wanted} was asked for, a full backup is made: {because}"
        if not options.get("full_when_broken", True):
            return _check("chain", "failed", because, "make a full backup: -e backstay_kind=full"), {}
        return _check("chain", "warning", detail), {"kind": "full", "because": detail}
    facts: Dict[str, Any] = {"kind": wanted}
    if wanted == "log" and server:
        facts["log_bytes"] = sum(size for name, size in server.files if number_of(name) >= number_of(found.first_file))
    if wanted == "incremental":
        parent = (newest or {})["data"]
        facts.update(parent=parent["set"], parent_lsn=parent["position"]["not_after"]["lsn"])
    return _check("chain", "ok", f"continues set {found.parent}"), facts


def _data_bytes(datadir: Path) -> int:
    """Return about how many bytes a physical backup has: the data directory without its binary logs."""
    logs = sum(path.stat().st_size for path in datadir.glob("*bin.[0-9]*") if path.is_file())
    return max(tree_bytes(datadir) - logs, 0)


def version_check(version: str, tool: str) -> Check:
    """Return the check of product and version of the server against ours and the tool's."""
    if "MariaDB" not in version:
        return _check("version", "failed", f"the server is {version}, not MariaDB", "only MariaDB is supported by this profile")
    if series(version) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return _check("version", "failed", f"MariaDB {version} is not supported", f"the oldest supported series is {oldest}")
    if tool and series(version) != series(tool):
        hint = "install the mariadb-backup package of the server's series"
        return _check("version", "failed", f"mariadb-backup {tool} does not fit server {version}", hint)
    return _check("version", "ok", version)


def places_check(values: Dict[str, str]) -> Check:
    """Return the check that all data lies below the data directory: a restore exchanges that directory as a whole."""
    datadir = values["datadir"].rstrip("/")
    outside = []
    for name in _PLACES:
        place = values.get(name, "")
        whole = os.path.normpath(os.path.join(datadir, place))  # a relative place is one below the data directory
        if not (whole + "/").startswith(datadir + "/"):
            outside.append(f"{name}={place}")
    if outside:
        return _check(
            "places", "failed", f"data lies outside {datadir}: {', '.join(outside)}", "move it into the data directory"
        )
    return _check("places", "ok", datadir)


def missing_privileges(grants: List[str]) -> List[str]:
    """Return which of PRIVILEGES no global grant (``ON *.*``) in ``grants`` gives."""
    granted: Set[str] = set()
    for grant in grants:
        match = re.match(r"GRANT (.*) ON \*\.\* TO ", grant)
        if match:
            granted.update(part.strip().upper() for part in match.group(1).split(","))
    if "ALL PRIVILEGES" in granted:
        return []
    return [names[0] for names in PRIVILEGES if not granted.intersection(names)]


def privileges_check(options: Options) -> Check:
    """Return the check that the backup account has every privilege; a missing one is named."""
    try:
        grants = [row[0] for row in query(options, "SHOW GRANTS")]
    except BackstayError as error:
        return _check("privileges", "failed", error.message)
    missing = missing_privileges(grants)
    if missing:
        names = ", ".join(missing)
        return _check("privileges", "failed", f"the backup account lacks {names} on *.*", f"GRANT {names} ON *.* TO it")
    return _check("privileges", "ok", "complete")


def binary_log_check(values: Dict[str, str], kind: str = "full") -> Check:
    """Return the check of the binary log: without it a set has no exact position and there is no point in time."""
    if kind == "log" and values["log_bin"] != "ON":
        return _check("binary log", "failed", "off: there is nothing to back up", "set log_bin and server_id")
    if kind == "log" and values.get("encrypt_binlog") == "ON":
        return _check("binary log", "failed", "encrypted: its files say nothing without their keys", "set encrypt_binlog=OFF")
    if kind == "log" and values.get("binlog_storage_engine"):
        detail = f"kept in {values['binlog_storage_engine']}, not in files of its own"
        return _check("binary log", "failed", detail, "unset binlog_storage_engine")
    if kind == "log" and values.get("binlog_format", "ROW") == "STATEMENT":
        return _check("binary log", "warning", "statements may not replay as they ran", "set binlog_format=ROW")
    if values["log_bin"] != "ON":
        return _check("binary log", "warning", "off: sets have no exact position", "set log_bin and server_id")
    if values["sync_binlog"] != "1" or values["innodb_flush_log_at_trx_commit"] != "1":
        return _check(
            "binary log",
            "warning",
            "a crash may lose its end",
            "set sync_binlog=1 and innodb_flush_log_at_trx_commit=1",
        )
    return _check("binary log", "ok", f"on, server_id {values['server_id']}")


def inspect_target(options: Options, tool: str) -> Tuple[List[Check], Dict[str, Any]]:
    """Return checks and facts of the place where data is to be restored, whether a server runs there or not."""
    datadir = options.get("datadir") or configured("datadir")
    if not datadir:
        return [_check("data directory", "failed", "cannot tell the data directory", "set app_mysql_datadir")], {}
    checks = [source_check(options.get("source") or {}, tool)]
    place = Path(options.get("restore_to") or datadir)
    if options.get("restore_to") and place.exists() and any(place.iterdir()):
        detail = f"{place} is not empty"
        checks.append(_check("target", "failed", detail, "restore to a directory that does not exist yet"))
    needed, free = int(options.get("needed_bytes") or 0), free_bytes(place)
    if free < needed * 1.1:
        detail = f"{human(needed)} are needed in {place}, {human(free)} are free"
        checks.append(_check("space", "failed", detail, "make room, or restore elsewhere with backstay_restore_to"))
    else:
        checks.append(_check("space", "ok", f"{human(free)} free"))
    datadir = os.path.realpath(datadir)  # a link may lead to another filesystem, and renames stay on one
    socket = options.get("socket") or configured("socket")
    return checks, {"datadir": datadir, "socket": socket, "yard": str(yard(Path(datadir)))}


def source_check(source: Dict[str, Any], tool: str) -> Check:
    """Return the check that this host's tool fits the server that the set came from."""
    version = str(source.get("version", ""))
    if version and tool and series(version) != series(tool):
        hint = "restore on a host with the same series of MariaDB"
        return _check("version", "failed", f"the set is of server {version}, this host has mariadb-backup {tool}", hint)
    return _check("version", "ok", version or "no set chosen yet")


def configured(name: str) -> str:
    """Return variable ``name`` of the host's own server configuration, asked from the server program; empty when unknown."""
    try:
        done = run(["mariadbd", "--verbose", "--help"], 60)
    except BackstayError:
        return ""
    match = re.search(rf"^{name}\s+(\S.*)$", done.stdout, re.MULTILINE)
    return match.group(1).strip() if match else ""
