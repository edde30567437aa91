# SPDX-License-Identifier: GPL-3.0-or-later
"""A Domino server of its own for each test: the stand-in on this machine."""

from __future__ import annotations

import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_tools.domino_standin import Server
from unit.support.domino_steps import Domino, made
from unit.support.sandbox import Sandbox


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """Have one Domino server on this machine at a time: it is known by the processes of its account, and here all have one."""
    with (Path(tempfile.gettempdir()) / "backstay-tests-domino.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def server(alone: None, tmp_path: Path) -> Iterator[Server]:
    """Return a server that is up."""
    found = made(tmp_path)
    yield found
    found.end()


@pytest.fixture
def domino(sandbox: Sandbox, server: Server) -> Domino:
    """Return the jobs of app_domino for it."""
    return Domino(sandbox, server.root, server.ini)
