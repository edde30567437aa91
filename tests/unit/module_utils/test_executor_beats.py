# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard on a database host is told that the worker lives, as long as there is a connection."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.executors import guard, remote


@pytest.mark.parametrize("lost", [OSError("Socket is closed"), EOFError()])
def test_a_lost_connection_ends_the_beats_without_a_word(monkeypatch: pytest.MonkeyPatch, lost: Exception) -> None:
    """Whoever talks to the host next tells it, in a sentence."""
    tried, told = threading.Event(), []

    class Channel:
        def sendall(self, _data: bytes) -> None:
            tried.set()
            raise lost

        def shutdown_write(self) -> None:
            raise lost

    def hook(arguments: Any) -> None:
        told.append(arguments)

    monkeypatch.setattr(guard, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(threading, "excepthook", hook)
    before = set(threading.enumerate())
    beats = remote.Beats(Channel())
    assert tried.wait(10)
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
    beats.stop()
    assert told == []
