# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong with a Domino server: nothing is called good that is not, no extent is lost, the reason is one sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from faults.exchanges import WORKER_DIED
from faults.kills import kill_at_random_moments, kill_while_held_down, kill_while_laid_down
from faults.scene import Scene
from lab_tools import domino
from lab_tools.domino import Server
from lab_tools.domino_standin import Document
from lab_tools.playbooks import Run
from lab_tools.waiting import wait_until

SOFTWARE = "/opt/hcl/domino/standin.json"


def server_of(scene: Scene) -> Server:
    return Server(scene.fleet, scene.host)


def attempt(scene: Scene, kind: str = "log", **variables: object) -> Run:
    """Run a backup that may fail."""
    return scene.playbooks.run("backup", "--limit", scene.host, backstay_only_app="domino", backstay_kind=kind, **variables)


def log_backup(scene: Scene, **variables: object) -> dict[str, Any]:
    return scene.backup(backstay_kind="log", **variables).records[-1]


def details(record: dict[str, Any]) -> str:
    return " | ".join(f"{check['name']} {check['status']}: {check['detail']}" for check in record["checks"])


def mail_over_two_extents(scene: Scene) -> Document:
    """Make a log backup, then have mail fill two more extents; a document in the second of them."""
    server = server_of(scene)
    log_backup(scene)
    server.fill_extent()
    kept = server.goes_on()
    server.fill_extent()
    return kept


def demand_everything_back(scene: Scene, kept: Document) -> None:
    """Lose the server and demand that the newest sets bring a document back; then its past begins anew."""
    server = server_of(scene)
    moment = domino.between(server.history(), kept)
    history = server.history()
    server.destroy()
    wanted = {"backstay_confirm": scene.host, "backstay_moment": moment, "backstay_keep_aside": False}
    scene.playbooks.run("restore", "--limit", scene.host, backstay_only_app="domino", **wanted).demand()
    domino.demand_moment(server.prove(kept), history, moment)
    server.alone()
    server.forget_confirmed()
    server.start_writer()
    scene.begin()


# Nothing that the backup task took gets lost


def upload_fails_after_extents_were_consumed(scene: Scene) -> Document:
    """Have the upload of a log backup fail and Domino remove what it gave away; a document that was only in that."""
    server = server_of(scene)
    kept = mail_over_two_extents(scene)
    running = scene.start("backup", backstay_kind="log")
    scene.hit(running, step="upload", hit="restic")
    scene.failed(running, "repository", "restic was killed by SIGKILL")
    consumed = server.extents()[0]
    server.fill_extent()
    assert consumed not in server.extents(), "Domino still has what it gave away"
    return kept


@pytest.mark.short
def test_the_upload_fails_after_the_log_was_consumed(scene: Scene) -> None:
    """DOM-7: what the backup task archived is gone from the log directory, and is offsite after the next run."""
    kept = upload_fails_after_extents_were_consumed(scene)
    record = log_backup(scene)
    assert record["kind"] == "log" and len(record["salvaged"]) == 1, details(record)
    demand_everything_back(scene, kept)


def test_the_upload_fails_and_the_backup_target_is_emptied(scene: Scene) -> None:
    """Then staging has the only copy."""
    kept = upload_fails_after_extents_were_consumed(scene)
    server_of(scene).shell(f"rm -rf {domino.TARGET}/*")
    record = log_backup(scene)
    assert len(record["salvaged"]) == 1, details(record)
    demand_everything_back(scene, kept)


@pytest.mark.parametrize("step", ["Have the server back up databases that are new or have a new DBIID", "upload", "commit"])
def test_worker_killed_in_a_log_backup(scene: Scene, step: str) -> None:
    server = server_of(scene)
    kept = mail_over_two_extents(scene)
    running = scene.start("backup", backstay_kind="log")
    scene.hit(running, step=step, hit="worker")
    scene.failed(running, "interrupted", WORKER_DIED)
    scene.accept_only(running.run_id)
    server.fill_extent()
    server.fill_extent()
    record = log_backup(scene)
    assert record["kind"] == "log", "the extents are in staging or in the backup target"
    demand_everything_back(scene, kept)


def test_server_dies_between_the_mark_and_the_inventory(scene: Scene) -> None:
    """An extent is marked as archived and lies in the target, the inventory does not know it."""
    server = server_of(scene)
    kept = mail_over_two_extents(scene)
    with server.knob("kill_at", "translog"):
        attempt(scene).refused("the server ended while")
    scene.fleet.run(scene.host, "systemctl", "restart", scene.subject.service)
    server.goes_on()
    server.fill_extent()
    server.fill_extent()
    record = log_backup(scene)
    if record["kind"] == "log":
        demand_everything_back(scene, kept)
    else:
        assert "S0" in details(record), "a full backup has to name the extent that is not there"


