# SPDX-License-Identifier: GPL-3.0-or-later
"""What the fault tests must know of an app: where it runs, what its procedure is called, how its data is proved.

Another app joins by another class in ``SUBJECTS``; the tests themselves name no app.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab_tools import domino, oracle, powershare, shop, tally
from lab_tools.domino_standin import Document
from lab_tools.fleet import Fleet
from lab_tools.waiting import wait_until

if TYPE_CHECKING:
    from faults.running import Running
    from faults.scene import Scene


class MysqlSubject:
    """MariaDB with the shop, whose writer commits all the time."""

    app = "mysql"
    staging_waits = False  # whether what a failed run staged waits for the next run, which salvages or sweeps it
    logs_may_precede = False  # whether logs saved after a full set may be of a moment before it: sets are listed by moment
    module = ""  # the only module of tests for this subject; empty: all that belong to no other, and ``more``
    more: tuple[str, ...] = ("test_dump",)
    host = "shop-db1"
    service = "mariadb.service"
    capture_step = "Take the data files"
    landing_step = "land full"
    start_step = "Start the server"
    datadir = shop.DATADIR
    yard = "/var/lib/.backstay-mysql"
    broken_settings = ("/etc/mysql/mariadb.conf.d/99-fault.cnf", "[mariadb]\nthere_is_no_such_option = 1\n")
    seed_mib = 24

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

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

    def main_process(self) -> str:
        """Return the process id of the server."""
        return self._fleet.run(self.host, "systemctl", "show", "--value", "--property=MainPID", self.service).strip()

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


class Mysql9Subject(MysqlSubject):
    """The other product: MySQL 9 with the same shop, backed up by CLONE."""

    more = ("test_dump", "test_clone")
    host = "crm-db1"
    service = "mysql.service"
    broken_settings = ("/etc/mysql/mysql.conf.d/99-fault.cnf", "[mysqld]\nthere_is_no_such_option = 1\n")

    def clone(self, running: Running) -> str:
        """Return what the server writes its clone into during a backup."""
        return f"{self.yard}/clone-{running.run_id}/data"

    def hold_needing_server(self, scene: Scene, running: Running, offset: float) -> int:
        """See above; once the clone is made nothing of it depends on the server."""
        return int(scene.hit(running, exists=self.clone(running), hit=self.main_process(), signal="SIGSTOP")["pid"])


class MariadbLogsSubject(MysqlSubject):
    """MariaDB, for what happens to its logs: one module of tests is that of both products' logs."""

    module = "test_pitr"
    log_status = "SHOW MASTER STATUS"
    statements_tell_the_time = True  # the log knows when a statement began, by its session's clock, and no other time


class Mysql9LogsSubject(Mysql9Subject):
    """MySQL 9, for what happens to its logs."""

    module = "test_pitr"
    log_status = "SHOW BINARY LOG STATUS"
    statements_tell_the_time = False


