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


@pytest.fixture
def notesdata(tmp_path: Path) -> Path:
    """Return a data directory with a linked folder and a linked database."""
    place = tmp_path / "notesdata"
    for path in ("names.nsf", "mail/a.nsf", "mail.box", "domino/x.html"):
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(b"NSF1data")
    for path in ("archive/old.nsf", "linked/parts.nsf", "linked/other.txt"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(b"NSF1data")
    (place / "archive.dir").write_text(f"{tmp_path}/archive\n")
    (place / "apps").mkdir()
    (place / "apps/parts.nsf").write_text(f"{tmp_path}/linked/parts.nsf\n")
    return place
