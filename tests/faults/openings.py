# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a host: whoever opens the file of the first argument, even root, is refused or held (fanotify) while that of the
second is there, for five minutes at most; the third says which, ``deny`` or ``hold``.

Fed to the host's Python; standard library only. Says "ready", and "opened" when somebody opens the file for the first time.
"""

import ctypes
import os
import select
import struct
import sys
import time
from pathlib import Path

CLASS_CONTENT, CLOSE_ON_EXEC = 0x4, 0x1
MARK_ADD, OPEN_PERMISSION, ALLOW, DENY = 0x1, 0x10000, 0x1, 0x2
PATIENCE = 300
EVENT = struct.Struct("=IBBHQii")


def main():
    library = ctypes.CDLL(None, use_errno=True)
    queue = library.fanotify_init(CLASS_CONTENT | CLOSE_ON_EXEC, os.O_RDONLY)
    path = os.fsencode(sys.argv[1])
    marked = library.fanotify_mark(queue, MARK_ADD, ctypes.c_uint64(OPEN_PERMISSION), -100, ctypes.c_char_p(path))
    if queue < 0 or marked != 0:
        sys.exit(f"fanotify: {os.strerror(ctypes.get_errno())}")
    print("ready", flush=True)
    answer, waiting, opened = DENY if sys.argv[3] == "deny" else ALLOW, [], False
    deadline = time.monotonic() + PATIENCE
    while Path(sys.argv[2]).exists() and time.monotonic() < deadline:
        waiting += asked(queue, 0.2)
        if waiting and not opened:
            print("opened", flush=True)
            opened = True
        if answer == DENY:
            waiting = reply(queue, waiting, DENY)
    reply(queue, waiting, answer)


def asked(queue, seconds):
    """Return the descriptors of the openings that wait for an answer; look for at most ``seconds``."""
    ready, _, _ = select.select([queue], [], [], seconds)
    events, found = os.read(queue, 8192) if ready else b"", []
    while events:
        length, _version, _reserved, _meta, _mask, descriptor, _pid = EVENT.unpack_from(events)
        found.append(descriptor)
        events = events[length:]
    return found


def reply(queue, descriptors, answer):
    """Answer openings that wait; return those that still do: none."""
    for descriptor in descriptors:
        os.write(queue, struct.pack("=iI", descriptor, answer))
        os.close(descriptor)
    return []


main()
