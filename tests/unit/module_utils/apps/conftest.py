# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of several apps share."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import process


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder whose programs are found first."""
    place = tmp_path / "programs"
    place.mkdir()
    monkeypatch.setattr(process, "_PATH", f"{place}:{process._PATH}")
    return place
