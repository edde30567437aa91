# SPDX-License-Identifier: GPL-3.0-or-later
"""Two apps of one host: the failure of the first neither hinders the second nor is forgotten because of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from lab_tools import repository, shop
from lab_tools.fleet import CHECKOUT, Fleet
from lab_tools.playbooks import Playbooks

HOST = "shop-db1"
FOLDER = "/srv/beside"
SENTENCE = "false ended with exit status 1"


@pytest.fixture
def both(tmp_path: Path, fleet: Fleet) -> tuple[str, ...]:
    """Give the database host folders as well, whose backup begins with a command that fails; return the inventories."""
    fleet.shell(HOST, f"mkdir -p {FOLDER}; echo content > {FOLDER}/file")
    plain = {"app_files_service": "", "app_files_check": [], "app_files_exclude": []}  # not those of the lab's group
    settings = {**plain, "app_files_folders": [FOLDER], "app_files_before": ["false"]}
    path = tmp_path / "both.yml"
    path.write_text(yaml.safe_dump({"app_files": {"hosts": {HOST: settings}}}), encoding="utf-8")
    return ("-i", str(CHECKOUT / "inventories" / "lab"), "-i", str(path), "--limit", HOST)


def test_the_second_app_is_backed_up_although_the_first_one_failed(
    both: tuple[str, ...], playbooks: Playbooks, fleet: Fleet
) -> None:
    before = repository.receipts(fleet, HOST)
    run = playbooks.run("backup", *both)
    run.refused(SENTENCE, f"{HOST} has no backup of files: ")
    assert run.status == 2
    assert "mysql: " not in run.output.partition("has no backup of")[2].partition("\n")[0]
    told = {record["app"]: record["status"] for record in run.records}
    assert told == {"files": "failed", "mysql": "ok"}
    assert [record["app"] for record in run.records] == ["files", "mysql"], "the app that fails has to be the first"
    (made,) = [record["set"] for record in run.records if record["status"] == "ok"]
    assert sorted(repository.receipts(fleet, HOST)) == sorted([*before, made])
    shop.check(fleet, HOST)


@pytest.mark.long
def test_both_are_backed_up_when_nothing_fails(both: tuple[str, ...], playbooks: Playbooks) -> None:
    done = playbooks.run("backup", *both, app_files_before=["true"]).demand()
    assert [(record["app"], record["status"]) for record in done.records] == [("files", "ok"), ("mysql", "ok")]
