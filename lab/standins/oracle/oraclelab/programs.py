# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs of the stand-in by name. Each loads its own module only: a ``sqlplus`` that asks one question starts at once."""

from __future__ import annotations

import importlib

_PLACES = {
    "dbshut": ("tools", "dbshut"),
    "dbstart": ("tools", "dbstart"),
    "oracle-check": ("tools", "oracle_check"),
    "oracle-create": ("tools", "oracle_create"),
    "oracle-transact": ("tools", "oracle_transact"),
    "orawriter": ("tools", "orawriter"),
    "rman": ("rman.main", "main"),
    "sqlplus": ("sql.sqlplus", "main"),
}


def main(name: str, argv: list[str]) -> int:
    """Run the program ``name`` and return its exit status."""
    module, function = _PLACES[name]
    return int(getattr(importlib.import_module(f"oraclelab.{module}"), function)(argv))
