# SPDX-License-Identifier: GPL-3.0-or-later
"""One database into the running server: what is there is dropped only when it was kept."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import errors, process
from ansible_collections.backstay.fleet.plugins.module_utils.apps.mysql import inspection, logical, one_database
from ansible_collections.backstay.fleet.plugins.module_utils.worker import land

WHOLE = "INSERT INTO `t` VALUES (1);\\n-- Dump completed\\n"


class Scene:
    """A copy and a live server that both have the database ``shop``; ``live`` is what the tool does with the live one."""

    def __init__(self, base: Path, patch: pytest.MonkeyPatch) -> None:
        self.base = base
        self.fed: list[str] = []
        self.seen: dict[str, Any] = {"checks": [], "facts": {}}
        self.programs = base / "programs"
        self.programs.mkdir()
        patch.setattr(process, "_PATH", f"{self.programs}:{process._PATH}")
        patch.setattr(land, "planned", lambda _specification: {"receipts": [{"facts": {"product": "mariadb"}}]})
        patch.setattr(one_database, "await_server", lambda *_arguments: None)
        patch.setattr(one_database, "schemas", lambda _options: ["shop"])
        patch.setattr(one_database, "feed", lambda _job, _product, options, _path: self.fed.append(options["socket"]))
        patch.setattr(one_database, "read_again", lambda _product, options, _names, _history: {"tables": self.tables(options)})
        patch.setattr(one_database, "lost_history", lambda _product, options, _name: self.lost.get(options["socket"], []))
        patch.setattr(one_database, "history_options", lambda _product: ("--dump-history",))
        self.lost: dict[str, list[str]] = {}
        self.other_rows = False

    def tables(self, options: dict[str, Any]) -> dict[str, str]:
        return {"shop.t": "other" if self.other_rows and options["socket"] == "/live" else "same"}

    def tool(self, live: str) -> None:
        whole = f"printf '{WHOLE}'"
        script = f'#!/bin/sh\ncase "$*" in *--socket=/live*--dump-history*) {live} ;; *--dump-history*) {whole} ;; esac\n'
        (self.programs / "mariadb-dump").write_text(script)
        (self.programs / "mariadb-dump").chmod(0o755)

    def copy(self, **more: Any) -> None:
        job = SimpleNamespace(
            specification={"run": "r1"},
            seen=self.seen,
            cleanups=[],
            folder=SimpleNamespace(note_made=lambda *_what: None),
            begin_step=lambda *_what: None,
            watch=wait,
        )
        arguments = {"database": "shop", "socket": "/copy", "live_socket": "/live", "yard": str(self.base / "yard")}
        one_database.copy_database(job, dict(arguments, **more))  # type: ignore[arg-type]

    @property
    def former(self) -> Path:
        return self.base / "yard" / "former-databases" / "r1.sql"

    def warnings(self) -> list[str]:
        return [item["name"] for item in self.seen["checks"] if item["status"] == "warning"]


def wait(processes: list[subprocess.Popen[bytes]], _count: Any) -> None:
    for each in processes:
        each.wait()


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(tmp_path, monkeypatch)


def test_a_present_database_is_kept_and_replaced(scene: Scene) -> None:
    scene.tool(f"printf '{WHOLE}'")
    scene.copy()
    assert scene.fed == ["/live"] and scene.warnings() == []
    assert logical.ends_whole(scene.former) and scene.seen["facts"]["former"] == str(scene.former)


def test_a_damaged_table_does_not_keep_the_rest_from_being_kept(scene: Scene) -> None:
    """``--force`` goes on behind an error of the server; the tool ends its file and its status tells."""
    scene.tool(f"printf '{WHOLE}'; echo 'Error: Table crashed' >&2; exit 2")
    scene.copy()
    assert scene.fed == ["/live"] and scene.warnings() == ["former database"]


@pytest.mark.parametrize(
    "live",
    [
        "printf 'INSERT INTO'; echo 'Got errno 28 on write' >&2; exit 5",
        "printf 'INSERT INTO'; kill -9 $$",
        "printf 'INSERT INTO'",
        f"printf '{WHOLE}'; echo 'Error 2013: Lost connection to server during query' >&2; exit 2",
        f"printf '{WHOLE}'; echo \"Couldn't execute 'show tables': Server has gone away (2006)\" >&2; exit 2",
    ],
)
def test_what_could_not_be_kept_is_not_dropped(scene: Scene, live: str) -> None:
    scene.tool(live)
    with pytest.raises(errors.CommandFailed, match="cannot be kept, so nothing was changed"):
        scene.copy()
    assert scene.fed == []


def test_a_former_database_goes_only_when_the_new_one_was_proved(scene: Scene) -> None:
    scene.tool(f"printf '{WHOLE}'")
    scene.copy(keep_aside=False)
    assert not scene.former.exists() and "former" not in scene.seen["facts"]
    scene.other_rows = True
    scene.copy(keep_aside=False)
    assert scene.warnings() == ["database"]
    assert scene.former.exists() and scene.seen["facts"]["former"] == str(scene.former)


@pytest.mark.parametrize(("method", "whole", "one"), [("dump", 3, 5), ("mariadb-backup", 1, 3)])
def test_room_for_both_files_of_one_database_is_demanded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, whole: int, one: int
) -> None:
    asked: list[int] = []

    def room(_place: Path, needed: int) -> dict[str, str]:
        asked.append(needed)
        return {"name": "space", "status": "ok"}

    monkeypatch.setattr(inspection, "_room", room)
    options = {"datadir": str(tmp_path / "mysql"), "socket": "/s", "needed_bytes": 100}
    source = {"product": "mariadb", "method": method}
    inspection.inspect_target(dict(options, source=source))
    inspection.inspect_target(dict(options, source=source, database="shop"))
    assert asked == [100 * whole, 100 * one]


@pytest.mark.parametrize("server", ["/copy", "/live"])
def test_history_that_the_tool_would_leave_out_is_not_replaced(scene: Scene, server: str) -> None:
    scene.tool(f"printf '{WHOLE}'")
    scene.lost[server] = ["shop.t"]
    with pytest.raises(errors.Refused, match=r"history .*shop\.t"):
        scene.copy()
    assert scene.fed == [] and not scene.former.exists()
