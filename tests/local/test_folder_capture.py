# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders saved while their application is stopped for a moment, and brought back: whole jobs of the real worker."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import layout
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.backstay.fleet.plugins.module_utils.folders import filesystem
from ansible_collections.backstay.fleet.plugins.module_utils.job import validate_job
from ansible_collections.backstay.fleet.plugins.module_utils.worker import capture, picture, release
from ansible_collections.backstay.fleet.plugins.module_utils.worker.folder import JobFolder, lock_holder
from ansible_collections.backstay.fleet.plugins.module_utils.worker.requests import plan
from ansible_collections.backstay.fleet.plugins.module_utils.yard import yard
from unit.support.folder_steps import NAMES, bring_back, save
from unit.support.folders import archived, make_rich, make_sparse
from unit.support.sandbox import Sandbox, wait_until
from unit.support.steps import call, good, hold

RUN = "20261121T090000Z-testapp-1"
FILES = {"app": "files", "resource": "files:/srv"}


@pytest.fixture
def folders(sandbox: Sandbox) -> list[Path]:
    """Return two folders of an application that runs."""
    sandbox.set_running("ledger")
    first = make_rich(sandbox.base / "srv" / "ledger")
    (first / "socket").unlink()  # the one thing that does not come back
    second = sandbox.base / "srv" / "second one"
    second.mkdir()
    (second / "data").write_bytes(b"more")
    time.sleep(0.03)
    return [first, second]


def nothing_left(folders: list[Path]) -> bool:
    return not any(yard(folder).exists() for folder in folders)


def stored(sandbox: Sandbox, folders: list[Path], **changes: Any) -> dict[str, Any]:
    result = sandbox.run(sandbox.backup(save(folders), **FILES, **changes))
    assert result["status"] == "ok", result
    return result


def recover(sandbox: Sandbox, steps: list[dict[str, Any]]) -> dict[str, Any]:
    chosen = plan({"host": "shop-db1", "app": "files", "directory": str(sandbox.access)})
    return sandbox.run(sandbox.recovery(chosen["hash"], steps, **FILES))


@pytest.mark.parametrize("transport", ["stream", "stage"])
def test_two_folders_come_back_as_they_were(sandbox: Sandbox, folders: list[Path], transport: str) -> None:
    before = [archived(folder) for folder in folders]
    result = stored(sandbox, folders, transport=transport)
    assert 0 < result["outage_seconds"] < 5
    assert sandbox.service_calls() == ["stop ledger", "start ledger"]
    assert nothing_left(folders)
    assert {check["status"] for check in result["checks"]} == {"ok"}

    (folders[0] / "newer").write_bytes(b"written since")
    folders[0].chmod(0o777)
    shutil.rmtree(folders[1])
    restored = recover(sandbox, bring_back(folders))
    assert restored["status"] == "ok", restored
    assert [archived(folder) for folder in folders] == before
    assert [check["name"] for check in restored["checks"]] == ["manifest first", "manifest second"]
    aside = [Path(path) for path in restored["aside"].split(", ")]
    assert (aside[0] / "newer").read_bytes() == b"written since"
    assert [path.parent for path in aside] == [yard(folder) for folder in folders]


def test_the_receipt_says_when_and_how(sandbox: Sandbox, folders: list[Path]) -> None:
    stored(sandbox, folders)
    (snapshot,) = sandbox.snapshots("part=receipt")
    receipt = json.loads((sandbox.repository / "blobs" / snapshot["id"] / "0").read_bytes())
    assert receipt["facts"]["folders"][0]["method"] in picture.METHODS
    assert [item["artifact"] for item in receipt["facts"]["folders"]] == list(NAMES[:2])
    events = {event["event"]: event["at"] for event in receipt["events"]}
    stopped, started = events["ledger stopped"], events["ledger resumed"]
    assert stopped < receipt["position"]["not_before"]["taken_at"] <= receipt["consistent_at"] <= started


def test_a_service_that_was_down_stays_down(sandbox: Sandbox, folders: list[Path]) -> None:
    sandbox.set_running()
    assert stored(sandbox, folders)["outage_seconds"] == 0
    assert sandbox.running() == set()


def test_an_application_that_somebody_starts_under_the_picture_gives_no_set(sandbox: Sandbox, folders: list[Path]) -> None:
    steps = save(folders)
    at = next(number for number, item in enumerate(steps) if "picture" in item)
    program = sandbox.programs / "service"
    steps.insert(at, {"name": "Somebody starts it", "command": {"argv": [str(program), "ledger", "start"]}})
    result = sandbox.run(sandbox.backup(steps, **FILES))
    assert "service 'ledger' was started while the picture was made" in result["error"]["message"]
    assert sandbox.snapshots("part=receipt") == []
    assert sandbox.running() == {"ledger"} and nothing_left(folders)


