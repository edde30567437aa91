# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong with an Oracle database: nothing is called good that is not, no log is lost, the reason is one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from faults.exchanges import WORKER_DIED
from faults.scene import Scene
from lab_tools import oracle
from lab_tools.playbooks import Run

AREA = "ALTER SYSTEM SET db_recovery_file_dest_size = {}"


def attempt(scene: Scene, kind: str = "log", **variables: object) -> Run:
    """Run a backup that may fail."""
    return scene.playbooks.run("backup", "--limit", scene.host, backstay_only_app="oracle", backstay_kind=kind, **variables)


def log_backup(scene: Scene) -> dict:
    return scene.backup(backstay_kind="log").records[-1]


@contextmanager
def mounted(scene: Scene) -> Iterator[None]:
    """Have the database mounted only; afterwards it is open again, its application running."""
    scene.fleet.run(scene.host, "systemctl", "stop", f"orawriter@{oracle.SID}")
    oracle.sql(scene.fleet, "SHUTDOWN IMMEDIATE", scene.host)
    oracle.sql(scene.fleet, "STARTUP MOUNT", scene.host)
    yield
    oracle.sql(scene.fleet, "SHUTDOWN IMMEDIATE", scene.host)
    scene.fleet.run(scene.host, "systemctl", "restart", f"oracle@{oracle.SID}", f"orawriter@{oracle.SID}")


@contextmanager
def knob(scene: Scene, name: str, content: str) -> Iterator[None]:
    """Turn a knob of the stand-in for a while."""
    path = f"{oracle.KNOBS.format(oracle.SID)}/{name}"
    scene.fleet.shell(
        scene.host, f"install -d -o oracle {path.rpartition('/')[0]}; cat > {path}; chmod 666 {path}", stdin=content
    )
    try:
        yield
    finally:
        scene.fleet.run(scene.host, "rm", "-f", path)


def demand_restorable(scene: Scene, commit: oracle.Commit) -> None:
    """Demand that the newest set leads to behind ``commit``, as RMAN itself reads it."""
    run = scene.playbooks.run("verify", "--limit", scene.host, backstay_only_app="oracle", backstay_set=scene.good[-1])
    (detail,) = [item["detail"] for item in run.demand().record["checks"] if item["name"] == "RESTORE VALIDATE"]
    assert int(detail.split(" to ")[1].split()[0]) > commit.scn, f"{detail} lacks {commit.scn}"


def newest_archived_log(scene: Scene) -> str:
    """Close the current log and return the path of its archived copy."""
    oracle.sql(scene.fleet, "ALTER SYSTEM ARCHIVE LOG CURRENT", scene.host)
    newest = "SELECT name FROM v$archived_log WHERE deleted = 'NO' ORDER BY recid DESC FETCH FIRST 1 ROWS ONLY"
    return oracle.sql(scene.fleet, newest, scene.host).split()[-1]


def test_a_database_that_is_not_open_is_named(scene: Scene) -> None:
    with mounted(scene):
        attempt(scene).refused("MOUNTED", "open the primary database")
    scene.fleet.run(scene.host, "systemctl", "stop", f"orawriter@{oracle.SID}", f"oracle@{oracle.SID}")
    try:
        attempt(scene).refused("the instance is not started")
    finally:
        scene.fleet.run(scene.host, "systemctl", "start", f"oracle@{oracle.SID}", f"orawriter@{oracle.SID}")


def test_noarchivelog_is_refused_and_never_changed(scene: Scene) -> None:
    with mounted(scene):
        oracle.sql(scene.fleet, "ALTER DATABASE NOARCHIVELOG", scene.host)
        oracle.sql(scene.fleet, "ALTER DATABASE OPEN", scene.host)
        attempt(scene, "full").refused("NOARCHIVELOG")
        oracle.sql(scene.fleet, "SHUTDOWN IMMEDIATE", scene.host)
        oracle.sql(scene.fleet, "STARTUP MOUNT", scene.host)
        oracle.sql(scene.fleet, "ALTER DATABASE ARCHIVELOG", scene.host)
    assert scene.backup(backstay_kind="log").records[-1]["kind"] in ("full", "log")


def test_staging_that_the_server_cannot_write_to(scene: Scene) -> None:
    """ORA-9: the server writes a probe, the worker reads it; pieces that cannot be written are no surprise later."""
    scene.fleet.shell(scene.host, "touch /var/lib/backstay/staging/oracle1+oracle/probe")
    try:
        attempt(scene).refused("staging", "cannot write")
    finally:
        scene.fleet.run(scene.host, "rm", "-f", "/var/lib/backstay/staging/oracle1+oracle/probe")


def test_a_full_recovery_area(scene: Scene) -> None:
    limit = oracle.sql(scene.fleet, "SELECT space_limit FROM v$recovery_file_dest", scene.host).split()[-1]
    used = oracle.sql(scene.fleet, "SELECT space_used FROM v$recovery_file_dest", scene.host).split()[-1]
    scene.fleet.run(scene.host, "systemctl", "stop", f"orawriter@{oracle.SID}")
    oracle.sql(scene.fleet, AREA.format(used), scene.host)
    try:
        attempt(scene).refused("recovery area", "is full")
    finally:
        oracle.sql(scene.fleet, AREA.format(limit), scene.host)
        oracle.sql(scene.fleet, "ALTER SYSTEM ARCHIVE LOG CURRENT", scene.host)  # the destination is tried again
        scene.fleet.run(scene.host, "systemctl", "start", f"orawriter@{oracle.SID}")


