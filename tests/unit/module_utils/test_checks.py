# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks that every app shares."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.checks import new_directory_check, space_check


@pytest.mark.parametrize(("free", "status"), [(2047, "failed"), (2048, "ok")])
def test_room_is_enough_or_the_sentence_says_how_much_is_missing(free: int, status: str) -> None:
    found = space_check("space", Path("/data"), 2048, free, "make room")
    assert found["status"] == status
    if status == "failed":
        assert (found["detail"], found["hint"]) == ("2.0 KiB are needed in /data, 2.0 KiB are free", "make room")


def test_a_restore_beside_the_data_wants_a_directory_of_its_own() -> None:
    assert new_directory_check(Path("/side"), empty=True)["status"] == "ok"
    assert new_directory_check(Path("/side"), empty=False)["detail"] == "/side is not empty"
