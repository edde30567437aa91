# SPDX-License-Identifier: GPL-3.0-or-later
"""Oracle: whole calls of a backup and of instances, with programs for tests in the place of RMAN and SQL*Plus."""

from __future__ import annotations

import getpass
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.apps.oracle import (
    client,
    dictionary,
    instances,
    restore,
    side,
    target,
)
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError, CaptureFailed, CommandFailed, Refused
from ansible_collections.backstay.fleet.plugins.module_utils.executors import Command, LocalExecutor
from ansible_collections.backstay.fleet.plugins.module_utils.worker import exchange
from ansible_collections.backstay.fleet.plugins.module_utils.worker.job import Job
from unit.support.sandbox import Sandbox
from unit.support.steps import good


@pytest.fixture
def server(tmp_path: Path) -> client.Instance:
    """Return an instance whose programs the test writes."""
    (tmp_path / "home" / "bin").mkdir(parents=True)
    (tmp_path / "home" / "dbs").mkdir()
    return client.Instance("ORCL", str(tmp_path / "home"), getpass.getuser())


def program(server: client.Instance, name: str, script: str) -> None:
    path = Path(server.home) / "bin" / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def job(sandbox: Sandbox) -> Job:
    made = Job(sandbox.create(sandbox.backup([good()])))
    made.prepare_work()
    return made


def test_rman_gets_a_command_file_and_its_words_are_kept(job: Job, server: client.Instance) -> None:
    program(server, "rman", 'echo "$ORACLE_SID $NLS_LANG $*"; cat "${4#cmdfile=}"')
    said = client.rman(job, server, "data", ["SHOW ALL"])
    assert said.splitlines()[0].startswith("ORCL AMERICAN_AMERICA.AL32UTF8 target / nocatalog cmdfile=")
    assert said.splitlines()[1:] == ["SHOW ALL;", "EXIT;"]
    assert (job.folder.path / "rman-data.log").read_text() == said


def test_the_end_of_rman_is_its_exit_status_and_not_its_goodbye(job: Job, server: client.Instance) -> None:
    program(server, "rman", "echo 'RMAN-06059: expected archived log not found'; echo 'Recovery Manager complete.'; exit 1")
    with pytest.raises(CaptureFailed, match="RMAN-06059") as caught:
        client.rman(job, server, "logs", ["BACKUP"])
    assert "rman-logs.log" in caught.value.hint


def test_a_killed_rman_is_a_failure(job: Job, server: client.Instance) -> None:
    program(server, "rman", "echo 'Recovery Manager complete.'; kill -9 $$")
    with pytest.raises(CommandFailed, match="was killed by SIGKILL"):
        client.rman(job, server, "data", ["BACKUP"])


def test_a_harmless_warning_is_a_warning_of_the_set(job: Job, server: client.Instance) -> None:
    program(server, "rman", "echo 'RMAN-06820: warning: failed to archive current log at primary database'")
    client.rman(job, server, "logs", ["BACKUP"])
    assert [(check["status"], check["detail"][:10]) for check in job.seen["checks"]] == [("warning", "RMAN-06820")]


def test_questions_are_asked_in_one_session(server: client.Instance) -> None:
    program(server, "sqlplus", "while read -r a b; do case $a in PROMPT) echo $b;; SELECT) echo '\"x\",1';; esac; done")
    assert client.ask(server, {"one": "SELECT a FROM b", "two": "SELECT c FROM d"}) == {
        "one": [["x", "1"]],
        "two": [["x", "1"]],
    }


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("echo backstay-answer:status; echo OPEN", "OPEN"),
        ("echo 'ORA-01034: ORACLE not available'; exit 1", ""),
    ],
)
def test_an_instance_that_is_down_is_no_error(server: client.Instance, script: str, found: str) -> None:
    program(server, "sqlplus", f"cat > /dev/null; {script}")
    assert instances.status(server) == found


def test_an_instance_that_cannot_be_asked_is_an_error(server: client.Instance) -> None:
    program(server, "sqlplus", "cat > /dev/null; echo 'ORA-01017: invalid username/password'; exit 1")
    with pytest.raises(BackstayError, match="may not administer"):
        instances.status(server)


