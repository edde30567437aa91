# SPDX-License-Identifier: GPL-3.0-or-later
"""ORA-9: the backup machine (spare1) is not the database host (oracle1), on which a job never needs root."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from integration import apps
from lab_tools import jobs, oracle, repository
from lab_tools.fleet import CHECKOUT, OFFSITE, Fleet
from lab_tools.playbooks import Playbooks, Run, kill_whole
from lab_tools.waiting import seconds_pass, wait_until

pytestmark = pytest.mark.long
NAME, WORKER = "oracle1-far", "spare1"
SHARED, SHARE = "oracle1-shared", "/srv/pieces"
PLACE = "/var/lib/backstay-executor"
INVENTORY = f"""
app_oracle:
  hosts:
    {{name}}:
      executor_staging: {{staging}}
      lab_port_offset: 60
      lab_state: {{state}}
      backstay_worker: {WORKER}
      executor_address: {oracle.HOST}
      executor_authorized_keys: /etc/ssh/authorized_keys/oracle
      executor_services: ["oracle@{oracle.SID}"]
"""


class Far:
    """The database as the backup machine sees it."""

    def __init__(self, fleet: Fleet, playbooks: Playbooks, folder: Path, name: str, staging: str) -> None:
        self.fleet, self.playbooks, self.name = fleet, playbooks, name
        second = folder / f"{name}.yml"
        second.write_text(INVENTORY.format(name=name, staging=staging, state=CHECKOUT / ".lab" / fleet.name))
        self.options = ("-i", str(CHECKOUT / "inventories" / "lab"), "-i", str(second), "--limit", name)

    def set_up(self) -> Far:
        """Let the worker in and make the first backup."""
        self.playbooks.run("offsite", *self.options[:4], "--limit", f"{OFFSITE},{self.name}").demand()
        self.run("backup").demand()
        return self

    def run(self, name: str, **variables: Any) -> Run:
        return self.playbooks.run(name, *self.options, **variables)

    def clean(self) -> bool:
        """Whether nothing of a job is left on the database host, but the lock file of its folder, which stays."""
        left = self.fleet.run(oracle.HOST, "ls", "-A", "--ignore=*.lock", PLACE)
        processes = self.fleet.ask(oracle.HOST, ["pgrep", "-u", "oracle", "-x", "rman|sqlplus"]).stdout
        return not left.strip() and not processes.strip()

    def logs(self) -> dict[str, Any]:
        """Make a log backup and return its record."""
        return self.run("backup", backstay_kind="log").demand().record


def lose(fleet: Fleet, what: str) -> None:
    """Take the worker, its machine or the connection from the job that is at work."""
    if what == "worker":
        (unit,) = jobs.living_units(fleet, WORKER)
        fleet.run(WORKER, "systemctl", "kill", "--signal=KILL", "--kill-whom=main", unit)
    elif what == "machine":  # nothing says goodbye
        fleet.run(WORKER, "iptables", "-A", "OUTPUT", "-d", oracle.HOST, "-j", "DROP")
    else:
        fleet.shell(oracle.HOST, "for p in $(pgrep -u oracle sshd); do kill -KILL $p; done")


def written_to(fleet: Fleet, record: dict[str, Any]) -> set[str]:
    """Return the folders that RMAN says it wrote the pieces of a backup to, up to the staging folder of the host."""
    said = fleet.shell(WORKER, f"cat {jobs.ROOT}/jobs/{record['run']}/rman-*.log")
    return set(re.findall(r"^piece handle=(\S+?)/[^/\s]+/pieces/", said, re.MULTILINE))


@pytest.fixture(scope="module")
def far(
    fleet: Fleet, playbooks: Playbooks, need: Callable[..., None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Far]:
    need(oracle.HOST, WORKER)
    apps.load("oracle", fleet).repair()
    oracle.start_writer(fleet)
    german = "NLS_LANG=GERMAN_GERMANY.AL32UTF8\nNLS_DATE_FORMAT=DD-MON-RR\n"  # what a login brings along
    fleet.run(oracle.HOST, "tee", "-a", "/etc/environment", stdin=german)
    yield Far(fleet, playbooks, tmp_path_factory.mktemp("inventory"), NAME, "pull").set_up()
    fleet.run(oracle.HOST, "sed", "-i", "/^NLS_/d", "/etc/environment")
    assert jobs.leftovers(fleet, WORKER) == []


@pytest.fixture(scope="module")
def shared(far: Far, fleet: Fleet, playbooks: Playbooks, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    """The same database, whose staging both machines mount at the same place."""
    place = f"{jobs.ROOT}/staging/{SHARED}+oracle"
    for host in (oracle.HOST, WORKER):
        fleet.shell(host, f"mkdir -p {place}; chmod a+x {jobs.ROOT} {jobs.ROOT}/staging; mount --bind {SHARE} {place}")
    yield Far(fleet, playbooks, tmp_path_factory.mktemp("inventory"), SHARED, "share").set_up()
    for host in (oracle.HOST, WORKER):
        fleet.shell(host, f"umount {place}; rmdir {place}")


def test_logs_are_pulled_and_nothing_stays_on_the_database_host(far: Far, fleet: Fleet) -> None:
    record = far.run("backup", backstay_kind="log").demand().record
    receipt = repository.receipt(fleet, record["set"], WORKER, NAME)
    assert (record["kind"], receipt["transport"]) == ("log", "stage")
    assert {item["name"].split("_")[0] for item in receipt["artifacts"]} >= {"manifest", "logs", "current"}
    assert written_to(fleet, record) == {f"{PLACE}/{NAME}+oracle/staging"} and far.clean()
    assert fleet.ask(oracle.HOST, ["test", "-e", f"/etc/backstay/repositories/{NAME}"]).status != 0, (
        "no access to the repository"
    )


def test_another_language_of_the_login_changes_nothing(far: Far, fleet: Fleet) -> None:
    """The tools get language and dates from us; without that the stand-in speaks German there."""
    access = f"/etc/backstay/executors/{NAME}"
    login = ["ssh", "-i", f"{access}/key", "-o", f"UserKnownHostsFile={access}/known_hosts", f"oracle@{oracle.HOST}"]
    tool = f"ORACLE_HOME={oracle.HOME} ORACLE_SID={oracle.SID} {oracle.HOME}/bin/rman target /"
    assert "Recovery Manager abgeschlossen." in fleet.run(WORKER, *login, tool, stdin="EXIT;\n")
    record = far.logs()
    said = fleet.run(WORKER, "cat", f"{jobs.ROOT}/jobs/{record['run']}/rman-logs.log")
    assert re.search(r"^Finished backup at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d$", said, re.MULTILINE), said
    assert "Recovery Manager complete." in said


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
    with oracle.knob(fleet, "hold_at", "backup_archivelog") as standing:
        first = playbooks.begin("backup", *far.options, backstay_kind="log")
        wait_until(lambda: fleet.ask(oracle.HOST, ["test", "-e", standing]).status == 0, "RMAN stands still", 200)
        run = playbooks.run("backup", "--limit", oracle.HOST, backstay_kind="log")
        run.refused(f":{oracle.SID} is in use on its host", f"of the worker {WORKER}")
    output = first.communicate(timeout=300)[0].decode()
    assert first.returncode == 0, output


@pytest.mark.parametrize("lost", ["worker", "machine", "connection"])
def test_what_is_lost_in_the_middle_leaves_the_database_free(far: Far, fleet: Fleet, playbooks: Playbooks, lost: str) -> None:
    with oracle.knob(fleet, "hold_at", "backup_archivelog") as standing:
        running = playbooks.begin("backup", *far.options, backstay_kind="log")
        wait_until(lambda: fleet.ask(oracle.HOST, ["test", "-e", standing]).status == 0, "RMAN stands still", 200)
        lose(fleet, lost)
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
    """To a moment: the database lives at UTC+3:30, the backup machine does not, and its login speaks German."""
    oracle.stop_writer(fleet)
    known, last = oracle.commits(fleet, newest=1)[0], oracle.check(fleet)["last_id"]
    moment = seconds_pass(1.5)
    oracle.start_writer(fleet)
    far.run("backup", backstay_kind="log").demand()
    assert oracle.destroy(fleet)
    far.run("restore", backstay_confirm=NAME, backstay_moment=moment).demand()
    assert oracle.check(fleet, known=known)["last_id"] == last, "nothing that was committed after it"
    assert far.clean()
    oracle.start_writer(fleet)  # what it remembers to have committed is there again
    assert far.run("backup", backstay_kind="log").demand().record["kind"] == "full"


@pytest.mark.parametrize("lost", ["rman", "worker", "connection"])
def test_a_restore_that_fails_is_put_back_from_the_backup_machine(
    far: Far, fleet: Fleet, playbooks: Playbooks, lost: str
) -> None:
    """The former files lie aside on the database host, the command that puts them back runs on the worker."""
    oracle.stop_writer(fleet)
    known = oracle.commits(fleet, newest=1)[0]
    with oracle.knob(fleet, "kill_rman_at" if lost == "rman" else "hold_at", "restore_datafile_4") as standing:
        running = playbooks.begin("restore", *far.options, backstay_confirm=NAME)
        if lost != "rman":
            wait_until(lambda: fleet.ask(oracle.HOST, ["test", "-e", standing]).status == 0, "RMAN stands still", 200)
            lose(fleet, lost)
        output = " ".join(running.communicate(timeout=300)[0].decode().split())
    words = {"rman": "RMAN was killed by SIGKILL", "worker": "The worker ended before the job did", "connection": "was lost"}
    assert running.returncode == 2 and words[lost] in output and f"put it back on {WORKER} with" in output, output
    wait_until(far.clean, "the database host ends what was running", 200)
    assert not oracle.ask_check(fleet)["ok"], "nobody may use half a database"
    run = far.run("restore", backstay_confirm=NAME).refused(f"Put the former data back first, on {WORKER}: sudo")
    (command,) = set(re.findall(rf"sudo \S+ \S+ put-back {jobs.ROOT}/jobs/\S+?(?= )", " ".join(run.output.split())))
    assert "are back in their places" in fleet.shell(WORKER, command)
    oracle.check(fleet, known=known)
    assert far.clean()
    oracle.start_writer(fleet)
    assert far.logs()["kind"] in ("log", "full")


def test_staging_that_both_machines_mount_is_not_pulled(shared: Far, fleet: Fleet) -> None:
    """ORA-9: the server writes where the worker reads; a restore lands on the database host all the same."""
    full = shared.run("backup").demand().record
    assert written_to(fleet, full) == {f"{jobs.ROOT}/staging/{SHARED}+oracle"}
    known = oracle.commits(fleet, newest=1)[0]
    assert shared.logs()["kind"] == "log"
    with oracle.knob(fleet, "kill_rman_at", "backup_archivelog"):
        shared.run("backup").refused("RMAN was killed by SIGKILL")
    assert shared.run("backup", backstay_kind="incremental").demand().record["kind"] in ("incremental", "full")
    assert fleet.run(WORKER, "ls", "-A", SHARE).split() == []
    assert oracle.destroy(fleet)
    shared.run("restore", backstay_confirm=SHARED).demand()
    oracle.check(fleet, known=known)
    assert shared.clean()


def test_a_share_that_one_machine_lost_is_noticed_before_the_backup(shared: Far, fleet: Fleet) -> None:
    place = f"{jobs.ROOT}/staging/{SHARED}+oracle"
    for host in (WORKER, oracle.HOST):
        fleet.run(host, "umount", place)
        try:
            shared.run("backup").refused("staging", "the server cannot write into staging")
        finally:
            fleet.run(host, "mount", "--bind", SHARE, place)
        assert fleet.run(host, "ls", "-A", SHARE).split() == []
    assert jobs.leftovers(fleet, WORKER) == []


def test_no_secret_is_in_a_command_line(far: Far, fleet: Fleet) -> None:
    private = fleet.run(WORKER, "cat", f"/etc/backstay/executors/{NAME}/key").splitlines()[1]
    assert private not in fleet.shell(WORKER, f"cat {jobs.ROOT}/jobs/*/spec.json")
    assert private not in fleet.run(oracle.HOST, "cat", "/etc/ssh/authorized_keys/oracle")
