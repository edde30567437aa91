# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import stat
from pathlib import Path

import pytest
from ansible_collections.backstay.fleet.plugins.modules import worker
from unit.support.sandbox import Sandbox


def test_an_archive_is_kept_whole_and_private(tmp_path: Path) -> None:
    (tmp_path / "pushed").write_bytes(b"archive")
    target = tmp_path / "worker" / "ab.pyz"
    worker.install(str(tmp_path / "pushed"), str(target))
    assert target.read_bytes() == b"archive"
    assert stat.S_IMODE(target.stat().st_mode) & 0o077 == 0
    assert stat.S_IMODE(target.parent.stat().st_mode) == 0o700
    (tmp_path / "pushed").write_bytes(b"newer")
    worker.install(str(tmp_path / "pushed"), str(target))
    assert [path.name for path in target.parent.iterdir()] == ["ab.pyz"]
    assert target.read_bytes() == b"newer"


def test_a_question_is_answered_by_the_archive(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKSTAY_ROOT", str(sandbox.root))
    reply = worker.ask(str(sandbox.archive), "collect", {"run": "never-was"})
    assert reply == {"error": {"code": "bad-input", "message": "this host knows no run 'never-was'", "hint": ""}}


def test_an_archive_that_breaks_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "broken.pyz").write_text("import sys; sys.exit('no good')")
    with pytest.raises(ValueError, match="ended with exit status 1: no good"):
        worker.ask(str(tmp_path / "broken.pyz"), "sets", {})
    (tmp_path / "silent.pyz").write_text("")
    with pytest.raises(ValueError, match="ended with exit status 0"):
        worker.ask(str(tmp_path / "silent.pyz"), "sets", {})
