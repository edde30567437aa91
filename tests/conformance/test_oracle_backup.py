# SPDX-License-Identifier: GPL-3.0-or-later
"""The Oracle stand-in against its specification, items 1 to 8: backups, archived logs, pieces and command files."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from lab_tools.oracle_standin import Server, codes, instances, lines
from lab_tools.waiting import wait_until

NewOracle = Callable[..., Server]


def test_item_1_a_copy_of_open_data_files_is_fuzzy_and_does_not_open(oracle: Server) -> None:
    """ORA-2: files change while the database is open; what cp makes of them opens only with ORA-01194."""
    oracle.commit(5)
    before = {path.name: path.read_bytes() for path in oracle.oradata.glob("*.dbf")}
    oracle.commit(5)
    changed = {path.name for path in oracle.oradata.glob("*.dbf") if path.read_bytes() != before[path.name]}
    assert {"shop01.dbf", "users01.dbf", "undotbs01.dbf", "system01.dbf"} <= changed
    assert {row[0] for row in oracle.rows("select fuzzy from v$datafile_header")} == {"YES"}
    copies = oracle.root / "copies"
    shutil.copytree(oracle.oradata, copies, ignore=shutil.ignore_patterns("*.ctl", "*.log", "temp*"))
    oracle.commit(5)
    oracle.good(
        f"BACKUP ARCHIVELOG ALL FORMAT '{oracle.stage}/al_%U';", f"BACKUP CURRENT CONTROLFILE FORMAT '{oracle.stage}/ct_%U';"
    )
    oracle.lose_everything()
    shutil.copytree(copies, oracle.oradata, dirs_exist_ok=True)
    oracle.good(*oracle.control_back(), "RECOVER DATABASE UNTIL AVAILABLE REDO;")
    assert oracle.refused("ALTER DATABASE OPEN RESETLOGS;") == ["RMAN-03002", "ORA-01547", "ORA-01194", "ORA-01110"]


def test_item_1_a_piece_is_fuzzy_until_the_logs_written_during_it_are_applied(oracle: Server) -> None:
    """ORA-4: a level 0 alone is unusable; start and end SCN are recorded and the logs between have to be there."""
    oracle.commit(10)
    oracle.knobs.joinpath("hold_at").write_text("backup_datafile_5")
    file = oracle.root / "backup.rman"
    file.write_text(f"BACKUP INCREMENTAL LEVEL 0 DATABASE FORMAT '{oracle.stage}/db_%U';\n")
    argv = [str(oracle.home / "bin/rman"), "target", "/", f"cmdfile={file}"]
    with subprocess.Popen(argv, env=oracle.environment, stdout=subprocess.DEVNULL) as running:
        wait_until(oracle.knobs.joinpath("held").exists, "the backup is inside data file 5")
        oracle.commit(60)
        oracle.knobs.joinpath("hold_at").unlink()
    assert running.returncode == 0
    columns = "checkpoint_change#, absolute_fuzzy_change#"
    start, end = map(int, oracle.rows(f"select {columns} from v$backup_datafile where file# = 5")[0])
    assert end > start
    assert f"Recovery must be done beyond SCN {end}" in oracle.good("RESTORE DATABASE PREVIEW;")
    oracle.good(f"BACKUP CURRENT CONTROLFILE FORMAT '{oracle.stage}/ct_%U';")
    oracle.lose_everything()
    oracle.good(*oracle.control_back(), "RESTORE DATABASE;")
    assert oracle.refused("ALTER DATABASE OPEN RESETLOGS;")[:3] == ["RMAN-03002", "ORA-01547", "ORA-01194"]
    assert oracle.refused("RECOVER DATABASE;") == ["RMAN-03002", "RMAN-06054"]


def test_item_2_online_logs_wrap_and_noarchivelog_refuses_an_open_backup(new_oracle: NewOracle) -> None:
    oracle = new_oracle("--no-cdb", "--noarchivelog")
    oracle.commit(3)
    refused = oracle.refused(f"BACKUP DATABASE FORMAT '{oracle.stage}/%U';")
    assert refused == ["RMAN-03002", "RMAN-06149"]
    sequences = [int(row[0]) for row in oracle.rows("select sequence# from v$log")]
    for _ in range(4):
        oracle.altered("ALTER SYSTEM SWITCH LOGFILE;")
    after = [int(row[0]) for row in oracle.rows("select sequence# from v$log where sequence# > 0")]
    assert min(after) > max(sequences)
    assert oracle.rows("select sequence# from v$archived_log") == []
    oracle.good("SHUTDOWN IMMEDIATE;", "STARTUP MOUNT;", f"BACKUP DATABASE FORMAT '{oracle.stage}/%U';", "ALTER DATABASE OPEN;")
    refused = oracle.sql("ALTER DATABASE ARCHIVELOG;")
    assert refused.status == 1
    assert "ORA-01126" in refused.stdout


@pytest.mark.parametrize(
    "damage", ["truncated", "missing", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("flipped", "foreign", "text"))]
)
def test_item_3_pieces_are_checked_before_they_are_used(oracle: Server, damage: str) -> None:
    """A piece that is not whole, not Oracle's or another one never passes: ORA-19870."""
    oracle.commit(40)
    oracle.full()
    piece = oracle.pieces("db_*")[4]
    data = bytearray(piece.read_bytes())
    if damage == "missing":
        piece.unlink()
    elif damage == "text":
        piece.write_text("no piece\n")
    elif damage == "foreign":
        piece.write_bytes(oracle.pieces("db_*")[0].read_bytes())
    else:
        data[len(data) - 5000] ^= 0x10
        piece.write_bytes(data if damage == "flipped" else data[:-700])
    causes = {"missing": ["ORA-19505", "ORA-27037"], "text": ["ORA-19608"], "foreign": ["ORA-19608"]}.get(damage, ["ORA-19587"])
    assert oracle.refused("RESTORE DATABASE VALIDATE;") == ["RMAN-03009", "ORA-19870", *causes]
    oracle.good("SHUTDOWN IMMEDIATE;", "STARTUP MOUNT;")
    assert oracle.refused("RESTORE DATABASE;") == ["RMAN-03009", "ORA-19870", *causes]


