# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove folders of the tally and print JSON: tally_check.py [--stopped] [--at NUMBER:HASH] FOLDER...

``--stopped`` demands a copy of the stopped application; without it the running one is asked to pause. Exit status 0, or 1 with
``problem``.
"""

import argparse
import contextlib
import fcntl
import json
import sys
from pathlib import Path

from tally_model import Damaged, check, folders_of, read_journal

LOCK = Path("/run/tally/lock")


def demand(folder, known):
    """Raise Damaged unless the transaction ``known`` (NUMBER:HASH, or nothing) is there."""
    number, _colon, digest = known.partition(":")
    lines = read_journal(folder)[0]
    if int(number or 0) and lines[int(number) - 1 : int(number)] != [line for line in lines if line.endswith(f" {digest}\n")]:
        raise Damaged(f"transaction {number} is lost: the journal ends with {len(lines)}")


def main():
    """Check the folders of the command line and print what was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--stopped", action="store_true")
    parser.add_argument("--at", default="")
    parser.add_argument("folders", nargs="+")
    wanted = parser.parse_args()
    folders = folders_of(wanted.folders)
    with contextlib.ExitStack() as stack:
        if not wanted.stopped and LOCK.exists():
            lock = stack.enter_context(LOCK.open("r"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            facts = check(folders, wanted.stopped)
            demand(folders[0], wanted.at)
        except Damaged as error:
            print(json.dumps({"ok": False, "problem": str(error)}))
            return 1
    print(json.dumps({"ok": True, **facts}))
    return 0


sys.exit(main())