def test_the_start_scripts_of_the_host_get_to_know_the_instance(
    server: client.Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    oratab = tmp_path / "oratab"
    oratab.write_text("# comment\nOTHER:/u02:Y")
    oratab.chmod(0o664)
    monkeypatch.setattr(instances, "ORATAB", oratab)
    instances.enter_into_oratab(server)
    instances.enter_into_oratab(server)
    assert oratab.read_text() == f"# comment\nOTHER:/u02:Y\nORCL:{server.home}:Y\n"
    assert oratab.stat().st_mode & 0o777 == 0o664
    with pytest.raises(Refused, match="has ORCL with the home"):
        instances.enter_into_oratab(server._replace(home="/u09"))


def test_what_a_scratch_instance_leaves_in_the_software_is_removed(server: client.Instance) -> None:
    side = server._replace(sid="BS123456")
    for name in ("lkBS123456", "hc_BS123456.dat", "lkORCL"):
        (Path(server.home) / "dbs" / name).touch()
    instances.sweep(side)
    assert [path.name for path in (Path(server.home) / "dbs").iterdir()] == ["lkORCL"]


def test_missing_directories_are_made_for_the_account(server: client.Instance, tmp_path: Path) -> None:
    instances.give_directories(server, [str(tmp_path / "a" / "b"), str(tmp_path / "a" / "c"), "+DATA"])
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["b", "c"]


def test_a_directory_that_the_operator_names_is_the_accounts(server: client.Instance, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "u05").symlink_to(tmp_path / "disk")  # what leads there already is the operator's own
    instances.give_directory(server, tmp_path / "u05" / "a" / "b")
    instances.give_directory(server, tmp_path / "u05" / "a" / "b")
    assert (tmp_path / "disk" / "a" / "b").owner() == getpass.getuser()
    (tmp_path / "disk" / "nowhere").symlink_to(tmp_path / "gone")
    with pytest.raises(Refused, match="cannot be made"):
        instances.give_directory(server, tmp_path / "disk" / "nowhere")


@pytest.mark.parametrize("swapped", ["a", "b"])
def test_a_directory_that_becomes_a_link_meanwhile_does_not_lead_root_elsewhere(
    server: client.Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swapped: str
) -> None:
    """The account may own what is above it, and put a link in the place of what root has just made there."""
    given: list[Any] = []
    make = os.mkdir

    def mkdir(path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        make(path, mode, dir_fd=dir_fd)
        if Path(path).name == swapped:
            made = tmp_path / "own" / {"a": "a", "b": "a/b"}[swapped]
            made.rmdir()
            made.symlink_to(tmp_path / "roots")

    (tmp_path / "own").mkdir()
    (tmp_path / "roots").mkdir()
    monkeypatch.setattr(os, "mkdir", mkdir)
    monkeypatch.setattr(os, "chown", lambda *what: given.append(what))
    monkeypatch.setattr(os, "fchown", lambda *what: given.append(what))
    with pytest.raises(Refused, match="cannot be made"):
        instances.give_directory(server, tmp_path / "own" / "a" / "b")
    assert given == [] and list((tmp_path / "roots").iterdir()) == []


def test_every_call_takes_a_job_and_arguments() -> None:
    from ansible_collections.backstay.fleet.plugins.module_utils.apps.oracle import CALLS

    arguments: dict[str, Any] = {name: call.__code__.co_varnames[:2] for name, call in CALLS.items()}
    assert set(arguments.values()) == {("job", "arguments")}


ANSWERS = """while read -r word name; do [ "$word" = PROMPT ] && case $name in
  *values) echo "$name"; echo '"control_files","+DATA/control01.ctl, /u02/control02.ctl"';;
  *logs) echo "$name"; echo '1,"+REDO/redo01.log"';;
  *temporary) echo "$name"; echo '1,"/u02/temp01.dbf"';;
esac; done; exit 0"""


def test_what_a_restore_in_place_replaces_is_known_from_the_live_instance(server: client.Instance) -> None:
    program(server, "sqlplus", ANSWERS)
    controls, source = ["+DATA/control01.ctl", "/u02/control02.ctl"], {"places": {"+DATA/ORCL": 5}}
    everything = [*controls, "+DATA/ORCL", "+REDO/redo01.log", "/u02/temp01.dbf"]
    assert target.replaced(server, {}, source, {"dbid": 7}) == everything
    assert target.replaced(server, {}, source, None) == everything[:3]
    assert target.replaced(server, {"directory": "/u05"}, source, {"dbid": 7}) == controls
    assert target.replaced(server, {"directory": "/u05", "parameters": "always"}, source, {"dbid": 7}) == []


def test_what_a_restore_in_place_replaces_is_known_from_the_text_of_an_instance_that_is_down(server: client.Instance) -> None:
    program(server, "sqlplus", "cat > /dev/null; echo 'ORA-01034: ORACLE not available'; exit 1")
    assert target.replaced(server, {"directory": "/u05"}, {}, None) == []
    (Path(server.home) / "dbs" / "initORCL.ora").write_text("*.control_files='+DATA/control01.ctl'\n")
    assert target.replaced(server, {"directory": "/u05"}, {}, None) == ["+DATA/control01.ctl"]


@pytest.fixture
def landed(job: Job, server: client.Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where a full set of a database with a server parameter file landed."""
    facts = {"zone": "UTC0", "dbid": 7, "server_parameter_file": True}
    stretch = {"id": "s", "first": "1", "last": "1"}
    full = {"set": "f", "kind": "full", "stream": stretch, "facts": facts, "artifacts": [{"name": "current_1"}]}
    plan = {"receipts": [full], "stop_at": None, "position": None}
    monkeypatch.setattr(restore, "server_of", lambda _job: server)
    monkeypatch.setattr(restore, "plan_of", lambda _job: plan)
    (tmp_path / "landing" / "f").mkdir(parents=True)
    for name in ("current_1", "spfile_1", "data_1"):
        (tmp_path / "landing" / "f" / name).touch()
    (tmp_path / "landing" / "f" / "init.ora").write_text("*.db_name='ORCL'\n*.control_files='/u02/a.ctl','/u03/b.ctl'\n")
    return tmp_path / "landing"


def test_what_landed_is_judged_while_the_database_still_runs(job: Job, landed: Path) -> None:
    restore.judge_landed(job, {"landing": str(landed)})
    restore.judge_landed(job, {"landing": str(landed), "directory": "/u05/erp"})


@pytest.mark.parametrize(
    ("spoil", "changes", "words"),
    [
        ("mv current_1 old_1", {}, "0 pieces 'current'"),
        ("touch current_2", {}, "2 pieces 'current'"),
        ("rm spfile_1", {}, "0 pieces 'spfile'"),
        ('mv data_1 "da\'ta_1"', {}, "cannot be said to RMAN"),
        ("sed -i s=/u03=+DATA= init.ora", {}, "is no file of this host"),
        ("sed -i /db_name/d init.ora", {"directory": "/u05"}, "names no database"),
        ("true", {"directory": "/u05/the&erp"}, "cannot be said to RMAN"),
        ("true", {"directory": "u05"}, "is no directory"),
    ],
)
def test_what_would_fail_behind_the_exchange_fails_before_the_stop(
    job: Job, landed: Path, spoil: str, changes: dict[str, str], words: str
) -> None:
    subprocess.run(spoil, shell=True, check=True, cwd=landed / "f")
    with pytest.raises(BackstayError, match=re.escape(words)):
        restore.judge_landed(job, {"landing": str(landed), **changes})


def test_of_a_host_with_a_parameter_file_that_of_the_set_need_not_be_usable(
    job: Job, landed: Path, server: client.Instance
) -> None:
    (landed / "f" / "spfile_1").unlink()
    (Path(server.home) / "dbs" / "initORCL.ora").touch()
    restore.judge_landed(job, {"landing": str(landed), "parameters": "missing"})
    with pytest.raises(BackstayError, match="0 pieces 'spfile'"):
        restore.judge_landed(job, {"landing": str(landed), "parameters": "always"})


KNOWN_FILES = """tee -a SAID | while read -r word name; do [ "$word" = PROMPT ] && case $name in
  *DATAFILE) echo "$name"; echo '"1","/a/system01.dbf"';;
  *TEMPFILE) echo "$name"; echo '"1","/a/temp01.dbf"';;
  *LOGFILE) echo "$name"; echo '"1","/a/redo01.log"'; echo '"1","/b/redo01.log"';;