def test_item_3_catalog_lists_what_is_no_piece_and_goes_on(oracle: Server, new_oracle: NewOracle) -> None:
    oracle.full()
    other = new_oracle("--no-cdb", name="other", sid="OTHER")
    other.full()
    foreign = shutil.copy(other.pieces("ct_*")[0], oracle.stage / "ct_other")
    (oracle.stage / "manifest.json").write_text("{}")
    for number in oracle.rows("select recid from v$backup_set"):
        oracle.good(f"CHANGE BACKUPSET {number[0]} UNCATALOG;")
    said = oracle.good(f"CATALOG START WITH '{oracle.stage}/' NOPROMPT;")
    refused = said[said.index("List of Files Which Were Not Cataloged") :]
    assert f"File Name: {oracle.stage}/manifest.json\n  RMAN-07517: Reason: The file header is corrupted" in refused
    assert f"File Name: {foreign}\n  RMAN-07518: Reason: Foreign database file" in refused
    assert len(oracle.rows("select handle from v$backup_piece")) == len(oracle.pieces("[dacs][blpt]_*")) - 1
    oracle.good("RESTORE DATABASE VALIDATE;", "RESTORE ARCHIVELOG ALL VALIDATE;", "RESTORE SPFILE VALIDATE;")


def test_item_4_the_server_writes_and_names_a_directory_it_cannot_use(oracle: Server) -> None:
    refused = oracle.refused(f"BACKUP DATABASE FORMAT '{oracle.root}/nowhere/%U';")
    assert refused == ["RMAN-03009", "ORA-19504", "ORA-27040"]
    again = oracle.refused(
        f"BACKUP CURRENT CONTROLFILE FORMAT '{oracle.stage}/one';", f"BACKUP SPFILE FORMAT '{oracle.stage}/one';"
    )
    assert again == ["RMAN-03009", "ORA-19504", "ORA-27038"]
    oracle.knobs.joinpath("disk_full_after").write_text("150000")
    said = oracle.rman(f"BACKUP DATABASE FORMAT '{oracle.stage}/full_%U';")
    assert (said.status, codes(said.stdout)) == (1, ["RMAN-03009", "ORA-19502", "ORA-27072"])
    assert "Linux-x86_64 Error: 28: No space left on device" in said.stdout
    assert oracle.pieces("full_*") == []
    assert (
        oracle.value("select status from v$rman_backup_job_details order by session_key desc fetch first 1 rows only")
        == "FAILED"
    )


