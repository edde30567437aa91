# SPDX-License-Identifier: GPL-3.0-or-later
"""Oracle (its stand-in) with a ledger chained by hashes and balances that sum to a constant, on a clock of its own."""

from __future__ import annotations

from lab_tools import oracle
from lab_tools.fleet import Fleet

LONG = (
    "test_restore_to_another_host",
    "test_quiesced_data_comes_back_with_equal_hashes",
    "test_one_damaged_blob_is_noticed_and_live_data_stays",
    "test_the_sets_are_listed",
)


class Adapter:
    """See ``integration.apps.App``."""

    name = "oracle"
    host = oracle.HOST
    spare = oracle.SPARE
    restore_to = "/u02/side"
    proofs = 2
    transports = ("stage",)  # the server writes the pieces itself

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet

    def repair(self) -> None:
        if not oracle.ask_check(self.fleet)["ok"]:
            self.fleet.shell(self.host, f"rm -rf /u02/oradata/{oracle.SID}")
            self.fleet.up()
        oracle.check(self.fleet)

    def seed(self, mib: int) -> None:
        oracle.transact(self.fleet, mib * 10)

    def start_writer(self) -> oracle.Commit:
        return oracle.start_writer(self.fleet)

    def last_known(self) -> oracle.Commit:
        return oracle.commits(self.fleet, newest=1)[0]

    def quiesce(self) -> str:
        oracle.stop_writer(self.fleet)
        return str(oracle.check(self.fleet)["content_sha256"])

    def destroy(self) -> str:
        return oracle.destroy(self.fleet)

    def prove(self, host: str | None = None, known: oracle.Commit | None = None, side: str = "") -> str:
        place = host or self.host
        sid = self.fleet.run(place, "cat", f"{side}/sid").strip() if side else oracle.SID
        return str(oracle.check(self.fleet, place, sid, known)["content_sha256"])

    def end_side(self, host: str, side: str) -> None:
        units = self.fleet.run(host, "systemctl", "list-units", "--plain", "--no-legend", "backstay-side-*").splitlines()
        for unit in units:
            self.fleet.run(host, "systemctl", "stop", unit.split()[0])
        self.fleet.run(host, "rm", "-rf", side)

    def identity(self) -> str:
        started = "SELECT TO_CHAR(startup_time, 'YYYY-MM-DD HH24:MI:SS') FROM v$instance"
        return oracle.sql(self.fleet, started) + oracle.sql(self.fleet, "SELECT resetlogs_change# FROM v$database")
