#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove a PowerShare data folder, or say what is wrong with it: one JSON object on stdout.

Exit status 0 when all invariants hold, 1 when one does not, 2 when the folder cannot be read. Everything a server
looks at when it starts, and besides: every record against its chain, the index and the tallies, every constant file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from typing import Any

import ps_folder
import ps_formats as formats
import ps_host
from ps_formats import COMPLETE, ENTRY, FIRST_ENTRY, HEADER, TALLY
from ps_store import read_log


class Checker:
    """Collects facts and problems of one folder."""

    def __init__(self, root: bytes):
        self.root = root
        self.found = ps_folder.examine(root)
        self.problems = self.found.problems
        self.hashes: dict[tuple[str, int], str] = {}
        self.records: dict[tuple[int, int], tuple[int, int, bytes]] = {}

    def read_logs(self) -> None:
        """Walk every log and hold chain, numbers and summary against each other."""
        state = self.found.state
        for slot, log in enumerate(state["logs"]):
            head, wanted, end = formats.genesis(state["role"], log["name"]), log["first"], HEADER.size
            with open(ps_folder.path_of(self.root, log["path"]), "rb") as handle:
                for number, digest, body in read_log(handle.fileno()):
                    if number != wanted or digest != formats.chain_hash(head, number, body):
                        self.problems.append(f"'{log['path']}': the chain breaks at record {number}")
                        break
                    self.records[slot, number] = (len(body), end, digest)
                    self.hashes[log["name"], number] = digest.hex()
                    head, wanted, end = digest, number + state["step"], end + formats.RECORD.size + len(body)
                size = os.fstat(handle.fileno()).st_size
            if size != end:
                self.problems.append(f"'{log['path']}': {size - end} bytes at its end are no record")
            if self.found.summaries[slot][2:] != (end, head):
                self.problems.append(f"'{log['path']}' has other newest records than the index says")
        if state["step"] > 1:
            numbers = sorted(number for _, number in self.records)
            if numbers != list(range(1, len(numbers) + 1)):
                self.problems.append("messages are missing between others")

    def check_index(self) -> None:
        """Every record has its complete index entry, every entry its record."""
        state = self.found.state
        total = sum(summary[0] for summary in self.found.summaries)
        with open(ps_folder.path_of(self.root, state["index"]), "rb") as handle:
            content = handle.read()[FIRST_ENTRY:]
        entries, torn = {}, 0
        for place in range(min(max(total, len(self.records)), len(content) // ENTRY.size)):
            number, slot, length, offset, digest, complete = ENTRY.unpack_from(content, place * ENTRY.size)
            entries[slot, number] = (length, offset, digest)
            torn += complete != COMPLETE
        wrong = sorted(key for key in {*entries, *self.records} if entries.get(key) != self.records.get(key))
        if torn or wrong or total != len(self.records):
            first = f", the first is number {wrong[0][1]}" if wrong else ""
            self.problems.append(
                f"index: {torn} torn entries, {len(wrong)} that do not fit a record{first};"
                f" it counts {total} records, the logs have {len(self.records)}"
            )

    def check_tallies(self) -> None:
        """Every tally is what its records make it."""
        paths = self.found.state["tallies"]
        wanted = [(0, 0, bytes(32))] * len(paths)
        for length, _, digest in self.records.values():
            place = digest[0] % len(paths)
            count, size, mixed = wanted[place]
            wanted[place] = (count + 1, size + length, formats.exclusive_or(mixed, digest))
        for path, values in zip(paths, wanted):
            with open(ps_folder.path_of(self.root, path), "rb") as handle:
                found = TALLY.unpack(handle.read()[HEADER.size :])
            if found != values:
                self.problems.append(f"'{path}' counts {found[0]} records, the logs have {values[0]}")

    def check_constant_files(self) -> None:
        """Files that never change have the bytes they were made with."""
        for entry in self.found.state["cold"]:
            with open(ps_folder.path_of(self.root, entry["path"]), "rb") as handle:
                if hashlib.sha256(handle.read()).hexdigest() != entry["sha256"]:
                    self.problems.append(f"'{entry['path']}' has other content than it was made with")

    def known(self, mark: str) -> None:
        """Demand a transaction, ID=HASH."""
        identity, _, digest = mark.rpartition("=")
        folder, _, number = identity.rpartition("/")
        logs = self.found.state["logs"]
        log = folder or logs[(int(number) - 1) % len(logs)]["name"]
        there = self.hashes.get((log, int(number)))
        if there != digest:
            self.problems.append(f"{identity} {'is not there' if there is None else f'has hash {there}, not {digest}'}")

    def confirmed(self, path: str) -> None:
        """Demand everything that the server confirmed, by its own record."""
        with open(path, encoding="utf-8") as handle:
            lines = [line.split(" ") for line in handle.read().splitlines()]
        newest = {" ".join(words[2:-1]).rpartition("/")[0]: words for words in lines if words[1] == "confirm"}
        for words in newest.values():
            self.known(f"{' '.join(words[2:-1])}={words[-1]}")

    def facts(self) -> dict[str, Any]:
        """Return what is known of a readable folder."""
        summaries = zip(self.found.state["logs"], self.found.summaries)
        heads = {log["name"]: {"id": s[1], "hash": s[3].hex()} for log, s in summaries if s[1]}
        if self.found.state["role"] == "mail":
            last: Any = max(heads.values(), key=lambda one: one["id"], default=None)
        else:
            last = {name: {"id": f"{name}/{one['id']}", "hash": one["hash"]} for name, one in heads.items()}
        count = sum(1 for _ in ps_folder.listing(self.root))
        facts = {"last": last, "transactions": len(self.records), "quit_number": self.found.quit_number, "files": count}
        return {**facts, "set": self.found.state["set"], "content_sha256": self.content()}

    def content(self) -> str:
        """SHA-256 over names and bytes of every file: equal before and after for data at rest."""
        digest = hashlib.sha256()
        for raw in sorted(ps_folder.listing(self.root)):
            with open(self.root + b"/" + raw, "rb") as handle:
                digest.update(hashlib.sha256(handle.read()).digest() + raw + b"\0")
        return digest.hexdigest()


def check(root: bytes, marks: list[str], confirmed: str) -> tuple[int, dict[str, Any]]:
    """Run all checks; returns exit status and the JSON object."""
    facts: dict[str, Any] = {}
    try:
        checker = Checker(root)
        if not checker.found.summaries:
            return 2, {"ok": False, "problems": checker.problems}
        checker.read_logs()
        checker.check_index()
        checker.check_tallies()
        checker.check_constant_files()
        for mark in marks:
            checker.known(mark)
        if confirmed:
            checker.confirmed(confirmed)
        facts = checker.facts()
    except (OSError, formats.struct.error) as error:
        checker.problems.append(f"a file cannot be read: {error}")
    problems = checker.problems
    return (1 if problems else 0), {"ok": not problems, "problems": problems, **facts}


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("role", choices=("mail", "catalog"))
    parser.add_argument("--data", metavar="FOLDER", help="default: the data folder of this host")
    parser.add_argument("--at", action="append", default=[], metavar="ID=HASH", help="demand this transaction")
    parser.add_argument("--confirmed", default="", metavar="LOG", help="demand what this record of a server confirmed")
    options = parser.parse_args()
    root = options.data or ps_host.installed(options.role).data
    status, answer = check(os.fsencode(root), options.at, options.confirmed)
    print(json.dumps(answer, ensure_ascii=False))
    return status


if __name__ == "__main__":
    sys.exit(main())
