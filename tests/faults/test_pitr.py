# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to logs: killed, purged, damaged, dated wrongly. No commit is ever lost silently, no moment promised in vain."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from faults.exchanges import WORKER_DIED
from faults.scene import Scene
from lab_tools import shop
from lab_tools.waiting import wait_until

ROTATE = "Close the binary log and choose"
TAKE = "Take the binary logs"
_GATE = "/run/backstay-fault-tar"


def log_backup(scene: Scene) -> dict[str, Any]:
    """Make an ordinary log backup that has to succeed; return its record."""
    return scene.backup(backstay_kind="log").records[-1]


def newest_commit(scene: Scene) -> shop.Commit:
    """Return a transaction that was committed just now."""
    before = shop.commits(scene.fleet, scene.host, 1)[-1].number
    wait_until(lambda: shop.commits(scene.fleet, scene.host, 1)[-1].number > before + 3, "the shop commits")
    return shop.commits(scene.fleet, scene.host, 1)[-1]


def demand_restorable(scene: Scene, commit: shop.Commit) -> None:
    """Demand that the newest set leads to a state that holds ``commit``, on a scratch copy."""
    done = scene.playbooks.run(
        "verify", "--limit", scene.host, backstay_only_app=scene.subject.app, backstay_set=scene.good[-1]
    ).demand()
    (replayed,) = [check["detail"] for check in done.record["checks"] if check["name"] == "replay"]
    assert reached(replayed, commit.gtid), f"{replayed} lacks {commit.gtid}"


def reached(replayed: str, gtid: str) -> bool:
    """Whether the sentence of a replay names ``gtid`` or a later one of the same domain (MariaDB) or server (MySQL)."""
    origin, _colon, number = gtid.rpartition(":")
    if origin:
        found = re.search(re.escape(origin) + r":1-([0-9]+)", replayed)
        return bool(found) and int(found[1]) >= int(number)
    domain, _server, sequence = gtid.split("-")
    last = dict(found.split("-")[0::2] for found in re.findall(r"[0-9]+-[0-9]+-[0-9]+", replayed))
    return int(last[domain]) >= int(sequence)


def sql(scene: Scene, statement: str) -> str:
    return shop.sql(scene.fleet, statement, scene.host)


def purge(scene: Scene) -> None:
    """Have the server forget every closed binary log; one that a crash would still need is kept until a checkpoint."""

    def purged() -> bool:
        sql(scene, f"PURGE BINARY LOGS TO '{sql(scene, scene.subject.log_status).split()[0]}'")
        return len(sql(scene, "SHOW BINARY LOGS").splitlines()) == 1

    wait_until(purged, "the server has purged its logs")


def closed_log(scene: Scene) -> str:
    """Return the path of the newest closed binary log."""
    sql(scene, "FLUSH BINARY LOGS")
    return f"{shop.DATADIR}/{sql(scene, 'SHOW BINARY LOGS').splitlines()[-2].split()[0]}"


@contextmanager
def held_tar(scene: Scene) -> Iterator[None]:
    """Hold the archiver of the host before it opens a file; on leaving the block it goes on."""
    program = f'#!/bin/sh\n: > {_GATE}-reached\nwhile [ -e {_GATE} ]; do sleep 0.05; done\nexec /usr/bin/tar "$@"\n'
    scene.fleet.shell(scene.host, f"cat > /usr/local/sbin/tar; chmod 755 /usr/local/sbin/tar; : > {_GATE}", stdin=program)
    try:
        yield
    finally:
        # A shell that runs already has read the whole program; nobody else shall find it.
        scene.fleet.shell(scene.host, f"rm -f /usr/local/sbin/tar {_GATE} {_GATE}-reached")


@pytest.mark.short
def test_upload_fails_and_the_originals_are_purged(scene: Scene) -> None:
    log_backup(scene)
    commit = newest_commit(scene)
    running = scene.start("backup", backstay_kind="log")
    scene.hit(running, step="upload", hit="restic")
    scene.failed(running, "repository", "restic was killed by SIGKILL")
    purge(scene)  # all that was captured; what was written since is open and stays
    record = log_backup(scene)
    assert len(record["salvaged"]) == 1
    assert record["kind"] == "log", "the salvaged set and this one are one history"
    demand_restorable(scene, commit)


