# SPDX-License-Identifier: GPL-3.0-or-later
"""The log's own process. When the server dies it says so in every file that was open.

From then on the files are as they are after a crash, which restart recovery brings in order with the log that belongs to
them; before that, what is copied is the file of a running server, which nothing brings in order.
"""

import contextlib
import json
import sys
from pathlib import Path

OPEN_STATES, CRASHED = (b"O", b"B"), b"K"


def main(session_file: str) -> int:
    """Wait for the end of the server; 0."""
    Path("/proc/self/comm").write_text("logasio")
    if sys.stdin.readline().strip() == "done":
        return 0
    inodes = json.loads(Path(session_file).read_text(encoding="utf-8"))["inodes"]
    for name, inode in inodes.items():
        with contextlib.suppress(OSError):
            _mark(Path(name), inode)
    return 0


def _mark(path: Path, inode: int) -> None:
    if path.stat().st_ino != inode:
        return
    with path.open("r+b") as handle:
        handle.seek(4)
        if handle.read(1) in OPEN_STATES:
            handle.seek(4)
            handle.write(CRASHED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
