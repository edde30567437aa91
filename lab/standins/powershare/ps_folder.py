# SPDX-License-Identifier: GPL-3.0-or-later
"""A data folder as a whole: lay out a new one, and look at one as a server does when it starts."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import ps_formats as formats
from ps_formats import CLOSED, FIRST_ENTRY, FIRST_SUMMARY, HEADER, HEADER_MAGIC, SUMMARY, TALLY, Fork, Marker

STATE = ".Server State"  # invisible: what belongs to the folder
GROWTH = 16384 * formats.ENTRY.size  # the index grows by this many bytes, so that most writes to it change no size
_COLD_FILE = 4 << 20
_TALLIES = {
    "mail": [f"Mailboxes:{name}" for name in ("Anna", "René Dupont", "Bücher & Co", "Orders 24/7", "Ωmega Group", "Sales")],
    "catalog": [f"Lookups:{name}" for name in ("Floor 1", "Floor 2", "Café", "Night 22/6")],
}
_KINDS = {"mail": (b"PSmq", b"PSml"), "catalog": (b"PScq", b"PSct")}  # placeholders, the real ones are unknown


def new_state(role: str, folders: list[str], cold_mib: int) -> dict[str, Any]:
    """Return what a new folder is to consist of; ``folders`` are the catalog's, a mail server has four queues."""
    if role == "mail":
        logs = [{"name": f"Queue {n}", "path": f"Queue {n}", "first": n} for n in range(1, 5)]
    else:
        logs = [{"name": name, "path": f"Folders:{name}", "first": 1} for name in folders]
    set_id = secrets.token_bytes(16)
    sizes = [_COLD_FILE] * (cold_mib // 4) + [(cold_mib % 4) << 20] * (cold_mib % 4 > 0) + [700, 0]
    names = [f"Archive:Year {1992 + n % 4}:Batch {n}" for n in range(len(sizes) - 2)]
    names += ["Archive:Lettre à Zoë 1/2", "Archive:  two  spaces "]
    cold = [{"path": path, "bytes": size, "number": n} for n, (path, size) in enumerate(zip(names, sizes))]
    for entry in cold:
        content = formats.cold_content(set_id, entry["number"], entry["bytes"])
        entry["sha256"] = hashlib.sha256(content).hexdigest()
    return {
        "role": role,
        "set": set_id.hex(),
        "step": len(logs) if role == "mail" else 1,
        "index": f"{role.capitalize()} Index",
        "logs": logs,
        "tallies": _TALLIES[role],
        "cold": cold,
        "empty": ["Empty Tray", "Archive:Year 1996 ƒ"],
    }


def path_of(root: bytes, path: str) -> bytes:
    """Return where a Macintosh path of the data folder lies."""
    return root + b"/" + formats.encode_path(path)


def fork_of(state: dict[str, Any], path: str, quit_number: int) -> bytes:
    """Return the content of the ``._`` file of a path."""
    kind, creator = _KINDS[state["role"]]
    flags = formats.INVISIBLE if path == STATE else 0
    marker = Marker(bytes.fromhex(state["set"]), quit_number)
    return formats.apple_double(Fork(kind, creator, flags, formats.resource_fork(marker)))


def changing(state: dict[str, Any]) -> list[str]:
    """Return the paths of all files that change."""
    return [state["index"], *(log["path"] for log in state["logs"]), *state["tallies"]]


def constant(state: dict[str, Any]) -> list[str]:
    """Return the paths of all files that never change."""
    return [STATE, *(entry["path"] for entry in state["cold"])]


def create(root: bytes, state: dict[str, Any]) -> None:
    """Fill the empty folder ``root``."""
    for path in state["empty"]:
        os.makedirs(path_of(root, path), exist_ok=True)
    set_id, role = bytes.fromhex(state["set"]), state["role"].encode()[:4]
    head = HEADER.pack(HEADER_MAGIC, role, set_id, 1, CLOSED)
    contents = {log["path"]: head for log in state["logs"]}
    contents.update({path: head + TALLY.pack(0, 0, bytes(32)) for path in state["tallies"]})
    summaries = b"".join(SUMMARY.pack(0, 0, HEADER.size, formats.genesis(state["role"], log["name"])) for log in state["logs"])
    index = head.ljust(FIRST_SUMMARY, b"\0") + summaries
    contents[state["index"]] = index.ljust(FIRST_ENTRY + GROWTH, b"\0")
    for path, content in contents.items():
        _write(root, path, content, fork_of(state, path, 1))
    for entry in state["cold"]:
        content = formats.cold_content(set_id, entry["number"], entry["bytes"])
        _write(root, entry["path"], content, fork_of(state, entry["path"], 0))
    _write(root, STATE, json.dumps(state).encode(), fork_of(state, STATE, 0))


def _write(root: bytes, path: str, content: bytes, fork: bytes) -> None:
    place = path_of(root, path)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    for name, data in ((place, content), (formats.fork_path(place), fork)):
        with open(name, "wb") as handle:
            handle.write(data)


@dataclass
class Examined:
    """What a look at a data folder found; without a problem the other fields are whole."""

    problems: list[str] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)
    quit_number: int = 0
    session: bytes = CLOSED
    summaries: list[tuple[int, int, int, bytes]] = field(default_factory=list)