def test_a_closed_keystore(scene: Scene) -> None:
    oracle.sql(scene.fleet, 'ADMINISTER KEY MANAGEMENT SET KEYSTORE CLOSE IDENTIFIED BY "lab-keystore"', scene.host)
    try:
        attempt(scene).refused("the keystore is CLOSED")
    finally:
        oracle.sql(scene.fleet, 'ADMINISTER KEY MANAGEMENT SET KEYSTORE OPEN IDENTIFIED BY "lab-keystore"', scene.host)


def test_a_log_that_is_gone_forces_a_full_set_and_says_so(scene: Scene) -> None:
    log_backup(scene)
    lost = newest_archived_log(scene)
    scene.fleet.run(scene.host, "rm", lost)
    done = log_backup(scene)
    assert done["kind"] == "full"
    assert any("archived log" in check["detail"] and "is gone" in check["detail"] for check in done["checks"])
    assert log_backup(scene)["kind"] == "log"


def test_somebody_elses_incremental_backup_in_between(scene: Scene) -> None:
    scene.backup(backstay_kind="full")
    oracle.rman(scene.fleet, "BACKUP INCREMENTAL LEVEL 1 DATABASE;", scene.host)
    done = scene.backup(backstay_kind="incremental").records[-1]
    assert done["kind"] == "full"
    assert any("newer incremental backup" in check["detail"] for check in done["checks"])
    assert scene.backup(backstay_kind="incremental").records[-1]["kind"] == "incremental"


@pytest.mark.parametrize("point", ["backup_datafile_4", "backup_archivelog"])
def test_rman_killed(scene: Scene, point: str) -> None:
    with knob(scene, "kill_rman_at", point):
        attempt(scene, "full").refused("RMAN was killed by SIGKILL")
    assert scene.backup(backstay_kind="incremental").records[-1]["kind"] in ("full", "incremental")


def test_a_piece_that_is_cut_off_or_exchanged_is_no_set(scene: Scene) -> None:
    """While RMAN still works somebody spoils a piece: the dictionary and the files no longer agree."""
    pieces = "/var/lib/backstay/staging/oracle1+oracle/*/pieces"
    for spoil, words in (
        (f"for f in {pieces}/data_*; do truncate -s 100 $f; break; done", "RMAN wrote"),
        (f"for f in {pieces}/data_*; do mv $f $f.bak; break; done", "which is not there"),
    ):
        path = f"{oracle.KNOBS.format(oracle.SID)}"
        with knob(scene, "hold_at", "backup_archivelog"):
            running = scene.start("backup", backstay_kind="full")
            scene.fleet.shell(scene.host, f"for i in $(seq 600); do test -e {path}/held && break; sleep 0.1; done; {spoil}")
        scene.failed(running, "capture", words)


def test_the_upload_fails_and_the_logs_are_removed(scene: Scene) -> None:
    """ORA-8: what RMAN believes to be backed up and is not offsite goes there first."""
    log_backup(scene)
    commit = oracle.commits(scene.fleet, scene.host, newest=1)[0]
    running = scene.start("backup", backstay_kind="log")
    scene.hit(running, step="upload", hit="restic")
    scene.failed(running, "repository", "restic was killed by SIGKILL")
    lost = scene.fleet.shell(scene.host, f"find /u03/fra/{oracle.SID}/archivelog -type f -print -delete")
    assert lost
    record = log_backup(scene)
    assert len(record["salvaged"]) == 1
    demand_restorable(scene, commit)


@pytest.mark.parametrize("step", ["Take the archived logs", "upload", "commit"])
def test_worker_killed_in_a_log_backup(scene: Scene, step: str) -> None:
    commit = oracle.commits(scene.fleet, scene.host, newest=1)[0]
    running = scene.start("backup", backstay_kind="log")
    scene.hit(running, step=step, hit="worker")
    scene.failed(running, "interrupted", WORKER_DIED)
    scene.accept_only(running.run_id)
    record = log_backup(scene)
    assert record["kind"] == "log", "the archived logs are still there, or staged"
    demand_restorable(scene, commit)


def test_rman_killed_in_a_restore_keeps_both(scene: Scene) -> None:
    """The former files lie aside, nothing is started on half of a database, and one command puts them back."""
    scene.fleet.run(scene.host, "systemctl", "stop", f"orawriter@{oracle.SID}")
    commit = oracle.commits(scene.fleet, scene.host, newest=1)[0]
    options = ("--limit", scene.host)
    with knob(scene, "kill_rman_at", "restore_datafile_4"):
        run = scene.playbooks.run("restore", *options, backstay_only_app="oracle", backstay_confirm=scene.host)
    run.refused("RMAN was killed by SIGKILL", "put it back with")
    assert not oracle.ask_check(scene.fleet, scene.host)["ok"]
    scene.fleet.shell(scene.host, run.record["put_back"])
    oracle.check(scene.fleet, scene.host, known=commit)
    oracle.start_writer(scene.fleet, scene.host)
