# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of the inventory as names of files and units.

Inventory names may hold spaces, quotes, slashes and non-ASCII letters; file names, unit names and restic tags may not.
One reversible spelling is used everywhere: every byte outside ``A-Z a-z 0-9 . _ -`` becomes ``=XX``. (Percent signs
would be specifiers to systemd.)
"""

from __future__ import annotations

import re

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_ESCAPED = re.compile(r"=([0-9A-F]{2})")


def quote_name(name: str) -> str:
    """Return ``name`` spelled with safe characters only; a leading dot is spelled out, so nothing hides or climbs."""
    raw = name.encode("utf-8", "surrogateescape")
    quoted = "".join(chr(byte) if byte in _PLAIN else f"={byte:02X}" for byte in raw)
    if quoted.startswith("."):
        quoted = "=2E" + quoted[1:]
    return quoted


def unquote_name(quoted: str) -> str:
    """Return the name that ``quote_name`` spelled as ``quoted``."""
    raw = _ESCAPED.sub(lambda match: chr(int(match.group(1), 16)), quoted).encode("latin-1")
    return raw.decode("utf-8", "surrogateescape")
