# SPDX-License-Identifier: GPL-3.0-or-later
"""Preflight: which product it is, and whether version, tool, privileges, tables and places fit."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from ...checks import Check, full_instead, new_check, side_check, space_check
from ...errors import BackstayError, BadInput
from ...files import free_bytes, tree_bytes
from ...process import environment, run
from ...yard import yard
from .client import Options, object_counts, query, value, variables
from .clone import PLACE_HINT, foreign_tables, place_problem
from .completeness import WHOLE, Gap, find_gap
from .history import link, number_of, read_server
from .logical import loose_detail
from .objects import loose_tables
from .option_files import files_check
from .products import MARIADB, PRODUCTS, Product, missing_privileges, product_named, product_of, series
from .server_tables import NAMED_ZONES, NO_ACCOUNTS, has_named_zones
from .side import socket_checks
from .versioned import history_options, lost_history, tool_knows, versioned_tables
from .zone import moved_check, zone_check, zone_of_server

_VARIABLES = [
    "version",
    "version_comment",
    "datadir",
    "log_bin",
    "server_id",
    "binlog_format",
    "sync_binlog",
    "innodb_flush_log_at_trx_commit",
    "socket",
    "pid_file",
    "wsrep_on",
]
METHODS = ("physical", "logical")


def preflight(options: Options, action: str) -> Dict[str, Any]:
    """Return checks and facts. A restore or verify works without a running server and looks at tool and places only."""
    checks, facts = inspect_server(options) if action == "backup" else inspect_target(options)
    if action == "restore" and facts and not options.get("restore_to") and not options.get("database"):
        checks += left_logs_check(product_named(facts["product"]), Path(facts["datadir"]))
    facts["services"] = [{"service": facts["service"]}] if facts.get("service") else []
    facts["replaces"] = [facts["datadir"]] if facts.get("datadir") else []
    facts.update(defaults_extra_file=options.get("defaults_extra_file") or "")  # the seal asks the server again
    return {"checks": checks, "facts": facts}


def method_of(product: Product, wanted: str) -> str:
    """Return the method of a full backup: the product's own physical one, or a dump. Raise BadInput for another word."""
    if wanted not in METHODS:
        raise BadInput(f"app_mysql_method is '{wanted}'", "it is physical or logical")
    return product.physical if wanted == "physical" else "dump"


def tool_version(product: Product, method: str) -> Tuple[Check, str]:
    """Return the check of the program that a method needs on this host, and its version."""
    program = {"mariadb-backup": "mariadb-backup", "clone": product.server, "dump": product.dump}[method]
    try:
        done = run([program, "--version"], 30)
    except BackstayError as error:
        return new_check("backup tool", "failed", error.message, f"install {program} of the server's series"), ""
    text = done.stdout + done.stderr
    match = re.search(r"(?:Ver|from|server) (\d+\.\d+\.\d+)", text) or re.search(r"(\d+\.\d+\.\d+)\S*", text)
    if not match:
        return new_check("backup tool", "failed", f"{program} does not tell its version"), ""
    return new_check("backup tool", "ok", f"{program} {match.group(1)}"), match.group(1)


