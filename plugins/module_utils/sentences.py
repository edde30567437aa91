# SPDX-License-Identifier: GPL-3.0-or-later
"""How an error is said to a person."""

from __future__ import annotations

from .errors import BackstayError
from .redact import redact


def say(error: BackstayError) -> str:
    """Return message and hint of ``error`` as sentences, without credentials."""
    return redact(" ".join(_sentence(part) for part in (error.message, error.hint) if part))


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