def test_extents_that_somebody_else_took(scene: Scene) -> None:
    """A backup by hand whose files are gone: the next log backup is a full one and names the first extent that is lost."""
    server = server_of(scene)
    log_backup(scene)
    server.fill_extent()
    lost = server.extents()[-2]
    server.console("load backup -t", "Backup: Finished")
    server.fill_extent()
    assert lost not in server.extents()
    server.shell(f"rm -rf {domino.TARGET}/*/TRANSLOG")
    record = log_backup(scene)
    assert record["kind"] == "full" and lost in details(record), details(record)
    server.fill_extent()
    assert log_backup(scene)["kind"] == "log"


def test_a_log_backup_by_hand_whose_files_are_there_is_no_gap(scene: Scene) -> None:
    server = server_of(scene)
    kept = mail_over_two_extents(scene)
    server.console("load backup -t", "Backup: Finished")
    server.fill_extent()
    record = log_backup(scene)
    assert record["kind"] == "log", details(record)
    demand_everything_back(scene, kept)


# What the server says is not believed


def test_the_task_says_that_it_finished_and_wrote_nothing(scene: Scene) -> None:
    server = server_of(scene)
    server.fill_extent()
    with server.knob("backup_lies"):
        for kind in ("full", "log"):
            running = scene.start("backup", backstay_kind=kind)
            scene.failed(running, "capture")


def test_an_error_of_the_task_with_exit_status_0(scene: Scene) -> None:
    with server_of(scene).knob("backup_error", "Insufficient disk space for mail/anna.nsf"):
        running = scene.start("backup", backstay_kind="full")
        scene.failed(running, "capture", "Insufficient disk space for mail/anna.nsf")


def test_a_task_that_never_finishes(scene: Scene) -> None:
    server = server_of(scene)
    with server.knob("backup_hangs"):
        running = scene.start("backup", backstay_kind="full", app_domino_backup_timeout=6)
        scene.failed(running, "capture", "did not finish within 6 s")
        attempt(scene, "full", app_domino_backup_timeout=6).refused("another backup is at work all the time")
    wait_until(lambda: not at_work(server), "the task ends", 90)


def at_work(server: Server) -> bool:
    """Whether a backup task of the server is at work."""
    said = server.console("show tasks", "Task     ").split("> show tasks")[-1]
    return "Backup" in said


def test_a_file_of_the_set_is_cut_off_before_it_is_taken(scene: Scene) -> None:
    """The inventory says how long each file is; what is there afterwards has to agree."""
    server = server_of(scene)
    begin = server.shell("date +@%s.%N").strip()
    find = f"find {domino.TARGET}/*/FULL -name admin4.nsf -newermt {begin}"
    with server.knob("slow", "0.4"):
        running = scene.start("backup", backstay_kind="full")
        file = wait_until(lambda: server.shell(find).strip(), "the task writes its first database", 120)
        wait_until(lambda: listed(server, file), "the inventory has it", 60)
        server.shell(f"truncate -s 2048 '{file}'")
        scene.failed(running, "capture", "admin4.nsf has 2048 bytes")


def listed(server: Server, file: str) -> bool:
    """Whether the inventory names a file."""
    return any(file in entry for item in server.documents("Inventory") for entry in item["List"])


# The server


def test_server_down(scene: Scene) -> None:
    scene.fleet.run(scene.host, "systemctl", "stop", scene.subject.service)
    try:
        attempt(scene).refused('"code": "preflight"', "the server does not run")
        attempt(scene, "full", app_domino_method="native").refused('"code": "preflight"', "the server does not run")
    finally:
        scene.fleet.run(scene.host, "systemctl", "start", scene.subject.service)


def test_server_killed_in_the_middle_of_its_backup(scene: Scene) -> None:
    """A database was in backup mode; the next backup takes it, the scene demands it."""
    server = server_of(scene)
    with server.knob("kill_at", "backup mail/anna.nsf"):
        running = scene.start("backup", backstay_kind="full")
        scene.failed(running, "capture", "the server ended while")
    scene.fleet.run(scene.host, "systemctl", "restart", scene.subject.service)


def test_worker_killed_while_a_database_is_in_backup_mode(scene: Scene) -> None:
    """The task goes on without us; the next run waits for it or says so, and leaves no database in backup mode."""
    server = server_of(scene)
    with server.knob("slow", "0.5"):
        running = scene.start("backup", backstay_kind="full")
        wait_until(lambda: '"B"' in states(server), "a database is in backup mode", 120)
        scene.hit(running, hit="worker")
        scene.failed(running, "interrupted", WORKER_DIED)
    done = scene.backup().records[-1]
    assert done["status"] == "ok"
    assert '"B"' not in states(server)


def states(server: Server) -> str:
    """Return the state bytes of all live databases as JSON text."""
    script = f'find {domino.DATA} -name "*.nsf" -exec sh -c \'printf "\\"%s\\" " "$(head -c 5 "$1" | tail -c 1)"\' _ {{}} \\;'
    return server.shell(script)