@pytest.mark.parametrize("step", ["Ahead", "Picture", "Archive"])
def test_a_failure_at_any_step_brings_the_application_back(sandbox: Sandbox, folders: list[Path], step: str) -> None:
    steps = save(folders)
    at = max(number for number, item in enumerate(steps) if item["name"].startswith(step))
    steps.insert(at, call("fail", message="the disk is broken"))
    result = sandbox.run(sandbox.backup(steps))
    assert (result["status"], result["error"]["message"]) == ("failed", "the disk is broken")
    assert sandbox.running() == {"ledger"}
    assert sandbox.snapshots("part=receipt") == []
    assert nothing_left(folders)


def test_a_copy_that_does_not_fit_is_refused_before_anything_stops(
    sandbox: Sandbox, folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture, "free_bytes", lambda _path: 1 << 20)
    result = sandbox.run(sandbox.backup(save(folders, method="copy"), **FILES))
    assert result["error"]["code"] == "space"
    assert "1.0 MiB are free" in result["error"]["message"]
    assert sandbox.service_calls() == []
    assert nothing_left(folders)


def test_staging_beside_the_copy_counts_before_anything_stops(
    sandbox: Sandbox, folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of the two would fit alone: the copy beside the data, and the archive in staging on the same filesystem."""
    for module in (capture, picture):
        monkeypatch.setattr(module, "free_bytes", lambda _path: 108 << 20)
    steps = save(folders[:1], method="copy")
    steps[-1]["archive"]["estimate_bytes"] = 100 << 20
    assert sandbox.run(sandbox.backup(steps, **FILES))["status"] == "ok", "a stream needs no staging"
    calls = sandbox.service_calls()
    result = sandbox.run(sandbox.backup(steps, **FILES, transport="stage", run="20261121T090000Z-testapp-2"))
    assert result["error"]["code"] == "space"
    assert f"a copy of {folders[0]} needs about 11" in result["error"]["message"]
    assert sandbox.service_calls() == calls
    assert nothing_left(folders)


def test_a_method_that_the_filesystem_lacks_is_refused_before_anything_stops(sandbox: Sandbox, folders: list[Path]) -> None:
    assert filesystem.kind(folders[0]) != "btrfs"
    result = sandbox.run(sandbox.backup(save(folders, method="snapshot"), **FILES))
    assert result["error"]["code"] == "refused"
    assert "there is no snapshot of" in result["error"]["message"]
    assert sandbox.service_calls() == []


def test_what_the_operating_system_refuses_is_a_sentence(
    sandbox: Sandbox, folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def refuse(path: Any, *flags: Any, **where: Any) -> int:
        if path == b"sub":
            raise PermissionError(13, "Permission denied", path)
        return opened(path, *flags, **where)

    monkeypatch.setattr(os, "open", refuse)
    result = sandbox.run(sandbox.backup(save(folders), **FILES))
    assert result["error"]["code"] == "command"
    assert result["error"]["message"] == f"cannot copy {folders[0]}/sub: Permission denied"
    assert sandbox.service_calls() == []
    assert nothing_left(folders)


def test_where_times_say_nothing_all_is_copied_while_stopped_and_said(
    sandbox: Sandbox, folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filesystem, "TIMES_TRUSTED", ())
    result = stored(sandbox, folders)
    assert [check["status"] for check in result["checks"] if check["name"].startswith("picture")] == ["warning", "warning"]
    assert "nothing was copied ahead" in result["checks"][0]["detail"]


def test_a_killed_worker_leaves_a_running_application_and_no_picture(sandbox: Sandbox, folders: list[Path]) -> None:
    answer = sandbox.ask("start", {"specification": sandbox.backup(save(folders, hold(sandbox.base)))})
    assert "ok" in answer, answer
    wait_until((sandbox.base / "reached").exists, what="the step that holds")
    assert sandbox.running() == set()
    assert yard(folders[0]).exists()
    sandbox.kill_worker(RUN)
    job = JobFolder(layout.job(RUN))
    wait_until(lambda: job.result() and not lock_holder(job.path / "alive"), what="the release")
    assert sandbox.running() == {"ledger"}
    assert nothing_left(folders)


def test_one_damaged_byte_is_noticed_before_anything_live_is_touched(sandbox: Sandbox, folders: list[Path]) -> None:
    make_sparse(folders[0] / "big", 1 << 20, (0, b"needle in the archive"))
    stored(sandbox, folders)
    unpack = ["sh", "-c", "sed 's/needle in the/NEEDLE IN THE/' | tar -x --xattrs --xattrs-include='*' -p --numeric-owner"]
    steps = bring_back(folders)
    steps[0]["land"]["unpack"] = unpack
    result = recover(sandbox, steps)
    assert result["error"]["code"] == "integrity"
    assert "big differs in sha256" in result["error"]["message"]
    assert sandbox.service_calls()[2:] == []
    assert nothing_left(folders)


def test_a_restore_that_fails_between_its_exchanges_puts_all_back(sandbox: Sandbox, folders: list[Path]) -> None:
    stored(sandbox, folders)
    (folders[0] / "newer").write_bytes(b"1")
    (folders[1] / "newer").write_bytes(b"2")
    before = [archived(folder) for folder in folders]
    steps = bring_back(folders)
    at = next(number for number, step in enumerate(steps) if step["name"] == f"Exchange {folders[1]}")
    steps.insert(at, {"name": "Stumble", "command": {"argv": ["false"]}})
    result = recover(sandbox, steps)
    assert result["status"] == "failed"
    assert sandbox.running() == set(), "nothing is started on half of a restore"
    job = JobFolder(layout.job(result["run"]))
    with pytest.raises(BadInput, match="no wholly exchanged data"):
        release.keep_restored(job)
    assert "holds its former content again" in release.put_back(job)
    assert [archived(folder) for folder in folders] == before
    assert sandbox.running() == {"ledger"}


def test_a_restore_that_fails_after_its_exchanges_puts_all_back(sandbox: Sandbox, folders: list[Path]) -> None:
    stored(sandbox, folders)
    for folder in folders:
        (folder / "newer").write_bytes(b"1")
        folder.chmod(0o700)
    before = [archived(folder) for folder in folders]
    result = recover(sandbox, bring_back(folders, {"name": "Stumble", "command": {"argv": ["false"]}}))
    assert [str(path) in result["aside"] for path in map(yard, folders)] == [True, True]
    sentence = release.put_back(JobFolder(layout.job(result["run"])))
    assert sentence.count("holds its former content again") == 2
    assert [archived(folder) for folder in folders] == before


def test_what_is_done_before_is_undone_when_the_job_fails(sandbox: Sandbox, folders: list[Path]) -> None:
    mark = sandbox.base / "frozen"
    freeze, thaw = ["touch", str(mark)], ["rm", str(mark)]
    enter = {"name": "Freeze", "command": {"argv": freeze, "undo": thaw}}
    leave = {"name": "Thaw", "command": {"argv": thaw}}
    steps = [enter, call("fail", message="no"), leave, good()]
    result = sandbox.run(sandbox.backup(steps))
    assert (result["status"], result["release_problems"]) == ("failed", [])
    assert not mark.exists()
    del steps[1]
    assert sandbox.run(sandbox.backup(steps, run="20261121T090000Z-testapp-3"))["status"] == "ok"
    assert not mark.exists()


def test_an_undo_that_fails_stays_remembered_and_is_told(sandbox: Sandbox) -> None:
    steps = [{"name": "Freeze", "command": {"argv": ["true"], "undo": ["false"]}}, good()]
    result = sandbox.run(sandbox.backup(steps))
    assert result["status"] == "failed"
    assert result["release_problems"] == ["false ended with exit status 1: it said nothing"]
    assert JobFolder(layout.job(RUN)).undo_entries() == [{"command": ["false"]}]


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([{"name": "A", "archive": {"artifact": "a", "folder": "/a"}}], "without a picture"),
        ([good(), {"name": "P", "picture": {"folder": "/a"}}], "that no step archives"),
        ([{"name": "P", "picture": {"folder": "a"}}], "picture.folder"),
        ([{"name": "C", "command": {"argv": ["true"]}}], "must capture something"),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(sandbox: Sandbox, steps: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        validate_job(sandbox.backup(steps))


def test_an_artifact_may_be_named_once_over_all_steps(sandbox: Sandbox) -> None:
    steps = [good("x", "first"), *save([Path("/srv/a")])]
    with pytest.raises(BadInput, match="take the same artifact: first"):
        validate_job(sandbox.backup(steps))


def test_the_folder_behind_a_link_is_saved(sandbox: Sandbox, folders: list[Path]) -> None:
    link = sandbox.base / "link"
    link.symlink_to(folders[0])
    stored(sandbox, [link])
    assert nothing_left(folders)
