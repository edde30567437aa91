# SPDX-License-Identifier: GPL-3.0-or-later
"""The Oracle stand-in against its specification, items 13 and 14: language, dates, warnings, time; and what sqlplus says."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import pytest
from lab_tools.oracle_standin import PLAIN, Server, codes, lines
from lab_tools.waiting import wait_until


def test_item_13_without_nls_settings_nothing_is_english_and_dates_are_short(oracle: Server) -> None:
    """A parser of the output breaks here; the exit status and the dictionary views do not."""
    backup = f"BACKUP DATAFILE 5 FORMAT '{oracle.stage}/%U' TAG 'NLS';"
    for nls in ("", "GERMAN_GERMANY.AL32UTF8", "SPANISH_SPAIN.AL32UTF8"):
        done = oracle.rman(backup, NLS_LANG=nls, NLS_DATE_FORMAT="")
        assert done.status == 0, done.stdout
        for english in ("piece handle=", "connected to target database", "Starting backup", "Recovery Manager complete."):
            assert english not in done.stdout
        assert "Recovery Manager abgeschlossen." in done.stdout
        assert re.search(r"backup beginnt um \d\d-[A-Z]{3}-\d\d\n", done.stdout)
    failed = oracle.rman("BACKUP DATAFILE 99;", NLS_LANG="", NLS_DATE_FORMAT="")
    assert failed.status == 1
    assert codes(failed.stdout) == ["RMAN-03002", "RMAN-20201"]
    # Dates of the wrapper line do not follow NLS_DATE_FORMAT.
    assert re.search(r"RMAN-03002: Fehler bei Befehl backup at \d\d/\d\d/\d{4} \d\d:\d\d:\d\d\n", failed.stdout)
    said = oracle.good(backup)
    assert re.search(r"^Starting backup at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d$", said, re.MULTILINE)
    assert re.search(r"^piece handle=(\S+) tag=NLS comment=NONE$", said, re.MULTILINE)
    assert len(oracle.rows("select handle from v$backup_piece where tag = 'NLS'")) == 4


def test_item_13_known_warnings_keep_exit_status_0(oracle: Server) -> None:
    oracle.commit()
    for knob in ("standby_unreachable", "standby_needs_logs"):
        (oracle.knobs / knob).touch()
    said = oracle.good(
        f"BACKUP ARCHIVELOG ALL FORMAT '{oracle.stage}/%U';", "DELETE NOPROMPT ARCHIVELOG ALL BACKED UP 1 TIMES TO DISK;"
    )
    assert "RMAN-06820: warning: failed to archive current log at primary database" in said
    assert "RMAN-08137: warning: archived log not deleted, needed for standby" in said
    assert len(oracle.pieces()) == 1
    assert [Path(row[0]).exists() for row in oracle.rows("select name from v$archived_log where deleted = 'NO'")] == [True]
    assert oracle.rows("select status from v$rman_backup_job_details") == [["COMPLETED WITH WARNINGS"]]


def test_a_standby_has_rows_whose_name_is_no_file(oracle: Server) -> None:
    """They stay when the file here is gone, and say nothing about what can be backed up."""
    oracle.commit()
    oracle.altered("ALTER SYSTEM SWITCH LOGFILE;", "ALTER SYSTEM SET log_archive_dest_2 = 'SERVICE=STBY';")
    rows = "select dest_id, standby_dest, deleted, status, name from v$archived_log where sequence# = 1 order by dest_id"
    local = oracle.value("select name from v$archived_log where sequence# = 1 and standby_dest = 'NO'")
    assert oracle.rows(rows) == [["1", "NO", "NO", "A", local], ["2", "YES", "NO", "A", "STBY"]]
    assert oracle.rows("select status, destination from v$archive_dest where dest_id = 2") == [["VALID", "STBY"]]
    oracle.good("DELETE NOPROMPT ARCHIVELOG ALL;")
    assert oracle.rows(rows) == [["1", "NO", "YES", "D", ""], ["2", "YES", "NO", "A", "STBY"]]


def test_item_14_until_time_is_the_servers_own_time(oracle: Server) -> None:
    """The server is at UTC+3:30; the same text read as UTC is another moment."""
    oracle.full()
    first = oracle.commit(5)
    clock = "select to_char(sysdate, 'YYYY-MM-DD HH24:MI:SS') from dual"
    begin = oracle.value(clock)
    wait_until(lambda: oracle.value(clock) > begin, "the clock goes on")
    moment = oracle.value(clock)
    utc = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    ahead = datetime.datetime.strptime(moment, "%Y-%m-%d %H:%M:%S") - utc
    assert abs(ahead - datetime.timedelta(hours=3, minutes=30)) < datetime.timedelta(minutes=1)
    wait_until(lambda: oracle.value(clock) > moment, "the clock goes on")
    oracle.commit(5)
    oracle.logs(2)
    until = f"SET UNTIL TIME \"TO_DATE('{moment}','YYYY-MM-DD HH24:MI:SS')\";"
    as_utc = until.replace(moment, utc.strftime("%Y-%m-%d %H:%M:%S"))
    back = oracle.control_back()
    oracle.crash()
    assert oracle.refused(*back, f"RUN {{ {as_utc} RESTORE DATABASE; }}") == ["RMAN-03002", "RMAN-20207"]
    oracle.good(*back, f"RUN {{ {until} RESTORE DATABASE; RECOVER DATABASE; }}", "ALTER DATABASE OPEN RESETLOGS;")
    oracle.prove(first)


def test_connection_line_tells_the_state(oracle: Server) -> None:
    dbid = oracle.value("select dbid from v$database")
    expected = {
        "": f"connected to target database: TEST (DBID={dbid})\n",
        "STARTUP FORCE MOUNT;": f"connected to target database: TEST (DBID={dbid}, not open)\n",
        "STARTUP FORCE NOMOUNT;": "connected to target database: TEST (not mounted)\n",
        "SHUTDOWN ABORT;": "connected to target database (not started)\n",
    }
    for change, line in expected.items():
        if change:
            oracle.good(change)
        assert line in oracle.run("rman", "target", "/", stdin="exit;\n").stdout
    down = oracle.sql("SELECT 1 FROM v$instance;")
    assert (down.status, codes(down.stdout)[0]) == (1, "ORA-01034")
    assert oracle.run("dbstart", oracle.sid).status == 0


def test_views_exist_only_in_the_states_that_have_them(oracle: Server) -> None:
    oracle.good("STARTUP FORCE NOMOUNT;")
    assert oracle.value("select status from v$instance") == "STARTED"
    assert "ORA-01507" in oracle.sql("SELECT dbid FROM v$database;").stdout
    oracle.good("ALTER DATABASE MOUNT;")
    assert oracle.value("select open_mode from v$database") == "MOUNTED"
    assert "ORA-01219" in oracle.sql("SELECT file_name FROM dba_data_files;").stdout
    oracle.good("ALTER DATABASE OPEN;")
    assert len(oracle.rows("select file_name from dba_data_files")) == 5


def test_sqlplus_exit_statuses(oracle: Server) -> None:
    def status(*script: str) -> int:
        return oracle.run("sqlplus", "-S", "-L", "/ as sysdba", stdin=lines(*script)).status

    assert status("SELECT salary FROM v$database;") == 0
    assert status("WHENEVER SQLERROR EXIT FAILURE", "SELECT salary FROM v$database;", "EXIT 0") == 1
    assert status("WHENEVER SQLERROR EXIT 7", "SELECT * FROM nowhere;") == 7
    # ORA-00904: 904 does not fit into eight bits, 1024 would be 0.
    assert status("WHENEVER SQLERROR EXIT SQL.SQLCODE", "SELECT salary FROM v$database;") == 904 % 256
    assert status("EXIT 256") == 0
    assert status("WHENEVER OSERROR EXIT FAILURE", "SPOOL /nowhere/at/all.txt") == 1
    refused = oracle.sql("SELECT salary FROM v$database;")
    assert 'ORA-00904: "SALARY": invalid identifier' in refused.stdout


def test_sqlplus_shows_wide_numbers_in_scientific_notation_unless_told(oracle: Server) -> None:
    wide = "select 123456789012345 as n from dual;"
    assert oracle.run("sqlplus", "-S", "/ as sysdba", stdin=f"SET PAGES 0 FEEDBACK OFF\n{wide}\n").stdout.split() == [
        "1.235E+14"
    ]
    assert oracle.run("sqlplus", "-S", "/ as sysdba", stdin=f"{PLAIN}\n{wide}\n").stdout.split() == ["123456789012345"]


@pytest.mark.parametrize(
    ("select", "expected"),
    [
        ("select 'a'||null||1 as x from dual", "a1"),
        (
            "select to_char(to_date('2026-03-01 04:05:06','YYYY-MM-DD HH24:MI:SS'),'DD.MM.YY HH24\"h\"') from dual",
            "01.03.26 04h",
        ),
        ("select to_char(trunc(to_date('2026-03-01 04:05:06','YYYY-MM-DD HH24:MI:SS')),'HH24:MI') from dual", "00:00"),
        ("select to_char(1234, 'FM0000000') from dual", "0001234"),
        ("select nvl(null, 'x') || nvl2(1, 'y', 'z') || decode(2, 1, 'a', 2, 'b', 'c') from dual", "xyb"),
        ("select case when sysdate - 1/24 < sysdate then 'before' end from dual", "before"),
        ("select listagg(group#, '+') within group (order by group#) from v$log", "1+2+3"),
        ("select count(*) from v$log where group# > 0 and rownum <= 2", "2"),
        ("select group# from (select group# from v$log order by group# desc) where rownum = 1", "3"),
        ("select sys_context('USERENV','DB_NAME') from dual", "TEST"),
    ],
)
def test_select_dialect(oracle_of_module: Server, select: str, expected: str) -> None:
    assert oracle_of_module.value(select) == expected


def test_archive_log_list_has_its_next_sequence_only_in_archivelog(oracle: Server) -> None:
    said = oracle.sql("ARCHIVE LOG LIST").stdout
    assert re.search(r"^Database log mode\s+Archive Mode$", said, re.MULTILINE)
    assert re.search(r"^Next log sequence to archive\s+1$", said, re.MULTILINE)
    oracle.good("SHUTDOWN IMMEDIATE;", "STARTUP MOUNT;", "ALTER DATABASE NOARCHIVELOG;", "ALTER DATABASE OPEN;")
    said = oracle.sql("ARCHIVE LOG LIST").stdout
    assert re.search(r"^Database log mode\s+No Archive Mode$", said, re.MULTILINE)
    assert "Next log sequence to archive" not in said
