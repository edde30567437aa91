# SPDX-License-Identifier: GPL-3.0-or-later
"""A meter flow in a thread, for a process that must watch both ends at the same time."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from typing import IO, TYPE_CHECKING, Tuple

from ..process import Tail, kill_group
from .meter import Flow

if TYPE_CHECKING:
    from .job import Job


class FlowThread:
    """Copy ``source`` to ``target`` in a thread, counting and hashing; close ``target`` at the end."""

    def __init__(self, source: IO[bytes], target: IO[bytes]) -> None:
        self.reader_gone = False
        self._flow = Flow()
        self._thread = threading.Thread(target=self._copy, args=(source, target), daemon=True)
        self._thread.start()

    def _copy(self, source: IO[bytes], target: IO[bytes]) -> None:
        try:
            self._flow.copy(source.fileno(), target.fileno())
        except OSError:
            self.reader_gone = True
            source.close()  # the sender must learn that nobody listens
        with contextlib.suppress(OSError):
            target.close()

    def count(self) -> int:
        """Return the bytes copied so far."""
        return self._flow.bytes

    def sha256(self) -> str:
        """Return the hash of the bytes copied so far."""
        return self._flow.sha256()

    def join(self) -> None:
        """Wait until everything is copied."""
        self._thread.join()


def pipe(job: Job, source: subprocess.Popen[bytes], sink: subprocess.Popen[bytes]) -> Tuple[FlowThread, str, str]:
    """Pass the output of ``source`` to ``sink`` until both ended, under the job's stall watch.

    Return the flow (bytes, hash) and what each said on standard error; the callers judge the exit statuses.
    """
    assert source.stdout and source.stderr and sink.stdin and sink.stderr
    source_errors, sink_errors = Tail(source.stderr), Tail(sink.stderr)
    flow = FlowThread(source.stdout, sink.stdin)
    try:
        job.watch([source, sink], flow.count)
        flow.join()
    finally:
        for process in (source, sink):
            if process.poll() is None:
                kill_group(process)
                process.wait()
    return flow, source_errors.text(), sink_errors.text()
