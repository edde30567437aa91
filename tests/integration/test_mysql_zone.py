# SPDX-License-Identifier: GPL-3.0-or-later
"""A server whose zone is not UTC: what statements of its log and changed tables make of local times comes back as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from integration.apps.mysql import Adapter
from lab_tools import repository, shop
from lab_tools.fleet import Fleet
from lab_tools.playbooks import Playbooks

HOST = shop.HOST
ZONE = "Europe/Berlin"
DROP_IN = "/etc/systemd/system/mariadb.service.d/zone.conf"


@pytest.fixture
def elsewhere(fleet: Fleet) -> Iterator[Adapter]:
    """The shop on a server that lives in another zone."""
    application = Adapter(fleet)
    application.repair()
    restart = "systemctl daemon-reload; systemctl restart mariadb.service"
    fleet.shell(
        HOST, f"mkdir -p {DROP_IN.rpartition('/')[0]}; cat > {DROP_IN}; {restart}", stdin=f"[Service]\nEnvironment=TZ={ZONE}\n"
    )
    yield application
    fleet.shell(HOST, f"rm {DROP_IN}; {restart}")
    shop.sql(fleet, "DROP TABLE IF EXISTS shop.local_times")


@pytest.mark.long
def test_local_times_come_back_as_they_were(elsewhere: Adapter, playbooks: Playbooks, fleet: Fleet) -> None:
    shop.sql(fleet, "CREATE TABLE shop.local_times (id INT PRIMARY KEY, written DATETIME)")
    full = playbooks.run("backup", "--limit", HOST, backstay_kind="full").demand().record
    assert repository.receipt(fleet, full["set"], HOST)["facts"]["time_zone"] == ZONE
    # A statement that is logged as such, and a change of the table, which is logged as a statement in every format.
    shop.sql(
        fleet, "SET SESSION binlog_format = STATEMENT; INSERT INTO shop.local_times VALUES (1, NOW()), (2, FROM_UNIXTIME(3600))"
    )
    shop.sql(fleet, "ALTER TABLE shop.local_times ADD COLUMN changed DATETIME DEFAULT CURRENT_TIMESTAMP")
    rows = "SELECT * FROM shop.local_times ORDER BY id"
    wanted = shop.sql(fleet, rows)
    assert "1970-01-01 02:00:00" in wanted
    playbooks.run("backup", "--limit", HOST, backstay_kind="log").demand()

    shop.destroy(fleet)
    playbooks.run("restore", "--limit", HOST, backstay_confirm=HOST).demand()
    assert shop.sql(fleet, rows) == wanted
