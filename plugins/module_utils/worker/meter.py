# SPDX-License-Identifier: GPL-3.0-or-later
"""The meter: run a server's tool, pass its output on, count and hash it on the way, and prove that it finished.

It is the command that ``restic backup --stdin-from-command`` runs: when the proof fails it exits non-zero, and restic
then leaves no snapshot. One pass over the data: hashing happens while the bytes are still in the cache.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional

from ..files import read_json, write_json
from ..process import PIPE_BYTES, Tail, die_with_parent, last_line, spawn, spell_status, telling_line
from ..redact import redact

_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ; the constant is in fcntl only since Python 3.10
_REPORT_SECONDS = 0.25
_END_BYTES = 4096


class Flow:
    """Pass bytes from one descriptor to others; count, hash, keep the end, report the count to a file."""

    def __init__(self, report: Optional[Path] = None) -> None:
        self.bytes = 0
        self.end = b""
        self._hash = hashlib.sha256()
        self._report = os.open(str(report), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600) if report else None
        self._reported = 0.0

    def copy(self, source: int, target: int) -> None:
        """Copy ``source`` to ``target`` until its end. Raise BrokenPipeError when the reader has gone."""
        enlarge_pipe(source)
        enlarge_pipe(target)
        buffer = bytearray(PIPE_BYTES)
        view = memoryview(buffer)
        while True:
            count = os.readv(source, [buffer])
            if count == 0:
                break
            block = view[:count]
            self._hash.update(block)
            written = 0
            while written < count:
                written += os.write(target, block[written:])
            self.bytes += count
            self.end = (self.end + bytes(block[-_END_BYTES:]))[-_END_BYTES:]
            self._tell()
        self._tell(last=True)

    def sha256(self) -> str:
        """Return the hash of everything copied so far, in hexadecimal."""
        return self._hash.hexdigest()

    def _tell(self, last: bool = False) -> None:
        moment = time.monotonic()
        if self._report is not None and (last or moment - self._reported >= _REPORT_SECONDS):
            os.pwrite(self._report, b"%020d" % self.bytes, 0)
            self._reported = moment


def enlarge_pipe(descriptor: int) -> None:
    """Make a pipe hold 1 MiB, so that both ends work in larger strides; anything else is left as it is."""
    try:
        fcntl.fcntl(descriptor, _SET_PIPE_SIZE, PIPE_BYTES)
    except OSError:
        return


def proof_problem(proof: Dict[str, Any], status: int, stdout_end: str, stderr: str) -> Optional[str]:
    """Return why a tool did not prove its success, None when it did.

    ``proof`` is ``{exit, stdout_end, stderr_end, stderr_refuse}``: the exit status that counts (default 0), the text that
    must stand at the very end of an output, and texts that must not appear on standard error.
    """
    if status != proof.get("exit", 0):
        return f"{spell_status(status)}: {telling_line(stderr)}"
    for name, text in (("stdout", stdout_end), ("stderr", stderr)):
        marker = proof.get(name + "_end")
        if marker and marker not in last_line(text):
            return f"exited {status} without '{marker}' at the end of its {name}: {last_line(text)}"
    return _refused(proof, status, stderr.splitlines())


def _refused(proof: Dict[str, Any], status: int, lines: Iterable[str]) -> Optional[str]:
    """Return the problem of the first of ``lines`` that holds a refused text, None when there is none."""
    refused = proof.get("stderr_refuse", [])
    for line in lines if refused else ():
        if any(text in line for text in refused):
            return f"exited {status} but said: {line.strip()}"
    return None


def _refused_problem(proof: Dict[str, Any], status: int, log: Path) -> Optional[str]:
    """Look for refused texts in all that the tool said, however much that is; only the end is kept in memory."""
    with log.open(encoding="utf-8", errors="replace") as lines:
        return _refused(proof, status, lines)


def metered(configuration: Dict[str, Any], target: int, folder: Path) -> Dict[str, Any]:
    """Run ``configuration`` ``{artifact, argv, proof}`` with its output to ``target`` and return what was seen.

    The result is ``{artifact, bytes, sha256, exit, seconds, problem}``; ``problem`` None is the proof of success.
    """
    started = time.monotonic()
    artifact = configuration["artifact"]
    flow = Flow(folder / f"count-{artifact}")
    process = spawn(configuration["argv"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=False)
    assert process.stdout is not None and process.stderr is not None
    log = folder / f"stderr-{artifact}.log"
    errors = Tail(process.stderr, copy_to=str(log))
    problem = None
    try:
        flow.copy(process.stdout.fileno(), target)
    except OSError as error:
        # The reader of our output is gone: the tool must not go on, and its own complaint about it is no news.
        # A closed pipe ends its children, too.
        process.kill()
        process.stdout.close()
        problem = f"its output could not be passed on: {error.strerror}"
    status = process.wait()
    stderr = errors.text()
    problem = problem or proof_problem(configuration["proof"], status, flow.end.decode("utf-8", "replace"), stderr)
    if problem is None and errors.lost:
        problem = f"exited {status}, but what it said could not be kept: {errors.lost}"
    problem = problem or _refused_problem(configuration["proof"], status, log)
    if problem is None and flow.bytes == 0:
        problem = "produced no data"
    return {
        "artifact": artifact,
        "bytes": flow.bytes,
        "sha256": flow.sha256(),
        "exit": status,
        "seconds": round(time.monotonic() - started, 3),
        "problem": redact(f"{configuration['argv'][0]} {problem}") if problem else None,
    }


def main(arguments: List[str]) -> int:
    """Run as restic's command: ``meter JOB_FOLDER ARTIFACT``; the result goes to a file, the data to standard output."""
    die_with_parent()
    folder, artifact = Path(arguments[0]), arguments[1]
    configuration = read_json(folder / f"meter-{artifact}.json")
    if configuration is None:
        print(f"no meter configuration for {artifact} in {folder}", file=sys.stderr)
        return 2
    result = metered(configuration, sys.stdout.fileno(), folder)
    write_json(folder / f"metered-{artifact}.json", result)
    if result["problem"]:
        print(result["problem"], file=sys.stderr)
        return 1
    return 0
