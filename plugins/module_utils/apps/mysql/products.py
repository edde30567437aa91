# SPDX-License-Identifier: GPL-3.0-or-later
"""MariaDB and MySQL: programs, statements, options and privileges of each, in one place. Which one it is, the server says.

Nothing else in this app asks for the product's name. What differs in kind, not in words, are the *methods* of a full backup:
``mariadb-backup`` (module ``physical``), ``clone`` (module ``clone``) and ``dump`` (module ``logical``, both products).
Measured: docs/systems/mysql.md.
"""

from __future__ import annotations

import re
from typing import Dict, List, NamedTuple, Set, Tuple

from ...errors import BadInput

Privileges = Tuple[Tuple[str, ...], ...]  # each may be granted under any of its names

SYSTEM_SCHEMAS = ("mysql", "sys", "performance_schema", "information_schema")


class Product(NamedTuple):
    """A product and its words."""

    name: str
    title: str
    oldest: Tuple[int, ...]
    service: str
    physical: str  # method of a full backup that takes the files
    kinds: Tuple[str, ...]
    client: str
    dump: str
    check: str
    binlog: str
    server: str
    status: str  # first columns of its answer: current binary log, position, databases that alone are logged, that are not
    relayed: str  # variable: whether what came from another server is logged here, too
    sources: str  # its answer has a row for each server that this one takes changes from
    sources_privilege: str  # what an account needs for it
    logged_gtids: str  # expression: all GTIDs up to the end of the binary log
    gtids_demanded: Tuple[Tuple[str, str], ...]  # variables with the values without which logs prove nothing
    privileges: Dict[str, Privileges]  # by method
    settings: Tuple[str, ...]  # variables that change the meaning of a replayed statement, or what a copy looks like
    places: Tuple[str, ...]  # variables that may lead out of the data directory
    log_refusals: Tuple[Tuple[str, str, str, str], ...]  # variable, good value, what is wrong otherwise, what to do
    replay_options: Tuple[str, ...]  # of the tool that turns logs into statements
    client_options: Tuple[str, ...]  # of the client that is fed
    side_lines: Tuple[str, ...]  # of a server on a copy: nobody reaches it, nothing of the host's own server
    initialise: Tuple[str, ...]  # makes an empty data directory; {options}, {data}, {account}
    lock_root: str  # what makes root of an empty server the host's root; empty: it is
    root_plugin: Dict[str, str]  # ... and the plugin and library that this needs
    components: str  # names those that were installed, in their order; empty: the product has none
    dump_options: Tuple[str, ...]
    dump_place: Tuple[str, ...]  # the dump says its place in the binary log
    dump_gtids: Tuple[str, ...]  # ... when the server has GTIDs
    dump_accounts: Tuple[str, ...]  # a call of its own that dumps the accounts only; empty: the product cannot
    account_tables: Tuple[str, ...]  # of the schema mysql: they change when an account or what it may do changes
    dump_history: Tuple[str, ...]  # the dump takes the history of system-versioned tables; empty: the product has none
    dump_part: Tuple[str, ...]  # replaces dump_gtids when one database goes into a server with a history of its own
    coordinates: str  # regular expression over the line of a dump that says file and position


_VIEWING = (("SELECT",), ("SHOW VIEW",), ("TRIGGER",), ("EVENT",))
_CHARACTERS = "--default-character-set=utf8mb4"
_DUMP = (
    _CHARACTERS, "--single-transaction", "--quick", "--routines", "--events", "--triggers", "--hex-blob", "--skip-dump-date",
)  # fmt: skip

MARIADB = Product(
    name="mariadb",
    title="MariaDB",
    oldest=(10, 6),
    service="mariadb",
    physical="mariadb-backup",
    kinds=("full", "incremental", "log"),
    client="mariadb",
    dump="mariadb-dump",
    check="mariadb-check",
    binlog="mariadb-binlog",
    server="mariadbd",
    status="SHOW MASTER STATUS",
    relayed="log_slave_updates",
    sources="SHOW ALL SLAVES STATUS",
    sources_privilege="SLAVE MONITOR",
    logged_gtids="@@gtid_binlog_pos",
    gtids_demanded=(),
    privileges={
        # What mariadb-backup itself demands; it names the first missing one and exits 1 (measured on 10.11).
        "mariadb-backup": (("RELOAD",), ("PROCESS",), ("LOCK TABLES",), ("BINLOG MONITOR", "REPLICATION CLIENT")),
        "dump": (*_VIEWING, ("BINLOG MONITOR", "REPLICATION CLIENT")),
    },
    settings=("lower_case_table_names", "default_storage_engine", "innodb_default_row_format", "innodb_file_per_table"),
    places=("innodb_data_home_dir", "innodb_log_group_home_dir", "innodb_undo_directory", "aria_log_dir_path"),
    log_refusals=(
        ("encrypt_binlog", "OFF", "encrypted: its files say nothing without their keys", "set encrypt_binlog=OFF"),
        ("binlog_storage_engine", "", "kept in {value}, not in files of its own", "unset binlog_storage_engine"),
    ),
    # GTIDs that do not rise within a domain were committed all the same; the files were proved to follow each other.
    replay_options=("--no-defaults", "--loose-skip-gtid-strict-mode", "--verify-binlog-checksum"),
    client_options=(
        "--binary-mode", "--local-infile=0", "--max-allowed-packet=1G", "--abort-source-on-error", "--force=0", "--batch",
    ),
    side_lines=("skip-networking", "skip-log-bin", "skip-slave-start"),
    initialise=(
        "mariadb-install-db", "--defaults-file={options}", "--datadir={data}", "--skip-test-db", "--skip-name-resolve",
        "--auth-root-authentication-method=socket",
    ),
    lock_root="",
    root_plugin={},
    components="",
    dump_options=_DUMP,
    dump_place=("--master-data=2",),
    dump_gtids=(),
    dump_accounts=("--system=users", _CHARACTERS),
    account_tables=("global_priv", "db", "tables_priv", "columns_priv", "procs_priv", "proxies_priv", "roles_mapping"),
    dump_history=("--dump-history",),
    dump_part=(),
    coordinates=r"-- CHANGE MASTER TO MASTER_LOG_FILE='(?P<file>[^']+)', MASTER_LOG_POS=(?P<position>\d+);",
)  # fmt: skip

