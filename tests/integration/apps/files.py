# SPDX-License-Identifier: GPL-3.0-or-later
"""Three folders of one application, on btrfs, XFS and ext4, that must be of one moment: the tally."""

from __future__ import annotations

from lab_tools import tally
from lab_tools.fleet import SPARE, Fleet

# test_files has the round trip in the short form, with everything that a folder can hold.
LONG = (
    "test_moving_data_comes_back_after_a_total_loss[stream]",
    "test_moving_data_comes_back_after_a_total_loss[stage]",
    "test_quiesced_data_comes_back_with_equal_hashes",
    "test_restore_to_another_host",
    "test_one_damaged_blob_is_noticed_and_live_data_stays",
    "test_the_sets_are_listed",
)


class Adapter:
    """See ``integration.apps.App``."""

    name = "files"
    host = tally.HOST
    spare = SPARE
    restore_to = "/var/lib/backstay-side"
    proofs = 2

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet

    def repair(self) -> None:
        tally.repair(self.fleet)
        self.fleet.shell(self.spare, "rm -rf /srv/btrfs /srv/xfs /srv/ext4 /srv/.backstay-*; mkdir -p /srv/btrfs /srv/xfs")

    def seed(self, mib: int) -> None:
        tally.seed(self.fleet, mib)

    def start_writer(self) -> tally.Transaction:
        return tally.start_writing(self.fleet)

    def last_known(self) -> tally.Transaction:
        return tally.committed(self.fleet)

    def quiesce(self) -> str:
        return str(tally.stop_writing(self.fleet)["content_sha256"])

    def destroy(self) -> str:
        return tally.destroy(self.fleet)

    def prove(self, host: str | None = None, known: tally.Transaction | None = None, side: str = "") -> str:
        folders = tuple(f"{side}/{name}" for name in tally.ARTIFACTS) if side else tally.FOLDERS
        copied = bool(side) or host not in (None, self.host)
        facts = tally.check(self.fleet, host or self.host, folders, known, stopped=copied)
        return str(facts["content_sha256"])

    def end_side(self, host: str, side: str) -> None:
        self.fleet.run(host, "rm", "-rf", side)

    def identity(self) -> str:
        pid = self.fleet.run(self.host, "systemctl", "show", "--property=MainPID", tally.SERVICE)
        return pid + self.fleet.run(self.host, "stat", "-c", "%i", *(f"{folder}/accounts" for folder in tally.FOLDERS))
