# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a time zone file with one fixed offset: local_time.py +0330 FILE. Hosts of the lab have no zone database."""

import struct
import sys
from pathlib import Path


def zone_file(offset: str) -> bytes:
    """A TZif file of version 2 without transitions (RFC 9636); offset is +HHMM or -HHMM."""
    seconds = int(offset[1:3]) * 3600 + int(offset[3:5]) * 60
    name = offset.encode() + b"\0"
    header = struct.pack(">4sc15x6l", b"TZif", b"2", 0, 0, 0, 0, 1, len(name))
    block = struct.pack(">lBB", -seconds if offset[0] == "-" else seconds, 0, 0) + name
    posix = ("+" if offset[0] == "-" else "-") + f"{offset[1:3]}:{offset[3:5]}"
    return header + block + header + block + f"\n<{offset}>{posix}\n".encode()


if __name__ == "__main__":
    target = Path(sys.argv[2])
    fresh = target.with_name(target.name + ".new")
    fresh.write_bytes(zone_file(sys.argv[1]))
    fresh.replace(target)