def test_item_5_a_command_file_is_parsed_whole_and_stops_at_the_first_error(oracle: Server) -> None:
    """ "Recovery Manager complete." and work that was done prove nothing; the exit status counts."""
    backup = f"BACKUP CURRENT CONTROLFILE FORMAT '{oracle.stage}/ct_%U';"
    file = f"file: {oracle.root}/commands.rman"
    for bad, found in (
        ("BACKUPP DATABASE;", 'found "identifier"'),
        ("BACKUP DATABASE", 'found "end-of-file"'),
        ("VALIDATE BACKUP;", 'found "backup"'),
    ):
        done = oracle.rman(backup, bad)
        assert (done.status, oracle.pieces("ct_*")) == (1, []), done.stdout
        stack = codes(done.stdout)
        assert stack[:2] == ["RMAN-00558", "RMAN-01009"]
        assert stack[-1] == "RMAN-01007"
        assert found in done.stdout
        assert "at line " in done.stdout
        assert file in done.stdout
        assert done.stdout.endswith("Recovery Manager complete.\n")
    assert oracle.refused(backup, "BACKUP DATAFILE 99;", f"BACKUP SPFILE FORMAT '{oracle.stage}/never_%U';") == [
        "RMAN-03002",
        "RMAN-20201",
    ]
    assert len(oracle.pieces("ct_*")) == 1
    assert oracle.pieces("never_*") == []
    (oracle.root / "check.rman").write_text("BACKUP DATABASE\n")
    checked = oracle.run("rman", "checksyntax", f"cmdfile={oracle.root}/check.rman")
    assert (checked.status, codes(checked.stdout)[0]) == (1, "RMAN-00558")


def test_item_6_misuse_is_refused(oracle: Server) -> None:
    for secret in ("sys/tiger", "sys/tiger@TEST", "/@TEST"):
        done = oracle.run("rman", "target", secret, stdin="show all;\n")
        assert (done.status, codes(done.stdout)[:2]) == (1, ["RMAN-00554", "RMAN-04005"])
    assert oracle.run("sqlplus", "-S", "-L", "sys/tiger as sysdba").status == 1
    assert oracle.refused(f"BACKUP ARCHIVELOG ALL PLUS ARCHIVELOG FORMAT '{oracle.stage}/%U';")[-1] == "RMAN-06042"
    assert oracle.refused(f"BACKUP CURRENT CONTROLFILE PLUS ARCHIVELOG FORMAT '{oracle.stage}/%U';")[-1] == "RMAN-06042"
    format_ = "CONTROLFILE AUTOBACKUP FORMAT FOR DEVICE TYPE DISK TO '/tmp/cf_%U';"
    assert oracle.refused(f"CONFIGURE {format_}") == ["RMAN-03002", "RMAN-06492"]
    assert oracle.refused(f"RUN {{ SET {format_} }}") == ["RMAN-03002", "RMAN-06492"]
    assert oracle.refused("SET UNTIL SCN 1000010;", "RESTORE DATABASE;")[:2] == ["RMAN-00558", "RMAN-01009"]
    oracle.good(f"BACKUP ARCHIVELOG ALL FORMAT '{oracle.stage}/al_%U';")
    asked = oracle.good("DELETE ARCHIVELOG ALL;")
    assert "Do you really want to delete the above objects (enter YES or NO)?" in asked
    assert "Deleted" not in asked
    assert oracle.value("select count(*) from v$archived_log where deleted = 'NO'") == "1"
    oracle.good("DELETE NOPROMPT ARCHIVELOG ALL BACKED UP 1 TIMES TO DEVICE TYPE DISK;")
    assert oracle.value("select count(*) from v$archived_log where deleted = 'NO'") == "0"
    shutil.copy(oracle.pieces("al_*")[0], oracle.stage / "again")
    assert "List of Cataloged Files" not in oracle.good(f"CATALOG START WITH '{oracle.stage}/again';")


def test_item_7_a_pfile_instance_has_no_spfile_to_save(new_oracle: NewOracle) -> None:
    """ORA-5: the init file of such a database is a text file that somebody has to copy."""
    oracle = new_oracle("--no-cdb", "--pfile")
    assert oracle.value("select '<' || value || '>' from v$parameter where name = 'spfile'") == "<>"
    assert oracle.refused(f"BACKUP SPFILE FORMAT '{oracle.stage}/%U';") == ["RMAN-03009", "ORA-19598"]
    assert oracle.refused(f"SQL \"CREATE PFILE=''{oracle.stage}/init.ora'' FROM SPFILE\";")[-1] == "ORA-19598"
    oracle.good(f"SQL \"CREATE PFILE=''{oracle.stage}/init.ora'' FROM MEMORY\";")
    assert "*.db_name='TEST'" in (oracle.stage / "init.ora").read_text()
    assert oracle.sql("ALTER SYSTEM SET processes = 400 SCOPE = SPFILE;").status == 1