esac; done; exit 0"""


def test_what_lies_where_restored_files_come_is_aside_before_and_that_is_where_they_come(
    job: Job, landed: Path, server: client.Instance, tmp_path: Path
) -> None:
    """Those of a restore to the same directory before; OPEN RESETLOGS would write over its online logs."""
    program(server, "sqlplus", KNOWN_FILES.replace("SAID", f"{tmp_path}/said"))
    program(server, "rman", f'cat "${{4#cmdfile=}}" > {tmp_path}/told')
    former = ["1_system01.dbf", "temp1_temp01.dbf", "log1_1_redo01.log", "log1_2_redo01.log"]
    (tmp_path / "erp").mkdir()
    for name in former:
        (tmp_path / "erp" / name).touch()
    restore.recover(job, {"directory": str(tmp_path / "erp")})
    assert [path.name for path in (tmp_path / "erp").iterdir() if path.is_file()] == []
    told = (tmp_path / "told").read_text() + (tmp_path / "said").read_text()
    assert [f"{tmp_path}/erp/{name}" in told for name in former] == [True] * 4
    assert told.count("RENAME FILE") == 2


def test_a_restore_that_fails_ends_its_instance(job: Job, server: client.Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put-back needs closed files, and nobody may work with half a database."""
    said = job.folder.path / "said"
    program(server, "sqlplus", f"cat >> {said}; echo backstay-answer:status; echo STARTED; echo backstay-answer:values")
    (Path(server.home) / "dbs" / f"init{server.sid}.ora").touch()
    monkeypatch.setattr(restore, "server_of", lambda _job: server)
    monkeypatch.setattr(exchange, "begin", lambda _job: None)
    with pytest.raises(CommandFailed, match="names no control files"):
        restore.begin_restore(job, {"landing": "/nowhere", "directory": "", "parameters": "missing"})
    said.write_text("")
    job.clear_work()
    assert "SHUTDOWN ABORT" in said.read_text()


