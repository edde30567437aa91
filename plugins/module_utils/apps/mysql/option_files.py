# SPDX-License-Identifier: GPL-3.0-or-later
"""What the option files of a host tell the tool of a backup: some of it leaves data out, and the tool ends as if nothing were.

A dump with ``where``, ``ignore-table`` or ``no-data`` is complete in its own eyes, and so is a copy with ``databases-exclude``.
``--print-defaults`` is documented for all of these tools: mysqldump, mariadb-dump and mariadb-backup.
"""

from __future__ import annotations

import re
from typing import List

from ...checks import Check, new_check
from ...process import run
from .client import Options
from .products import Product

# Of a dump only what is known to leave its content alone: how the server is reached, how fast, how long lines may be; and what
# its command line says again, which then counts.
_HARMLESS = re.compile(
    r"(user|password\d?|host|socket|port|protocol|bind-address|compress|compression-algorithms|zstd-compression-level|ssl|ssl-.*"
    r"|skip-ssl|disable-ssl.*|tls-.*|default-auth|plugin-dir|get-server-public-key|server-public-key-path|connect-timeout"
    r"|opt|quote-names|extended-insert|order-by-size|net-buffer-length|add-drop-table|add-locks|(skip-)?lock-tables|create-options"
    r"|disable-keys|set-charset|comments|tz-utc|(skip-)?column-statistics|no-tablespaces|character-sets-dir"
    r"|max-allowed-packet|default-character-set|(skip-)?(quick|single-transaction|routines|events|triggers|hex-blob|dump-date))\Z"
)
# mariadb-backup reads the server's options as well, hundreds; these make it leave data out, or copy tables under their writers.
_HARMFUL = re.compile(r"(databases|tables)(-file|-exclude)?\Z|no-lock\Z")


def told_by_files(program: str, files: List[str]) -> List[str]:
    """Return the names of the options that ``program`` takes from option files; ``files``: its own option that names one."""
    said = run([program, *files, "--print-defaults"], 30).stdout
    words = said.rpartition("following arguments:")[2].split()
    names = [word[2:].partition("=")[0].replace("_", "-") for word in words if word.startswith("--")]
    return [name[len("loose-") :] if name.startswith("loose-") else name for name in names]


def files_check(product: Product, method: str, options: Options) -> List[Check]:
    """Return the failed check of option files that would change what a backup by ``method`` holds; nothing when none does."""
    file = options.get("defaults_extra_file")
    if method == "clone":
        return []  # the server's own work, no tool with options
    if method == "dump":
        program, hint = (
            product.dump,
            ", or set app_mysql_defaults_extra_file: a file with [client] alone, no other is read then",
        )
        names = told_by_files(program, [f"--defaults-file={file}"] if file else [])
        wrong = {name for name in names if not _HARMLESS.match(name)}
    else:
        program, hint = method, ""
        names = told_by_files(program, [f"--defaults-extra-file={file}"] if file else [])
        wrong = {name for name in names if _HARMFUL.match(name)}
    if not wrong:
        return []
    detail = f"option files of this host tell {program} what may change what the backup holds: {', '.join(sorted(wrong))}"
    hint = f"take that out of them ({program} --print-defaults shows it){hint}"
    return [new_check("option files", "failed", detail, hint)]
