# SPDX-License-Identifier: GPL-3.0-or-later
"""SELECT: Oracle's dialect is turned into SQLite's, and run over views that were filled from the state."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable
from typing import Any

from oraclelab import clock
from oraclelab.errors import OracleError

DATE_MARK = "\x01"
TOKENS = re.compile(
    r"'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|/\*.*?\*/|[A-Za-z_][\w$#]*(?:\.[A-Za-z_][\w$#]*)*|\d+(?:\.\d+)?|\|\||<>|!=|<=|>=|\s+|.",
    re.DOTALL,
)
NULLARY = {
    "sysdate": "ora_sysdate()",
    "systimestamp": "ora_sysdate()",
    "current_timestamp": "ora_sysdate()",
    "current_date": "ora_sysdate()",
    "user": "'SYS'",
}
DATE_ARITHMETIC = re.compile(r"(?i)\b(sysdate|systimestamp)\s*([-+])\s*((?:\d+(?:\.\d+)?)(?:\s*[*/]\s*\d+(?:\.\d+)?)*)")

ROWNUM = re.compile(r"(?i)\brownum\s*(<=?|=)\s*(\d+)")


def is_date(value: Any) -> bool:
    """Whether a value is a DATE."""
    return isinstance(value, str) and value.startswith(DATE_MARK)


def date(seconds: float) -> str | None:
    """A DATE of a moment; nothing for 0, which stands for no moment."""
    return DATE_MARK + clock.local(seconds) if seconds else None


def as_text(value: Any, date_format: str) -> str:
    """A value as Oracle converts it to text by itself."""
    if value is None:
        return ""
    if is_date(value):
        return clock.formatted(value[1:], date_format)
    if isinstance(value, float):
        return repr(int(value)) if value == int(value) else re.sub(r"^(-?)0\.", r"\1.", repr(value))
    return str(value)


def to_char(date_format: str, value: Any, picture: str | None = None) -> str | None:
    """TO_CHAR of dates and numbers."""
    if value is None:
        return None
    if is_date(value):
        return clock.formatted(value[1:], picture or date_format)
    if picture and not isinstance(value, str):
        return _number(value, picture)
    return as_text(value, date_format)


def _number(value: float, picture: str) -> str:
    """A number in a format of 9, 0, G, D, comma, point and FM."""
    fill, bare = "FM" not in picture.upper(), re.sub("(?i)fm", "", picture)
    whole, _, part = bare.replace("G", ",").replace("D", ".").partition(".")
    digits = sum(character in "90" for character in whole)
    text = f"{abs(value):,.{len(part)}f}" if "," in whole else f"{abs(value):.{len(part)}f}"
    if len(text.partition(".")[0].replace(",", "")) > digits:
        return "#" * (len(bare) + 1)
    if "0" in whole:
        text = text.rjust(len(bare) - whole.index("0"), "0") if len(text) < len(bare) - whole.index("0") else text
    text = ("-" if value < 0 else "") + text
    return text.rjust(len(bare) + 1) if fill else text


def to_date(date_format: str, text: Any, picture: str | None = None) -> str | None:
    """TO_DATE; ORA-01861 when the text does not fit the format."""
    if text is None or is_date(text):
        return text
    try:
        return DATE_MARK + clock.parsed(str(text), picture or date_format)
    except ValueError as error:
        raise OracleError("ORA-01861: literal does not match format string") from error


def _date_add(value: str, days: float) -> str:
    return DATE_MARK + clock.local(clock.from_local(value[1:]) + round(days * 86400))


def _decode(*arguments: Any) -> Any:
    value, pairs = arguments[0], arguments[1:]
    for key, result in zip(pairs[::2], pairs[1::2]):
        if key == value:
            return result
    return pairs[-1] if len(pairs) % 2 else None


def _utc(value: str) -> str:
    return DATE_MARK + time.strftime(clock.STORED, time.gmtime(clock.from_local(value[1:])))


class _RowNumbers:
    """ROWNUM <= n: true for the first n rows that come this far, before sorting and grouping, as in Oracle."""

    def __init__(self) -> None:
        self.seen: dict[int, int] = {}

    def __call__(self, place: int, limit: int) -> bool:
        self.seen[place] = self.seen.get(place, 0) + 1
        return self.seen[place] <= limit


class _Listagg:
    """LISTAGG, in the order the rows come."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.separator = ""

    def step(self, value: Any, separator: str = "") -> None:
        """Add a value."""
        self.separator = separator
        if value is not None:
            self.found.append(str(value))

    def finalize(self) -> str | None:
        """The joined text."""
        return self.separator.join(self.found) or None


def translate(statement: str) -> str:
    """The statement in SQLite's dialect: identifiers with # and $ in quotes, || as Oracle's, ROWNUM and FETCH as LIMIT."""
    statement = DATE_ARITHMETIC.sub(r"ora_date_add(\1, \2(1.0*\3))", statement)
    limit = ""
    match = re.search(r"(?is)\s+(?:offset\s+\d+\s+rows?\s+)?fetch\s+(?:first|next)\s+(\d*)\s*rows?\s+only\s*$", statement)
    if match:
        statement, limit = statement[: match.start()], f" LIMIT {match[1] or 1}"
    statement = ROWNUM.sub(lambda found: f"ora_rownum({found.start()}, {int(found[2]) - (found[1] == '<')})", statement)
    # LIMIT keeps SQLite from merging a sorted subquery into a query that counts its rows.
    statement = re.sub(r"(?i)\)(\s*\w*\s*\bwhere\s+ora_rownum)", r" LIMIT -1)\1", statement)
    statement = re.sub(r"(?i)\)\s*within\s+group\s*\(\s*order\s+by\s+[^)]*\)", ")", statement)
    return "".join(_word(token) for token in TOKENS.findall(statement)) + limit


