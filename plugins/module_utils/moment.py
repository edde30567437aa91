# SPDX-License-Identifier: GPL-3.0-or-later
"""Moments: always UTC inside, always with a time zone outside."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from .errors import BadInput

_ISO = re.compile(r"^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)\s*(Z|[+-]\d\d:?\d\d)$")


def now() -> datetime:
    """Return the present moment, in UTC."""
    return datetime.now(timezone.utc)


def format_moment(moment: datetime) -> str:
    """Return ``moment`` as ``2026-11-21T09:39:29.123456Z``; text order is time order."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_moment(text: str) -> datetime:
    """Return the moment that ``text`` names, in UTC.

    Raise BadInput when it is not a date and time, or has no time zone: a guess there is up to a day of lost data.
    """
    match = _ISO.match(text.strip())
    if not match:
        raise BadInput(
            f"'{text}' is not a moment with a time zone",
            "write it like 2026-11-21T09:39:29Z or 2026-11-21T10:39:29+01:00",
        )
    day, clock, zone = match.groups()
    if len(clock) == 5:
        clock += ":00"
    if "." in clock:
        whole, fraction = clock.split(".")
        clock = f"{whole}.{fraction:0<6}"
    zone = "+00:00" if zone == "Z" else zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"
    try:
        return datetime.fromisoformat(f"{day}T{clock}{zone}").astimezone(timezone.utc)
    except (ValueError, OverflowError) as error:
        raise BadInput(f"'{text}' is not a moment: {error}") from error


def is_moment(text: str) -> bool:
    """Return whether ``text`` names a moment that exists."""
    try:
        parse_moment(text)
    except BadInput:
        return False
    return True


def set_id(moment: datetime, suffix: str) -> str:
    """Return the id of a set that begins at ``moment``: sortable, unique through the random ``suffix``."""
    return moment.astimezone(timezone.utc).strftime("%Y%m%dT%H%M%SZ") + "-" + suffix
