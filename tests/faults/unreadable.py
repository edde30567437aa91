# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a host: no process may open the file of the first argument, not even root's (fanotify), while that of the second
is there.

Fed to the host's Python; standard library only. Says "denying" once it does.
"""

import ctypes
import os
import select
import struct
import sys
from pathlib import Path

CLASS_CONTENT, CLOSE_ON_EXEC = 0x4, 0x1
MARK_ADD, OPEN_PERMISSION, DENY = 0x1, 0x10000, 0x2
EVENT = struct.Struct("=IBBHQii")


def main():
    library = ctypes.CDLL(None, use_errno=True)
    queue = library.fanotify_init(CLASS_CONTENT | CLOSE_ON_EXEC, os.O_RDONLY)
    path = os.fsencode(sys.argv[1])
    marked = library.fanotify_mark(queue, MARK_ADD, ctypes.c_uint64(OPEN_PERMISSION), -100, ctypes.c_char_p(path))
    if queue < 0 or marked != 0:
        sys.exit(f"fanotify: {os.strerror(ctypes.get_errno())}")
    print("denying", flush=True)
    while Path(sys.argv[2]).exists():
        ready, _, _ = select.select([queue], [], [], 0.2)
        events = os.read(queue, 8192) if ready else b""
        while events:
            length, _version, _reserved, _meta, _mask, descriptor, _pid = EVENT.unpack_from(events)
            os.write(queue, struct.pack("=iI", descriptor, DENY))
            os.close(descriptor)
            events = events[length:]


main()
