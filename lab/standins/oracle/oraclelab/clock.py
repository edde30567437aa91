# SPDX-License-Identifier: GPL-3.0-or-later
"""Times: whole seconds since the epoch inside, server-local DATEs outside."""

from __future__ import annotations

import re
import time

STORED = "%Y-%m-%d %H:%M:%S"
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
MONTH_NAMES = (
    "JANUARY",
    "FEBRUARY",
    "MARCH",
    "APRIL",
    "MAY",
    "JUNE",
    "JULY",
    "AUGUST",
    "SEPTEMBER",
    "OCTOBER",
    "NOVEMBER",
    "DECEMBER",
)
DEFAULT_DATE_FORMAT = "DD-MON-RR"
ELEMENTS = re.compile(
    r'"[^"]*"|SYYYY|YYYY|RRRR|YY|RR|MONTH|MON|MM|DDD|DD|DY|HH24|HH12|HH|MI|SSSSS|SS|FF[0-9]?|AM|PM|TZH:TZM|FM|J|.',
    re.IGNORECASE | re.DOTALL,
)
FORMATTERS = {
    "YYYY": "%Y", "SYYYY": "%Y", "RRRR": "%Y", "YY": "%y", "RR": "%y", "MM": "%m", "DD": "%d", "DDD": "%j", "HH24": "%H",
    "HH12": "%I", "HH": "%I", "MI": "%M", "SS": "%S", "AM": "%p", "PM": "%p",
}  # fmt: skip
WIDTHS = {"YYYY": 4, "RRRR": 4, "YY": 2, "RR": 2, "MM": 2, "DD": 2, "HH24": 2, "HH12": 2, "HH": 2, "MI": 2, "SS": 2, "DDD": 3}


def now() -> int:
    """Seconds since the epoch."""
    return int(time.time())


def local(seconds: float) -> str:
    """A moment as the server's local time, 'YYYY-MM-DD HH:MM:SS'."""
    return time.strftime(STORED, time.localtime(seconds))


def from_local(text: str) -> int:
    """The moment a server-local 'YYYY-MM-DD HH:MM:SS' means."""
    return int(time.mktime(time.strptime(text, STORED)))


def formatted(stored: str, picture: str) -> str:
    """A stored local time in an Oracle date format; ValueError names an element that is not known."""
    moment = time.strptime(stored[:19], STORED)
    pieces = []
    for element in ELEMENTS.findall(picture):
        word = element.upper()
        if word in ("MON", "MONTH"):
            text = (MONTHS if word == "MON" else MONTH_NAMES)[moment.tm_mon - 1]
            pieces.append(text if element.isupper() else text.capitalize())
        elif word in FORMATTERS:
            pieces.append(time.strftime(FORMATTERS[word], moment))
        elif word.startswith("FF") and len(word) <= 3:
            pieces.append((stored[20:] + "000000000")[: int(word[2:] or 6)])
        elif element.startswith('"'):
            pieces.append(element[1:-1])
        elif word == "FM":
            continue
        elif element.isalpha():
            raise ValueError(element)
        else:
            pieces.append(element)
    return "".join(pieces)


def _read_element(word: str, text: str, found: dict[str, int]) -> str:
    """Take one element off the front of the text; return the rest."""
    if word == "MON":
        found["MM"] = MONTHS.index(text[:3].upper()) + 1
        return text[3:]
    match = re.match(rf"\d{{1,{WIDTHS[word]}}}", text)
    if not match:
        raise ValueError(text)
    value = int(match[0])
    if word in ("YY", "RR"):
        value += 2000
    found[{"RRRR": "YYYY", "YY": "YYYY", "RR": "YYYY", "HH12": "HH24", "HH": "HH24"}.get(word, word)] = value
    return text[match.end() :]


def parsed(text: str, picture: str) -> str:
    """Read a date in an Oracle format into a stored local time; ValueError when it does not fit."""
    found: dict[str, int] = {}
    rest = text.strip()
    for element in ELEMENTS.findall(picture):
        word = element.upper()
        if word in WIDTHS or word == "MON":
            rest = _read_element(word, rest, found)
        elif rest and not rest[0].isalnum():
            rest = rest[1:]
        elif element.startswith('"') and rest.startswith(element[1:-1]):
            rest = rest[len(element) - 2 :]
        elif element.isalpha():
            raise ValueError(text)
    if rest.strip():
        raise ValueError(text)
    today = time.localtime()
    date = (found.get("YYYY", today.tm_year), found.get("MM", today.tm_mon), found.get("DD", 1))
    date_text = "-".join(f"{number:0{width}d}" for number, width in zip(date, (4, 2, 2)))
    stored = f"{date_text} {found.get('HH24', 0):02d}:{found.get('MI', 0):02d}:{found.get('SS', 0):02d}"
    time.strptime(stored, STORED)
    return stored
