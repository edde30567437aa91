# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], what: str, deadline: float = 60, pause: float = 0.2) -> T:
    """Return the first true answer of ``condition``. Raise AssertionError naming ``what`` after ``deadline`` seconds."""
    end = time.monotonic() + deadline
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < end, f"waited {deadline:.0f} s in vain until {what}; last answer: {answer!r}"
        time.sleep(pause)


def seconds_pass(count: float) -> str:
    """Wait until the clock shows a later second by ``count`` and return the moment in the middle."""
    begin = datetime.now(UTC)
    wait_until(lambda: (datetime.now(UTC) - begin).total_seconds() > 2 * count, "the clock moves", 60)
    return datetime.fromtimestamp(begin.timestamp() + count, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
