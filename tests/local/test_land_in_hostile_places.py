# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore jobs in hostile places: directories of accounts that exchange names under root's hands, and full disks."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.errors import CommandFailed
from ansible_collections.backstay.fleet.plugins.module_utils.worker import land as landing
from ansible_collections.backstay.fleet.plugins.module_utils.worker.folder import JobFolder
from ansible_collections.backstay.fleet.plugins.module_utils.yard import yard
from unit.support.sandbox import Sandbox
from unit.support.steps import Step, call, land, service
from unit.support.trees import look, plant


def recover(sandbox: Sandbox, stored: dict[str, Any], steps: list[Step]) -> dict[str, Any]:
    return sandbox.run(sandbox.recovery(stored["hash"], steps))


@pytest.mark.parametrize("account", [None, "nobody"])
@pytest.mark.parametrize("name", [".backstay-mysql", "landing-1"])
@pytest.mark.parametrize("moment", ["it was made", "it is unpacked"])
def test_a_landing_whose_name_becomes_a_link_leads_nowhere(
    sandbox: Sandbox,
    stored: dict[str, Any],
    target: Path,
    monkeypatch: pytest.MonkeyPatch,
    account: str | None,
    name: str,
    moment: str,
) -> None:
    """Who owns the folder above may exchange it at any moment: root neither unpacks nor gives away what the link leads to."""
    victim = plant(sandbox.base / "victim", {"landing-1": {}})
    path = {".backstay-mysql": yard(target), "landing-1": yard(target) / "landing-1"}[name]
    mkdir, spawn = os.mkdir, landing.spawn

    def deceive() -> None:
        if path.is_dir() and not path.is_symlink():
            path.rename(path.with_name("away"))
            path.symlink_to(victim)

    def made(*arguments: Any, **named: Any) -> None:
        mkdir(*arguments, **named)
        deceive()

    def unpacked(argv: list[str], *arguments: Any, **named: Any) -> Any:
        deceive()
        return spawn(argv, *arguments, **named)

    monkeypatch.setattr(*(os, "mkdir", made) if moment == "it was made" else (landing, "spawn", unpacked))
    step = land(yard(target) / "landing-1")
    step["land"].update({"account": account} if account else {})
    recover(sandbox, stored, [step])
    assert look(victim) == {"landing-1": {}}
    for folder in (victim, victim / "landing-1"):
        assert (folder.stat().st_uid, folder.stat().st_mode & 0o777) == (os.geteuid(), 0o755)


def test_a_folder_that_was_exchanged_for_a_link_is_not_given_away(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "x").symlink_to(tmp_path / "theirs")
    with pytest.raises(CommandFailed, match="x is no folder of this job any more: Not a directory"):
        landing.give(tmp_path / "x", "nobody")
    assert (tmp_path / "theirs").stat().st_uid == os.geteuid()
    with pytest.raises(CommandFailed, match="this host has no account 'nobody-at-all'"):
        landing.give(tmp_path / "theirs", "nobody-at-all")


def test_what_was_landed_is_what_is_exchanged_whatever_its_name_means_by_then(
    sandbox: Sandbox, stored: dict[str, Any], target: Path
) -> None:
    forged = plant(sandbox.base / "forged", {"landing-1": {"content": b"forged"}})
    forge = f"mv {yard(target)} {sandbox.base}/away; cp -a {forged} {yard(target)}"
    place = str(yard(target) / "landing-1")
    steps = [
        land(place),
        {"name": "Forge", "command": {"argv": ["sh", "-c", forge]}},
        service("stopped"),
        {"name": "Exchange", "swap": {"target": str(target), "landing": place}},
        service("started"),
    ]
    recover(sandbox, stored, steps)
    assert look(target) == {"content": b"restored"}


def test_a_full_disk_keeps_no_clean_up_from_its_work_and_hides_no_reason(
    sandbox: Sandbox, stored: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what stands behind it in the line stays, and the result speaks of a worker that was interrupted."""
    noted = sandbox.base / "noted"
    first = call("occupy", watched=[], noted=str(noted))
    second = call("occupy", watched=[], noted=str(sandbox.base / "other"), fail="the instance ORCL did not end")
    event = JobFolder.event

    def full(folder: JobFolder, name: str) -> dict[str, str]:
        if name.startswith("release failed"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return event(folder, name)

    monkeypatch.setattr(JobFolder, "event", full)
    result = recover(sandbox, stored, [land(sandbox.base / "x"), first, second, call("fail", message="because")])
    assert noted.exists()
    assert result["error"]["message"] == "because"


def test_an_unexpected_end_on_a_full_disk_has_its_reason(
    sandbox: Sandbox, stored: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: Path, _text: str, **_named: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    result = recover(sandbox, stored, [land(sandbox.base / "x"), call("crash", message="because")])
    assert result["error"]["message"] == "unexpected ZeroDivisionError: because"
