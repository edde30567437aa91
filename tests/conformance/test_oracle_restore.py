# SPDX-License-Identifier: GPL-3.0-or-later
"""The Oracle stand-in against its specification, items 9 to 12: restore, recovery, incarnations."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from lab_tools.oracle_standin import Commit, Server, codes
from lab_tools.waiting import wait_until

NewOracle = Callable[..., Server]


def two_moments(oracle: Server) -> tuple[Commit, Commit]:
    """A full backup, a commit, more commits, another commit, all logs backed up: the first and the last commit."""
    oracle.commit(10)
    oracle.full()
    first = oracle.commit(10)
    last = oracle.commit(10)
    oracle.logs(2)
    return first, last


def local(oracle: Server, moment: str) -> str:
    """A moment of the application (UTC) as the server's local time; its zone is UTC+3:30."""
    utc = datetime.datetime.strptime(moment[:19], "%Y-%m-%d %H:%M:%S")
    return (utc + datetime.timedelta(hours=3, minutes=30)).strftime("%Y-%m-%d %H:%M:%S")


def test_item_9_restore_needs_mount_and_uses_only_what_fits(oracle: Server) -> None:
    first, _ = two_moments(oracle)
    assert oracle.refused("RESTORE DATABASE;") == ["RMAN-03009", "ORA-19573"]
    oracle.good("SHUTDOWN IMMEDIATE;", "STARTUP NOMOUNT;")
    assert oracle.refused("RESTORE DATABASE;") == ["RMAN-03009", "ORA-01507"]
    oracle.good("ALTER DATABASE MOUNT;")
    start = int(oracle.value("select min(checkpoint_change#) from v$backup_datafile where file# > 0"))
    refused = oracle.refused(f"RUN {{ SET UNTIL SCN {start}; RESTORE DATABASE; }}")
    assert refused[:2] == ["RMAN-03002", "RMAN-06026"]
    assert set(refused[2:]) == {"RMAN-06023"}
    oracle.good("CHANGE BACKUP TAG 'L0' UNAVAILABLE;")
    assert oracle.refused("RESTORE DATABASE;")[:3] == ["RMAN-03002", "RMAN-06026", "RMAN-06023"]
    oracle.good("CHANGE BACKUP TAG 'L0' AVAILABLE;")
    oracle.good(
        f"RUN {{ SET UNTIL SCN {first.scn + 1}; RESTORE DATABASE; RECOVER DATABASE; }}", "ALTER DATABASE OPEN RESETLOGS;"
    )
    oracle.prove(first)


def test_item_9_new_names_need_a_switch_and_must_not_collide(new_oracle: NewOracle) -> None:
    """In a CDB system01.dbf exists three times."""
    oracle = new_oracle()
    oracle.commit(5)
    oracle.full()
    last = oracle.commit(5)
    oracle.logs(2)
    other = oracle.root / "moved"
    other.mkdir()
    oracle.lose_everything()
    oracle.good(*oracle.control_back())
    collision = oracle.refused(f"RUN {{ SET NEWNAME FOR DATABASE TO '{other}/%b'; RESTORE DATABASE; }}")
    assert collision == ["RMAN-03009", "ORA-19563", "ORA-01110"]
    new = f"SET NEWNAME FOR DATABASE TO '{other}/%f_%b';"
    assert oracle.refused(f"RUN {{ {new} RESTORE DATABASE; RECOVER DATABASE; }}") == ["RMAN-03002", "RMAN-06094"]
    said = oracle.good(
        f"RUN {{ SET UNTIL SCN {last.scn + 1}; {new} RESTORE DATABASE;"
        " SWITCH DATAFILE ALL; SWITCH TEMPFILE ALL; RECOVER DATABASE; }"
    )
    assert (
        f"datafile 11 switched to datafile copy\ninput datafile copy RECID=11 STAMP=0 file name={other}/11_shop01.dbf" in said
    )
    moved = [(row[0], f"{other}/{Path(row[0]).name}") for row in oracle.rows("select member from v$logfile")]
    oracle.altered(*(f"ALTER DATABASE RENAME FILE '{old}' TO '{new}';" for old, new in moved), "ALTER DATABASE OPEN RESETLOGS;")
    assert {row[0] for row in oracle.rows("select open_mode from v$pdbs where name <> 'PDB$SEED'")} == {"MOUNTED"}
    assert "ORA-01109" in oracle.sql("ALTER SESSION SET CONTAINER = TESTPDB1;", "SELECT COUNT(*) FROM shop.ledger;").stdout
    oracle.altered("ALTER PLUGGABLE DATABASE ALL OPEN;")
    oracle.prove(last)
    assert {Path(row[0]).parent for row in oracle.rows("select name from v$datafile")} == {other}
    assert list(oracle.oradata.rglob("*.dbf")) == []


