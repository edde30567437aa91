# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the worker archive: ``python3 worker.pyz COMMAND ...``.

Each command imports what it needs: the meter starts for every capture.
"""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Callable, Dict, List

from ..errors import BackstayError
from ..redact import redact


def ask(command: str) -> int:
    """Answer one request: JSON on standard input, ``{"ok": ...}`` or ``{"error": ...}`` on standard output."""
    from .requests import COMMANDS

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
    from . import release as releasing

    return _do(releasing.put_back, folder)


def keep_restored(folder: Path) -> int:
    """Settle for restored data that was not proved, and say so to the person who asked."""
    from . import release as releasing

    return _do(releasing.keep_restored, folder)


def _do(what: Callable[..., str], folder: Path) -> int:
    """Print the sentence that ``what`` returns, or why it could not; return the exit status."""
    from .folder import JobFolder

    try:
        print(what(JobFolder(folder)))
        return 0
    except BackstayError as error:
        print(f"{error.message}. {error.hint}".strip(), file=sys.stderr)
    except OSError as error:  # whatever was done by then is noted, so it goes on from there
        print(f"{error.strerror}: {error.filename or folder}. Mend that, then give the same command again", file=sys.stderr)
    return 1


def run(folder: Path) -> int:
    """Do the job in ``folder``."""
    from .runner import run_job

    return run_job(folder)


def supervise(folder: Path) -> int:
    """Do the job in ``folder`` in a child and release after it."""
    from . import launch

    return launch.supervise(folder)


def release(folder: Path) -> int:
    """Bring back what the job in ``folder`` left stopped."""
    from . import release as releasing
    from .folder import JobFolder

    releasing.release(JobFolder(folder))
    return 0


_ON_FOLDER: Dict[str, Callable[[Path], int]] = {
    "keep-restored": keep_restored,
    "put-back": put_back,
    "release": release,
    "run": run,
    "supervise": supervise,
}


def main() -> int:
    """Run the command named in the arguments; return the exit status."""
    arguments: List[str] = sys.argv[1:]
    command = arguments[0] if arguments else ""
    if command == "meter":
        from . import meter

        return meter.main(arguments[1:])
    if command == "archive":
        from ..folders import archive

        return archive.main(arguments[1:])
    if command == "tool" and len(arguments) > 2:
        from ..apps import load_app

        return int(load_app(arguments[1]).TOOLS[arguments[2]](arguments[3:]))
    if command in _ON_FOLDER and len(arguments) == 2:
        return _ON_FOLDER[command](Path(arguments[1]))
    if command == "release-abandoned":
        from . import release as releasing

        problems: Dict[str, str] = {}
        print(f"{releasing.release_abandoned(problems)} abandoned job(s) released")
        for name, problem in problems.items():
            print(f"run {name} could not be released: {problem}", file=sys.stderr)
        return 1 if problems else 0
    from .requests import COMMANDS

    if command in COMMANDS:
        return ask(command)
    print("usage: worker.pyz COMMAND [JOB_FOLDER]", file=sys.stderr)
    return 2
