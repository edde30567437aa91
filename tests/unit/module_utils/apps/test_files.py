# SPDX-License-Identifier: GPL-3.0-or-later
"""What app_files looks at before anything is touched."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import layout
from ansible_collections.backstay.fleet.plugins.module_utils.apps import files
from ansible_collections.backstay.fleet.plugins.module_utils.errors import IntegrityError
from ansible_collections.backstay.fleet.plugins.module_utils.worker.job import Job
from hypothesis import given
from hypothesis import strategies as st
from unit.support.sandbox import Sandbox
from unit.support.steps import good


def look(action: str = "backup", **options: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the facts, and of every check that is not ok its name with what it says."""
    seen = files.preflight(options, action)
    return seen["facts"], {item["name"]: item["detail"] for item in seen["checks"] if item["status"] != "ok"}


@pytest.fixture
def folder(sandbox: Sandbox) -> Path:
    made = sandbox.base / "srv" / "Ledger"
    made.mkdir(parents=True)
    (made / "data").write_bytes(b"x" * 9000)
    return made


def test_a_good_folder_is_described(folder: Path, sandbox: Sandbox) -> None:
    sandbox.set_running("ledger")
    facts, problems = look(folders=[str(folder)], service="ledger")
    assert problems == {}
    (found,) = facts["folders"]
    assert (found["folder"], found["real"]) == (str(folder), str(folder))
    assert found["artifact"].endswith("srv-ledger")
    assert 9000 < found["bytes"] < 20000
    assert facts["services"] == [{"service": "ledger"}]


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        ([], "none is named"),
        (["srv/relative"], "not an absolute path"),
        (["{srv}/none"], "is not a folder on this host"),
        (["{srv}/Ledger/data"], "is not a folder on this host"),
        (["{srv}/empty"], "is empty"),
        (["{srv}", "{srv}/Ledger"], "overlap"),
        (["{srv}/Ledger", "{srv}/link"], "overlap"),
        (["{root}/work"], "Backstay's own place"),
        (["{base}"], "Backstay's own place"),
        (["{srv}/.backstay-Ledger"], "Backstay's own place"),
        (["/"], "Backstay's own place"),
        (["//"], "Backstay's own place"),
        (["/", "{srv}/Ledger"], "overlap"),
        (["/{srv}/Ledger", "{srv}/Ledger"], "overlap"),
    ],
)
def test_a_folder_that_cannot_be_saved_is_refused_by_name(
    folder: Path, sandbox: Sandbox, folders: list[str], said: str
) -> None:
    srv = folder.parent
    (srv / "empty").mkdir()
    (srv / ".backstay-Ledger").mkdir()
    (srv / "link").symlink_to(folder)
    assert layout.ROOT.parent == sandbox.base
    wanted = [text.format(srv=srv, root=layout.ROOT, base=sandbox.base) for text in folders]
    _facts, problems = look(folders=wanted)
    assert any(said in text for text in problems.values()), problems


@pytest.mark.parametrize("action", ["backup", "restore"])
def test_a_link_that_the_application_can_exchange_is_refused_and_roots_is_not(folder: Path, action: str) -> None:
    way = folder.parent / "way"
    way.symlink_to(folder)
    options = {"folders": [str(way)], "source": {"folders": [{"folder": str(way), "artifact": "way"}]}}

    def failed() -> list[str]:
        return [check["detail"] for check in files.preflight(options, action)["checks"] if check["status"] == "failed"]

    assert failed() == []
    os.lchown(way, 4711, 4711)
    assert failed() == [f"{way} is a link, and others than root can let it lead elsewhere"]


def test_an_empty_folder_may_be_allowed(folder: Path) -> None:
    (folder / "data").unlink()
    assert look(folders=[str(folder)], allow_empty=True)[1] == {}


def test_what_is_excluded_neither_counts_nor_fills(folder: Path) -> None:
    assert "is empty" in next(iter(look(folders=[str(folder)], exclude=["data"])[1].values()))


def test_no_room_for_a_copy_is_told_before_anything(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "free_bytes", lambda _path: 5000)
    _facts, problems = look(folders=[str(folder)])
    assert "KiB beside it, 4.9 KiB are free" in problems[f"folder {folder}"]
    monkeypatch.setattr(files.filesystem, "kind", lambda _path: "xfs")
    assert look(folders=[str(folder)])[1] == {}


