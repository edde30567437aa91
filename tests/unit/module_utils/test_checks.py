# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks that every app shares."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.checks import (
    history_checks,
    new_directory_check,
    side_check,
    space_check,
)


@pytest.mark.parametrize(("free", "status"), [(2047, "failed"), (2048, "ok")])
def test_room_is_enough_or_the_sentence_says_how_much_is_missing(free: int, status: str) -> None:
    found = space_check("space", Path("/data"), 2048, free, "make room")
    assert found["status"] == status
    if status == "failed":
        assert (found["detail"], found["hint"]) == ("2.0 KiB are needed in /data, 2.0 KiB are free", "make room")


def test_a_restore_beside_the_data_wants_a_directory_of_its_own() -> None:
    assert new_directory_check(Path("/side"), empty=True)["status"] == "ok"
    assert new_directory_check(Path("/side"), empty=False)["detail"] == "/side is not empty"


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("side", "side is not a plain absolute path"),
        ("{tmp}/side/", "{tmp}/side/ is not a plain absolute path"),
        ("{tmp}/a/../side", "{tmp}/a/../side is not a plain absolute path"),
        ("/{tmp}/side", "/{tmp}/side is not a plain absolute path"),
        ("{tmp}/file", "{tmp}/file is not a directory"),
        ("{tmp}/nowhere", "{tmp}/nowhere is not a directory"),
        ("{tmp}/file/side", "{tmp}/file is not a directory"),
        ("{tmp}/live", "{tmp}/live lies in {tmp}/live, among live data"),
        ("{tmp}/live/side", "{tmp}/live/side lies in {tmp}/live, among live data"),
        ("{tmp}/link/side", "{tmp}/link/side lies in {tmp}/live, among live data"),
        ("{tmp}", "{tmp} is not empty"),
        ("{tmp}/live 2", ""),
        ("{tmp}/empty", ""),
    ],
)
def test_a_restore_beside_the_data_is_refused_where_it_would_touch_anything(tmp_path: Path, place: str, said: str) -> None:
    (tmp_path / "live").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "live")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    found = side_check(place.format(tmp=tmp_path), [str(tmp_path / "live")])
    assert (found["name"], found["status"]) == ("target", "failed" if said else "ok")
    assert found["detail"] == (said or place).format(tmp=tmp_path)
    assert bool(found["hint"]) is bool(said)


def test_a_data_set_says_why_it_is_a_full_one_or_else_why_its_history_is_new() -> None:
    lost = "a new history begins: {}"
    said = [history_checks(because, reason, lost) for because, reason in (("b", "{r}"), ("b", ""), ("", "{r}"), ("", ""))]
    full = [{"name": "full instead", "status": "warning", "detail": "b"}]
    assert said == [full, full, [{"name": "history", "status": "warning", "detail": "a new history begins: {r}"}], []]
