# SPDX-License-Identifier: GPL-3.0-or-later
"""RMAN's command language as ../../README.md gives it; commands become plain data."""

from __future__ import annotations

import dataclasses
from typing import Any

from oraclelab.rman.reader import Reader
from oraclelab.rman.tokens import SyntaxFault, fault

__all__ = ["Command", "Parser", "SyntaxFault", "parse"]
SQL_WORDS = ("alter", "create", "select", "administer")
SHUTDOWNS = ("normal", "immediate", "transactional", "abort")


@dataclasses.dataclass(frozen=True)
class Command:
    """One command: its verb (how an error names it), its arguments, and those inside for RUN."""

    verb: str
    arguments: dict[str, Any]
    text: str = ""


class Parser(Reader):
    """A recursive descent parser over the tokens of one file."""

    # Commands

    def all(self) -> list[Command]:
        """Every command of the source."""
        found = []
        while self.token.kind != "end":
            found.append(self.command())
        return found

    def command(self) -> Command:
        """One command with its end: ; or the closing brace of RUN."""
        begin = self.token
        handler = getattr(self, f"_do_{begin.text}", None) if begin.kind == "word" else None
        if begin.text in SQL_WORDS and begin.kind == "word":
            return self._sql_text()
        if begin.text == "@":
            raise fault(begin, ["command"], self.file)
        if handler is None:
            raise fault(begin, self._verbs(), self.file)
        self.take()
        verb, arguments = handler()
        if verb != "run":
            self.expect(";")
        return Command(verb, arguments, self.source[begin.start : self.tokens[self.at - 1].end])

    def _verbs(self) -> list[str]:
        return sorted([name[4:] for name in dir(self) if name.startswith("_do_")] + list(SQL_WORDS))

    def _sql_text(self) -> Command:
        begin = self.take()
        while self.token.text != ";" or self.token.kind != "symbol":
            if self.token.kind == "end":
                raise fault(self.token, [";"], self.file)
            self.take()
        text = self.source[begin.start : self.take().start]
        return Command("sql statement", {"statement": text.strip()}, text)

    def _do_run(self) -> tuple[str, dict[str, Any]]:
        if self.in_run:
            raise fault(self.tokens[self.at - 1], [verb for verb in self._verbs() if verb != "run"], self.file)
        self.expect("{")
        self.in_run = True
        inside = []
        while not self.accept("}"):
            inside.append(self.command())
        self.in_run = False
        self.accept(";")
        return "run", {"commands": inside}

    def _do_exit(self) -> tuple[str, dict[str, Any]]:
        return "exit", {}

    _do_quit = _do_exit

    def _do_connect(self) -> tuple[str, dict[str, Any]]:
        self.one_of("target", "auxiliary")
        if self.accept("/"):
            return "connect", {"as": "/"}
        return "connect", {"as": self.name()}

    def _do_set(self) -> tuple[str, dict[str, Any]]:
        words = ["dbid", "echo", "decryption", "controlfile", "run"]
        if self.in_run:
            words += ["until", "newname"]
        word = self.one_of(*words)
        if word == "dbid":
            return "set", {"what": "dbid", "value": self.integer()}
        if word == "echo":
            return "set", {"what": "echo", "value": self.one_of("on", "off")}
        if word == "decryption":
            self.expect("wallet", "open", "identified", "by")
            return "set", {"what": "decryption", "value": self.string()}
        if word == "until":
            return "set", {"what": "until", "value": self.until()}
        if word == "newname":
            return "set", {"what": "newname", **self._newname()}
        if word == "run":
            self.expect("controlfile")
        self.expect("autobackup", "format", "for", "device", "type", "disk", "to")
        return "set", {"what": "autobackup format", "value": self.string()}

    def _do_allocate(self) -> tuple[str, dict[str, Any]]:
        if not self.in_run:
            raise fault(self.tokens[self.at - 1], ["run"], self.file)
        self.expect("channel")
        found: dict[str, Any] = {"id": self.name(), "format": ""}
        self.one_of("device", "type")
        self.accept("type")
        if not self.accept("disk"):
            self.string()
        while self.token.text != ";":
            word = self.one_of("format", "rate", "maxpiecesize")
            found[word] = self.string() if word == "format" else self.bytes_()
        return "allocate", found

    def _do_release(self) -> tuple[str, dict[str, Any]]:
        self.expect("channel")
        return "release", {"id": self.name()}

    def _do_backup(self) -> tuple[str, dict[str, Any]]:
        found: dict[str, Any] = {"object": "", "as": "backupset", "level": None}
        while self.token.text != ";":
            if self._backup_option(found):
                continue
            if found["object"]:
                raise fault(self.token, [";", "format", "tag", "filesperset", "plus", "delete", "section", "not"], self.file)
            found.update(self._objects("database", "datafile", "tablespace", "archivelog", "spfile", "current"))
        if not found["object"]:
            raise fault(self.token, ["archivelog", "current", "database", "datafile", "spfile", "tablespace"], self.file)
        return "backup", found

    def _backup_option(self, found: dict[str, Any]) -> bool:
        """One option of BACKUP; False when something else comes next."""
        flags = {
            ("validate",): "validate",
            ("check", "logical"): "logical",
            ("force",): "force",
            ("plus", "archivelog"): "plus",
            ("cumulative",): "cumulative",
        }
        for words, name in flags.items():
            if self.accept(*words):
                found[name] = True
                return True
        if self.accept("as"):
            compressed = self.accept("compressed")
            found["as"] = "compressed" if compressed else self.one_of("backupset", "copy")
            if compressed:
                self.expect("backupset")
        elif self.accept("incremental"):
            self.expect("level")
            found["level"] = self.integer()
        elif self.accept("not"):
            self.expect("backed", "up")
            found["times"] = self.integer()
            self.expect("times")
        elif self.accept("section"):
            self.expect("size")
            found["section"] = self.bytes_()
        elif self.accept("delete"):
            self.accept("all")
            self.expect("input")
            found["delete"] = True
        else:
            return self._plain_option(found)
        return True

    def _plain_option(self, found: dict[str, Any]) -> bool:
        for word, read in (("format", self.string), ("tag", self.name), ("filesperset", self.integer), ("channel", self.name)):
            if self.accept(word):
                found[word] = read()
                return True
        return False

    def _do_restore(self) -> tuple[str, dict[str, Any]]:
        found: dict[str, Any] = {"object": ""}
        while self.token.text != ";":
            if self._restore_option(found):
                continue
            if found["object"]:
                raise fault(self.token, [";", "from", "until", "validate", "preview", "to"], self.file)
            found.update(self._objects("database", "datafile", "archivelog", "controlfile", "spfile", "tablespace"))
        if not found["object"]:
            raise fault(self.token, ["archivelog", "controlfile", "database", "datafile", "spfile"], self.file)
        return "restore", found

    def _restore_option(self, found: dict[str, Any]) -> bool:
        """One option of RESTORE; False when something else comes next."""
        if self.accept("validate"):
            found["validate"] = "header" if self.accept("header") else "full"
        elif self.accept("preview"):
            self.accept("summary")
            found["preview"] = True
        elif self.accept("check", "logical"):
            found["logical"] = True
        elif self.accept("until"):
            found["until"] = self.until()
        elif self.accept("to"):
            found["to_pfile"] = self.accept("pfile")
            found["to"] = self.string()
        else:
            return self._restore_source(found)
        return True

    def _restore_source(self, found: dict[str, Any]) -> bool:
        """FROM and the range of a search for autobackups."""
        for word in ("maxdays", "maxseq"):
            if self.accept(word):
                found[word] = self.integer()
                return True
        if self.token.text != "from" or not found["object"]:
            return False
        self.take()
        if self.accept("autobackup"):
            found["autobackup"] = True
        elif self.accept("tag"):
            found["tag"] = self.name()
        else:
            found["piece"] = self.string()
        return True

    def _do_recover(self) -> tuple[str, dict[str, Any]]:
        self.expect("database")
        found: dict[str, Any] = {}
        if self.accept("until"):
            if self.accept("available"):
                self.expect("redo")
                found["available"] = True
            else:
                found["until"] = self.until()
        return "recover", found

    def _do_switch(self) -> tuple[str, dict[str, Any]]:
        kind = self.one_of("datafile", "tempfile")
        return "switch", {"kind": kind, "files": [] if self.accept("all") else self.several(self.integer)}

    def _do_validate(self) -> tuple[str, dict[str, Any]]:
        logical = self.accept("check", "logical")
        return "validate", {"logical": logical, **self._objects("database", "datafile", "backupset", "archivelog")}

    def _do_crosscheck(self) -> tuple[str, dict[str, Any]]:
        if self.accept("backup"):
            return "crosscheck", {"object": "backup", "tag": self.name() if self.accept("tag") else ""}
        if self.accept("copy"):
            return "crosscheck", {"object": "copy"}
        return "crosscheck", self._objects("archivelog", "backuppiece")

    def _do_list(self) -> tuple[str, dict[str, Any]]:
        word = self.one_of("backup", "incarnation", "archivelog")
        if word == "archivelog":
            return "list", {"object": word, "range": self.range()}
        found: dict[str, Any] = {"object": word, "tag": ""}
        while word == "backup" and self.token.text != ";":
            if self.accept("of"):
                found["of"] = self._objects("database", "archivelog", "controlfile", "spfile")["object"]
            elif self.accept("tag"):
                found["tag"] = self.name()
            else:
                self.expect("summary")
                found["summary"] = True
        return "list", found

    def _do_report(self) -> tuple[str, dict[str, Any]]:
        return "report", {"what": self.one_of("schema", "unrecoverable")}

    def _do_show(self) -> tuple[str, dict[str, Any]]:
        words = []
        while self.token.text != ";":
            words.append(self._kind("word"))
        if not words:
            raise fault(self.token, ["all", "archivelog", "backup", "controlfile", "encryption", "retention"], self.file)
        return "show", {"name": "" if words == ["all"] else " ".join(words).upper()}

    def _do_configure(self) -> tuple[str, dict[str, Any]]:
        if self.accept("controlfile"):
            self.expect("autobackup")
            if self.accept("format"):
                self.expect("for", "device", "type", "disk")
                name = "CONTROLFILE AUTOBACKUP FORMAT FOR DEVICE TYPE"
                return "configure", {"name": name, "value": None if self.accept("clear") else self._format_after_to()}
            return self._configured("CONTROLFILE AUTOBACKUP", "on", "off", "clear")
        if self.accept("backup"):
            self.expect("optimization")
            return self._configured("BACKUP OPTIMIZATION", "on", "off", "clear")
        if self.accept("encryption"):
            self.expect("for", "database")
            return self._configured("ENCRYPTION FOR DATABASE", "on", "off", "clear")
        name = "RETENTION POLICY" if self.one_of("retention", "archivelog") == "retention" else "ARCHIVELOG DELETION POLICY"
        if name.startswith("ARCHIVELOG"):
            self.expect("deletion")
        self.expect("policy")
        if self.accept("clear"):
            return "configure", {"name": name, "value": None}
        begin = self.token.start
        self.expect("to")
        while self.token.text != ";" and self.token.kind != "end":
            self.take()
        return "configure", {"name": name, "value": self.source[begin : self.tokens[self.at - 1].end].upper()}

    def _format_after_to(self) -> str:
        self.expect("to")
        return self.string()

    def _configured(self, name: str, *words: str) -> tuple[str, dict[str, Any]]:
        value = self.one_of(*words)
        return "configure", {"name": name, "value": None if value == "clear" else value.upper()}

    def _do_catalog(self) -> tuple[str, dict[str, Any]]:
        if self.accept("start"):
            self.expect("with")
            prefix = self.string()
            return "catalog", {"prefix": prefix, "noprompt": self.accept("noprompt")}
        self.one_of("backuppiece", "archivelog", "datafilecopy")
        return "catalog", {"names": self.several(self.string)}

    def _do_change(self) -> tuple[str, dict[str, Any]]:
        if self.accept("backup"):
            found: dict[str, Any] = {"object": "backup", "tag": self.name() if self.accept("tag") else ""}
        else:
            found = self._objects("backupset", "backuppiece", "archivelog")
        return "change", {**found, "to": self.one_of("uncatalog", "available", "unavailable")}

    def _do_delete(self) -> tuple[str, dict[str, Any]]:
        found: dict[str, Any] = {"noprompt": False, "force": False, "expired": False}
        while self.token.text in ("noprompt", "force", "expired"):
            found[self.take().text] = True
        if self.accept("backup"):
            return "delete", {**found, "object": "backup", "tag": self.name() if self.accept("tag") else ""}
        found.update(self._objects("archivelog", "backupset", "backuppiece"))
        while found["object"] == "archivelog" and self.token.text != ";":
            if self.accept("backed"):
                self.expect("up")
                found["times"] = self.integer()
                self.expect("times", "to")
                if self.accept("device"):
                    self.expect("type")
                self.expect("disk")
            else:
                self.expect("completed", "before")
                found["before"] = self.string()
        return "delete", found

    def _do_startup(self) -> tuple[str, dict[str, Any]]:
        found: dict[str, Any] = {"force": False, "to": "open", "pfile": ""}
        while self.token.text != ";":
            word = self.one_of("force", "nomount", "mount", "pfile")
            if word == "force":
                found["force"] = True
            elif word == "pfile":
                self.expect("=")
                found["pfile"] = self.string()
            else:
                found["to"] = word
        return "startup", found

    def _do_shutdown(self) -> tuple[str, dict[str, Any]]:
        mode = "normal" if self.token.text == ";" else self.one_of(*SHUTDOWNS)
        return "shutdown", {"mode": mode.upper()}

    def _do_reset(self) -> tuple[str, dict[str, Any]]:
        self.expect("database", "to", "incarnation")
        return "reset", {"incarnation": self.integer()}

    def _do_duplicate(self) -> tuple[str, dict[str, Any]]:
        self.accept("target")
        self.expect("database", "to")
        found: dict[str, Any] = {"name": self.name().upper()}
        while self.token.text != ";":
            if self.accept("until"):
                found["until"] = self.until()
            elif not self.accept("nofilenamecheck"):
                self.expect("backup", "location")
                found["location"] = self.string()
        return "duplicate", found

    def _do_sql(self) -> tuple[str, dict[str, Any]]:
        # Two single quotes inside double quotes stand for one.
        return "sql statement", {"statement": self.string().replace("''", "'")}


def parse(source: str, file: str) -> list[Command]:
    """Every command of a command file; SyntaxFault at the first that is wrong."""
    return Parser(source, file).all()