class FilesSubject:
    """Folders of the tally on three filesystems, which stands still for the moment of the picture only."""

    staging_waits = False
    logs_may_precede = False
    app = "files"
    module = "test_folders"
    host = tally.HOST
    service = tally.SERVICE
    yard = "/srv/ext4/#sql-backstay"
    seed_mib = 90

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def prepare(self) -> None:
        """Have the application booking, and enough data that a copy can be hit in its middle."""
        tally.repair(self._fleet)
        tally.start_writing(self._fleet)
        held = int(self._fleet.shell(self.host, "ls /srv/ext4/archive | wc -l"))
        tally.seed(self._fleet, max(self.seed_mib // 3 - held, 0) * 3)

    def mark(self) -> tally.Transaction:
        """Return the last transaction that was booked: it must never be missed again."""
        return tally.committed(self._fleet)

    def prove(self, known: tally.Transaction) -> dict[str, Any]:
        """Prove that the application runs, books, and has lost nothing, and that no picture is left in any yard."""
        wait_until(lambda: tally.running(self._fleet), "the tally runs", 90)
        before = self.mark()
        wait_until(lambda: self.mark() != before, "the tally books", 90)
        places = " ".join(f"'{yard}'/{kind}-*" for yard in tally.YARDS for kind in ("picture", "landing"))
        left = self._fleet.shell(self.host, f"ls -d {places} 2>/dev/null || true")
        assert not left.strip(), f"left: {left}"
        return tally.check(self._fleet, known=known)


class PowerShareSubject:
    """The PowerShare mail server, which routes mail all the time except when it is quit."""

    staging_waits = False
    logs_may_precede = False
    app = "powershare"
    module = "test_powershare"
    host = "mail1"
    service = "powershare-mail.service"
    yard = "/Volumes/Mail HD/.backstay-PowerShare Mail Data"

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._server = powershare.mail(fleet)

    def prepare(self) -> None:
        """Have the server routing."""
        self._server.repair()

    def mark(self) -> str:
        """Return a message that the server confirms from now on: it must never be missed again."""
        return self._server.goes_on()

    def prove(self, known: str) -> dict[str, Any]:
        """Prove that the server runs and confirms, then quit it and prove that nothing it ever confirmed is missing."""
        wait_until(self._server.running, "the mail server runs", 90)
        self.mark()
        self._fleet.run(self.host, "systemctl", "stop", self.service)
        try:
            return self._server.prove(None, known, confirmed=True)
        finally:
            self._fleet.run(self.host, "systemctl", "start", self.service)

    def main_process(self) -> str:
        """Return the process id of the server."""
        return self._fleet.run(self.host, "systemctl", "show", "--value", "--property=MainPID", self.service).strip()


class OracleSubject:
    """An Oracle database (its stand-in) with its ledger, whose writer commits all the time; one module of tests is its own."""

    staging_waits = True  # RMAN counts every set as made, so every kind is salvaged
    logs_may_precede = False
    app = "oracle"
    module = "test_oracle"
    host = oracle.HOST
    service = f"oracle@{oracle.SID}.service"
    capture_step = "Take the data files"
    landing_step = "land full"
    start_step = "Start the database"
    datadir = f"/u02/oradata/{oracle.SID}"
    yard = "/var/lib/backstay/work/oracle1+oracle/landing"

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def prepare(self) -> None:
        """Have the database and its application running, whatever ran before."""
        if not oracle.ask_check(self._fleet, self.host)["ok"]:
            self._fleet.run(self.host, "rm", "-rf", self.datadir)
            self._fleet.up(only=[self.host])
        oracle.start_writer(self._fleet, self.host)

    def mark(self) -> oracle.Commit:
        """Return the last transaction that the application knows to be committed: it must never be missed again."""
        return oracle.commits(self._fleet, self.host, newest=1)[0]

    def prove(self, known: oracle.Commit) -> dict[str, Any]:
        """Prove that the application runs, commits, and has lost nothing. Raise AssertionError otherwise."""
        before = self.mark()
        wait_until(lambda: self.mark() != before, "the application commits", 90)
        return oracle.check(self._fleet, self.host, known=known)


class DominoSubject:
    """A Domino server with archive-style logs (its stand-in), to which mail keeps arriving; one module of tests is its own."""

    staging_waits = True  # the backup task counts what it wrote as archived, so every kind with logs is salvaged
    logs_may_precede = True  # a set of logs ends with its last full extent
    app = "domino"
    module = "test_domino"
    host = domino.ARCHIVE
    service = domino.SERVICE
    yard = "/local/.backstay-notesdata"

    def __init__(self, fleet: Fleet) -> None:
        self._server = domino.Server(fleet, self.host)

    def prepare(self) -> None:
        """Have the server running in good order and mail arriving, whatever ran before."""
        self._server.repair()
        self._server.forget_confirmed()
        self._server.start_writer()

    def mark(self) -> Document:
        """Return a document that is confirmed from now on: it must never be missed again."""
        return self._server.goes_on()

    def prove(self, known: Document) -> dict[str, Any]:
        """Prove that the server runs, that mail arrives, that nothing that it ever confirmed is missing."""
        wait_until(self._server.running, "the server runs", 90)
        self.mark()
        return self._server.prove(known, confirmed=True)

    def main_process(self) -> str:
        """Return the process id of the server."""
        return self._server.main_process()


SUBJECTS: dict[str, Any] = {
    "mariadb": MysqlSubject,
    "mariadb-pitr": MariadbLogsSubject,
    "mysql-9": Mysql9Subject,
    "mysql-9-pitr": Mysql9LogsSubject,
    "files": FilesSubject,
    "powershare": PowerShareSubject,
    "oracle": OracleSubject,
    "domino": DominoSubject,
}
Subject = MysqlSubject
