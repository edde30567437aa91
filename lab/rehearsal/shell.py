# SPDX-License-Identifier: GPL-3.0-or-later
"""Run programs, wait for conditions, fail with one sentence."""

from __future__ import annotations

import fcntl
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class LabError(Exception):
    """What went wrong and what to do about it, in one sentence for the operator."""


def run(
    argv: Sequence[str],
    *,
    stdin: str | None = None,
    timeout: float = 120,
    env: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program and return the finished process, whatever its exit status.

    timeout is in seconds; a program that is missing or too slow raises LabError.
    """
    try:
        return subprocess.run(
            list(argv),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env=env,
            check=False,
        )
    except FileNotFoundError:
        raise LabError(f"The program {argv[0]} is not installed.") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"'{' '.join(argv[:4])}' did not finish within {timeout:.0f} s.") from None


def must(argv: Sequence[str], **options: Any) -> str:
    """Run a program that has to succeed and return its standard output, stripped."""
    done = run(argv, **options)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-4:]
        raise LabError(f"'{' '.join(argv[:6])}' failed with exit status {done.returncode}: {' | '.join(said)}")
    return done.stdout.strip()


@contextmanager
def locked(path: Path, seconds: float = 900) -> Iterator[None]:
    """Hold the lock file while the block runs; another holder is waited for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:

        def taken() -> bool:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        wait_until(taken, seconds, lambda: f"Another run has held {path} for {seconds:.0f} s.")
        yield


def wait_until(condition: Callable[[], bool], seconds: float, otherwise: Callable[[], str]) -> None:
    """Poll condition until it holds; after the deadline raise LabError with the text of otherwise()."""
    deadline = time.monotonic() + seconds
    pause = 0.05
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(otherwise())
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)


def in_parallel(work: Callable[[Any], Any], items: Iterable[Any], at_once: int = 16) -> list[Any]:
    """Call work for every item at the same time; all run to their end, then every error is told."""
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        futures = [pool.submit(work, item) for item in items]
    errors = [error for error in (future.exception() for future in futures) if error is not None]
    unexpected = [error for error in errors if not isinstance(error, LabError)]
    if unexpected:
        raise unexpected[0]
    if errors:
        raise LabError("\n".join(str(error) for error in errors))
    return [future.result() for future in futures]
