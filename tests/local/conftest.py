# SPDX-License-Identifier: GPL-3.0-or-later
"""What the unit tests share, for tests that start whole workers, an sshd or ansible-playbook as processes of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import layout
from ansible_collections.backstay.fleet.plugins.module_utils.executors import LocalExecutor, guard
from ansible_collections.backstay.fleet.plugins.module_utils.worker.requests import plan
from lab_tools import short_form
from unit.conftest import limited, sandbox, stocked, stocked_repository
from unit.support.backups import LIVE
from unit.support.sandbox import Sandbox
from unit.support.sshd import Server
from unit.support.trees import plant

__all__ = ["hang_limit", "sandbox", "stocked", "stocked_repository"]


def pytest_addoption(parser: pytest.Parser) -> None:
    short_form.add_option(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(short_form)


@pytest.fixture(autouse=True)
def hang_limit() -> Iterator[None]:
    """Tests that run playbooks have limits of their own, up to 150 s; this is for all others."""
    with limited(300):
        yield


@pytest.fixture
def stored(stocked: Sandbox) -> dict[str, Any]:
    """Return the plan to restore the set that lies in the repository."""
    return plan({"host": "shop-db1", "app": "testapp", "directory": str(stocked.access)})


@pytest.fixture
def target(sandbox: Sandbox) -> Path:
    """Return a live data directory whose service runs."""
    sandbox.set_running("mariadb")
    return plant(sandbox.base / "mysql", LIVE)


# Executors


@pytest.fixture(scope="module")
def access(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the worker with its key."""
    folder = tmp_path_factory.mktemp("access")
    paramiko.RSAKey.generate(2048).write_private_key_file(str(folder / "key"))
    return folder


@pytest.fixture
def server(access: Path) -> Iterator[Server]:
    made = Server(paramiko.RSAKey(filename=str(access / "key")).get_base64())
    (access / "known_hosts").write_text(made.known_hosts)
    yield made
    made.close()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory for files; our own, and the account's home, are beside it."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(layout, "ROOT", tmp_path / "root")
    monkeypatch.setattr(guard, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(LocalExecutor, "home", lambda _self, _account: str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "place").mkdir()
    return tmp_path / "place"
