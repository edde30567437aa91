# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading of words, values and the clauses that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oraclelab.parameters import SIZES
from oraclelab.rman.tokens import Token, fault, split


class Reader:
    """Walks over the tokens of one file."""

    def __init__(self, source: str, file: str) -> None:
        self.source = source
        self.file = file
        self.tokens = split(source)
        self.at = 0
        self.in_run = False

    # Words

    @property
    def token(self) -> Token:
        """The next token."""
        return self.tokens[self.at]

    def take(self) -> Token:
        """Consume the next token."""
        token = self.token
        self.at += 1
        return token

    def accept(self, *words: str) -> bool:
        """Consume these words when they all come next."""
        following = self.tokens[self.at : self.at + len(words)]
        matches = all(token.kind in ("word", "symbol") and token.text == word for token, word in zip(following, words))
        if matches and len(following) == len(words):
            self.at += len(words)
            return True
        return False

    def expect(self, *words: str) -> None:
        """Consume these words or fail at the first that is missing."""
        for word in words:
            if not self.accept(word):
                raise fault(self.token, [word], self.file)

    def one_of(self, *words: str) -> str:
        """Consume one of these words."""
        for word in words:
            if self.accept(word):
                return word
        raise fault(self.token, list(words), self.file)

    def _kind(self, *kinds: str) -> str:
        if self.token.kind not in kinds:
            raise fault(
                self.token, [{"string": "single-quoted-string", "number": "integer"}.get(kinds[0], "identifier")], self.file
            )
        return self.take().text

    def string(self) -> str:
        """A quoted text."""
        return self._kind("string")

    def integer(self) -> int:
        """A whole number."""
        text = self._kind("number")
        if not text.isdigit():
            raise fault(self.tokens[self.at - 1], ["integer"], self.file)
        return int(text)

    def bytes_(self) -> int:
        """A number with K, M or G."""
        text = self._kind("number").upper()
        return int(text.rstrip("KMG")) * SIZES[text[-1] if text[-1] in "KMG" else ""]

    def name(self) -> str:
        """An identifier or a quoted text."""
        return self._kind("word", "string")

    def several(self, read: Callable[[], Any]) -> list[Any]:
        """One or more values between commas."""
        found = [read()]
        while self.accept(","):
            found.append(read())
        return found

    # Clauses

    def _newname(self) -> dict[str, Any]:
        self.expect("for")
        kind = self.one_of("database", "datafile", "tempfile", "tablespace")
        which: Any = None
        if kind in ("datafile", "tempfile"):
            which = self.integer()
        elif kind == "tablespace":
            which = self.name().upper()
        self.expect("to")
        return {"for": kind, "which": which, "value": self.string()}

    def until(self) -> dict[str, Any]:
        """What follows UNTIL: {scn} or {time} or {sequence, thread}."""
        word = self.one_of("scn", "time", "sequence")
        if word == "time":
            return {"time": self.string()}
        value = self.integer()
        if word == "sequence" and self.accept("thread"):
            self.integer()
        return {word: value}

    def _objects(self, *allowed: str) -> dict[str, Any]:
        """What a command works on, with its numbers or range."""
        word = self.one_of(*allowed)
        if word == "datafile":
            return {"object": word, "files": self.several(self.integer)}
        if word == "tablespace":
            return {"object": word, "names": [name.upper() for name in self.several(self.name)]}
        if word == "archivelog":
            return {"object": word, "range": self.range()}
        if word == "current":
            self.expect("controlfile")
            return {"object": "controlfile"}
        if word == "backupset":
            return {"object": word, "sets": self.several(self.integer)}
        if word in ("backuppiece", "datafilecopy"):
            return {"object": word, "names": self.several(self.string)}
        return {"object": word}

    def range(self) -> dict[str, Any]:
        """A range of archived logs."""
        if self.accept("all"):
            return {}
        found: dict[str, Any] = {}
        if self.accept("sequence"):
            if self.accept("between"):
                found["from_sequence"] = self.integer()
                self.expect("and")
                found["until_sequence"] = self.integer()
            else:
                found["from_sequence"] = found["until_sequence"] = self.integer()
        elif self.token.text in ("from", "until"):
            while self.token.text in ("from", "until") and self.tokens[self.at + 1].text in ("sequence", "scn", "time"):
                edge = self.take().text
                kind = self.take().text
                found[f"{edge}_{kind}"] = self.string() if kind == "time" else self.integer()
        else:
            raise fault(self.token, ["all", "from", "sequence", "until"], self.file)
        if self.accept("thread"):
            found["thread"] = self.integer()
        return found
