# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole jobs of app_domino against the stand-in, on this machine: what is taken, what survives a failure, what comes back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab_tools.domino_standin import Server
from unit.support.domino_steps import Domino, call
from unit.support.sandbox import Sandbox


def made(tmp_path: Path, *options: str) -> Server:
    root = tmp_path / "host"
    root.mkdir()
    server = Server(root)
    server.create(*options)
    return server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    found = made(tmp_path)
    yield found
    found.end()


@pytest.fixture
def domino(sandbox: Sandbox, server: Server) -> Domino:
    return Domino(sandbox, server.root, server.ini)


def good(result: dict[str, Any]) -> dict[str, Any]:
    assert result["status"] == "ok", result
    return result


def lose_everything(server: Server) -> None:
    server.stop()
    for name in ("notesdata", "translog", "daos", "archive", "linked"):
        for path in (server.root / "local" / name).iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_a_full_set_brings_a_lost_server_back(domino: Domino, server: Server) -> None:
    known = server.deliver("mail/anna.nsf", 5, "--attachment", "blob")
    far = server.deliver("archive/year 2025.nsf", 3)
    result = good(domino.backup())
    assert {item["name"] for item in result["artifacts"]} == {"databases", "data", "linked-1", "daos", "ini", "ids", "logs"}
    lost = server.deliver("mail/anna.nsf", 2)
    lose_everything(server)
    restored = good(domino.restore())
    server.in_order(known, far)
    assert not server.check(lost)["ok"]
    assert {item["name"] for item in restored["checks"]} >= {"server", "new backup needed"}
    assert not [path for path in (server.root / "local").rglob("landing-*")]
