# SPDX-License-Identifier: GPL-3.0-or-later
"""A Domino server of its own for each test: the stand-in on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_tools.domino_standin import Server
from unit.support.domino_steps import Domino, made
from unit.support.sandbox import Sandbox


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Return a server that is up."""
    found = made(tmp_path)
    yield found
    found.end()


@pytest.fixture
def domino(sandbox: Sandbox, server: Server) -> Domino:
    """Return the jobs of app_domino for it."""
    return Domino(sandbox, server.root, server.ini)