def test_an_instance_of_its_own_is_never_reached_through_the_alias_of_the_live_one(
    job: Job, server: client.Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side, "server_of", lambda _job: server._replace(connect="/@ERP", tns_admin="/etc/oracle/backstay"))
    own = side.side_server(job)
    assert own.sid != server.sid
    assert own.sqlplus_argv()[-1] == "/ as sysdba"
    assert "TNS_ADMIN" not in own.environment()


def test_an_instance_that_the_job_did_not_start_is_not_ended_by_it(
    job: Job, server: client.Instance, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = job.folder.path / "said"
    program(server, "sqlplus", f"cat >> {said}; echo backstay-answer:status; echo OPEN")
    monkeypatch.setattr(side, "server_of", lambda _job: server)
    with pytest.raises(Refused, match="before this job started one"):
        side.begin_side(job, {"directory": str(tmp_path / "side"), "landing": "/nowhere"})
    job.clear_work()
    assert "SHUTDOWN" not in said.read_text()
    assert not (tmp_path / "side").exists()


def test_a_database_host_that_lost_its_worker_starts_an_untouched_database_and_no_other(
    job: Job, server: client.Instance, tmp_path: Path
) -> None:
    left: list[list[Command]] = []

    class Far(LocalExecutor):
        def on_loss(self, commands: list[Command]) -> None:
            left.append(commands)

    log = tmp_path / "log"
    program(server, "sqlplus", f"cat >> {log}")
    control = {verb: ["sh", "-c", f"echo {verb} >> {log}"] for verb in ("start", "stop", "status")}
    job.folder.push_undo({"service": "oracle@ORCL", "control": control, "timeout": 5, "stop_timeout": 5})
    far = server._replace(executor=Far())
    restore._when_lost(job, far, untouched=True)
    restore._make_way(job, far, [str(tmp_path / "control01.ctl")])
    job.seen["opened"] = False
    program(server, "sqlplus", "cat > /dev/null; echo 'ORA-01034: ORACLE not available'; exit 1")
    restore._end(job, far)
    program(server, "sqlplus", f"cat >> {log}")
    for commands in left[:2]:
        for argv, _environment, feed in commands:
            subprocess.run(argv, input=feed.encode(), check=True)
        log.write_text(log.read_text() + "-\n")
    assert log.read_text().split() == ["SHUTDOWN", "ABORT", "EXIT", "stop", "start", "-", "SHUTDOWN", "ABORT", "EXIT", "-"]
    assert left[2:] == [[]], "the instance is gone; what its service starts is left alone"


def test_a_restored_instance_that_was_opened_is_its_services(job: Job, server: client.Instance) -> None:
    said = job.folder.path / "said"
    program(server, "sqlplus", f"cat >> {said}; echo backstay-answer:status; echo OPEN")
    job.seen["opened"] = True
    restore._end(job, server)
    assert not said.exists()


def test_what_cannot_be_cleaned_up_does_not_take_the_result_along(job: Job) -> None:
    def fail() -> None:
        raise CommandFailed("the instance did not end")

    job.cleanups.append(fail)
    job.clear_work()
    assert [event["event"] for event in job.folder.events()] == ["release failed: the instance did not end"]


# What a receipt says


def test_a_name_that_is_no_place_on_this_host_is_not_believed(server: client.Instance, tmp_path: Path) -> None:
    """V$ARCHIVED_LOG names the service of a standby where others have a path."""
    there = dictionary.file_exists(server)
    assert there("+FRA/ORCL/log_1") and there(str(tmp_path))
    assert not there("STBY") and not there(str(tmp_path / "gone"))
    assert "standby_dest = 'NO'" in dictionary.ARCHIVED


def test_a_restore_beside_the_live_database_does_not_come_among_its_files(server: client.Instance, tmp_path: Path) -> None:
    files = tmp_path / "oradata"
    files.mkdir()
    (files / "system01.dbf").touch()
    options = {"host": "oracle1", "source": {"dbid": 1, "name": "CDB1", "places": {str(files): 1, "+DATA": 1}}}

    def found(place: Path) -> str:
        checks, _facts = target.inspect_target(server, dict(options, restore_to=str(place)), "restore")
        return str(next(item["detail"] for item in checks if item["name"] == "target"))

    assert "among live data" in found(files / "side")
    assert "among live data" not in found(tmp_path / "side")