def _word(token: str) -> str:
    if token[0] == "'" or token.startswith(("--", "/*")):
        return "" if token[0] != "'" else ("NULL" if token == "''" else token)
    if token[0] == '"':
        return token.lower()
    if token == "||":
        return "->>"
    if not (token[0].isalpha() or token[0] == "_"):
        return token
    lower = token.lower()
    if lower in NULLARY:
        return NULLARY[lower]
    parts = [part for part in lower.split(".") if part not in ("sys", "shop")]
    if "$" in lower or "#" in lower:
        return ".".join(f'"{part}"' for part in parts)
    return ".".join(parts)


Fill = Callable[[sqlite3.Connection, str], bool]


class Query:
    """Runs SELECT statements over views that are filled when a statement names them."""

    def __init__(self, fill: Fill, date_format: str) -> None:
        self.fill = fill
        self.date_format = date_format
        self.refusal: OracleError | None = None

    def _guard(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """SQLite swallows exceptions of functions; keep Oracle's."""

        def guarded(*arguments: Any) -> Any:
            try:
                return function(*arguments)
            except OracleError as error:
                self.refusal = error
                raise
            except ValueError as error:
                self.refusal = OracleError("ORA-01821: date format not recognized")
                raise OracleError("ORA-01821: date format not recognized") from error

        return guarded

    def _connection(self) -> sqlite3.Connection:
        connection = sqlite3.connect(":memory:")
        form = self.date_format
        functions: dict[str, Callable[..., Any]] = {
            "->>": lambda a, b: (as_text(a, form) + as_text(b, form)) or None,
            "ora_sysdate": lambda: date(clock.now()),
            "ora_date_add": _date_add,
            "ora_rownum": _RowNumbers(),
            "to_char": lambda *a: to_char(form, *a),
            "to_date": lambda *a: to_date(form, *a),
            "to_timestamp": lambda *a: to_date(form, *a),
            "to_number": lambda a: None if a is None else (float(a) if "." in str(a) else int(a)),
            "nvl": lambda a, b: b if a is None else a,
            "nvl2": lambda a, b, c: c if a is None else b,
            "decode": _decode,
            "trunc": lambda a, *_: (DATE_MARK + a[1:11] + " 00:00:00") if is_date(a) else (None if a is None else int(a)),
            "sys_extract_utc": _utc,
            "lpad": lambda a, n, c=" ": None if a is None else as_text(a, form)[:n].rjust(n, c),
            "rpad": lambda a, n, c=" ": None if a is None else as_text(a, form)[:n].ljust(n, c),
            "greatest": lambda *a: None if None in a else max(a),
            "least": lambda *a: None if None in a else min(a),
        }
        for name, function in functions.items():
            connection.create_function(name, -1 if name != "->>" else 2, self._guard(function))
        connection.create_aggregate("listagg", -1, _Listagg)  # type: ignore[arg-type]
        connection.execute("create table dual (dummy text)")
        connection.execute("insert into dual values ('X')")
        return connection

    def function(self, connection: sqlite3.Connection, name: str, function: Callable[..., Any]) -> None:
        """Add a function that needs the database."""
        connection.create_function(name, -1, self._guard(function))

    def run(
        self, statement: str, extend: Callable[[sqlite3.Connection], None] = lambda _: None
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """(column headings, rows) of a SELECT; ORA-00904, ORA-00942 or ORA-00900 when it cannot be run."""
        connection = self._connection()
        extend(connection)
        translated = translate(statement)
        names = {word.lower() for word in re.findall(r"[A-Za-z_][\w$#]*", re.sub(r"'(?:[^']|'')*'", "", statement))}
        for name in names:
            self.fill(connection, name)
        try:
            cursor = connection.execute(translated)
            rows = cursor.fetchall()
        except sqlite3.Error as error:
            raise self.refusal or _refusal(str(error)) from error
        finally:
            self.refusal = None
        return [column[0].upper().replace("ORA_SYSDATE()", "SYSDATE") for column in cursor.description or ()], rows


def _refusal(said: str) -> OracleError:
    match = re.match(r"no such (column|table): (\S+)", said)
    if match and match[1] == "table":
        return OracleError("ORA-00942: table or view does not exist")
    if match:
        return OracleError(f'ORA-00904: "{match[2].upper()}": invalid identifier')
    return OracleError("ORA-00900: invalid SQL statement", f"(not understood here: {said})")


def evaluate_date(expression: str, date_format: str) -> str:
    """A date expression as RMAN takes it, as server-local time: a literal in NLS_DATE_FORMAT or an expression."""
    if not re.match(r"(?i)\s*(to_date|to_timestamp|sysdate|systimestamp|trunc)\b", expression):
        return str(to_date(date_format, expression))[1:]
    value = Query(lambda *_: False, date_format).run(f"select {expression} from dual")[1][0][0]
    if not is_date(value):
        raise OracleError("ORA-00932: inconsistent datatypes: expected DATE")
    return str(value[1:])
