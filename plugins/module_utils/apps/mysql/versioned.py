# SPDX-License-Identifier: GPL-3.0-or-later
"""History of system-versioned tables (MariaDB): a dump tool takes it only when it is told to, and older ones cannot."""

from __future__ import annotations

import re
from typing import List, Tuple

from ...process import run
from .client import Options, query
from .products import SYSTEM_SCHEMAS, Product

_VERSIONED = """
SELECT table_schema, table_name FROM information_schema.tables
WHERE table_type = 'SYSTEM VERSIONED' AND table_schema NOT IN {system} ORDER BY 1, 2
""".replace("{system}", str(SYSTEM_SCHEMAS))
# The tools take history by times only, none of tables whose history is told by transactions.
_BY_TRANSACTION = """
SELECT table_schema, table_name FROM information_schema.columns
WHERE generation_expression = 'ROW START' AND data_type = 'bigint' AND table_schema NOT IN {system} ORDER BY 1, 2
""".replace("{system}", str(SYSTEM_SCHEMAS))


def tool_knows(product: Product, option: str) -> bool:
    """Return whether the dump tool of this host knows ``option`` (``--name`` or ``--name=value``)."""
    name = option.partition("=")[0]
    return re.search(rf"{re.escape(name)}\b", run([product.dump, "--help"], 30).stdout) is not None


def history_options(product: Product) -> Tuple[str, ...]:
    """Return the options that make the dump tool of this host take history; none where it cannot."""
    return product.dump_history if product.dump_history and tool_knows(product, product.dump_history[0]) else ()


def versioned_tables(product: Product, options: Options, database: str = "") -> List[str]:
    """Return the system-versioned tables of the server, or of one ``database``."""
    return _tables(options, _VERSIONED, database) if product.dump_history else []


def lost_history(product: Product, options: Options, database: str = "") -> List[str]:
    """Return the system-versioned tables whose history a dump would leave out in silence."""
    if not product.dump_history:
        return []
    return _tables(options, _BY_TRANSACTION if history_options(product) else _VERSIONED, database)


def _tables(options: Options, sql: str, database: str) -> List[str]:
    return [".".join(row) for row in query(options, sql) if not database or row[0] == database]
