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


@pytest.mark.parametrize("kind", ["link", "secret"])
def test_only_a_version_gets_from_the_live_data_directory_into_a_receipt(tmp_path: Path, kind: str) -> None:
    """Its owner may put anything there, a link too; the worker reads it as root."""
    (tmp_path / "elsewhere").write_text("11.8.6-MariaDB\n" if kind == "link" else "root:$6$salt$hash:20000:0:::::\n")
    (tmp_path / "mysql_upgrade_info").write_text("10.11.6-MariaDB")
    if kind == "link":
        (tmp_path / "mariadb_upgrade_info").symlink_to(tmp_path / "elsewhere")
    else:
        (tmp_path / "elsewhere").rename(tmp_path / "mariadb_upgrade_info")
    assert physical.upgrade_notes(tmp_path) == {"mysql_upgrade_info": "10.11.6-MariaDB"}
