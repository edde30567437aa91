# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.plugin_utils.progress_lines import Board, clock, line

SCREEN = os.terminal_size((80, 24))


def report(run: str = "r1", **more: Any) -> dict[str, Any]:
    return dict({"run": run, "host": "shop-db1", "app": "mysql", "action": "backup"}, **more)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({}, "shop-db1 mysql backup: starting"),
        ({"step": "Stop"}, "shop-db1 mysql backup: Stop"),
        ({"step": "Take", "bytes": 2048, "rate": 1024}, "shop-db1 mysql backup: Take  2.0 KiB  1.0 KiB/s"),
        (
            {"step": "Take", "bytes": 1 << 30, "total": 3 << 30, "rate": 1 << 20},
            "shop-db1 mysql backup: Take  1.0 GiB of about 3.0 GiB  1.0 MiB/s  34:08 left",
        ),
        (
            {"step": "Take", "bytes": 4 << 30, "total": 3 << 30, "rate": 1 << 20},
            "shop-db1 mysql backup: Take  4.0 GiB of about 3.0 GiB  1.0 MiB/s",
        ),
        ({"step": "Take", "bytes": 5, "total": 50, "rate": 0}, "shop-db1 mysql backup: Take  5 B of about 50 B  0 B/s"),
    ],
)
def test_a_line_about_a_job(more: dict[str, Any], text: str) -> None:
    assert line(report(**more)) == text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (61, "1:01"), (3599.9, "59:59"), (3661, "1:01:01")])
def test_durations(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_without_a_terminal_a_line_is_due_at_a_new_step_and_then_every_interval() -> None:
    board = Board(live=False, interval=30)
    board.report(report(step="Take"), 0)
    assert board.draw(0, SCREEN) == "shop-db1 mysql backup: Take\n"
    board.report(report(step="Take", bytes=5), 10)
    assert board.draw(10, SCREEN) == ""
    assert "5 B" in board.draw(30, SCREEN)
    assert board.draw(31, SCREEN) == ""
    board.report(report(step="Commit"), 32)
    assert board.draw(32, SCREEN) == "shop-db1 mysql backup: Commit\n"


def test_a_job_that_is_done_leaves_the_board() -> None:
    board = Board(live=True, interval=30)
    assert board.draw(0, SCREEN) == ""
    board.report(report("r1"), 0)
    board.report(report("r2"), 0)
    assert board.draw(0, SCREEN).count("shop-db1") == 2
    board.report(report("r1", done=True), 1)
    assert board.draw(1, SCREEN).count("shop-db1") == 1
    board.report(report("r2", done=True), 2)
    assert "shop-db1" not in board.draw(2, SCREEN)
    assert board.draw(3, SCREEN) == ""


def test_a_terminal_line_is_never_wider_than_the_terminal() -> None:
    board = Board(live=True, interval=30)
    for number in range(3):
        board.report(report(f"r{number}", step="x" * 200), 0)
    text = board.draw(0, os.terminal_size((40, 24)))
    rows = text.replace("\r\x1b[J", "").split("\x1b[2A")[0].split("\n")
    assert [len(row) for row in rows] == [39, 39, 39]
    assert text.endswith("\x1b[2A\r")


def test_more_jobs_than_the_terminal_has_rows_do_not_scroll_it() -> None:
    board = Board(live=True, interval=30)
    for number in range(50):
        board.report(report(f"r{number:02d}", host=f"db{number:02d}"), 0)
    text = board.draw(0, os.terminal_size((80, 24)))
    rows = text.replace("\r\x1b[J", "").split("\x1b[22A")[0].split("\n")
    assert len(rows) == 23 and text.endswith("\x1b[22A\r")
    assert rows[0].startswith("db00") and rows[-1] == "... and 28 more jobs"