def test_item_10_control_files_come_back_in_nomount_and_autobackups_by_dbid(oracle: Server) -> None:
    dbid = oracle.value("select dbid from v$database")
    auto = f"SET CONTROLFILE AUTOBACKUP FORMAT FOR DEVICE TYPE DISK TO '{oracle.stage}/cf_%F';"
    oracle.good("CONFIGURE CONTROLFILE AUTOBACKUP ON;", auto, f"BACKUP DATABASE FORMAT '{oracle.stage}/db_%U';")
    (piece,) = oracle.pieces("cf_*")
    assert piece.name.startswith(f"cf_c-{dbid}-")
    assert piece.name.endswith("-00")
    last = oracle.commit(5)
    oracle.good(f"BACKUP ARCHIVELOG ALL FORMAT '{oracle.stage}/al_%U';", "SHUTDOWN IMMEDIATE;", "STARTUP MOUNT;")
    assert oracle.refused(f"RESTORE CONTROLFILE FROM '{piece}';") == ["RMAN-03002", "RMAN-06496"]
    oracle.lose_everything()
    (oracle.home / f"dbs/spfile{oracle.sid}.ora").unlink()
    said = oracle.good("STARTUP NOMOUNT;", f"RESTORE SPFILE FROM '{piece}';", "STARTUP FORCE NOMOUNT;")
    assert "starting Oracle instance without parameter file for retrieval of spfile" in said
    assert oracle.refused(auto, "RESTORE CONTROLFILE FROM AUTOBACKUP;") == ["RMAN-03002", "RMAN-06495"]
    assert oracle.refused("SET DBID 4711;", auto, "RESTORE CONTROLFILE FROM AUTOBACKUP;") == ["RMAN-03002", "RMAN-06172"]
    assert oracle.refused(f"SET DBID {dbid};", "RESTORE CONTROLFILE FROM AUTOBACKUP;") == ["RMAN-03002", "RMAN-06172"]
    assert oracle.refused(auto, "RESTORE CONTROLFILE FROM AUTOBACKUP VALIDATE;") == ["RMAN-03002", "RMAN-06488"]
    oracle.good(f"SET DBID {dbid};", auto, "RESTORE CONTROLFILE FROM AUTOBACKUP;", "ALTER DATABASE MOUNT;")
    assert oracle.refused("SET DBID 4711;") == ["RMAN-03002", "RMAN-06189"]
    oracle.good(
        f"CATALOG START WITH '{oracle.stage}/' NOPROMPT;",
        "RESTORE DATABASE;",
        "RECOVER DATABASE UNTIL AVAILABLE REDO;",
        "ALTER DATABASE OPEN RESETLOGS;",
    )
    oracle.prove(last)


def test_item_11_recovery_stops_before_the_target_and_at_a_gap(oracle: Server) -> None:
    """Every UNTIL is exclusive; a gap or the end without UNTIL is RMAN-06054 with exit status 1."""
    first, last = two_moments(oracle)
    gap = oracle.commit(3)
    oracle.altered("ALTER SYSTEM ARCHIVE LOG CURRENT;")
    after = oracle.commit(3)
    sequence = int(oracle.value("select max(sequence#) from v$archived_log"))
    oracle.logs(sequence + 1)
    oracle.lose_everything()
    back = oracle.control_back()
    for stop, expected in ((f"SCN {first.scn + 1}", first), (f"SEQUENCE {sequence} THREAD 1", last)):
        oracle.good(*back, f"RUN {{ SET UNTIL {stop}; RESTORE DATABASE; RECOVER DATABASE; }}", "ALTER DATABASE OPEN READ ONLY;")
        oracle.prove(expected)
    oracle.good(
        *back, f"RUN {{ SET UNTIL SCN {last.scn}; RESTORE DATABASE; RECOVER DATABASE; }}", "ALTER DATABASE OPEN READ ONLY;"
    )
    assert oracle.check()["last_id"] == last.id - 1
    stack = oracle.rman(*back, f"RUN {{ SET UNTIL SCN {after.scn + 1}; RESTORE DATABASE; RECOVER DATABASE; }}")
    assert (stack.status, codes(stack.stdout)) == (1, ["RMAN-03002", "RMAN-06054"])
    assert f"unknown archived log for thread 1 with sequence {sequence} and starting SCN of " in stack.stdout
    assert oracle.refused("RECOVER DATABASE;") == ["RMAN-03002", "RMAN-06054"]
    said = oracle.good("RECOVER DATABASE UNTIL AVAILABLE REDO;", "ALTER DATABASE OPEN RESETLOGS;")
    assert "media recovery complete" in said
    oracle.prove(last)
    assert oracle.check("--at-id", gap.at_id)["ok"] is False


