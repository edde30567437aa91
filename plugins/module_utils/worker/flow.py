# SPDX-License-Identifier: GPL-3.0-or-later
"""A meter flow in a thread, for a process that must watch both ends at the same time."""

from __future__ import annotations

import contextlib
import threading
from typing import IO

from .meter import Flow


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
