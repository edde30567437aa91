# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's clock: RMAN takes moments in local time, whole seconds, without a zone."""

from __future__ import annotations

import os
import re
import time
from datetime import datetime
from pathlib import Path
from typing import Callable, Optional, TypeVar

from ...errors import BadInput
from ...executors import Executor

Result = TypeVar("Result")
_HOUR = 3600


def _in_zone(zone: str, work: Callable[[], Result]) -> Result:
    """Return what ``work`` returns while the C library's local time is that of ``zone``, spelled as in TZ."""
    former: Optional[str] = os.environ.get("TZ")
    os.environ["TZ"] = zone
    time.tzset()
    try:
        return work()
    finally:
        if former is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = former
        time.tzset()


def local_second(zone: str, moment: datetime) -> datetime:
    """Return ``moment`` by the clocks of ``zone``, without its fraction and without a zone."""
    seconds = int(moment.timestamp())
    return _in_zone(zone, lambda: datetime(*time.localtime(seconds)[:6]))


def spell(second: datetime) -> str:
    """Return a second as RMAN is told it."""
    return second.strftime("%Y-%m-%d %H:%M:%S")


def until_time(zone: str, moment: datetime) -> str:
    """Return the text of ``moment`` for UNTIL TIME: the beginning of its second by the server's clock.

    Raise BadInput in the hour that clocks show twice: RMAN could take the wrong one.
    """
    shown = local_second(zone, moment)
    seconds = int(moment.timestamp())
    # Summer time goes back an hour nearly everywhere, half an hour on Lord Howe.
    twice = [step for step in (-_HOUR, -_HOUR // 2, _HOUR // 2, _HOUR) if _shown(zone, seconds + step) == shown]
    if twice:
        raise BadInput(
            f"the clock of the server showed {spell(shown)} twice", "restore to an SCN: -e backstay_position=scn:12345"
        )
    return spell(shown)


def _shown(zone: str, seconds: int) -> datetime:
    return _in_zone(zone, lambda: datetime(*time.localtime(seconds)[:6]))


def rule(zone: str, executor: Executor) -> str:
    """Return ``zone`` as a rule that says everything itself (``CET-1CEST,M3.5.0,M10.5.0/3``), so that any host understands it.

    Redo holds local times, and a restore may happen where other zones are known. Raise BadInput for a zone that is none.
    ``executor`` leads to the host whose zone it is.
    """
    name = zone[1:] if zone.startswith(":") else zone
    path = Path(name) if name.startswith("/") else Path("/usr/share/zoneinfo") / name
    try:
        content = executor.read(path) if name else b""
    except OSError:
        content = b""
    if not content:
        if re.match(r"^(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]+>)[+-]?[0-9]", zone):
            return zone
        if zone in ("UTC", "GMT"):
            return "UTC0"
        raise BadInput(f"this host knows no time zone {zone!r}", "set app_oracle_time_zone")
    lines = content.split(b"\n")
    footer = lines[-2].decode("ascii", "replace") if len(lines) >= 3 and not lines[-1] else ""
    if not footer:
        raise BadInput(
            f"{path} tells no rule for the present", "set app_oracle_time_zone to a rule such as CET-1CEST,M3.5.0,M10.5.0/3"
        )
    return footer
