# SPDX-License-Identifier: GPL-3.0-or-later
"""Odd inventory names, and two runs that want the same server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from integration.apps import App
from lab_tools import jobs, repository, shop
from lab_tools.fleet import CHECKOUT, OFFSITE, Fleet
from lab_tools.playbooks import Playbooks
from lab_tools.waiting import wait_until

APPS = ("mysql",)  # what is looked for is what MariaDB and its tools say
ODD_NAME = """Kasse "Süd" d'Or 100% $HOME"""


@contextmanager
def held_back(fleet: Fleet, host: str) -> Iterator[None]:
    """Make every physical backup of the server wait: somebody else is in a backup stage."""
    mine = "FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(600)%'"
    hold = ["mariadb", "-e", "BACKUP STAGE START; SELECT SLEEP(600)"]
    fleet.run(host, "systemd-run", "--quiet", "--collect", "--unit=hold-backups", *hold)
    wait_until(lambda: shop.sql(fleet, f"SELECT COUNT(*) {mine}", host).strip() == "1", "backups are held back")
    try:
        yield
    finally:
        shop.sql(fleet, shop.sql(fleet, f"SELECT CONCAT('KILL ', id) {mine}", host), host)


@pytest.mark.long
def test_second_backup_of_an_instance_is_refused_and_names_the_first(live: App, playbooks: Playbooks, fleet: Fleet) -> None:
    before = jobs.newest_run(fleet, live.host)
    with held_back(fleet, live.host):
        first = playbooks.begin("backup", "--limit", live.host)
        wait_until(lambda: jobs.living_units(fleet, live.host), "the first backup is at work", deadline=120)
        run_id = jobs.newest_run(fleet, live.host)
        assert run_id != before
        second = playbooks.run("backup", "--limit", live.host)
        second.refused(f"Run {run_id} is still at work for {live.name} on {live.host}", f"-e backstay_run={run_id}")
        assert not second.records
        assert jobs.living_units(fleet, live.host), "the refused run ended the first one"
    output, _nothing = first.communicate(timeout=300)
    assert first.returncode == 0, output.decode()


@pytest.fixture
def odd_inventory(tmp_path: Path, fleet: Fleet) -> Path:
    """Give the database host a second inventory name that shells, YAML, URLs and file systems dislike."""
    variables = {"lab_port_offset": 10, "lab_state": str(CHECKOUT / ".lab" / fleet.name)}
    path = tmp_path / "odd.yml"
    path.write_text(yaml.safe_dump({"app_mysql": {"hosts": {ODD_NAME: variables}}}, allow_unicode=True), encoding="utf-8")
    return path


@pytest.mark.long
def test_names_with_spaces_quotes_and_foreign_letters(
    live: App, playbooks: Playbooks, fleet: Fleet, odd_inventory: Path
) -> None:
    inventories = ("-i", str(CHECKOUT / "inventories" / "lab"), "-i", str(odd_inventory))
    only_odd = (*inventories, "--limit", "app_mysql:!shop-db1:!crm-db1")
    usual = repository.receipts(fleet, live.host)
    playbooks.run("offsite", *inventories, "--limit", f"{OFFSITE}:app_mysql:!shop-db1:!crm-db1").demand()

    done = playbooks.run("backup", *only_odd).demand().record
    assert done["host"] == ODD_NAME and done["status"] == "ok"
    assert repository.receipts(fleet, live.host) == usual, "--limit did not keep the other name out, or the set went astray"
    assert done["set"] in playbooks.run("sets", *only_odd).demand().output
    verified = playbooks.run("verify", *only_odd).demand().record
    assert verified["source"] == ODD_NAME
    live.prove()
