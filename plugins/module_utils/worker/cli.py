# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the worker archive: ``python3 worker.pyz COMMAND ...``."""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import List

from ..errors import BackstayError
from ..redact import redact
from . import launch, meter, release
from .folder import JobFolder
from .requests import COMMANDS
from .runner import run_job


def ask(command: str) -> int:
    """Answer one request: JSON on standard input, ``{"ok": ...}`` or ``{"error": ...}`` on standard output."""
    try:
        reply = {"ok": COMMANDS[command](json.load(sys.stdin))}
    except BackstayError as error:
        error.message, error.hint = redact(error.message), redact(error.hint)
        reply = {"error": error.as_dict()}
    except Exception as error:
        trace = redact(traceback.format_exc())
        reply = {"error": {"code": "internal", "message": f"unexpected {type(error).__name__}: {error}", "hint": trace}}
    json.dump(reply, sys.stdout)
    return 0


def put_back(folder: Path) -> int:
    """Put back what a failed restore moved aside, and say so to the person who asked."""
    try:
        print(release.put_back(JobFolder(folder)))
    except BackstayError as error:
        print(f"{error.message}. {error.hint}".strip(), file=sys.stderr)
        return 1
    return 0


def release_folder(folder: Path) -> int:
    """Release one job."""
    release.release(JobFolder(folder))
    return 0


def main() -> int:
    """Run the command named in the arguments; return the exit status."""
    arguments: List[str] = sys.argv[1:]
    command = arguments[0] if arguments else ""
    if command in COMMANDS:
        return ask(command)
    if command == "meter":
        return meter.main(arguments[1:])
    if command == "release-abandoned":
        print(f"{release.release_abandoned()} abandoned job(s) released")
        return 0
    on_folder = {
        "run": run_job,
        "supervise": launch.supervise,
        "put-back": put_back,
        "release": release_folder,
    }
    if command in on_folder and len(arguments) == 2:
        return int(on_folder[command](Path(arguments[1])))
    print("usage: worker.pyz COMMAND [JOB_FOLDER]", file=sys.stderr)
    return 2
