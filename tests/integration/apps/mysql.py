# SPDX-License-Identifier: GPL-3.0-or-later
"""MariaDB with the lab's shop: a ledger chained by hashes, balances that sum to a constant, seeded bulk data."""

from __future__ import annotations

from lab_tools import shop
from lab_tools.fleet import SPARE, Fleet
from lab_tools.waiting import wait_until

# Its log backups are staged, see test_mysql_pitr, which lists sets, too; test_restore_fleet restores to another host.
LONG = (
    "test_moving_data_comes_back_after_a_total_loss[stage]",
    "test_restore_to_another_host",
    "test_the_sets_are_listed",
)


class Adapter:
    """See ``integration.apps.App``."""

    name = "mysql"
    host = shop.HOST
    spare = SPARE
    restore_to = """/var/lib/Seite "Süd" d'Or #1; 100% $HOME"""
    proofs = 2

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet

    def repair(self) -> None:
        if not shop.ask_check(self.fleet, self.host)["ok"]:
            self.fleet.shell(self.host, f"systemctl stop {shop.service(self.host)}; find {shop.DATADIR} -mindepth 1 -delete")
            self.fleet.up()
        shop.check(self.fleet, self.host)

    def seed(self, mib: int) -> None:
        self.fleet.command("seed", self.host, "--mib", str(mib))

    def start_writer(self) -> shop.Transaction:
        return shop.start_writer(self.fleet, self.host)

    def last_known(self) -> shop.Transaction:
        return shop.committed(self.fleet, self.host)

    def quiesce(self) -> str:
        return str(shop.quiesce(self.fleet, self.host)["content_sha256"])

    def destroy(self) -> str:
        return shop.destroy(self.fleet, self.host)

    def prove(self, host: str | None = None, known: shop.Transaction | None = None, side: str = "") -> str:
        socket = f"{side}/server.sock" if side else shop.SOCKET
        return str(shop.check(self.fleet, host or self.host, socket, known)["content_sha256"])

    def end_side(self, host: str, side: str) -> None:
        units = self.fleet.run(host, "systemctl", "list-units", "--plain", "--no-legend", "backstay-side-*").splitlines()
        for unit in units:
            self.fleet.run(host, "systemctl", "stop", unit.split()[0])
        self.fleet.run(host, "rm", "-rf", side)

    def identity(self) -> str:
        unit = shop.service(self.host)
        pid = self.fleet.run(self.host, "systemctl", "show", "--property=MainPID,ActiveEnterTimestamp", unit)
        wait_until(lambda: shop.running(self.fleet, self.host), "the live server answers")
        return pid + self.fleet.run(self.host, "stat", "-c", "%i", f"{shop.DATADIR}/ibdata1")
