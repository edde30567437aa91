# SPDX-License-Identifier: GPL-3.0-or-later
"""What the unit tests share, for tests that start whole workers, an sshd or ansible-playbook as processes of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from unit.conftest import limited, sandbox, stocked, stocked_repository

__all__ = ["hang_limit", "sandbox", "stocked", "stocked_repository"]


@pytest.fixture(autouse=True)
def hang_limit() -> Iterator[None]:
    """Tests that run playbooks have limits of their own, up to 150 s; this is for all others."""
    with limited(300):
        yield
