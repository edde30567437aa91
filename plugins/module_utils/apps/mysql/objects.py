# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of a server by their names, and which of their changes a dump cannot bear.

Rows of InnoDB come from the dump's snapshot; names do not. What goes before its turn is not in the dump, and the logs behind
the dump's place still speak of it; a database that comes between the list of databases and the snapshot is in neither.
"""

from __future__ import annotations

from typing import Iterable, List, Set

from .client import Options, query
from .products import SYSTEM_SCHEMAS

# Statements of their own: the columns have different collations, which a UNION refuses.
_OBJECTS = """
SELECT 'schema', schema_name FROM information_schema.schemata WHERE schema_name NOT IN {system};
SELECT IF(table_type = 'VIEW', 'view', 'table'), table_schema, table_name FROM information_schema.tables
  WHERE table_schema NOT IN {system};
SELECT LOWER(routine_type), routine_schema, routine_name FROM information_schema.routines WHERE routine_schema NOT IN {system};
SELECT 'trigger', trigger_schema, trigger_name FROM information_schema.triggers WHERE trigger_schema NOT IN {system};
SELECT 'event', event_schema, event_name FROM information_schema.events WHERE event_schema NOT IN {system}
""".replace("{system}", str(SYSTEM_SCHEMAS))
_LOOSE_TABLES = """
SELECT table_schema, table_name, engine FROM information_schema.tables
WHERE table_type NOT IN ('VIEW', 'SYSTEM VIEW') AND engine <> 'InnoDB' AND table_schema NOT IN {system} ORDER BY 1, 2
""".replace("{system}", str(SYSTEM_SCHEMAS))


def object_names(options: Options) -> Set[str]:
    """Return ``schema a``, ``table a.b``, ``view a.b`` and so on for every object beside the server's own."""
    return {f"{row[0]} {'.'.join(row[1:])}" for row in query(options, _OBJECTS)}


def loose_tables(options: Options) -> List[str]:
    """Return the tables whose rows no snapshot holds still: those of other engines than InnoDB."""
    return [f"{schema}.{table} ({engine})" for schema, table, engine in query(options, _LOOSE_TABLES)]


def unbearable(before: Iterable[str], after: Iterable[str], dumped: Iterable[str]) -> List[str]:
    """Return the names whose coming or going makes a dump worthless that holds the schemas and tables ``dumped``.

    A table that came is in the logs only, or its rows ended the dump (1412); one that was dumped before it went is in both.
    Anything else may be in the dump and again in the logs, or in neither.
    """
    old, new = set(before), set(after)
    came = {name for name in new - old if not name.startswith("table ")}
    return sorted(came | (old - new - set(dumped)))