@pytest.mark.long
def test_item_11_files_newer_than_the_target_have_to_be_restored(oracle: Server) -> None:
    first, _ = two_moments(oracle)
    oracle.good("SHUTDOWN IMMEDIATE;", "STARTUP MOUNT;")
    assert oracle.refused(f"RUN {{ SET UNTIL SCN {first.scn}; RECOVER DATABASE; }}") == ["RMAN-03002", "RMAN-06556"]


def test_item_12_resetlogs_only_when_due(oracle: Server) -> None:
    first, last = two_moments(oracle)
    oracle.good("SHUTDOWN IMMEDIATE;", "STARTUP MOUNT;")
    assert oracle.refused("ALTER DATABASE OPEN RESETLOGS;") == ["RMAN-03002", "ORA-01139"]
    (oracle.oradata / "shop01.dbf").unlink()
    assert oracle.refused("ALTER DATABASE OPEN;") == ["RMAN-03002", "ORA-01157", "ORA-01110"]
    oracle.good("RESTORE DATAFILE 5;")
    assert oracle.refused("ALTER DATABASE OPEN;") == ["RMAN-03002", "ORA-01113", "ORA-01110"]
    oracle.good("RECOVER DATABASE;", "ALTER DATABASE OPEN;")
    oracle.prove(last)
    oracle.good("STARTUP FORCE MOUNT;", f"RUN {{ SET UNTIL SCN {first.scn + 1}; RESTORE DATABASE; RECOVER DATABASE; }}")
    assert oracle.refused("ALTER DATABASE OPEN;") == ["RMAN-03002", "ORA-01589"]
    oracle.good("ALTER DATABASE OPEN RESETLOGS;")
    oracle.prove(first)
    oracle.crash()
    oracle.good(*oracle.control_back())
    assert oracle.refused("ALTER DATABASE OPEN;") == ["RMAN-03002", "ORA-01589"]


def test_item_12_resetlogs_begins_an_incarnation_and_ends_the_way_back(oracle: Server) -> None:
    first, last = two_moments(oracle)
    # The clock of dates has whole seconds: the new incarnation has to begin in a later one.
    reset = oracle.value("select to_char(sysdate, 'YYYY-MM-DD HH24:MI:SS') from dual")
    wait_until(lambda: oracle.value("select to_char(sysdate, 'YYYY-MM-DD HH24:MI:SS') from dual") > reset, "the clock goes on")
    oracle.good(
        "STARTUP FORCE MOUNT;",
        f"RUN {{ SET UNTIL SCN {first.scn + 1}; RESTORE DATABASE; RECOVER DATABASE; }}",
        "ALTER DATABASE OPEN RESETLOGS;",
    )
    assert oracle.rows("select incarnation#, status from v$database_incarnation order by 1") == [
        ["1", "PARENT"],
        ["2", "CURRENT"],
    ]
    assert oracle.value("select sequence# from v$log where status = 'CURRENT'") == "1"
    assert int(oracle.value("select resetlogs_change# from v$database")) == first.scn + 1
    oracle.commit(3)
    old = f"SET UNTIL TIME \"TO_DATE('{local(oracle, last.written_at)}','YYYY-MM-DD HH24:MI:SS')\";"
    assert oracle.refused("STARTUP FORCE MOUNT;", f"RUN {{ {old} RESTORE DATABASE; }}") == ["RMAN-03002", "RMAN-20207"]
    assert oracle.refused(f"RUN {{ SET UNTIL SCN {first.scn}; RESTORE DATABASE; }}") == ["RMAN-03002", "RMAN-20208"]
    assert "2       TEST" in oracle.good("LIST INCARNATION;")
    oracle.good("RESET DATABASE TO INCARNATION 1;")
    oracle.good(
        f"RUN {{ SET UNTIL SCN {last.scn + 1}; RESTORE DATABASE; RECOVER DATABASE; }}", "ALTER DATABASE OPEN RESETLOGS;"
    )
    oracle.prove(last)
    statuses = dict(oracle.rows("select incarnation#, status from v$database_incarnation"))
    assert statuses == {"1": "PARENT", "2": "ORPHAN", "3": "CURRENT"}