def test_item_8_backed_up_means_recorded_and_a_removed_log_stops_the_backup(oracle: Server) -> None:
    """ORA-8: records are not files; CROSSCHECK turns the loud failure into a silent gap."""
    logs = f"BACKUP ARCHIVELOG ALL NOT BACKED UP 1 TIMES FORMAT '{oracle.stage}/al_%U';"
    oracle.commit(3)
    oracle.good(logs)
    for piece in oracle.pieces("al_*"):
        piece.unlink()
    said = oracle.good(logs)
    assert "skipping archived logs of thread 1 sequence 1; already backed up" in said
    assert "input archived log thread=1 sequence=2" in said
    oracle.commit(3)
    oracle.altered("ALTER SYSTEM SWITCH LOGFILE;")
    lost = Path(oracle.value("select name from v$archived_log where sequence# = 3"))
    lost.unlink()
    assert oracle.refused(logs) == ["RMAN-03002", "RMAN-06059", "ORA-19625", "ORA-27037"]
    assert "validation failed for archived log" in oracle.good("CROSSCHECK ARCHIVELOG ALL;")
    assert oracle.value("select status from v$archived_log where sequence# = 3") == "X"
    oracle.good("DELETE NOPROMPT EXPIRED ARCHIVELOG ALL;", logs)
    gap = """select sequence#, case when lag(next_change#) over (partition by resetlogs_change#, thread# order by sequence#)
             <> first_change# then 'GAP' end as gap from v$archived_log
             where status <> 'D' and resetlogs_change# = (select resetlogs_change# from v$database)"""
    assert ["4", "GAP"] in oracle.rows(gap)


def test_item_8_a_range_takes_what_is_there_in_the_current_incarnation(oracle: Server) -> None:
    """Decision 3: FROM SEQUENCE n THREAD t, by number and not by what RMAN remembers."""
    oracle.commit()
    oracle.good(f"BACKUP ARCHIVELOG ALL FORMAT '{oracle.stage}/al_%U';")
    oracle.commit()
    said = oracle.good(f"BACKUP ARCHIVELOG FROM SEQUENCE 1 THREAD 1 FORMAT '{oracle.stage}/again_%U' TAG 'AGAIN';")
    assert "input archived log thread=1 sequence=1 " in said
    found = oracle.rows(
        "select d.sequence# from v$backup_redolog d join v$backup_piece p on p.set_count = d.set_count"
        " where p.tag = 'AGAIN' order by 1"
    )
    assert found == [["1"], ["2"]]
    said = oracle.good(f"BACKUP ARCHIVELOG SEQUENCE BETWEEN 90 AND 99 THREAD 1 FORMAT '{oracle.stage}/%U';")
    assert "specification does not match any archived log in the repository" in said
    assert oracle.value("select max(backup_count) from v$archived_log") == "2"


def test_the_recovery_area_has_a_limit_and_a_full_one_stops_the_writers(oracle: Server) -> None:
    """ORA-19809, ORA-16038, ORA-00257: nothing is lost, and it goes on when there is room."""
    last = oracle.commit(5)
    oracle.altered("ALTER SYSTEM SET db_recovery_file_dest_size = 2000;")
    refused = oracle.sql("ALTER SYSTEM ARCHIVE LOG CURRENT;")
    assert refused.status == 1
    assert codes(refused.stdout)[:3] == ["ORA-16038", "ORA-19809", "ORA-19804"]
    assert oracle.rows("select status, error from v$archive_dest where status <> 'INACTIVE'") == [
        ["ERROR", "ORA-19809: limit exceeded for recovery files"]
    ]
    assert oracle.refused(f"BACKUP ARCHIVELOG ALL FORMAT '{oracle.stage}/%U';")[1:4] == ["ORA-16038", "ORA-19809", "ORA-19804"]
    stuck = oracle.run("oracle-transact", oracle.sid, "400")
    assert stuck.status == 1
    assert stuck.stderr.startswith("ORA-00257")
    assert oracle.check("--at-id", last.at_id)["ok"]
    oracle.altered("ALTER SYSTEM SET db_recovery_file_dest_size = 1G;")
    oracle.commit()
    oracle.altered("ALTER SYSTEM ARCHIVE LOG CURRENT;")
    sequences = [int(row[0]) for row in oracle.rows("select sequence# from v$archived_log order by 1")]
    assert sequences == list(range(1, len(sequences) + 1))


def test_a_killed_rman_leaves_a_piece_that_is_none_and_a_running_database(oracle: Server) -> None:
    oracle.knobs.joinpath("kill_rman_at").write_text("backup_datafile_5")
    killed = oracle.rman(f"BACKUP DATABASE FORMAT '{oracle.stage}/half_%U';")
    assert killed.status == -9
    assert len(oracle.pieces("half_*")) == 1
    assert "RMAN-07517" in oracle.good(f"CATALOG START WITH '{oracle.stage}/half' NOPROMPT;")
    oracle.prove(oracle.commit())
    oracle.full()