def inspect_server(options: Options) -> Tuple[List[Check], Dict[str, Any]]:
    """Return checks and facts of the running server that is to be backed up."""
    try:
        version = value(options, "VERSION()")
        product = product_of(version)
        refusals = [name for name, *_words in product.log_refusals]
        demanded = [name for name, _value in product.gtids_demanded]
        names = [*_VARIABLES, product.relayed, *product.settings, *product.places, *refusals, *demanded]
        values = variables(options, names)
    except BackstayError as error:
        return [new_check("server", "failed", error.message, "is the server up, and the socket or defaults file right?")], {}
    options = dict(options, socket=options.get("socket") or values["socket"])  # the job will go this way, so the checks do
    method, kind = method_of(product, options.get("method") or "physical"), options.get("kind", "full")
    tool_check, tool = tool_version(product, method)
    checks = [
        tool_check,
        kind_check(product, method, kind),
        version_check(product, version, tool),
        places_check(product, values),
    ]
    if any(item["status"] == "failed" for item in checks[:3]):
        return checks, {}
    gap = find_gap(options, product, values)
    checks += [privileges_check(options, product, method), binary_log_check(product, values, kind, gap)]
    if any(item["status"] == "failed" for item in checks):
        return checks, {}
    chain_check, chosen = choose_kind(options, values, gap)
    checks += [chain_check] if chain_check else []
    if not chosen:
        return checks, {}
    if chosen["kind"] != "log":
        checks += files_check(product, method, options)
    if method == "clone" and chosen["kind"] == "full":
        checks += clone_checks(options, values)
    if method == "dump" and chosen["kind"] == "full":
        chosen.update(dump_accounts=bool(options.get("accounts", True)) and tool_knows(product, product.dump_accounts[0]))
        checks += dump_checks(options, product, chosen["dump_accounts"])
        chosen.update(history=bool(history_options(product)), versioned=bool(versioned_tables(product, options)))
    zone, name = zone_of_server(options, os.path.join(values["datadir"], values["pid_file"]))
    chosen.update(method=method, tool_version=tool, time_zone=name, gap=gap[0])
    checks += [zone, *(moved_check(options.get("newest"), name) if chosen["kind"] == "log" else [])]
    return checks, _facts(options, product, values, chosen)


def _facts(options: Options, product: Product, values: Dict[str, str], chosen: Dict[str, Any]) -> Dict[str, Any]:
    datadir = os.path.realpath(values["datadir"])  # one spelling: the lock of a restore must be the lock of a backup
    logged = values["log_bin"] == "ON"
    facts = {
        "product": product.name,
        "version": values["version"],
        "service": options.get("service") or product.service,
        "datadir": datadir,
        "socket": options.get("socket") or values["socket"],
        "settings": {name: values[name] for name in product.settings},
        "server_id": values["server_id"],
        "binary_log": logged,
        # Whether logs can be backed up after this set: without GTIDs nothing proves that they continue it.
        "continuable": logged and not chosen["gap"] and all(values[name] == good for name, good in product.gtids_demanded),
        "clone_directory": str(clone_place(options, Path(datadir))),
        **dict({"log_bytes": 0, "dump_accounts": False}, **chosen),
    }
    if chosen["kind"] != "log":  # a log backup every few minutes must not look at every table
        facts.update(data_bytes=_data_bytes(Path(datadir)), counts=object_counts(options))
    return facts


def kind_check(product: Product, method: str, kind: str) -> Check:
    """Return the check that the product has this kind of backup, by this method."""
    if kind not in product.kinds:
        hint = "make full and log backups: every moment can be restored from these"
        return new_check("kind", "failed", f"{product.title} has no {kind} backup", hint)
    if kind == "incremental" and method == "dump":
        return new_check("kind", "failed", "a dump has no incremental backup", "use app_mysql_method: physical")
    return new_check("kind", "ok", f"{kind} of {product.title}, by {method if kind != 'log' else 'its binary logs'}")


def clone_place(options: Options, datadir: Path) -> Path:
    """Return the folder in which the server may make its clone, and a folder for each job."""
    return Path(options.get("clone_directory") or yard(datadir))


