# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.process import telling_line


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Failed to connect: timed out\nmariabackup: Stopping log copying thread\n", "Failed to connect: timed out"),
        ("one error\nanother ERROR\nbye\n", "another ERROR"),
        (
            "tar: a: Cannot stat: No such file\ntar: Exiting with failure status due to previous errors\n",
            "tar: a: Cannot stat: No such file",
        ),
        ("starting\nbye\n\n", "bye"),
        ("", "it said nothing"),
    ],
)
def test_the_line_that_speaks_of_the_failure_is_told(said: str, told: str) -> None:
    assert telling_line(said) == told