@pytest.mark.parametrize("step", [ROTATE, TAKE, "upload", "commit"])
def test_worker_killed_in_a_log_backup(scene: Scene, step: str) -> None:
    commit = newest_commit(scene)
    running = scene.start("backup", backstay_kind="log")
    scene.hit(running, step=step, hit="worker")
    scene.failed(running, "interrupted", WORKER_DIED)
    scene.accept_only(running.run_id)
    record = log_backup(scene)
    assert record["kind"] == "log"
    demand_restorable(scene, commit)


def test_log_purged_between_listing_and_copy(scene: Scene) -> None:
    log_backup(scene)
    with held_tar(scene):
        running = scene.start("backup", backstay_kind="log")
        reached = ["test", "-e", f"{_GATE}-reached"]
        wait_until(lambda: scene.fleet.ask(scene.host, reached).status == 0, "the logs are being taken", 60)
        purge(scene)
    scene.failed(running, "capture", "No such file or directory")
    record = log_backup(scene)
    assert record["kind"] == "full", "what was purged is gone, so the history begins anew"
    assert [check for check in record["checks"] if "is gone from the server" in check["detail"]]
    assert log_backup(scene)["kind"] == "log"


def test_corrupt_log(scene: Scene) -> None:
    log_backup(scene)
    newest_commit(scene)
    path = closed_log(scene)
    flip = f"with open('{path}', 'r+b') as f: f.seek(-200, 2); b = f.read(1); f.seek(-200, 2); f.write(bytes([b[0] ^ 1]))"
    scene.fleet.run(scene.host, "python3", "-c", flip)
    running = scene.start("backup", backstay_kind="log")
    scene.failed(running, "integrity", f"Binary log {path.rpartition('/')[2]} is damaged at position", "makes a full one")
    record = log_backup(scene)
    assert record["kind"] == "full"
    assert [check for check in record["checks"] if "is damaged at position" in check["detail"]]
    commit = newest_commit(scene)
    assert log_backup(scene)["kind"] == "log"
    demand_restorable(scene, commit)


def test_clock_went_back(scene: Scene) -> None:
    """A statement dated after its log was closed: the moment names no place and is refused; the sets still come back."""
    log_backup(scene)
    sql(scene, "SET timestamp = @@timestamp + 600; CREATE TABLE shop.clock (id INT); DROP TABLE shop.clock")
    commit = newest_commit(scene)
    wait_until(lambda: newest_commit(scene).at[:19] > commit.at[:19], "a second passes")
    record = log_backup(scene)
    warnings = [check for check in record["checks"] if "clock went back" in check["detail"]]
    if not scene.subject.statements_tell_the_time:
        assert not warnings, "the log of this server tells when a transaction was committed"
        demand_restorable(scene, commit)
        return
    assert warnings
    server = scene.subject.main_process()
    running = scene.start("restore", backstay_moment=commit.at)
    scene.failed(running, "bad-input", "clock of the server went back", "-e backstay_position=mysqld-bin.")
    assert scene.subject.main_process() == server, "the server was touched"
    demand_restorable(scene, commit)


@pytest.mark.short
def test_worker_killed_while_replaying(scene: Scene) -> None:
    newest_commit(scene)
    log_backup(scene)
    server = scene.subject.main_process()
    running = scene.start("restore")
    scene.hit(running, step="Replay the binary logs", hit="worker")
    scene.failed(running, "interrupted", WORKER_DIED)
    assert scene.subject.main_process() == server, "the server was touched"


def test_replay_fails(scene: Scene) -> None:
    """A statement that cannot be applied ends the restore before anything live is touched."""
    log_backup(scene)
    # Not in the log: the copy will lack this table, and the statement that is logged cannot find it.
    sql(
        scene,
        "SET sql_log_bin = 0; CREATE TABLE shop.unlogged (id INT); SET sql_log_bin = 1; INSERT INTO shop.unlogged VALUES (1)",
    )
    try:
        log_backup(scene)
        server = scene.subject.main_process()
        running = scene.start("restore")
        scene.failed(running, "command", "The replay ended with exit status 1", "shop.unlogged")
        assert scene.subject.main_process() == server, "the server was touched"
    finally:
        sql(scene, "SET sql_log_bin = 0; DROP TABLE shop.unlogged")
        scene.backup()  # from here on the copy has the same tables again
