# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of the server's own that a dump of its databases lacks, and that logs behind it take for granted."""

from __future__ import annotations

from typing import List

from .client import Options, query
from .products import Product

NO_ACCOUNTS = (
    "the accounts are not in the dump: what is restored from it has root alone, and no logs can continue it, since they change"
    " accounts that would not be there"
)
NAMED_ZONES = (
    "the server has named time zones, which are not in the dump: no logs can continue it, since they may set a zone that would"
    " not be there"
)
ACCOUNTS_CHANGED = "accounts were changed while the backup ran, so no logs can continue the dump; the next backup makes it good"


def accounts_state(product: Product, options: Options) -> List[List[str]]:
    """Return what is another one after every change of an account or of what it may do."""
    return query(options, "CHECKSUM TABLE " + ", ".join(f"mysql.{name}" for name in product.account_tables))


def has_named_zones(options: Options) -> bool:
    """Return whether the server knows time zones by name."""
    return query(options, "SELECT COUNT(*) FROM mysql.time_zone_name") != [["0"]]
