# SPDX-License-Identifier: GPL-3.0-or-later
"""The mail server of the lab, which routes mail all the time: messages chained by hashes, an index, resource forks."""

from __future__ import annotations

import json
from typing import Any

from lab_tools.fleet import Fleet
from lab_tools.powershare import Server, mail

# Moving data is the point of a server that always routes; the engine behind the rest is the one of the other apps.
LONG = (
    "test_moving_data_comes_back_after_a_total_loss[stream]",
    "test_restore_to_another_host",
    "test_quiesced_data_comes_back_with_equal_hashes",
    "test_one_damaged_blob_is_noticed_and_live_data_stays",
    "test_the_sets_are_listed",
)


class Adapter:
    """See ``integration.apps.App``. Its content is the chain of messages: a server counts its quits in files that it keeps."""

    name = "powershare"
    host = "mail1"
    spare = "mail2"
    restore_to = "/Volumes/Mail HD/backstay side"
    proofs = 1  # the manifest: no second server runs beside the live one

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.live = mail(fleet)

    def repair(self) -> None:
        self.live.repair()

    def seed(self, mib: int) -> None:
        """The server brings data that does not compress."""
        held = int(self.live.shell(f"du -sm '{self.live.folder}' | cut -f1"))
        assert held >= mib, f"{held} MiB of mail, {mib} are wanted"

    def start_writer(self) -> str:
        self.live.knob("clear")
        return self.live.goes_on()

    def last_known(self) -> str:
        return self.live.goes_on()

    def quiesce(self) -> str:
        self.live.knob("rate", "0")
        return self.prove()

    def destroy(self) -> str:
        self.fleet.run(self.host, "systemctl", "stop", self.live.unit)
        self.live.shell(f"rm -rf '{self.live.folder}'")
        said = self.live.check()
        assert not said["ok"], "the data survived"
        return str(said["problems"])

    def prove(self, host: str | None = None, known: str | None = None, side: str = "") -> str:
        marks = [known] if known else []
        if side:
            prefs = f"{side}/mail-prefs/PowerShare Mail Prefs"
            assert json.loads(self.fleet.run(self.host, "cat", prefs))["volume"] == "/Volumes/Mail HD"
            return content(self.live.prove(f"{side}/{self.live.folder}", *marks))
        server = Server(self.fleet, host or self.host, "mail")
        assert server.running(), f"the mail server of {server.host} does not run"
        self.fleet.run(server.host, "systemctl", "stop", server.unit)  # the data of a running server is never in order
        try:
            return content(server.prove(None, *marks))
        finally:
            self.fleet.run(server.host, "systemctl", "start", server.unit)

    def end_side(self, host: str, side: str) -> None:
        self.fleet.run(host, "rm", "-rf", side)

    def identity(self) -> str:
        pid = self.fleet.run(self.host, "systemctl", "show", "--property=MainPID,ActiveEnterTimestamp", self.live.unit)
        return pid + self.live.shell(f"ls -i '{self.live.folder}'")


def content(facts: dict[str, Any]) -> str:
    """Return what tells one state of the messages from another: their number, and the hash that all of them chain up to."""
    return f"{facts['transactions']} {facts['last']}"
