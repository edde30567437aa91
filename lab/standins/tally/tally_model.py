# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the tally: what one of its folders holds, how a transaction changes it, and what must be true of it.

Every folder holds the same transactions: ``journal/NNNN.log`` (one line each, chained by SHA-256, written ordinarily),
``accounts`` (number of the last transaction and 256 balances, written through mmap only), ``mark`` (number and hash, replaced
by rename), ``archive/`` (seeded files named by their SHA-256), ``clean`` (only while the application is properly stopped).
"""

import hashlib
import mmap
import os
import struct
from pathlib import Path

ACCOUNTS = 256
BALANCE = 1000
_LINES = 500  # in one file of the journal
_NUMBERS = struct.Struct(f"<{1 + ACCOUNTS}q")
START = hashlib.sha256(b"tally").hexdigest()


class Damaged(Exception):
    """The folders do not hold what they must; the message says what."""


def line_of(number, former, chosen=b""):
    """Return the journal line of transaction ``number`` after the hash ``former``; by chance, so that no histories agree."""
    chosen = chosen or os.urandom(3)
    text = f"{number} {chosen[0]} {chosen[1]} {chosen[2]} "
    return f"{text}{hashlib.sha256((former + text).encode()).hexdigest()}\n"


def read_journal(folder):
    """Return ``(lines, last hash, balances)``. Raise Damaged where the chain breaks."""
    former, count, balances = START, 0, [BALANCE] * ACCOUNTS
    lines = []
    for path in sorted((folder / "journal").glob("*.log")):
        for line in path.read_text(encoding="ascii").splitlines(keepends=True):
            count += 1
            _number, source, target, amount, digest = line.split()
            if line != line_of(count, former, bytes([int(source), int(target), int(amount)])):
                raise Damaged(f"{path} breaks the chain at transaction {count}")
            former = digest
            balances[int(source)] -= int(amount)
            balances[int(target)] += int(amount)
            lines.append(line)
    return lines, former, balances


def check(folders, stopped):
    """Return facts of all folders together. Raise Damaged unless they are one state, and with ``stopped`` a clean copy."""
    seen = set()
    content = hashlib.sha256()
    for folder in folders:
        if stopped and not (folder / "clean").exists():
            raise Damaged(f"{folder} was not saved while the application was stopped")
        try:
            lines, digest, balances = read_journal(folder)
            numbers = _NUMBERS.unpack((folder / "accounts").read_bytes())
            mark = (folder / "mark").read_text(encoding="ascii")
        except (OSError, ValueError, struct.error) as error:
            raise Damaged(f"{folder} cannot be read: {error}") from error
        if (numbers[0], list(numbers[1:])) != (len(lines), balances):
            raise Damaged(f"{folder}: the balances are those of transaction {numbers[0]}, the journal ends with {len(lines)}")
        if mark != f"{len(lines)} {digest}\n":
            raise Damaged(f"{folder}: the mark says {mark.split(' ')[0]}, the journal ends with {len(lines)}")
        seen.add((len(lines), digest))
        content.update(f"{digest} {_archive(folder)}\n".encode())
    if len(seen) != 1:
        raise Damaged(f"the folders end with different transactions: {sorted(number for number, _digest in seen)}")
    ((number, digest),) = seen
    return {"number": number, "digest": digest, "content_sha256": content.hexdigest()}


def _archive(folder):
    files = sorted((folder / "archive").iterdir())
    for path in files:
        if hashlib.sha256(path.read_bytes()).hexdigest() != path.name:
            raise Damaged(f"{path} is damaged")
    return hashlib.sha256(" ".join(path.name for path in files).encode()).hexdigest()


class Store:
    """One folder at work."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "journal").mkdir(exist_ok=True)
        (folder / "archive").mkdir(exist_ok=True)
        self._drop_cut_line()
        lines, self.digest, self._balances = read_journal(folder)
        self.number = len(lines)
        self._open_accounts()

    def _drop_cut_line(self):
        """Remove what a kill left of a line."""
        for path in sorted((self.folder / "journal").glob("*.log"))[-1:]:
            whole = path.read_bytes()
            path.write_bytes(whole[: whole.rfind(b"\n") + 1])

    def _open_accounts(self):
        descriptor = os.open(self.folder / "accounts", os.O_RDWR | os.O_CREAT, 0o640)
        os.ftruncate(descriptor, _NUMBERS.size)
        self._mapped = mmap.mmap(descriptor, _NUMBERS.size)
        os.close(descriptor)
        _NUMBERS.pack_into(self._mapped, 0, self.number, *self._balances)

    def apply(self, line):
        """Do one transaction: journal, then balances through mmap, then the mark."""
        number, source, target, amount, digest = line.split()
        with (self.folder / "journal" / f"{(int(number) - 1) // _LINES:06}.log").open("a", encoding="ascii") as journal:
            journal.write(line)
        self.number, self.digest = int(number), digest
        for account, change in ((int(source), -int(amount)), (int(target), int(amount))):
            self._balances[account] += change
            struct.pack_into("<q", self._mapped, 8 * (1 + account), self._balances[account])
        struct.pack_into("<q", self._mapped, 0, self.number)
        self.write_mark()

    def write_mark(self):
        """Replace the mark."""
        fresh = self.folder / "mark.new"
        fresh.write_text(f"{self.number} {self.digest}\n", encoding="ascii")
        fresh.rename(self.folder / "mark")

    def close(self):
        """Leave the folder as a properly stopped application does."""
        self._mapped.close()
        (self.folder / "clean").touch()


def opened(folders):
    """Return the stores of all folders, brought to one state after a kill. Raise Damaged for a clean copy that is not whole."""
    clean = [(folder / "clean").exists() for folder in folders]
    if all(clean):
        check(folders, True)
    elif any(clean) or len({(folder / "mark").exists() for folder in folders}) != 1:
        raise Damaged("the folders are not of one moment")
    stores = [Store(folder) for folder in folders]
    farthest = max(stores, key=lambda store: store.number)
    for store in stores:
        for line in read_journal(farthest.folder)[0][store.number :]:
            store.apply(line)
        store.write_mark()
    for folder in folders:
        (folder / "clean").unlink(missing_ok=True)
    return stores


def folders_of(words):
    """Return the folders that a command line names."""
    return [Path(word) for word in words]
