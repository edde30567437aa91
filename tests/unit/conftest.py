# SPDX-License-Identifier: GPL-3.0-or-later
"""What all unit tests share: a limit for hangs, a quick hypothesis profile, a sandboxed worker."""

from __future__ import annotations

import contextlib
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from unit.support.sandbox import STOCKED, Sandbox
from unit.support.steps import good

_HANG_SECONDS = 120  # on a busy machine, too

settings.register_profile(
    "quick",
    max_examples=25,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile("thorough", parent=settings.get_profile("quick"), max_examples=1000)
settings.load_profile("quick")


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Fail a test that hangs for ``seconds`` instead of waiting for somebody to notice."""

    def give_up(_signal: int, _frame: Any) -> None:
        raise TimeoutError(f"the test did not end within {seconds} s")

    former = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


@pytest.fixture(autouse=True)
def hang_limit() -> Iterator[None]:
    with limited(_HANG_SECONDS):
        yield


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Give a worker in a temporary directory; this process works in it, too."""
    made = Sandbox(tmp_path / "sandbox")
    made.use_in_process(monkeypatch)
    yield made
    made.forget_workers()


@pytest.fixture(scope="session")
def stocked_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a repository in which the set STOCKED lies, of host shop-db1 and with the content ``restored``."""
    patch = pytest.MonkeyPatch()
    made = Sandbox(tmp_path_factory.mktemp("stock") / "sandbox")
    made.use_in_process(patch)
    try:
        result = made.run(made.backup([good("restored")], facts={"stream": {"id": STOCKED, "first": "0001", "last": "0001"}}))
    finally:
        patch.undo()
    assert (result["status"], result["set"]) == ("ok", STOCKED)
    return made.repository


@pytest.fixture
def stocked(sandbox: Sandbox, stocked_repository: Path) -> Sandbox:
    """Give a sandbox whose repository holds the set STOCKED."""
    shutil.copytree(stocked_repository, sandbox.repository, dirs_exist_ok=True)
    return sandbox
