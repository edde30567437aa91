# SPDX-License-Identifier: GPL-3.0-or-later
"""MariaDB with the shop, whose writer commits all the time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faults import subjects
from lab_tools import shop
from lab_tools.waiting import wait_until

if TYPE_CHECKING:
    from faults.running import Running
    from faults.scene import Scene


class Subject(subjects.Subject):
    """See ``faults.subjects.Subject``."""

    app = "mysql"
    more = ("test_dump",)
    host = "shop-db1"
    service = "mariadb.service"
    capture_step = "Take the data files"
    landing_step = "land full"
    start_step = "Start the server"
    datadir = shop.DATADIR
    yard = "/var/lib/.backstay-mysql"
    broken_settings = ("/etc/mysql/mariadb.conf.d/99-fault.cnf", "[mariadb]\nthere_is_no_such_option = 1\n")
    seed_mib = 24

    def prepare(self) -> None:
        """Have the application running, whatever ran before, and enough data that a capture can be hit in its middle."""
        shop.start_writer(self._fleet, self.host)
        shop.check(self._fleet, self.host)
        tables = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'shop_archive'"
        if shop.sql(self._fleet, tables, self.host).strip() == "0":
            self._fleet.command("seed", self.host, "--mib", str(self.seed_mib), "--no-binlog")

    def mark(self) -> shop.Transaction:
        """Return the last transaction that the application knows to be committed: it must never be missed again."""
        return shop.committed(self._fleet, self.host)

    def prove(self, known: shop.Transaction) -> dict[str, Any]:
        """Prove that the application runs, commits, and has lost nothing. Raise AssertionError otherwise."""
        wait_until(lambda: shop.running(self._fleet, self.host), "the server answers", 90)
        before = self.mark()
        wait_until(lambda: self.mark() != before, "the application commits", 90)
        return shop.check(self._fleet, self.host, known=known)

    def hold_needing_server(self, scene: Scene, running: Running, offset: float) -> int:
        """Hold a backup where it cannot go on without the server; return the process that stands still."""
        return scene.hold_capture(running, offset)

    def add_unique_data(self, mib: int) -> None:
        """Add data that neither compresses nor is in the repository yet."""
        statements = (
            "CREATE SCHEMA IF NOT EXISTS fault_bulk",
            "CREATE TABLE IF NOT EXISTS fault_bulk.noise (id INT AUTO_INCREMENT PRIMARY KEY, body MEDIUMBLOB)",
        )
        for statement in statements:
            shop.sql(self._fleet, "SET sql_log_bin = 0; " + statement, self.host)
        numbers = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1000)"
        # MySQL gives 1024 random bytes at once and counts to 1000, no further.
        one = f"INSERT INTO fault_bulk.noise (body) {numbers} SELECT GROUP_CONCAT(RANDOM_BYTES(1024) SEPARATOR '') FROM numbers"
        settings = "SET sql_log_bin = 0; SET group_concat_max_len = 16777216; "
        shop.sql(self._fleet, settings + "; ".join([one] * mib), self.host)

    def remove_unique_data(self) -> None:
        """Remove what ``add_unique_data`` added."""
        shop.sql(self._fleet, "SET sql_log_bin = 0; DROP SCHEMA IF EXISTS fault_bulk", self.host)