def test_a_shutdown_that_ends_in_a_kill_is_no_clean_source(scene: Scene) -> None:
    """Offline: the start script kills with NSD and exits with 1; what lies there then is no set, and the server comes back."""
    server = server_of(scene)
    with shutdown_timeout(scene, 3), server.knob("quit_hangs"):
        running = scene.start("backup", backstay_kind="full", app_domino_method="offline")
        scene.failed(running, "command capture", "did not end by itself when it was stopped")
    wait_until(server.running, "the server is back", 60)


def test_a_server_that_does_not_end_in_time_goes_on(scene: Scene) -> None:
    server = server_of(scene)
    with server.knob("quit_hangs"):
        limits = {"app_domino_stop_timeout": 4, "app_domino_start_timeout": 10}  # the start waits behind the stop
        running = scene.start("backup", backstay_kind="full", app_domino_method="offline", **limits)
        scene.failed(running, "command", "did not stop", "it was not killed")
    wait_until(lambda: not scene.inactive() and server.running(), "the server is back", 90)


@contextmanager
def shutdown_timeout(scene: Scene, seconds: int) -> Iterator[None]:
    """Give the start script another time limit while the block runs."""
    script = "import json, sys; p = sys.argv[1]; d = json.load(open(p)); d['shutdown_timeout'] = int(sys.argv[2])\n"
    script += "json.dump(d, open(p, 'w'), indent=1)"
    scene.fleet.run(scene.host, "python3", "-c", script, SOFTWARE, str(seconds))
    try:
        yield
    finally:
        scene.fleet.run(scene.host, "python3", "-c", script, SOFTWARE, "600")


def test_status_as_the_documentation_has_it(scene: Scene) -> None:
    """0 means that it does not run, 3 that it does: only the text counts."""
    with server_of(scene).knob("status_as_documented"):
        assert scene.backup().records[-1]["status"] == "ok"


# The log


def test_a_log_that_is_about_to_fill_is_told_before(scene: Scene) -> None:
    server = server_of(scene)
    server.fill_extent()
    record = log_backup(scene, app_domino_log_warning=0)
    assert "extents (TRANSLOG_MaxSize) are in use; the server ends with a PANIC" in details(record), details(record)


def test_logging_switched_off_or_circular(scene: Scene) -> None:
    server = server_of(scene)
    for key, words in (("TRANSLOG_Style", "not of archive style"), ("TRANSLOG_Status", "transaction logging is off")):
        server.configure(key, "0")
        try:
            attempt(scene).refused('"code": "preflight"', words)
        finally:
            server.configure(key, "1")


def test_a_database_that_became_another_one(scene: Scene) -> None:
    """A fixup between two log backups: -i in the next one, and the time in between is reported."""
    server = server_of(scene)
    log_backup(scene)
    server.console("load fixup mail/bernd.nsf -J", "Fixup: mail/bernd.nsf")
    server.fill_extent()
    record = log_backup(scene)
    assert record["kind"] == "log"
    assert "mail/bernd.nsf" in details(record)


def test_a_log_that_was_made_anew(scene: Scene) -> None:
    """Section 4f: another LogID; every database has a new DBIID, the next log backup is a full one."""
    server = server_of(scene)
    for status in ("0", "1"):
        server.configure("TRANSLOG_Status", status)
        scene.fleet.run(scene.host, "systemctl", "stop", scene.subject.service)
        if status == "0":
            scene.fleet.shell(scene.host, f"rm -f {domino.LOGS}/*")
        scene.fleet.run(scene.host, "systemctl", "start", scene.subject.service)
    server.goes_on()
    record = log_backup(scene)
    assert record["kind"] == "full", details(record)


# Restores


def test_a_roll_forward_that_fails_leaves_the_live_server_alone(scene: Scene) -> None:
    middle = mail_over_two_extents(scene)
    log_backup(scene)
    moment = domino.between(server_of(scene).history(), middle)
    process = scene.subject.main_process()
    running = scene.start("restore", backstay_moment=moment, app_domino_roll_forward=["/bin/false", "{database}={file}"])
    scene.failed(running, "command integrity", "/bin/false")
    assert scene.subject.main_process() == process, "it was stopped before the set was known to be good"


def test_worker_killed_while_the_set_is_laid_down(scene: Scene) -> None:
    kill_while_laid_down(scene)
    scene.fleet.shell(scene.host, "rm -rf /local/.backstay-*")  # what was restored lies beside each folder


# Workers that die


@pytest.mark.parametrize("method", ["native", "offline"])
def test_server_runs_after_random_kills_of_the_worker(
    scene: Scene, method: str, record_property: Callable[[str, object], None]
) -> None:
    kill_at_random_moments(scene, record_property, backstay_kind="full", app_domino_method=method)


def test_worker_killed_while_the_server_is_stopped(scene: Scene) -> None:
    kill_while_held_down(scene, app_domino_method="offline")
