# SPDX-License-Identifier: GPL-3.0-or-later
"""A database file: one header page, then pages of one note each. The format is ours.

Byte 4 is the state of the file. Whoever copies the file of a running server copies ``O`` (open) or ``B`` (in backup
mode), and pages of which only the first half is written: the second halves follow at the next checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from pathlib import Path
from typing import Any

from dominolab.errors import DominoError

PAGE = 2048
HALF = PAGE // 2
MAGIC = b"NSF1"
TALLY = 1  # the page that every change touches
CLOSED, OPEN, BACKUP_MODE, CRASHED, COPY, COPY_WITHOUT_DELTA = b"C", b"O", b"B", b"K", b"Y", b"D"
GENESIS = "0" * 64
SUFFIXES = (".nsf", ".ntf", ".box")
_GENERATION = struct.Struct(">I")


def pack_page(content: dict[str, Any], generation: int) -> bytes:
    """Return a page; ValueError when the note is too large for it."""
    body = json.dumps(content, ensure_ascii=False).encode()
    if len(body) > PAGE - 8:
        raise ValueError(f"a note of {len(body)} bytes does not fit a page")
    mark = _GENERATION.pack(generation)
    return mark + body.ljust(PAGE - 8) + mark


def unpack_page(page: bytes) -> tuple[int, dict[str, Any]]:
    """Return (generation, content); DominoError when both halves are not of one write."""
    if len(page) != PAGE or page[:4] != page[-4:]:
        raise DominoError("Page format is incorrect")
    try:
        return _GENERATION.unpack(page[:4])[0], json.loads(page[4:-4])
    except ValueError:
        raise DominoError("Page format is incorrect") from None


def note_hash(previous: str, note: dict[str, Any]) -> str:
    """Return the SHA-256 that ties a note to the one before it."""
    rest = {key: value for key, value in note.items() if key != "hash"}
    return hashlib.sha256(f"{previous}|{json.dumps(rest, sort_keys=True)}".encode()).hexdigest()


def read_header(path: Path) -> tuple[bytes, dict[str, Any]]:
    """Return (state, header) of a database file; DominoError when it is none."""
    with path.open("rb") as handle:
        page = handle.read(PAGE)
    try:
        if page[:4] != MAGIC:
            raise ValueError
        return page[4:5], json.loads(page[8:])
    except ValueError:
        raise DominoError(f"{path}: file is not a database") from None


def write_header(descriptor: int, state: bytes, header: dict[str, Any]) -> None:
    """Write the header page."""
    body = json.dumps(header, ensure_ascii=False).encode()
    if len(body) > PAGE - 8:
        raise ValueError("the header does not fit its page")
    os.pwrite(descriptor, MAGIC + state + b"\0\0\0" + body.ljust(PAGE - 8), 0)


def set_state(path: Path, state: bytes) -> None:
    """Change the state byte and nothing else."""
    with path.open("r+b") as handle:
        handle.seek(4)
        handle.write(state)


def read_page(descriptor: int, number: int) -> tuple[int, dict[str, Any]]:
    """Return (generation, content) of a page; DominoError when it is torn."""
    return unpack_page(os.pread(descriptor, PAGE, number * PAGE))


def write_page(descriptor: int, number: int, content: dict[str, Any], generation: int) -> None:
    """Write a page whole."""
    os.pwrite(descriptor, pack_page(content, generation), number * PAGE)


def read_notes(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Return (notes, problems) of a file whose pages are whole: the chain, the tally, the length are held together."""
    problems: list[str] = []
    notes: list[dict[str, Any]] = []
    with path.open("rb") as handle:
        try:
            tally = read_page(handle.fileno(), TALLY)[1]
            previous = GENESIS
            for number in range(1, tally["count"] + 1):
                note = read_page(handle.fileno(), TALLY + number)[1]
                if note["id"] != number or note["hash"] != note_hash(previous, note):
                    raise DominoError(f"Document {number} is damaged")
                previous = note["hash"]
                notes.append(note)
            if tally["last"] != previous:
                problems.append("Container integrity has been lost - rebuild: the tally and the last document differ")
        except (DominoError, KeyError) as error:
            problems.append(f"{error} (after document {len(notes)})")
        pages = os.fstat(handle.fileno()).st_size // PAGE
    if not problems and pages != TALLY + 1 + len(notes):
        problems.append(f"Container integrity has been lost - rebuild: {pages} pages, {len(notes)} documents")
    return notes, problems


def create(path: Path, header: dict[str, Any]) -> None:
    """Make an empty, closed database; FileExistsError when something is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as handle:
        write_header(handle.fileno(), CLOSED, header)
        write_page(handle.fileno(), TALLY, {"count": 0, "last": GENESIS}, 0)


def located(data: Path) -> dict[str, Path]:
    """Return logical path -> file of all databases: links of folders (.dir) and of databases (text) are followed."""
    found: dict[str, Path] = {}
    _locate(data, "", found)
    return found


def _locate(folder: Path, prefix: str, found: dict[str, Path]) -> None:
    for entry in sorted(folder.iterdir()):
        if entry.is_dir():
            _locate(entry, f"{prefix}{entry.name}/", found)
        elif entry.suffix.lower() == ".dir":
            target = Path(entry.read_text(encoding="utf-8").splitlines()[0])
            if target.is_dir():
                _locate(target, f"{prefix}{entry.stem}/", found)
        elif entry.suffix.lower() in SUFFIXES:
            found[prefix + entry.name] = _linked(entry)


def _linked(entry: Path) -> Path:
    with entry.open("rb") as handle:
        head = handle.read(4096)
    return Path(head.decode(errors="replace").splitlines()[0]) if head[:1] == b"/" else entry