def clone_checks(options: Options, values: Dict[str, str]) -> List[Check]:
    """Return the checks of CLONE: the plugin, tables that it would leave out in silence, place and room for the copy."""
    rows = query(options, "SELECT plugin_status FROM information_schema.plugins WHERE plugin_name = 'clone'")
    if rows != [["ACTIVE"]]:
        hint = "INSTALL PLUGIN clone SONAME 'mysql_clone.so', or use app_mysql_method: logical"
        return [new_check("clone", "failed", "the server has not loaded its plugin clone", hint)]
    foreign = foreign_tables(options)
    if foreign:
        hint = "ALTER TABLE ... ENGINE=InnoDB, or use app_mysql_method: logical"
        detail = f"CLONE takes InnoDB only and would leave out {len(foreign)} tables: {', '.join(foreign[:5])}"
        return [new_check("clone", "failed", detail, hint)]
    datadir = Path(os.path.realpath(values["datadir"]))
    place = clone_place(options, datadir)
    if datadir in (place, *place.parents):
        detail = f"{place} lies in the data directory, where the server makes no clone"
        return [new_check("clone", "failed", detail, "set app_mysql_clone_directory")]
    problem = place_problem(place, datadir)
    if problem:
        return [new_check("clone", "failed", f"{place} {problem}; nothing is cloned there", PLACE_HINT)]
    return [new_check("clone", "ok", "plugin active, all tables are of InnoDB"), _room(place, _data_bytes(datadir))]


def dump_checks(options: Options, product: Product, accounts: bool) -> List[Check]:
    """Return the checks of a dump: history that it would leave out, and why no logs could continue it."""
    lost = lost_history(product, options)
    if lost:
        detail = f"a dump would leave out the history of {len(lost)} system-versioned tables: {', '.join(lost[:5])}"
        return [new_check("history", "failed", detail, "use app_mysql_method: physical")]
    checks, loose, otherwise = [], loose_tables(options), "use app_mysql_method: physical"
    if loose:
        checks.append(new_check("tables", "warning", loose_detail(loose), f"ALTER TABLE ... ENGINE=InnoDB, or {otherwise}"))
    if not accounts:
        hint = f"set app_mysql_logical_accounts: true (a tool without {product.dump_accounts[0]} cannot), or {otherwise}"
        checks.append(new_check("accounts", "warning", NO_ACCOUNTS, hint))
    if has_named_zones(options):
        checks.append(new_check("named time zones", "warning", NAMED_ZONES, otherwise))
    return checks


def _room(place: Path, needed: int) -> Check:
    return space_check("space", place, needed * 1.1, free_bytes(place), "make room, or choose another place")


def choose_kind(options: Options, values: Dict[str, str], gap: Gap = WHOLE) -> Tuple[Optional[Check], Dict[str, Any]]:
    """Return the kind of backup that is possible and, for an incremental one, its parent; with why it is another one.

    A log or incremental backup continues the newest set. Where the server's history does not, it would be worth nothing: then
    a full one is due, at once, and says why.
    """
    wanted, newest, full_allowed = options.get("kind", "full"), options.get("newest"), options.get("full_when_broken", True)
    if wanted == "full":
        return None, {"kind": "full"}
    server = None
    if gap[0]:
        found, because = None, f"the binary log does not do as a proof of the server's history: {gap[0]}"
    elif values["log_bin"] == "ON":
        server = read_server(options)
        found, because = link(newest if wanted == "log" else {**(newest or {}), "log": None}, server)
    else:
        found, because = None, "the binary log is off, so nothing proves that the server is the one of the parent"
    if found is None:
        return full_instead(wanted, because, full_allowed)
    facts: Dict[str, Any] = {"kind": wanted}
    if wanted == "log" and server:
        facts["log_bytes"] = sum(size for name, size in server.files if number_of(name) >= number_of(found.first_file))
    if wanted == "incremental":
        parent = (newest or {})["data"]
        if "lsn" not in parent["position"]["not_after"]:
            return full_instead(wanted, "the newest full backup is a dump", full_allowed)
        facts.update(parent=parent["set"], parent_lsn=parent["position"]["not_after"]["lsn"])
    return new_check("chain", "ok", f"continues set {found.parent}"), facts


def _data_bytes(datadir: Path) -> int:
    """Return about how many bytes a physical backup has: the data directory without its binary logs."""
    logs = sum(path.stat().st_size for path in datadir.glob("*bin.[0-9]*") if path.is_file())
    return max(tree_bytes(datadir) - logs, 0)


