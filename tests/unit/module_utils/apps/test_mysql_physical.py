# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore brings back beside the data that mariadb-backup takes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.apps.mysql import physical
from ansible_collections.backstay.fleet.plugins.module_utils.worker import land


def test_what_was_upgraded_is_not_upgraded_again_after_a_restore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mariadb_upgrade_info").write_text("11.8.6-MariaDB\n")
    notes = dict(physical.upgrade_notes(tmp_path), **{"../elsewhere": "x"})
    assert notes["mariadb_upgrade_info"] == "11.8.6-MariaDB"
    copy = tmp_path / "copy"
    copy.mkdir()
    monkeypatch.setattr(physical, "_prepare", lambda *_arguments: None)
    full = {"kind": "full", "set": "s", "facts": {"upgrade_notes": notes}}
    monkeypatch.setattr(land, "planned", lambda _specification: {"receipts": [full]})
    physical.prepare(SimpleNamespace(specification={}), {"directory": str(copy), "account": "root"})  # type: ignore[arg-type]
    assert [item.name for item in copy.iterdir()] == ["mariadb_upgrade_info"]
    assert (copy / "mariadb_upgrade_info").read_text() == "11.8.6-MariaDB"
