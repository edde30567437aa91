# SPDX-License-Identifier: GPL-3.0-or-later
"""A MariaDB server on which a full backup follows."""

from __future__ import annotations

from typing import Any

FACTS: dict[str, Any] = {
    "datadir": "/var/lib/mysql",
    "socket": "/run/mysqld/mysqld.sock",
    "data_bytes": 1 << 30,
    "yard": "/var/lib/.backstay-mysql",
    "services": [{"service": "mariadb"}],
    "service": "mariadb",
    "method": "mariadb-backup",
    "dump_accounts": True,
    "kind": "full",
    "parent_lsn": "12345",
    "log_bytes": 1 << 20,
}