def version_check(product: Product, version: str, tool: str) -> Check:
    """Return the check of the version of the server against ours and the tool's."""
    if series(version) < product.oldest:
        oldest = ".".join(map(str, product.oldest))
        detail = f"{product.title} {version} is not supported"
        return new_check("version", "failed", detail, f"the oldest supported series is {oldest}")
    if tool and series(version) != series(tool):
        hint = "install the tools of the server's series"
        return new_check("version", "failed", f"the backup tool {tool} does not fit server {version}", hint)
    return new_check("version", "ok", f"{product.title} {version}")


def places_check(product: Product, values: Dict[str, str]) -> Check:
    """Return the check that all data lies below the data directory: a restore exchanges that directory as a whole."""
    datadir = values["datadir"].rstrip("/")
    outside = []
    for name in product.places:
        for place in values.get(name, "").split(";"):
            whole = os.path.normpath(os.path.join(datadir, place))  # a relative place is one below the data directory
            if not (whole + "/").startswith(datadir + "/"):
                outside.append(f"{name}={place}")
    if outside:
        return new_check(
            "places", "failed", f"data lies outside {datadir}: {', '.join(outside)}", "move it into the data directory"
        )
    return new_check("places", "ok", datadir)


def privileges_check(options: Options, product: Product, method: str) -> Check:
    """Return the check that the backup account has every privilege; a missing one is named."""
    try:
        grants = [row[0] for row in query(options, "SHOW GRANTS")]
    except BackstayError as error:
        return new_check("privileges", "failed", error.message)
    hidden = [grant.partition(" FROM ")[0] for grant in grants if grant.startswith("REVOKE ")]  # MySQL: partial_revokes
    if hidden:
        detail = (
            f"parts of the server are hidden from the backup account, which would miss them in silence: {'; '.join(hidden)}"
        )
        return new_check("privileges", "failed", detail, "GRANT to it what was revoked, or use another account")
    missing = missing_privileges(grants, product.privileges[method])
    if missing:
        names = ", ".join(missing)
        return new_check("privileges", "failed", f"the backup account lacks {names} on *.*", f"GRANT {names} ON *.* TO it")
    return new_check("privileges", "ok", "complete")


def binary_log_check(product: Product, values: Dict[str, str], kind: str = "full", gap: Gap = WHOLE) -> Check:
    """Return the check of the binary log: without it a set has no exact position and there is no point in time.

    ``gap``: what the log lacks (``completeness.find_gap``); a log set would claim that it holds everything.
    """
    if kind == "log" and values["log_bin"] != "ON":
        return new_check("binary log", "failed", "off: there is nothing to back up", "set log_bin and server_id")
    if gap[0]:
        after = "" if kind == "log" else "; no log backups can follow"
        return new_check("binary log", "failed" if kind == "log" else "warning", gap[0] + after, gap[1])
    lacking = [f"{name}={good}" for name, good in product.gtids_demanded if values.get(name, good) != good]
    if lacking:
        status = "failed" if kind == "log" else "warning"
        detail = "without GTIDs nothing proves that logs continue a set, so there are no log backups"
        return new_check("binary log", status, detail, "set " + ", ".join(lacking))
    for name, good, detail, hint in product.log_refusals if kind == "log" else ():
        if values.get(name, good) not in (good, ""):
            return new_check("binary log", "failed", detail.format(value=values[name]), hint)
    if kind == "log" and values.get("binlog_format", "ROW") in ("STATEMENT", "MIXED"):
        return new_check("binary log", "warning", "statements may not replay as they ran", "set binlog_format=ROW")
    if values["log_bin"] != "ON":
        return new_check("binary log", "warning", "off: sets have no exact position", "set log_bin and server_id")
    if values["sync_binlog"] != "1" or values["innodb_flush_log_at_trx_commit"] != "1":
        return new_check(
            "binary log",
            "warning",
            "a crash may lose its end",
            "set sync_binlog=1 and innodb_flush_log_at_trx_commit=1",
        )
    return new_check("binary log", "ok", f"on, server_id {values['server_id']}")


