# SPDX-License-Identifier: GPL-3.0-or-later
"""Domino 14 (its stand-in) with archive-style transaction logs, mail that keeps arriving, other files, links, attachments."""

from __future__ import annotations

from lab_tools import domino
from lab_tools.domino_standin import Document
from lab_tools.fleet import Fleet

# test_domino has the round trips of the short form: to a moment in the logs, and of a server that has to be stopped.
LONG = (
    "test_moving_data_comes_back_after_a_total_loss[stage]",
    "test_quiesced_data_comes_back_with_equal_hashes",
    "test_restore_to_another_host",
    "test_one_damaged_blob_is_noticed_and_live_data_stays",
    "test_the_sets_are_listed",
)


class Adapter:
    """See ``integration.apps.App``. Content is the documents of all databases but the backup task's own."""

    name = "domino"
    host = domino.ARCHIVE
    spare = domino.SPARE
    restore_to = "/local/side"
    proofs = 2
    transports = ("stage",)  # the backup task writes into its own target
    exchanged = (f"{domino.DATA}/names.nsf", domino.LOGS, domino.DAOS)  # by a restore in place

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.live = domino.Server(fleet, self.host)
        self.other = domino.Server(fleet, self.spare)

    def repair(self) -> None:
        self.live.repair()
        self.live.forget_confirmed()
        if self.spare not in self.fleet.absent() and self.other.running():
            self.other.renew()  # a recovery server is never started

    def seed(self, mib: int) -> None:
        """A file of the data directory that does not compress, and a document for each MiB."""
        self.live.shell(
            f"head -c {mib << 20} /dev/urandom > {domino.DATA}/domino/seed.bin; chown notes: {domino.DATA}/domino/seed.bin"
        )
        self.live.deliver("mail/bernd.nsf", mib, "--bytes", "1600")

    def start_writer(self) -> Document:
        return self.live.start_writer()

    def last_known(self) -> Document:
        return self.live.last_confirmed()

    def quiesce(self) -> str:
        self.live.stop_writer()
        return domino.content(self.live.prove())

    def destroy(self) -> str:
        return self.live.destroy()

    def prove(self, host: str | None = None, known: Document | None = None, side: str = "") -> str:
        if side:
            return self._prove_side(host or self.host, side)
        server = domino.Server(self.fleet, host or self.host)
        assert server.running(), f"the server on {server.host} does not run"
        return domino.content(server.prove(*([known] if known else [])))

    def _prove_side(self, host: str, side: str) -> str:
        """Return the hash of databases on which no server runs, put together under the paths that they have on one."""
        found = domino.documents_at_rest(self.fleet, host, side)
        assert not [item for item in found.values() if item["problems"]], found
        return domino.content({logical(path): item for path, item in found.items()})

    def end_side(self, host: str, side: str) -> None:
        self.fleet.run(host, "rm", "-rf", side)

    def identity(self) -> str:
        return self.live.main_process() + self.live.shell(f"stat -c %i {' '.join(self.exchanged)}")


def logical(path: str) -> str:
    """Return the path of a database on its server, by where it lies in a restored directory."""
    artifact, _, rest = path.partition("/")
    return {"linked-1": f"archive/{rest}", "links-1": f"apps/{rest}"}.get(artifact, rest)