MYSQL = Product(
    name="mysql",
    title="MySQL",
    oldest=(8, 4),
    service="mysql",
    physical="clone",
    kinds=("full", "log"),
    client="mysql",
    dump="mysqldump",
    check="mysqlcheck",
    binlog="mysqlbinlog",
    server="mysqld",
    status="SHOW BINARY LOG STATUS",
    relayed="log_replica_updates",
    sources="SHOW REPLICA STATUS",
    sources_privilege="REPLICATION CLIENT",
    logged_gtids="@@gtid_executed",
    gtids_demanded=(("gtid_mode", "ON"),),
    privileges={
        "clone": (("BACKUP_ADMIN",), ("RELOAD",), ("REPLICATION CLIENT",), ("SELECT",)),
        "dump": (*_VIEWING, ("SHOW_ROUTINE",), ("RELOAD", "FLUSH_TABLES"), ("PROCESS",), ("REPLICATION CLIENT",)),
    },
    settings=(
        "lower_case_table_names", "default_storage_engine", "innodb_default_row_format", "innodb_file_per_table",
        "innodb_page_size", "innodb_data_file_path", "gtid_mode", "enforce_gtid_consistency",
    ),
    places=("innodb_data_home_dir", "innodb_log_group_home_dir", "innodb_undo_directory", "innodb_directories"),
    log_refusals=(("binlog_encryption", "OFF", "encrypted: its files say nothing without their keys", "set it to OFF"),),
    replay_options=("--no-defaults", "--verify-binlog-checksum"),
    client_options=("--binary-mode", "--local-infile=0", "--max-allowed-packet=1G", "--force=0", "--batch"),
    # auth_socket: where it comes from an option file of the source, root could not log in to the copy.
    side_lines=("skip-networking", "skip-log-bin", "skip-replica-start", "loose-mysqlx=OFF", "plugin-load-add=auth_socket.so"),
    initialise=("mysqld", "--defaults-file={options}", "--initialize-insecure", "--datadir={data}", "--user={account}"),
    lock_root="ALTER USER root@localhost IDENTIFIED WITH auth_socket",
    root_plugin={"auth_socket": "auth_socket.so"},
    components="SELECT component_urn FROM mysql.component ORDER BY component_id",
    dump_options=(*_DUMP, "--no-tablespaces"),
    dump_place=("--source-data=2",),
    dump_gtids=("--set-gtid-purged=ON",),
    dump_accounts=("--users", "--set-gtid-purged=OFF", _CHARACTERS),
    account_tables=(
        "user", "db", "tables_priv", "columns_priv", "procs_priv", "proxies_priv", "role_edges", "default_roles",
        "global_grants",
    ),
    dump_history=(),
    dump_part=("--set-gtid-purged=OFF",),
    coordinates=(
        r"-- CHANGE REPLICATION SOURCE TO SOURCE_LOG_FILE='(?P<file>[^']+)', SOURCE_LOG_POS=(?P<position>\d+);"
    ),
)  # fmt: skip

PRODUCTS = {product.name: product for product in (MARIADB, MYSQL)}


def product_of(version: str) -> Product:
    """Return the product that says of itself that it is ``version``."""
    return MARIADB if "mariadb" in version.lower() else MYSQL


def product_named(name: str) -> Product:
    """Return the product of this name, as facts and receipts have it. Raise BadInput for another one."""
    if name not in PRODUCTS:
        raise BadInput(f"'{name}' is no product that this version of Backstay knows")
    return PRODUCTS[name]


def series(version: str) -> Tuple[int, ...]:
    """Return the series of a version text: (11, 8) for '11.8.3-MariaDB-0+deb13u1'; empty when there is none."""
    match = re.search(r"(\d+)\.(\d+)\.\d+", version)
    return (int(match.group(1)), int(match.group(2))) if match else ()


def missing_privileges(grants: List[str], wanted: Privileges) -> List[str]:
    """Return which of ``wanted`` no global grant (``ON *.*``) in ``grants`` gives; ALL PRIVILEGES grants them all."""
    granted: Set[str] = set()
    for grant in grants:
        match = re.match(r"GRANT (.*) ON \*\.\* TO ", grant)
        if match:
            granted.update(part.strip().upper() for part in match.group(1).split(","))
    if "ALL PRIVILEGES" in granted:
        return []
    return [names[0] for names in wanted if not granted.intersection(names)]
