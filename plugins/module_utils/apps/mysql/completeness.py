# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the binary logs of a server hold every commit: only then a log set says what it has to say, all before its moment."""

from __future__ import annotations

from typing import Dict, Tuple

from ...errors import BackstayError
from .client import Options, query
from .products import Product

Gap = Tuple[str, str]  # what the logs lack, and what to do; both empty: nothing
WHOLE: Gap = ("", "")
_FILTERS = ("binlog_do_db", "binlog_ignore_db")


def find_gap(options: Options, product: Product, values: Dict[str, str]) -> Gap:
    """Return what the binary logs of the server lack by its configuration; ``values``: its variables.

    What nothing answers for is lacking: an account that may not see whether the server is a replica gets told what to grant.
    """
    if values["log_bin"] != "ON":
        return WHOLE
    try:
        found = _filtered(options, product)
        return found if found[0] else _relayed(options, product, values)
    except BackstayError as error:
        hint = f"GRANT {product.sources_privilege} ON *.* TO the backup account"
        if values[product.relayed] != "ON":
            hint += f", or set {product.relayed}=ON"
        return f"nobody can tell whether it holds every commit: {error.message}", hint


def _filtered(options: Options, product: Product) -> Gap:
    """Return what filters keep out of the log; they are no variables in every version, so its status is asked."""
    rows = query(options, product.status)
    set_ones = [f"{name}={text}" for name, text in zip(_FILTERS, (rows or [[]])[0][2:4]) if text]
    if not set_ones:
        return WHOLE
    return f"changes of other databases are kept out of it ({', '.join(set_ones)})", f"remove {' and '.join(_FILTERS)}"


def _relayed(options: Options, product: Product, values: Dict[str, str]) -> Gap:
    """Return what comes from other servers and is not logged here again."""
    hint = f"set {product.relayed}=ON"
    if values[product.relayed] == "ON":
        return WHOLE
    if values.get("wsrep_on") == "ON":
        return f"changes of the other servers of its cluster are not in it ({product.relayed}=OFF)", hint
    if query(options, product.sources):
        hint = f"{hint}, or back up the server that it replicates from"
        return f"the server is a replica, and replicated changes are not in it ({product.relayed}=OFF)", hint
    return WHOLE
