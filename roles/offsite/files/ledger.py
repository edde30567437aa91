#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Record once when each snapshot arrived at this offsite server.

usage: ledger.py REPOSITORIES LEDGER

File times die when data is migrated, and a client can write any time it likes into a snapshot. So the server keeps its own
record: LEDGER/<user>.jsonl, one line per snapshot, only ever appended to:

    {"snapshot": "<64 hexadecimal digits>", "not_before": <seconds or null>, "not_after": <seconds>, "size": <bytes>}

The snapshot arrived between the two moments (seconds since 1970, UTC). ``not_before`` is null for what was there already when
the first look was taken, for example in repositories that were brought here from another server.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

SNAPSHOT = re.compile(r"[0-9a-f]{64}")
# A directory changed this recently may change again without a new modification time.
SETTLED_NANOSECONDS = 2 * 10**9


def known_snapshots(ledger: Path) -> set[str]:
    """Return the snapshots recorded in ``ledger``. Cut off a last line that a crash left unfinished.

    Raise ValueError when a finished line cannot be read: then somebody has touched the ledger.
    """
    try:
        content = ledger.read_bytes()
    except FileNotFoundError:
        return set()
    whole, _newline, torn = content.rpartition(b"\n")
    if torn:
        with ledger.open("r+b") as file:
            file.truncate(len(content) - len(torn))
            os.fsync(file.fileno())
    return {json.loads(line)["snapshot"] for line in whole.splitlines()}


def new_snapshots(directory: Path, known: set[str]) -> list[tuple[str, int]]:
    """Return name and size in bytes of every snapshot file in ``directory`` that is not ``known``, in a fixed order."""
    with os.scandir(str(directory)) as entries:
        return sorted(
            (entry.name, entry.stat(follow_symlinks=False).st_size)
            for entry in entries
            if SNAPSHOT.fullmatch(entry.name) and entry.name not in known and entry.is_file(follow_symlinks=False)
        )


def entry_lines(found: list[tuple[str, int]], not_before: float | None, not_after: float) -> list[dict[str, Any]]:
    """Return the ledger entries of snapshots that were ``found`` to arrive between the two moments."""
    if not_before is not None and not_before > not_after:  # the clock was set back: the arrival lies between the two
        not_before, not_after = not_after, not_before
    return [{"snapshot": name, "not_before": not_before, "not_after": not_after, "size": size} for name, size in found]


def append(ledger: Path, entries: list[dict[str, Any]]) -> None:
    """Append ``entries`` to ``ledger`` so that they survive a power cut."""
    new = not ledger.exists()
    descriptor = os.open(str(ledger), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "ab") as file:
        file.write("".join(json.dumps(entry) + "\n" for entry in entries).encode("ascii"))
        file.flush()
        os.fsync(file.fileno())
    if new:
        sync_directory(ledger.parent)


def look(repository: Path, ledger: Path, seen: dict[str, Any], listed: float | None, clock: Any = time.time) -> dict[str, Any]:
    """Record what is new in ``repository`` and return what to remember of it: ``{read, modified}``.

    ``seen`` is what was remembered last time, empty at first; ``listed`` is when all repositories were last listed, and this
    one, when it is new, was not among them.
    """
    snapshots = repository / "snapshots"
    now = clock()
    try:
        modified = snapshots.stat().st_mtime_ns
    except FileNotFoundError:  # the client has made the folder and not yet the repository
        return {"read": now, "modified": None}
    settled = abs(now * 1e9 - modified) > SETTLED_NANOSECONDS
    if seen.get("modified") != modified:
        found = new_snapshots(snapshots, known_snapshots(ledger))
        if found:  # the clock again: one of them may have arrived while the folder was read
            append(ledger, entry_lines(found, seen.get("read", listed), clock()))
    return {"read": now, "modified": modified if settled else None}


def look_everywhere(repositories: Path, ledgers: Path, clock: Any = time.time) -> list[str]:
    """Look into every repository once and return one sentence for each that could not be read."""
    state = read_state(ledgers / "state.json")
    now = clock()
    users, problems = {}, []
    for name in sorted(entry.name for entry in os.scandir(str(repositories)) if entry.is_dir(follow_symlinks=False)):
        seen = state["users"].get(name, {})
        try:
            users[name] = look(repositories / name, ledgers / (name + ".jsonl"), seen, state["listed"], clock)
        except (OSError, ValueError, KeyError) as error:
            problems.append(f"{name}: {error}")
            users[name] = dict(seen, modified=None) if "read" in seen else {"read": state["listed"], "modified": None}
    write_state(ledgers / "state.json", {"listed": now, "users": users})
    return problems


def read_state(path: Path) -> dict[str, Any]:
    """Return what the last look remembered. A state that cannot be read is as good as none: arrivals get wider bounds."""
    try:
        state: dict[str, Any] = json.loads(path.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return {"listed": None, "users": {}}
    return state


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Replace the state in one durable move."""
    temporary = path.with_name(path.name + ".new")
    with temporary.open("w", encoding="ascii") as file:
        json.dump(state, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make new names in ``path`` survive a power cut."""
    descriptor = os.open(str(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def main(arguments: list[str]) -> int:
    """Look once; exit status 1 when a repository could not be read, 2 for wrong use."""
    if len(arguments) != 2:
        print("usage: ledger.py REPOSITORIES LEDGER", file=sys.stderr)
        return 2
    repositories, ledgers = (Path(argument) for argument in arguments)
    with (ledgers / "lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        problems = look_everywhere(repositories, ledgers)
    for problem in problems:
        print(f"ledger: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
