# SPDX-License-Identifier: GPL-3.0-or-later
"""How sqlplus shows rows: settings, columns, numbers, CSV."""

from __future__ import annotations

import os
from typing import Any

from oraclelab.errors import OracleError
from oraclelab.messages import translated
from oraclelab.sql.select import as_text, is_date

SETTINGS = {
    "echo": "off",
    "feedback": "on",
    "heading": "on",
    "linesize": "80",
    "pagesize": "14",
    "trimspool": "off",
    "trimout": "on",
    "verify": "on",
    "colsep": " ",
    "numwidth": "10",
    "timing": "off",
    "tab": "on",
    "long": "80",
    "define": "on",
    "serveroutput": "off",
    "termout": "on",
    "longchunksize": "80",
    "wrap": "on",
    "sqlprompt": "SQL> ",
    "newpage": "1",
    "space": "1",
    "underline": "on",
    "sqlblanklines": "off",
}
SHORT = {
    "feed": "feedback",
    "head": "heading",
    "hea": "heading",
    "lines": "linesize",
    "lin": "linesize",
    "pages": "pagesize",
    "trims": "trimspool",
    "ver": "verify",
    "num": "numwidth",
    "timi": "timing",
    "def": "define",
    "serverout": "serveroutput",
    "term": "termout",
    "trim": "trimout",
    "longc": "longchunksize",
    "und": "underline",
}


class Screen:
    """Standard output and the spool file, in the client's language."""

    def __init__(self) -> None:
        self.spool: Any = None
        self.language = os.environ.get("NLS_LANG", "")

    def __call__(self, line: str = "") -> None:
        """Show a line."""
        text = translated(line, self.language)
        print(text)
        if self.spool:
            self.spool.write(text + "\n")
            self.spool.flush()


def _fit(text: str, width: int, right: bool) -> str:
    return text.rjust(width) if right else text.ljust(width)


class Display:
    """Settings and the showing of rows."""

    def __init__(self, markup: dict[str, Any] | None) -> None:
        self.say = Screen()
        self.settings = dict(SETTINGS)
        self.markup = markup

    def date_format(self) -> str:
        """The session's NLS_DATE_FORMAT."""
        raise NotImplementedError

    def _feedback(self) -> bool:
        return self.settings["feedback"] not in ("off", "0")

    def _set_markup(self, words: list[str], raw: list[str]) -> None:
        if words[:1] != ["csv"]:
            raise OracleError(f'SP2-0158: unknown SET MARKUP option "{" ".join(raw)}"')
        self.markup = None
        if words[1:2] == ["on"]:
            self.markup = {"delimiter": ",", "quote": True}
            if "delimiter" in words or "delim" in words:
                at = words.index("delimiter" if "delimiter" in words else "delim")
                self.markup["delimiter"] = raw[at + 1].strip("'\"")
            if "quote" in words:
                self.markup["quote"] = words[words.index("quote") + 1] == "on"

    def show_rows(self, found: tuple[list[str], list[tuple[Any, ...]]]) -> None:
        """Show the rows of a SELECT with their headings and number, as the settings want it."""
        headings, rows = found
        if self.markup:
            self._show_csv(headings, rows)
        else:
            self._show_table(headings, rows)
        if self._feedback():
            self.say()
            self.say("no rows selected" if not rows else f"{len(rows)} row{'s' if len(rows) > 1 else ''} selected.")
            self.say()

    def _show_csv(self, headings: list[str], rows: list[tuple[Any, ...]]) -> None:
        assert self.markup
        form = self.date_format()
        shown: list[list[Any]] = [
            [as_text(value, form) if is_date(value) or value is None else value for value in row] for row in rows
        ]
        if self.settings["heading"] == "on" and self.settings["pagesize"] != "0":
            shown.insert(0, list(headings))
        for row in shown:
            self.say(self.markup["delimiter"].join(self._csv_field(value) for value in row))

    def _csv_field(self, value: Any) -> str:
        """A field of SET MARKUP CSV: texts in double quotes unless QUOTE OFF, numbers bare."""
        assert self.markup
        if not isinstance(value, str) or not self.markup["quote"]:
            return as_text(value, "")
        return '"' + value.replace('"', '""') + '"' if value else ""

    def _cell(self, value: Any) -> str:
        """A value as it is shown; numbers wider than NUMWIDTH in scientific notation."""
        width = int(self.settings["numwidth"])
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            text = as_text(value, "")
            if len(text) > width:
                text = f"{float(value):.{max(0, width - 7)}E}"
            return text
        return as_text(value, self.date_format())

    def _show_table(self, headings: list[str], rows: list[tuple[Any, ...]]) -> None:
        pages = int(self.settings["pagesize"])
        cells = [[self._cell(value) for value in row] for row in rows]
        numeric = [any(isinstance(row[at], (int, float)) for row in rows) for at in range(len(headings))]
        widths = []
        for at, heading in enumerate(headings):
            longest = max((len(row[at]) for row in cells), default=1)
            widths.append(
                max(int(self.settings["numwidth"]), len(heading)) if numeric[at] else max(longest, len(heading) if pages else 1)
            )
        lines = []
        if pages and rows and self.settings["heading"] == "on":
            lines.append(["" for _ in widths])
            lines += [
                [_fit(heading, width, right) for heading, width, right in zip(headings, widths, numeric)],
                ["-" * width for width in widths],
            ]
        lines += [[_fit(cell, width, right) for cell, width, right in zip(row, widths, numeric)] for row in cells]
        limit = int(self.settings["linesize"])
        for parts in lines:
            line = self.settings["colsep"].join(parts)
            line = line.rstrip() if self.settings["trimout"] == "on" else line
            for at in range(0, max(len(line), 1), limit):
                self.say(line[at : at + limit])
