# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of the server's own that a dump of its databases lacks, and that logs behind it take for granted."""

from __future__ import annotations

import re
from typing import Any, Dict, List

from ...errors import BackstayError
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


_PLUGIN, _LIBRARY = re.compile(r"[A-Za-z0-9_]{1,64}\Z"), re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_COMPONENT = re.compile(r"file://[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_RETURNS = {"0": "STRING", "1": "REAL", "2": "INTEGER", "4": "DECIMAL"}  # mysql.func holds the numbers of Item_result


def installed_plugins(options: Options) -> Dict[str, str]:
    """Return the library of every plugin that was installed by a statement; accounts may need one to log in."""
    return {row[0]: row[1] for row in query(options, "SELECT name, dl FROM mysql.plugin ORDER BY 1")}


def install_plugins(options: Options, wanted: Dict[str, str]) -> List[str]:
    """Install the plugins that a fresh server lacks; return a sentence about each that this host does not have.

    ``wanted`` comes from a receipt, so only plain names are taken; the server looks into its own plugin directory only.
    """
    there, problems = installed_plugins(options), []
    # What the options of this server loaded cannot be installed, only noted for its next start.
    loaded = {row[0] for row in query(options, "SELECT plugin_name FROM information_schema.plugins")}
    for name, library in sorted(wanted.items()):
        if name in there:
            continue
        try:
            if not (_PLUGIN.match(name) and _LIBRARY.match(library)):
                raise BackstayError("that is no name of a plugin")
            noted = f"INSERT INTO mysql.plugin (name, dl) VALUES ('{name}', '{library}')"  # noqa: S608 - plain names, see above
            query(options, noted if name in loaded else f"INSTALL PLUGIN {name} SONAME '{library}'")
        except BackstayError as error:
            problems.append(f"{name} ({library}): {error.message}")
    return problems


def additions(product: Product, options: Options) -> Dict[str, Any]:
    """Return what was added to the server by statements and is in no dump: plugins, components (MySQL), loadable functions.

    Accounts, views and routines may need them: those of MySQL 9.6 and later get MD5() from a component.
    """
    components = query(options, product.components) if product.components else []
    functions = query(options, "SELECT name, ret, dl, type FROM mysql.func ORDER BY 1")
    return {"plugins": installed_plugins(options), "components": [row[0] for row in components], "functions": functions}


def add_again(product: Product, options: Options, wanted: Dict[str, Any]) -> List[str]:
    """Give a fresh server the additions of ``wanted``, facts of a receipt; return a sentence about each that it cannot have."""
    problems = install_plugins(options, wanted.get("plugins") or {})
    there = {row[0] for row in query(options, product.components)} if product.components else set()
    statements = {}
    for urn in [urn for urn in wanted.get("components") or [] if urn not in there]:
        statements[urn] = f"INSTALL COMPONENT '{urn}'" if _COMPONENT.match(urn) else ""
    for name, returns, library, kind in wanted.get("functions") or []:
        plain = _PLUGIN.match(name) and _LIBRARY.match(library) and returns in _RETURNS
        aggregate = "AGGREGATE " if kind == "aggregate" else ""
        made = f"CREATE {aggregate}FUNCTION {name} RETURNS {_RETURNS.get(returns)} SONAME '{library}'"
        statements[f"{name} ({library})"] = made if plain else ""
    for addition, statement in statements.items():
        try:
            if not statement:
                raise BackstayError("that is no plain name")
            query(options, statement)
        except BackstayError as error:
            problems.append(f"{addition}: {error.message}")
    return problems


def accounts_state(product: Product, options: Options) -> List[List[str]]:
    """Return what is another one after every change of an account or of what it may do."""
    return query(options, "CHECKSUM TABLE " + ", ".join(f"mysql.{name}" for name in product.account_tables))


def has_named_zones(options: Options) -> bool:
    """Return whether the server knows time zones by name."""
    return query(options, "SELECT COUNT(*) FROM mysql.time_zone_name") != [["0"]]
