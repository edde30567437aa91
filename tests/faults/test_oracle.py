# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong with an Oracle database: nothing is called good that is not, no log is lost, the reason is one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from faults.exchanges import WORKER_DIED
from faults.scene import Scene
from lab_tools import oracle
from lab_tools.playbooks import Run

# Changes one byte of a block in a piece.
FLIP = """
import glob
with open(sorted(glob.glob("/var/lib/backstay/staging/oracle1+oracle/*/pieces/data_*"))[0], "r+b") as piece:
    place = piece.seek(-1000, 2)
    byte = piece.read(1)[0]
    piece.seek(place)
    piece.write(bytes([byte ^ 1]))
"""
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


def demand_restorable(scene: Scene, commit: oracle.Commit) -> None:
    """Demand that the newest set leads to behind ``commit``, as RMAN itself reads it."""
    run = scene.playbooks.run("verify", "--limit", scene.host, backstay_only_app="oracle", backstay_set=scene.good[-1])
    (detail,) = [item["detail"] for item in run.demand().record["checks"] if item["name"] == "RESTORE VALIDATE"]
    assert int(detail.split(" to ")[1].split()[0]) > commit.scn, f"{detail} lacks {commit.scn}"


def await_file(path: str) -> str:
    """Return the command that waits until a file is there."""
    return f"for i in $(seq 1200); do test -e {path} && break; sleep 0.1; done; test -e {path}"


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


def test_a_way_to_the_database_that_leads_nowhere_is_named(scene: Scene) -> None:
    attempt(scene, app_oracle_connect="/@ERP").refused(
        "the listener does not know the service (ORA-12514", "app_oracle_connect"
    )
    attempt(scene, app_oracle_connect="sys/secret@ERP").refused("must be / or /@ALIAS", "Keep the password in a wallet")
    nowhere = {"app_oracle_sid": "GONE", "app_oracle_home": ""}
    attempt(scene, **nowhere).refused("/etc/oratab does not name the home of GONE", "Set app_oracle_home")


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
    scene.fleet.run(scene.host, "chmod", "o-x", "/var/lib")  # root gets there, the account of the server does not
    try:
        attempt(scene).refused("the server cannot write into staging", "the account oracle needs a way to")
    finally:
        scene.fleet.run(scene.host, "chmod", "o+x", "/var/lib")


def test_a_full_disk_in_the_middle(scene: Scene) -> None:
    with oracle.knob(scene.fleet, "disk_full_after", "200000"):
        attempt(scene, "full").refused("RMAN: the disk is full", "Make room, then run again")


def test_a_harmless_warning_of_rman_is_a_warning_of_a_good_set(scene: Scene) -> None:
    with oracle.knob(scene.fleet, "standby_unreachable", "1"):
        checks = log_backup(scene)["checks"]
    assert [item["status"] for item in checks if "RMAN-06820" in item["detail"]] == ["warning"], checks


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
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    scn = oracle.commits(scene.fleet, scene.host, newest=1)[0].scn
    done = log_backup(scene)
    assert done["kind"] == "full"
    assert any("archived log" in check["detail"] and "is gone" in check["detail"] for check in done["checks"])
    assert log_backup(scene)["kind"] == "log"
    run = scene.playbooks.run("restore", "--limit", scene.host, backstay_confirm=scene.host, backstay_moment=moment)
    run.refused(f"{moment} cannot be restored", "earlier: 20", "later: 20")
    run = scene.playbooks.run("restore", "--limit", scene.host, backstay_confirm=scene.host, backstay_position=f"scn:{scn}")
    run.refused(f"scn:{scn} cannot be restored", "newest moment that can be restored is")


