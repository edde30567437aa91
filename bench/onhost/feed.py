# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a lab host: feed the output of one command into another for a bounded time, say how far it came.

usage: feed.py SECONDS SOURCE SINK - both run by bash. Prints {fed, seconds, finished} as JSON. A sink that fails is an error;
one that is not done in time is stopped, and `fed` is the number of bytes it had taken by then.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time


def feed(source: subprocess.Popen, sink: subprocess.Popen, deadline: float) -> tuple:
    """Copy until the end or the deadline; return the bytes that the sink took and whether it was all."""
    fed = 0
    os.set_blocking(sink.stdin.fileno(), False)
    while True:
        block = os.read(source.stdout.fileno(), 1 << 16)
        if not block:
            return fed, True
        while block:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([], [sink.stdin], [], left)[1]:
                return fed, False
            taken = os.write(sink.stdin.fileno(), block)
            fed, block = fed + taken, block[taken:]


def main() -> int:
    """Run both commands; exit status 1 when one of them failed by itself."""
    limit, source_command, sink_command = float(sys.argv[1]), sys.argv[2], sys.argv[3]
    started = time.monotonic()
    source = subprocess.Popen(["/bin/bash", "-c", source_command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    sink = subprocess.Popen(["/bin/bash", "-c", sink_command], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    fed, finished = feed(source, sink, started + limit)
    if finished:
        sink.stdin.close()
        failed = bool(sink.wait()) or bool(source.wait())
    else:
        source.kill()
        sink.kill()
        source.wait(), sink.wait()
        failed = False
    print(json.dumps({"fed": fed, "seconds": round(time.monotonic() - started, 3), "finished": finished}))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