@pytest.mark.long
def test_item_12_a_backup_from_before_resetlogs_recovers_through_it(oracle: Server) -> None:
    """Logs of the parent incarnation up to where it was left, then those of the new one."""
    first, _ = two_moments(oracle)
    oracle.good(
        "STARTUP FORCE MOUNT;",
        f"RUN {{ SET UNTIL SCN {first.scn + 1}; RESTORE DATABASE; RECOVER DATABASE; }}",
        "ALTER DATABASE OPEN RESETLOGS;",
    )
    last = oracle.commit(10)
    oracle.good(
        f"BACKUP ARCHIVELOG FROM SEQUENCE 1 FORMAT '{oracle.stage}/al2_%U';",
        f"BACKUP CURRENT CONTROLFILE FORMAT '{oracle.stage}/cz2_%U';",
    )
    oracle.lose_everything()
    oracle.good(*oracle.control_back("cz2_*"), f"RUN {{ SET UNTIL SCN {last.scn + 1}; RESTORE DATABASE; RECOVER DATABASE; }}")
    oracle.good("ALTER DATABASE OPEN RESETLOGS;")
    oracle.prove(last)


def test_everything_lost_comes_back_on_another_host_between_two_commits(new_oracle: NewOracle) -> None:
    """ORA-7, ORA-9: only the staging directory survives; other host, other paths, control file and spfile from pieces."""
    oracle = new_oracle()
    first, _ = two_moments(oracle)
    dbid = oracle.value("select dbid from v$database")
    spare = new_oracle(name="spare", create=False)
    shutil.copytree(oracle.stage, spare.stage, dirs_exist_ok=True)
    oracle.crash()
    shutil.rmtree(oracle.root / "oradata")
    shutil.rmtree(oracle.stage)
    spare.oradata.mkdir()
    (spfile,) = spare.pieces("sp_*")
    said = spare.good(
        f"SET DBID {dbid};", "STARTUP NOMOUNT;", f"RESTORE SPFILE TO PFILE '{spare.root}/init.ora' FROM '{spfile}';"
    )
    assert "without parameter file" in said
    text = (spare.root / "init.ora").read_text().replace(str(oracle.root), str(spare.root))
    Path(spare.home / f"dbs/init{spare.sid}.ora").write_text(text)
    spare.good(f"SET DBID {dbid};", *spare.control_back())
    move = f"SET NEWNAME FOR DATABASE TO '{spare.oradata}/%f_%b';"
    spare.good(
        f"RUN {{ SET UNTIL SCN {first.scn + 1}; {move} RESTORE DATABASE;"
        " SWITCH DATAFILE ALL; SWITCH TEMPFILE ALL; RECOVER DATABASE; }"
    )
    for (member,) in spare.rows("select member from v$logfile"):
        spare.altered(f"ALTER DATABASE RENAME FILE '{member}' TO '{spare.oradata}/{Path(member).name}';")
    spare.good("ALTER DATABASE OPEN RESETLOGS;", "ALTER PLUGGABLE DATABASE ALL OPEN;", "VALIDATE DATABASE;")
    spare.prove(first)
    assert spare.rows("select * from v$database_block_corruption") == []
    assert str(oracle.root) not in "".join(
        row[0] for row in spare.rows("select name from v$datafile union select member from v$logfile")
    )