def test_a_log_that_disappears_during_a_backup(scene: Scene) -> None:
    """RMAN stops (RMAN-06059). What it took is no set, and the next log backup is a full one, not the same failure again."""
    log_backup(scene)
    lost = newest_archived_log(scene)
    with oracle.knob(scene.fleet, "hold_at", "backup_datafile_4") as standing:
        running = scene.start("backup", backstay_kind="full")
        scene.fleet.shell(scene.host, f"{await_file(standing)}; rm {lost}")
    scene.failed(running, "capture", "an archived log is gone from the disk", "The next backup is a full one")
    done = log_backup(scene)
    assert done["kind"] == "full"
    assert any("an archived log is gone" in check["detail"] for check in done["checks"]), done["checks"]


def test_somebody_elses_incremental_backup_in_between(scene: Scene) -> None:
    scene.backup(backstay_kind="full")
    oracle.rman(scene.fleet, "BACKUP INCREMENTAL LEVEL 1 DATABASE;", scene.host)
    done = scene.backup(backstay_kind="incremental").records[-1]
    assert done["kind"] == "full"
    assert any("newer incremental backup" in check["detail"] for check in done["checks"])
    assert scene.backup(backstay_kind="incremental").records[-1]["kind"] == "incremental"


@pytest.mark.parametrize("point", ["backup_datafile_4", "backup_archivelog"])
def test_rman_killed(scene: Scene, point: str) -> None:
    with oracle.knob(scene.fleet, "kill_rman_at", point):
        attempt(scene, "full").refused("RMAN was killed by SIGKILL")
    assert scene.backup(backstay_kind="incremental").records[-1]["kind"] in ("full", "incremental")


@pytest.mark.short
def test_a_piece_that_is_cut_off_or_exchanged_is_no_set(scene: Scene) -> None:
    """While RMAN still works somebody spoils a piece: the dictionary and the files no longer agree."""
    pieces = "/var/lib/backstay/staging/oracle1+oracle/*/pieces"
    for spoil, words in (
        (f"for f in {pieces}/data_*; do truncate -s 100 $f; break; done", "RMAN wrote"),
        (f"for f in {pieces}/data_*; do mv $f $f.bak; break; done", "which is not there"),
    ):
        with oracle.knob(scene.fleet, "hold_at", "backup_archivelog") as standing:
            running = scene.start("backup", backstay_kind="full")
            scene.fleet.shell(scene.host, f"{await_file(standing)}; {spoil}")
        scene.failed(running, "capture", words)


def test_a_piece_in_which_a_byte_was_changed_is_noticed_by_rman(scene: Scene) -> None:
    """Its size is right, so only RMAN's own sums tell: a verification fails, a restore gives up and keeps the former files."""
    with oracle.knob(scene.fleet, "hold_at", "backup_archivelog") as standing:
        running = scene.start("backup", backstay_kind="full")
        scene.fleet.shell(scene.host, await_file(standing))
        scene.fleet.run(scene.host, "python3", "-", stdin=FLIP)
    chosen = {"backstay_only_app": "oracle", "backstay_set": scene.succeeded(running)["set"]}
    words = "a backup piece is missing, truncated or damaged"
    scene.playbooks.run("verify", "--limit", scene.host, **chosen).refused(words)
    scene.fleet.run(scene.host, "systemctl", "stop", f"orawriter@{oracle.SID}")
    commit = oracle.commits(scene.fleet, scene.host, newest=1)[0]
    run = scene.playbooks.run("restore", "--limit", scene.host, backstay_confirm=scene.host, **chosen).refused(
        words, "put it back"
    )
    scene.fleet.shell(scene.host, run.record["put_back"])
    oracle.check(scene.fleet, scene.host, known=commit)
    oracle.start_writer(scene.fleet, scene.host)


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
    with oracle.knob(scene.fleet, "kill_rman_at", "restore_datafile_4"):
        run = scene.playbooks.run("restore", *options, backstay_only_app="oracle", backstay_confirm=scene.host)
    run.refused("RMAN was killed by SIGKILL", "put it back with")
    assert not oracle.ask_check(scene.fleet, scene.host)["ok"]
    scene.fleet.shell(scene.host, run.record["put_back"])
    oracle.check(scene.fleet, scene.host, known=commit)
    oracle.start_writer(scene.fleet, scene.host)