def product_here() -> Product:
    """Return the product that is installed on this host, MariaDB when none is: its tools are then missed by name."""
    path = environment()["PATH"]
    found = [product for product in PRODUCTS.values() if shutil.which(product.server, path=path)]
    return found[0] if found else MARIADB


def inspect_target(options: Options) -> Tuple[List[Check], Dict[str, Any]]:
    """Return checks and facts of the place where data is to be restored, whether a server runs there or not."""
    source = options.get("source") or {}
    product = product_named(source["product"]) if source.get("product") else product_here()
    method = source.get("method") or product.physical
    tool_check, tool = tool_version(product, method)
    datadir = options.get("datadir") or configured(product, "datadir")
    if not datadir:
        return [
            tool_check,
            new_check("data directory", "failed", "cannot tell the data directory", "set app_mysql_datadir"),
        ], {}
    checks = [tool_check, source_check(product, source, tool, method), zone_check(source)]
    place = Path(options.get("restore_to") or datadir)
    if options.get("restore_to"):
        checks += [side_check(options["restore_to"], [datadir]), *socket_checks(place)]
    # A dump lies there beside the server that is made of it; beside one database its new and its former content.
    copies = (3 if method == "dump" else 1) + (2 if options.get("database") and not options.get("restore_to") else 0)
    checks.append(_room(place, int(options.get("needed_bytes") or 0) * copies))
    datadir = os.path.realpath(datadir)  # a link may lead to another filesystem, and renames stay on one
    return checks, {
        "product": product.name,
        "tool_version": tool,
        "service": options.get("service") or product.service,
        "datadir": datadir,
        "socket": options.get("socket") or configured(product, "socket"),
        "yard": str(yard(Path(datadir))),
    }


def left_logs_check(product: Product, datadir: Path) -> List[Check]:
    """Return the failed check of a restore in place whose server would find binary logs of before, if it would.

    Logs outside the data directory are not exchanged with it. A server that keeps a set of its GTIDs takes up theirs, and would
    count transactions as executed that it has lost.
    """
    base = datadir / (configured(product, "log[-_]bin") or "binlog")
    folder, name = Path(os.path.realpath(str(base.parent))), base.with_suffix("").name
    if not product.gtids_demanded or datadir in (folder, *folder.parents) or not folder.is_dir():
        return []
    if not any(path.name.rpartition(".")[0] == name and number_of(path.name) >= 0 for path in folder.iterdir()):
        return []
    detail = f"those in {folder} would stay, and tell the restored server that it has executed transactions that it has lost"
    hint = f"stop the server and move {folder}/{name}.* away, or restore to a directory with backstay_restore_to"
    return [new_check("binary logs", "failed", detail, hint)]


def source_check(product: Product, source: Dict[str, Any], tool: str, method: str) -> Check:
    """Return the check that this host fits the server that the set came from: the same series, for a dump not an older one."""
    version = str(source.get("version", ""))
    fits = series(version) <= series(tool) if method == "dump" else series(version) == series(tool)
    if version and tool and not fits:
        hint = f"restore on a host with the same series of {product.title}"
        return new_check("version", "failed", f"the set is of server {version}, this host has {tool}", hint)
    if source.get("versioned") and tool and series(version) != series(tool):
        # The last moment of a time, which marks a row as a present one, is another in newer series.
        detail = f"the dump of server {version} has system-versioned tables, whose present rows {tool} may not know as such"
        return new_check("version", "failed", detail, f"restore on a host with the same series of {product.title}")
    return new_check("version", "ok", version or "no set chosen yet")


def configured(product: Product, name: str) -> str:
    """Return variable ``name`` of the host's own server configuration, asked from the server program; empty when unknown."""
    try:
        done = run([product.server, "--verbose", "--help"], 60)
    except BackstayError:
        return ""
    match = re.search(rf"^{name}\s+(\S.*)$", done.stdout, re.MULTILINE)
    return match.group(1).strip() if match else ""
