# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: progress
type: aggregate
short_description: Show what Backstay jobs do while they run
version_added: 0.1.0
description:
  - For each host and app the step, bytes, rate and time left of a running job. On a terminal one live line for each job, as
    many as fit, otherwise one line every 30 seconds and at every new step.
author: Backstay contributors
options:
  progress_interval:
    description: Seconds between two lines about the same step where there is no terminal.
    type: int
    default: 30
    env:
      - name: BACKSTAY_PROGRESS_INTERVAL
    ini:
      - section: callback_backstay_progress
        key: interval
requirements:
  - enabled in C(ansible.cfg), C(callbacks_enabled = backstay.fleet.progress)
"""

import atexit
import contextlib
import json
import os
import shutil
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase
from ansible_collections.backstay.fleet.plugins.plugin_utils.progress_lines import Board

_SOCKET_VARIABLE = "BACKSTAY_PROGRESS_SOCKET"
_REDRAW_SECONDS = 0.5
_PREFIX = "backstay-progress-"


def _remove_orphans() -> None:
    """Remove the sockets of this user's runs that were killed: nobody listens there any more."""
    for directory in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            if directory.stat().st_uid == os.getuid():
                try:
                    probe.connect(str(directory / "socket"))
                except ConnectionRefusedError:
                    shutil.rmtree(directory)


class CallbackModule(CallbackBase):
    """Receives the reports of the ``job`` action over a socket of this run and prints them.

    A thread of its own writes straight to the terminal: Ansible's display is busy while a job runs, and its locks must
    not be held when it forks the next worker.
    """

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "backstay.fleet.progress"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._directory: str | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Open the socket; the forked workers inherit its address."""
        _remove_orphans()
        self._directory = tempfile.mkdtemp(prefix=_PREFIX)
        atexit.register(shutil.rmtree, self._directory, ignore_errors=True)  # also after an interrupt
        address = str(Path(self._directory) / "socket")
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        receiver.bind(address)
        receiver.settimeout(_REDRAW_SECONDS)
        os.environ[_SOCKET_VARIABLE] = address
        self._stop.clear()  # a run may have several playbooks
        board = Board(live=sys.stdout.isatty(), interval=float(self.get_option("progress_interval")))
        self._thread = threading.Thread(target=self._listen, args=(receiver, board), daemon=True)
        self._thread.start()

    def _listen(self, receiver: socket.socket, board: Board) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                board.report(json.loads(receiver.recv(1 << 16)), time.monotonic())
            text = board.draw(time.monotonic(), shutil.get_terminal_size())
            if text:
                with contextlib.suppress(OSError):
                    os.write(sys.__stdout__.fileno(), text.encode())  # type: ignore[union-attr]
        receiver.close()

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Close the socket."""
        self._stop.set()
        if self._thread:
            self._thread.join(5)
        os.environ.pop(_SOCKET_VARIABLE, None)