def test_an_instance_that_dies_recovers_every_commit(oracle: Server) -> None:
    last = oracle.commit(20)
    oracle.knobs.joinpath("kill_instance_at").write_text("backup_datafile_3")
    died = oracle.rman(f"BACKUP DATABASE FORMAT '{oracle.stage}/%U';")
    assert died.status == 1
    assert codes(died.stdout)[-1] in ("ORA-27101", "ORA-01034")
    assert instances(oracle) == []
    said = oracle.run("rman", "target", "/", stdin="exit;\n").stdout
    assert "connected to target database (not started)" in said
    assert oracle.run("dbstart", oracle.sid).status == 0
    oracle.prove(last)


@pytest.mark.long
def test_sections_copies_compression_and_level_1(oracle: Server) -> None:
    """Every form of a backup restores to the same content."""
    oracle.commit(20)
    oracle.good(f"BACKUP AS COMPRESSED BACKUPSET INCREMENTAL LEVEL 0 SECTION SIZE 65536 DATABASE FORMAT '{oracle.stage}/s_%U';")
    assert int(oracle.value("select max(pieces) from v$backup_set")) > 1
    # Somebody else's full backup is no parent and does not hide one.
    oracle.good(f"BACKUP DATABASE FORMAT '{oracle.root}/foreign_%U';")
    oracle.commit(20)
    oracle.good(f"BACKUP INCREMENTAL LEVEL 1 DATABASE FORMAT '{oracle.stage}/i_%U';")
    sizes = oracle.rows("select file#, incremental_level, blocks from v$backup_datafile where file# in (2, 5) order by 1, 2")
    level_1 = {file: int(count) for file, level, count in sizes if level == "1"}
    assert level_1["2"] == 0 < level_1["5"]
    last = oracle.commit(5)
    oracle.altered("ALTER SYSTEM ARCHIVE LOG CURRENT;")
    for again in ("", f"BACKUP AS COPY DATABASE FORMAT '{oracle.stage}/%U';"):
        oracle.good(*([again] if again else []), "STARTUP FORCE MOUNT;")
        for file in oracle.oradata.glob("*01.dbf"):
            file.unlink()
        said = oracle.good("RESTORE DATABASE;", "RECOVER DATABASE;", "ALTER DATABASE OPEN;")
        assert ("incremental datafile backup set restore" in said) == (not again)
        oracle.prove(last)


@pytest.mark.long
def test_two_databases_on_one_host_do_not_know_each_other(oracle: Server) -> None:
    second = Server(oracle.root, "SECOND")
    try:
        second.create("--no-cdb", "--pfile")
        first, other = oracle.commit(4), second.commit(2)
        assert oracle.value("select name from v$database") == "TEST"
        assert second.value("select name from v$database") == "SECOND"
        assert oracle.value("select dbid from v$database") != second.value("select dbid from v$database")
        oracle.good("SHUTDOWN ABORT;")
        second.prove(other)
        assert oracle.run("dbstart", oracle.sid).status == 0
        oracle.prove(first)
    finally:
        second.crash()


@pytest.mark.long
def test_stdin_goes_on_after_an_error_and_still_fails(oracle: Server) -> None:
    done = oracle.run(
        "rman",
        "target",
        "/",
        stdin=lines("BACKUP DATAFILE 99;", f"BACKUP CURRENT CONTROLFILE FORMAT '{oracle.stage}/ct_%U';", "EXIT;"),
    )
    assert (done.status, len(oracle.pieces("ct_*"))) == (1, 1)
    assert oracle.pieces("ct_*")[0].stat().st_size > 0


def test_removed_data_files_end_the_instance_and_are_named(oracle: Server) -> None:
    """Files that cannot be written end an instance, as one that cannot go on; nothing hangs."""
    oracle.commit(3)
    (oracle.oradata / "sysaux01.dbf").unlink()
    refused = oracle.rman(f"BACKUP DATABASE FORMAT '{oracle.stage}/%U';")
    assert (refused.status, codes(refused.stdout)[-1]) == (1, "ORA-27041")
    assert oracle.sql("SHUTDOWN IMMEDIATE").status == 1
    (oracle.oradata / "shop01.dbf").unlink()
    assert oracle.run("oracle-transact", oracle.sid).stderr.startswith("ORA-03113")
    assert instances(oracle) == []
    assert "ORA-01157" in oracle.sql("STARTUP").stdout
