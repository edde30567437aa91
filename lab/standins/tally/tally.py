# SPDX-License-Identifier: GPL-3.0-or-later
"""A small application that keeps several folders in one state, by ordinary writes and through mmap: tally.py FOLDER...

It books transactions while /run/tally/writing is there, each under the lock /run/tally/lock, and says in /run/tally/committed
what the last one was. It refuses to start on folders that are not of one moment.
"""

import fcntl
import os
import signal
import socket
import sys
import time
from pathlib import Path

from tally_model import Damaged, folders_of, line_of, opened

RUN = Path("/run/tally")
_PAUSE = 0.05


def committed(store):
    """Say what the last transaction is."""
    fresh = RUN / "committed.new"
    fresh.write_text(f"{store.number} {store.digest}\n", encoding="ascii")
    fresh.rename(RUN / "committed")


def tell_systemd():
    """Say that the folders are whole and the application is up."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as teller:
        teller.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])


def work(stores, stopping):
    """Book transactions until somebody wants a stop."""
    with (RUN / "lock").open("w") as lock:
        committed(stores[0])
        while not stopping:
            if not (RUN / "writing").exists():
                time.sleep(_PAUSE)
                continue
            fcntl.flock(lock, fcntl.LOCK_EX)
            line = line_of(stores[0].number + 1, stores[0].digest)
            for store in stores:
                store.apply(line)
            committed(stores[0])
            fcntl.flock(lock, fcntl.LOCK_UN)
            time.sleep(_PAUSE)


def main():
    """Open the folders, work, leave them clean; exit status 1 for damaged folders."""
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    try:
        stores = opened(folders_of(sys.argv[1:]))
    except Damaged as error:
        print(f"tally: damaged: {error}", file=sys.stderr)
        return 1
    tell_systemd()
    work(stores, stopping)
    for store in stores:
        store.close()
    return 0


sys.exit(main())
