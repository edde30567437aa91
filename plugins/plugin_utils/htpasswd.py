# SPDX-License-Identifier: GPL-3.0-or-later
"""The htpasswd file of an offsite server: one bcrypt line per user, changed only where it must change."""

from __future__ import annotations

from collections.abc import Mapping

import bcrypt
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput

# 2^10 rounds: what htpasswd tools use. The server remembers a verified password for a minute, so uploads do not pay for it.
_COST = 10
_BCRYPT_LIMIT = 72


def parse(text: str) -> dict[str, str]:
    """Return the hash by user of an htpasswd text; comments and empty lines do not count."""
    lines = [line.strip() for line in text.splitlines()]
    pairs = (line.partition(":") for line in lines if line and not line.startswith("#"))
    return {user: hashed for user, _, hashed in pairs}


def merge(text: str, passwords: Mapping[str, str | None], keep_unknown: bool) -> str:
    """Return the htpasswd text in which every user of ``passwords`` has that password.

    A line whose hash still fits is kept as it is, so that nothing changes without need. A user whose password is None
    (not made yet) gets a line that no password opens. Users that are not in ``passwords`` stay when ``keep_unknown``.
    """
    present = parse(text)
    wanted = {user: hashed for user, hashed in present.items() if keep_unknown and user not in passwords}
    wanted.update({user: _line_hash(user, password, present.get(user)) for user, password in passwords.items()})
    return "".join(f"{user}:{wanted[user]}\n" for user in sorted(wanted))


def _line_hash(user: str, password: str | None, present: str | None) -> str:
    if password is None:
        return "!"
    raw = password.encode()
    if len(raw) > _BCRYPT_LIMIT:
        raise BadInput(f"the password of the offsite user {user} is longer than {_BCRYPT_LIMIT} bytes", "shorten it")
    if present and _matches(raw, present):
        return present
    return bcrypt.hashpw(raw, bcrypt.gensalt(_COST)).decode()


def _matches(password: bytes, hashed: str) -> bool:
    try:
        return bcrypt.checkpw(password, hashed.encode())
    except ValueError:  # not a bcrypt hash
        return False