@pytest.mark.long
def test_duplicate_makes_a_database_with_a_name_and_dbid_of_its_own(oracle: Server, new_oracle: NewOracle) -> None:
    oracle.commit(5)
    oracle.full()
    copy = new_oracle(name="copy", sid="COPY", create=False)
    copy.oradata.mkdir()
    parameters = {
        "db_name": "COPY",
        "control_files": f"{copy.oradata}/control01.ctl",
        "db_file_name_convert": f"{oracle.oradata},{copy.oradata}",
        "db_recovery_file_dest": str(copy.area),
        "db_recovery_file_dest_size": "1G",
    }
    text = "".join(f"*.{name}='{value}'\n" if "," not in value else f"*.{name}={value}\n" for name, value in parameters.items())
    (copy.home / "dbs/initCOPY.ora").write_text(text)
    copy.altered("STARTUP NOMOUNT")
    (copy.root / "duplicate.rman").write_text(
        f"DUPLICATE DATABASE TO COPY BACKUP LOCATION '{oracle.stage}/' NOFILENAMECHECK;\n"
    )
    done = copy.run("rman", "auxiliary", "/", f"cmdfile={copy.root}/duplicate.rman")
    assert done.status == 0, done.stdout
    assert copy.check()["last_id"] == 5
    assert copy.value("select dbid from v$database") != oracle.value("select dbid from v$database")
    assert copy.value("select name from v$database") == "COPY"
    oracle.prove(oracle.commit())


def test_a_damaged_block_is_found(oracle: Server) -> None:
    oracle.commit(30)
    oracle.good("SHUTDOWN IMMEDIATE;", "STARTUP MOUNT;")
    with (oracle.oradata / "shop01.dbf").open("r+b") as file:
        file.seek(8192 + 100)
        file.write(b"\xff")
    oracle.good("VALIDATE DATABASE;")
    assert oracle.rows("select file#, block# from v$database_block_corruption") == [["5", "1"]]
    assert oracle.refused(f"BACKUP DATABASE FORMAT '{oracle.stage}/%U';") == ["RMAN-03009", "ORA-19566"]
    assert oracle.pieces() == []


@pytest.mark.long
def test_the_keystore_is_needed_for_encrypted_pieces(new_oracle: NewOracle) -> None:
    """A closed keystore stops backup and restore; no piece contains it."""
    oracle = new_oracle("--no-cdb", "--keystore", "secret")
    assert oracle.rows("select status, wallet_type from v$encryption_wallet") == [["CLOSED", "PASSWORD"]]
    oracle.good("CONFIGURE ENCRYPTION FOR DATABASE ON;")
    assert oracle.refused(f"BACKUP DATABASE FORMAT '{oracle.stage}/%U';") == ["RMAN-03009", "ORA-28365"]
    oracle.altered('ADMINISTER KEY MANAGEMENT SET KEYSTORE OPEN IDENTIFIED BY "secret";')
    last = oracle.commit(30)
    oracle.full()
    oracle.good("CONFIGURE ENCRYPTION FOR DATABASE OFF;", f"BACKUP DATAFILE 5 FORMAT '{oracle.root}/plain';")
    assert b"transfer 30" in (oracle.root / "plain").read_bytes()
    assert not any(b"transfer" in piece.read_bytes() for piece in oracle.pieces("db_*"))
    (oracle.root / "plain").unlink()
    oracle.good("CROSSCHECK BACKUP;", "DELETE NOPROMPT EXPIRED BACKUP;")
    oracle.good("SHUTDOWN IMMEDIATE;", "STARTUP MOUNT;")
    assert oracle.refused("RESTORE DATABASE;") == ["RMAN-03009", "ORA-19870", "ORA-19913", "ORA-28365"]
    wallet = oracle.root / "u01/app/oracle/admin/TEST/wallet/ewallet.p12"
    good = wallet.read_text()
    wallet.write_text(good.replace('"key": "', '"key": "00')[:-4] + '"}')
    oracle.altered('ADMINISTER KEY MANAGEMENT SET KEYSTORE OPEN IDENTIFIED BY "secret";')
    assert oracle.refused("RESTORE DATABASE;") == ["RMAN-03009", "ORA-19870", "ORA-19913"]
    wallet.write_text(good)
    oracle.good("RESTORE DATABASE;", "RECOVER DATABASE;", "ALTER DATABASE OPEN;")
    oracle.prove(last)
