# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a lab host: take the time and the CPU of one shell command, print both as JSON in the last line.

usage: timed.py COMMAND - run by bash with pipefail, so that a pipe fails with any of its parts. Python 3.8 or later.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time


def main() -> int:
    """Run the command; its own output goes to standard error."""
    started = time.monotonic()
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", sys.argv[1]], stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno(), check=False
    )
    seconds = time.monotonic() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps({"seconds": round(seconds, 3), "cpu_seconds": round(used.ru_utime + used.ru_stime, 3)}))
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
