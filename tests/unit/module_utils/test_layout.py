# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import layout, yard
from hypothesis import given
from hypothesis import strategies as st

names = st.text(min_size=1, max_size=40)


@given(names, names)
def test_no_name_leaves_the_folder_that_it_is_for(host: str, other: str) -> None:
    for path, parent in [
        (layout.job(host), layout.jobs()),
        (layout.work(host, "mysql"), layout.ROOT / "work"),
        (layout.staging(host, "mysql"), layout.ROOT / "staging"),
        (layout.resource_lock(host + other), layout.ROOT / "locks"),
        (layout.side(host), layout.ROOT / "side"),
        (layout.repository(host), layout.REPOSITORIES),
    ]:
        assert path.parent == parent
        assert os.path.normpath(path) == str(path)


@given(names, names)
def test_two_hosts_never_share_a_folder(host: str, other: str) -> None:
    same = host == other
    assert (layout.work(host, "mysql") == layout.work(other, "mysql")) == same
    assert (layout.staging(host, "files") == layout.staging(other, "files")) == same
    assert layout.work(host, "mysql") != layout.work(other, "oracle")


def test_a_long_resource_still_makes_a_file_name() -> None:
    assert len(layout.resource_lock("mysql:/" + "ä" * 500).name) <= 255


def test_the_yard_lies_beside_a_directory_and_inside_a_mount_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert yard.yard(tmp_path / "mysql") == tmp_path / ".backstay-mysql"
    monkeypatch.setattr(os.path, "ismount", lambda path: path == str(tmp_path / "mysql"))
    assert yard.yard(tmp_path / "mysql") == tmp_path / "mysql" / yard.INSIDE
