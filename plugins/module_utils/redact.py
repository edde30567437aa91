# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep secrets out of everything that a person or a program may read later."""

from __future__ import annotations

import re
from typing import Iterable

MASK = "********"
_URL_CREDENTIALS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^/\s@]*:[^/\s]*@")
# A quoted value goes as a whole, any other up to the next space: masking too much is harmless.
_ASSIGNMENT = re.compile(
    r"(?i)(?P<name>\b[\w-]*(?:password|passwd|secret|token|access_key(?:_id)?)\b[\"']?\s*[=:]\s*)"
    r"(?:(?P<quote>[\"'])(?:\\.|(?!(?P=quote))[^\\])*(?P=quote)|\S+)"
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return ``text`` with credentials in URLs, assignments to secret names and the given ``secrets`` masked."""
    for secret in sorted((item for item in secrets if len(item) >= 4), key=len, reverse=True):
        text = text.replace(secret, MASK)
    text = _URL_CREDENTIALS.sub(r"\g<scheme>" + MASK + "@", text)
    return _ASSIGNMENT.sub(lambda found: found["name"] + (found["quote"] or "") + MASK + (found["quote"] or ""), text)
