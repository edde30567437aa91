# SPDX-License-Identifier: GPL-3.0-or-later
"""Words of RMAN's command language, and the syntax errors they can give."""

from __future__ import annotations

import dataclasses
import re

TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*|--[^\n]*)
      | (?P<string>'(?:[^']|'')*'|"(?:[^"]|"")*")
      | (?P<number>\d+[KMGkmg]?\b)
      | (?P<word>[A-Za-z_][\w$#]*)
      | (?P<symbol>.)""",
    re.VERBOSE | re.DOTALL,
)
KEYWORDS = frozenset(
    re.findall(
        r"\w+",
        "advise all allocate alter append archivelog as at autobackup auxiliary available backed backup backuppiece "
        "backups backupset before between by catalog change channel check clear completed compressed configure connect "
        "controlfile convert copy create crosscheck cumulative current database datafile datafilecopy dbid decryption "
        "delete device disk duplicate echo encryption exit expired filesperset flashback for force format from full "
        "header host identified immediate incarnation incremental input level list location logical maxdays "
        "maxpiecesize maxseq mount newname nofilenamecheck nomount noprompt normal not of off on open optimization "
        "parameter pfile pluggable plus policy preview quit rate recover redo release report reset resetlogs restore "
        "retention run schema scn section select sequence set show shutdown size spfile sql start startup summary "
        "switch system tablespace tag target tempfile thread time times to transactional type unavailable uncatalog "
        "unrecoverable until validate wallet with abort ",
    )
)


class SyntaxFault(Exception):
    """A parse error with the lines RMAN prints for it."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


@dataclasses.dataclass(frozen=True)
class Token:
    """One word: kind is word, number, string, symbol or end; text is lower-case for words and unquoted for strings."""

    kind: str
    text: str
    start: int
    end: int
    line: int
    column: int

    @property
    def shown(self) -> str:
        """How RMAN names it in a syntax error."""
        if self.kind == "end":
            return "end-of-file"
        if self.kind == "word":
            return self.text if self.text in KEYWORDS else "identifier"
        return {"string": "single-quoted-string", "number": "integer"}.get(self.kind, self.text)


def split(source: str) -> list[Token]:
    """All tokens, the last of kind end."""
    found, line, begin = [], 1, 0
    position = 0
    while position < len(source):
        match = TOKEN.match(source, position)
        assert match  # The last alternative takes any character.
        kind, text = str(match.lastgroup), match.group()
        column = position - begin + 1
        if kind == "string":
            quote = text[0]
            found.append(Token(kind, text[1:-1].replace(quote * 2, quote), position, match.end(), line, column))
        elif kind != "space":
            found.append(Token(kind, text.lower() if kind == "word" else text, position, match.end(), line, column))
        if "\n" in text:
            line += text.count("\n")
            begin = position + text.rindex("\n") + 1
        position = match.end()
    found.append(Token("end", "", position, position, line, position - begin + 1))
    return found


def fault(token: Token, expected: list[str], file: str) -> SyntaxFault:
    """The stack of a syntax error at a token."""
    wanted = '", "'.join(expected)
    several = "expecting one of" if len(expected) > 1 else "expecting"
    lines = [
        "RMAN-00558: error encountered while parsing input commands",
        f'RMAN-01009: syntax error: found "{token.shown}": {several}: "{wanted}"',
    ]
    if token.kind == "word" and token.text not in KEYWORDS:
        lines.append(f"RMAN-01008: the bad identifier was: {token.text}")
    lines.append(f"RMAN-01007: at line {token.line} column {token.column} file: {file}")
    return SyntaxFault(lines)