def examine(root: bytes) -> Examined:
    """Look at a folder as a server does when it starts: everything there, forks, one set, sizes. Reads no bulk."""
    found = Examined()
    try:
        with open(path_of(root, STATE), "rb") as handle:
            found.state = json.loads(handle.read())
        with open(path_of(root, found.state["index"]), "rb") as handle:
            index = handle.read(FIRST_ENTRY)
        found.quit_number, found.session = HEADER.unpack_from(index)[3:5]
        found.summaries = [
            SUMMARY.unpack_from(index, FIRST_SUMMARY + n * SUMMARY.size) for n in range(len(found.state["logs"]))
        ]
    except (OSError, ValueError, KeyError) as error:
        found.problems.append(f"server state or index cannot be read: {_said(error)}")
        return found
    if found.session != CLOSED:
        found.problems.append(f"'{found.state['index']}' is open: it was copied while the server ran, or the server crashed")
    found.problems += _wrong_files(root, found)
    found.problems += _wrong_sizes(root, found)
    return found


def _wrong_files(root: bytes, found: Examined) -> Iterator[str]:
    """Yield what is missing, too many, without its resource fork, or of another set."""
    present = set(listing(root))
    for path in [*changing(found.state), *constant(found.state)]:
        raw = formats.encode_path(path)
        number = found.quit_number if path in changing(found.state) else 0
        if raw not in present:
            yield f"'{path}' is missing"
        elif formats.fork_path(raw) not in present:
            yield f"'{path}' has lost its resource fork"
        else:
            yield from _wrong_markers(root, path, Marker(bytes.fromhex(found.state["set"]), number))
        present -= {raw, formats.fork_path(raw)}
    for path in found.state["empty"]:
        if not os.path.isdir(path_of(root, path)):
            yield f"folder '{path}' is missing"
    for raw in sorted(present):
        yield f"'{formats.decode_path(raw)}' does not belong to this set"


def _wrong_markers(root: bytes, path: str, wanted: Marker) -> Iterator[str]:
    place = path_of(root, path)
    try:
        with open(formats.fork_path(place), "rb") as handle:
            markers = [formats.marker_of(formats.parse_apple_double(handle.read()).resources)]
        if wanted.quit_number:
            with open(place, "rb") as handle:
                markers.append(Marker(*HEADER.unpack(handle.read(HEADER.size))[2:4]))
    except ValueError as error:
        yield f"'{path}': {error}"
    except Exception as error:  # struct.error of a short file, or one that cannot be read
        yield f"'{path}' cannot be read: {_said(error)}"
    else:
        for marker in markers:
            if marker != wanted:
                yield f"'{path}' is of another set (quit {marker.quit_number}, the index says {wanted.quit_number})"
                return


def _wrong_sizes(root: bytes, found: Examined) -> Iterator[str]:
    """Yield logs that do not end where the index says, tallies that do not add up, cold files of another size."""
    wanted = {log["path"]: summary[2] for log, summary in zip(found.state["logs"], found.summaries)}
    wanted.update({entry["path"]: entry["bytes"] for entry in found.state["cold"]})
    wanted.update({path: HEADER.size + TALLY.size for path in found.state["tallies"]})
    counted = 0
    for path, size in wanted.items():
        place = path_of(root, path)
        if not os.path.isfile(place):
            continue  # told already
        if os.path.getsize(place) != size:
            yield f"'{path}' has {os.path.getsize(place)} bytes, the index says {size}"
        elif path in found.state["tallies"]:
            with open(place, "rb") as handle:
                counted += TALLY.unpack(handle.read()[HEADER.size :])[0]
    total = sum(summary[0] for summary in found.summaries)
    if counted != total:
        yield f"the tallies count {counted} records, the index {total}"


def listing(root: bytes) -> Iterator[bytes]:
    """Yield the relative paths of everything in a folder but folders."""
    for folder, _, names in os.walk(root):
        for name in names:
            yield os.path.relpath(os.path.join(folder, name), root)


def _said(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