def test_a_service_that_is_down_is_said(folder: Path) -> None:
    assert "a backup leaves it down" in look(folders=[str(folder)], service="ledger")[1]["service"]


def test_a_control_command_that_says_nothing_fails(folder: Path) -> None:
    control = {"start": ["true"], "stop": ["true"], "status": ["sh", "-c", "exit 4"]}
    _facts, problems = look(folders=[str(folder)], service="Ledger", control=control)
    assert "cannot tell whether 'Ledger' runs: sh ended with exit status 4" in problems["service"]


# Restore


def saved(folder: Path, size: int = 100) -> dict[str, Any]:
    return {"folders": [{"folder": str(folder), "artifact": "srv-ledger", "bytes": size, "method": "clone"}]}


def test_a_lost_folder_can_be_restored_and_a_lost_disk_cannot(folder: Path) -> None:
    facts, problems = look("restore", source=saved(folder.parent / "gone"))
    assert (problems, facts["folders"][0]["artifact"]) == ({}, "srv-ledger")
    _facts, problems = look("restore", source=saved(folder / "no" / "such"))
    assert "there is no place for" in next(iter(problems.values()))
    assert "names no folders" in look("restore", source={})[1]["set"]


def test_a_restore_needs_room_and_an_empty_side_directory(folder: Path) -> None:
    assert "are free" in next(iter(look("restore", source=saved(folder, 1 << 60))[1].values()))
    full = folder.parent / "full"
    full.mkdir()
    (full / "x").touch()
    assert "is not empty" in look("restore", source=saved(folder), restore_to=str(full))[1]["target"]
    side = str(folder.parent / "side")
    assert look("restore", source=saved(folder), restore_to=side)[1] == {}
    assert "are free" in look("restore", source=saved(folder, 1 << 60), restore_to=side)[1]["space"]


def test_nothing_is_laid_down_inside_a_live_folder(folder: Path) -> None:
    """Neither in one that the set brings back, nor in one that is only saved by now."""
    for source in (saved(folder), saved(folder.parent / "former")):
        found = look("restore", source=source, folders=[str(folder)], restore_to=str(folder / "side"))[1]
        assert found["target"].endswith(f"lies in {folder}, among live data")


def test_only_gnu_tar_will_do(folder: Path, sandbox: Sandbox) -> None:
    (sandbox.programs / "tar").write_text("#!/bin/sh\necho bsdtar 3.7\n")
    (sandbox.programs / "tar").chmod(0o755)
    assert "is not GNU tar" in look("verify", source=saved(folder))[1]["tar"]


# Names


@given(st.lists(st.text(max_size=12).map(lambda text: "/" + text), max_size=6, unique=True))
def test_every_folder_gets_a_name_of_its_own_that_an_artifact_may_have(folders: list[str]) -> None:
    names = files.artifact_names(folders)
    assert len(set(names)) == len(folders)
    assert all(re.match(r"^[a-z][a-z0-9-]*\Z", name) for name in names), names


def test_names_are_readable() -> None:
    assert files.artifact_names(["/srv/Ledger", "/srv/ledger", "/9", "/ä"]) == [
        "srv-ledger",
        "srv-ledger-2",
        "folder-9",
        "folder",
    ]


# Check after a restore


def test_the_applications_own_check_decides(sandbox: Sandbox, folder: Path) -> None:
    job = Job(sandbox.create(sandbox.backup([good()])))
    files.check(job, {"folders": [str(folder)], "argv": ["echo", "all is well"]})
    assert [(item["name"], item["detail"]) for item in job.seen["checks"]] == [
        ("folders", str(folder)),
        ("application", "all is well"),
    ]
    with pytest.raises(IntegrityError, match="own check sh ended with exit status 1: 3 accounts differ"):
        files.check(job, {"folders": [str(folder)], "argv": ["sh", "-c", "echo 3 accounts differ >&2; exit 1"]})
    with pytest.raises(IntegrityError, match="is not there after the restore"):
        files.check(job, {"folders": [f"{folder}/none"]})
