# SPDX-License-Identifier: GPL-3.0-or-later
"""ORA-9: the backup machine (spare1) is not the database host (oracle1), on which a job never needs root."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from integration import apps
from lab_tools import jobs, oracle, repository
from lab_tools.fleet import CHECKOUT, OFFSITE, Fleet
from lab_tools.playbooks import Playbooks, Run, kill_whole
from lab_tools.waiting import wait_until

pytestmark = pytest.mark.long
NAME, WORKER = "oracle1-far", "spare1"
PLACE = "/var/lib/backstay-executor"
INVENTORY = f"""
app_oracle:
  hosts:
    {NAME}:
      lab_port_offset: 60
      lab_state: {{state}}
      backstay_worker: {WORKER}
      executor_address: {oracle.HOST}
      executor_authorized_keys: /etc/ssh/authorized_keys/oracle
      executor_services: ["oracle@{oracle.SID}"]
"""


class Far:
    """The database as the backup machine sees it."""

    def __init__(self, fleet: Fleet, playbooks: Playbooks, second: Path) -> None:
        self.fleet, self.playbooks = fleet, playbooks
        self.options = ("-i", str(CHECKOUT / "inventories" / "lab"), "-i", str(second), "--limit", NAME)

    def run(self, name: str, **variables: Any) -> Run:
        return self.playbooks.run(name, *self.options, **variables)

    def clean(self) -> bool:
        """Whether nothing of a job is left on the database host, but the lock file of its folder, which stays."""
        left = self.fleet.run(oracle.HOST, "ls", "-A", "--ignore=*.lock", PLACE)
        processes = self.fleet.ask(oracle.HOST, ["pgrep", "-u", "oracle", "-x", "rman|sqlplus"]).stdout
        return not left.strip() and not processes.strip()


@pytest.fixture(scope="module")
def far(
    fleet: Fleet, playbooks: Playbooks, need: Callable[..., None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Far]:
    need(oracle.HOST, WORKER)
    apps.load("oracle", fleet).repair()
    oracle.start_writer(fleet)
    second = tmp_path_factory.mktemp("inventory") / "far.yml"
    second.write_text(INVENTORY.format(state=CHECKOUT / ".lab" / fleet.name))
    playbooks.run("offsite", *Far(fleet, playbooks, second).options[:4], "--limit", f"{OFFSITE},{NAME}").demand()
    made = Far(fleet, playbooks, second)
    made.run("backup").demand()
    yield made
    assert jobs.leftovers(fleet, WORKER) == []


@contextmanager
def held(fleet: Fleet, point: str) -> Iterator[str]:
    """Have RMAN stand still at a point; gives the file that appears when it does."""
    place = oracle.KNOBS.format(oracle.SID)
    fleet.shell(oracle.HOST, f"install -d -o oracle {place}; cat > {place}/hold_at; chmod 666 {place}/hold_at", stdin=point)
    try:
        yield f"{place}/held"
    finally:
        fleet.run(oracle.HOST, "rm", "-f", f"{place}/hold_at", f"{place}/held")


def test_logs_are_pulled_and_nothing_stays_on_the_database_host(far: Far, fleet: Fleet) -> None:
    record = far.run("backup", backstay_kind="log").demand().record
    receipt = repository.receipt(fleet, record["set"], WORKER, NAME)
    assert (record["kind"], receipt["transport"]) == ("log", "stage")
    assert {item["name"].split("_")[0] for item in receipt["artifacts"]} >= {"manifest", "logs", "current"}
    assert far.clean()
    assert fleet.ask(oracle.HOST, ["test", "-e", f"/etc/backstay/repositories/{NAME}"]).status != 0, (
        "no access to the repository"
    )


def test_the_key_is_for_its_owner_only_and_the_host_is_known(far: Far, fleet: Fleet) -> None:
    access = f"/etc/backstay/executors/{NAME}"
    assert fleet.run(WORKER, "stat", "-c", "%a %U", f"{access}/key", f"{access}/known_hosts").split() == ["600", "root"] * 2
    fleet.run(WORKER, "mv", f"{access}/known_hosts", f"{access}/kept")
    other = fleet.run(WORKER, "cat", f"{access}/key.pub").split()[1]  # a key, but not that of the host
    fleet.shell(WORKER, f"sed 's#AAAAC3[^ ]*#{other}#' {access}/kept > {access}/known_hosts")
    try:
        far.run("backup", backstay_kind="log").refused("The host key of oracle@oracle1 is not the known one")
    finally:
        fleet.run(WORKER, "mv", f"{access}/kept", f"{access}/known_hosts")


def test_two_workers_exclude_each_other_on_the_database_host(far: Far, fleet: Fleet, playbooks: Playbooks) -> None:
    with held(fleet, "backup_archivelog") as standing:
        first = playbooks.begin("backup", *far.options, backstay_kind="log")
        wait_until(lambda: fleet.ask(oracle.HOST, ["test", "-e", standing]).status == 0, "RMAN stands still", 200)
        run = playbooks.run("backup", "--limit", oracle.HOST, backstay_kind="log")
        run.refused(f":{oracle.SID} is in use on its host", f"of the worker {WORKER}")
    output = first.communicate(timeout=300)[0].decode()
    assert first.returncode == 0, output


@pytest.mark.parametrize("lost", ["worker", "machine", "connection"])
def test_what_is_lost_in_the_middle_leaves_the_database_free(far: Far, fleet: Fleet, playbooks: Playbooks, lost: str) -> None:
    with held(fleet, "backup_archivelog") as standing:
        running = playbooks.begin("backup", *far.options, backstay_kind="log")
        wait_until(lambda: fleet.ask(oracle.HOST, ["test", "-e", standing]).status == 0, "RMAN stands still", 200)
        (unit,) = jobs.living_units(fleet, WORKER)
        if lost == "worker":
            fleet.run(WORKER, "systemctl", "kill", "--signal=KILL", "--kill-whom=main", unit)
        elif lost == "machine":  # nothing says goodbye
            fleet.run(WORKER, "iptables", "-A", "OUTPUT", "-d", oracle.HOST, "-j", "DROP")
        else:
            fleet.shell(oracle.HOST, "for p in $(pgrep -u oracle sshd); do kill -KILL $p; done")
        wait_until(far.clean, "the database host ends what was running", 200)
    try:
        output = running.communicate(timeout=300)[0].decode()
    finally:
        if running.poll() is None:
            kill_whole(running)
        if lost == "machine":
            fleet.run(WORKER, "iptables", "-F", "OUTPUT")
    words = {"worker": "the worker ended before the job did", "machine": "connection to oracle", "connection": "was lost"}
    assert running.returncode == 2 and words[lost].lower() in " ".join(output.lower().split()), output
    assert far.run("backup", backstay_kind="log").demand().record["kind"] in ("log", "full")


def test_verification_runs_on_the_database_host(far: Far) -> None:
    record = far.run("verify").demand().record
    assert {"RESTORE VALIDATE", "VALIDATE BACKUPSET"} <= {check["name"] for check in record["checks"]}
    assert far.clean()


def test_what_does_not_work_from_another_machine_is_refused(far: Far) -> None:
    run = far.run("restore", backstay_confirm=NAME, backstay_restore_to="/u02/side")
    run.refused("neither a restore beside the live database", "on the database host itself")


def test_everything_is_lost_and_comes_back_from_the_backup_machine(far: Far, fleet: Fleet) -> None:
    known = oracle.commits(fleet, newest=1)[0]
    far.run("backup", backstay_kind="log").demand()
    assert oracle.destroy(fleet)
    far.run("restore", backstay_confirm=NAME).demand()
    oracle.check(fleet, known=known)
    assert far.clean()
    assert far.run("backup", backstay_kind="log").demand().record["kind"] == "full"


def test_no_secret_is_in_a_command_line(far: Far, fleet: Fleet) -> None:
    private = fleet.run(WORKER, "cat", f"/etc/backstay/executors/{NAME}/key").splitlines()[1]
    assert private not in fleet.shell(WORKER, f"cat {jobs.ROOT}/jobs/*/spec.json")
    assert private not in fleet.run(oracle.HOST, "cat", "/etc/ssh/authorized_keys/oracle")
