# SPDX-License-Identifier: GPL-3.0-or-later
"""How an error is said to a person."""

from __future__ import annotations

from .errors import BackstayError
from .redact import redact


def say(error: BackstayError) -> str:
    """Return message and hint of ``error`` as sentences, without credentials."""
    return redact(" ".join(_sentence(part) for part in (error.message, error.hint) if part))


def _sentence(text: str) -> str:
    """Return ``text`` with a full stop last and a capital first, unless its first word is a path, or a name such as db1."""
    first = text.split(maxsplit=1)[0].rstrip(".!?")
    begin = (
        text
        if "/" in first or any(not (letter.isalpha() or letter in "-':,") for letter in first)
        else text[0].upper() + text[1:]
    )
    return begin + ("" if text.endswith((".", "!", "?")) else ".")
