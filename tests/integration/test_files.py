# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders on btrfs, XFS and ext4: everything that a filesystem can hold survives a total loss, and the outage is a moment."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lab_tools import jobs, repository, rich_folder, tally
from lab_tools.fleet import SPARE, Fleet
from lab_tools.playbooks import Playbooks

RICH = "one of everything"


@pytest.fixture
def application(fleet: Fleet, need: Callable[..., None]) -> Fleet:
    """The tally at work, with one of everything in each of its folders."""
    need(tally.HOST, SPARE)
    tally.repair(fleet)
    for folder in tally.FOLDERS:
        fleet.run(tally.HOST, "rm", "-rf", f"{folder}/{RICH}")
        rich(fleet, "make", folder)
    tally.start_writing(fleet)
    return fleet


@pytest.fixture(autouse=True)
def nothing_left(fleet: Fleet) -> Any:
    yield
    for host in (tally.HOST, SPARE):
        assert jobs.leftovers(fleet, host) == []


def rich(fleet: Fleet, command: str, folder: str) -> Any:
    program = Path(rich_folder.__file__).read_text()
    return json.loads(fleet.run(tally.HOST, "python3", "-", command, f"{folder}/{RICH}", stdin=program))


def test_everything_comes_back_on_every_filesystem(application: Fleet, playbooks: Playbooks) -> None:
    fleet = application
    before = {folder: rich(fleet, "list", folder) for folder in tally.FOLDERS}
    assert all(len(found) > 20 for found in before.values())
    known = tally.committed(fleet)
    done = playbooks.run("backup", "--limit", tally.HOST).demand().record
    assert done["status"] == "ok" and done["transport"] == "stream"
    assert tally.committed(fleet) != known, "the application did not write during the backup"
    receipt = repository.receipt(fleet, done["set"], tally.HOST)
    assert [item["method"] for item in receipt["facts"]["folders"]] == ["snapshot", "clone", "copy"]
    assert [item["sockets"] for item in receipt["facts"]["folders"]] == [1, 1, 1]
    assert 0 < receipt["outage_seconds"] < 30

    tally.destroy(fleet)
    restored = playbooks.run("restore", "--limit", tally.HOST, backstay_confirm=tally.HOST).demand().record
    assert restored["target"] == done["consistent_at"]
    assert {check["status"] for check in restored["checks"]} == {"ok"}
    assert {check["name"] for check in restored["checks"]} >= {"application", *(f"manifest {name}" for name in tally.ARTIFACTS)}
    tally.check(fleet, known=known)
    for folder in tally.FOLDERS:
        assert rich(fleet, "list", folder) == before[folder], folder


def test_a_copy_of_the_running_application_is_worthless(application: Fleet) -> None:
    """Otherwise the other tests would prove nothing."""
    fleet, place = application, "/var/tmp/running-copy"
    fleet.shell(tally.HOST, f"rm -rf {place}; mkdir {place}")
    copies = tuple(f"{place}/{name}" for name in tally.ARTIFACTS)
    for folder, copy in zip(tally.FOLDERS, copies, strict=True):
        fleet.run(tally.HOST, "cp", "-a", folder, copy)
    try:
        assert not tally.ask_check(fleet, folders=copies)["ok"]
    finally:
        fleet.run(tally.HOST, "rm", "-rf", place)


@pytest.mark.long
def test_what_cannot_be_saved_is_refused_by_name(application: Fleet, playbooks: Playbooks) -> None:
    wrong = ["/srv/xfs/tally", "/srv/xfs", "/srv/none", "/var/lib/backstay"]
    refused = playbooks.run("backup", "--limit", tally.HOST, app_files_folders=wrong, app_files_service="no-such")
    refused.refused(
        "/srv/xfs/tally and /srv/xfs overlap",
        "/srv/none is not a folder on this host",
        "/var/lib/backstay holds or is Backstay's own place",
        "this host has no service 'no-such'",
    )
    assert tally.running(application)
