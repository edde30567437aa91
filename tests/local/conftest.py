# SPDX-License-Identifier: GPL-3.0-or-later
"""What the unit tests share, for tests that start whole workers, an sshd or ansible-playbook as processes of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.worker.requests import plan
from lab_tools import short_form
from unit.conftest import limited, sandbox, stocked, stocked_repository
from unit.support.backups import LIVE
from unit.support.sandbox import Sandbox
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
