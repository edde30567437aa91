# SPDX-License-Identifier: GPL-3.0-or-later
"""Oracle: quoting, command files, messages, parameter files, clocks - pure functions, tables as data."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.apps.oracle import (
    client,
    clock,
    cmdfile,
    messages,
    parameters,
    text,
)
from ansible_collections.backstay.fleet.plugins.module_utils.apps.oracle.cmdfile import Until
from ansible_collections.backstay.fleet.plugins.module_utils.errors import (
    BackstayError,
    BadInput,
    CaptureFailed,
    CommandFailed,
    IntegrityError,
    NoSpace,
    Refused,
)
from ansible_collections.backstay.fleet.plugins.module_utils.executors import LocalExecutor
from hypothesis import example, given
from hypothesis import strategies as st

# Quoting


@given(st.text(max_size=40))
@example("it's")
@example("a\nEXIT;")
@example("100%U")
@example("?/dbs")
@example("a&b")
def test_a_value_becomes_one_word_or_is_refused(value: str) -> None:
    try:
        word = text.quoted(value)
    except BadInput:
        return
    assert re.fullmatch(r"'[^'\"%?@&\x00-\x1f\x7f]*'", word)
    assert word[1:-1] == value
    assert cmdfile.render([f"CATALOG START WITH {word} NOPROMPT"]).count("\n") == 2


@given(st.text(alphabet="abcXYZ019_./=-", min_size=1, max_size=40))
def test_every_staging_path_can_be_said(path: str) -> None:
    assert text.quoted(path) == f"'{path}'"


@pytest.mark.parametrize("name", ["x'y", "%X", "a/b", "", "%"])
def test_a_format_has_known_specifiers_only(name: str) -> None:
    with pytest.raises(BadInput):
        text.file_format("/stage", name)


@given(st.text(max_size=20))
def test_an_identifier_is_quoted_or_refused(name: str) -> None:
    try:
        assert re.fullmatch(r'"[A-Za-z][A-Za-z0-9_$#]*"', text.identifier(name))
    except BadInput:
        assert not re.fullmatch(r"[A-Za-z][A-Za-z0-9_$#]*", name)


@pytest.mark.parametrize("value", [-1, "1;", "", None, True, "1e5", "0x10"])
def test_only_whole_numbers_are_numbers(value: object) -> None:
    with pytest.raises(BadInput):
        text.number(value)


@pytest.mark.parametrize("value", ["32", "g", "1T", "0G", "-1G", "1 G"])
def test_a_size_has_a_unit(value: str) -> None:
    with pytest.raises(BadInput):
        text.size(value)


def test_tags_of_sets_fit_into_rman() -> None:
    assert text.tag_of("20261121T090000Z-aaaaaa01") == "BS_20261121T090000Z_AAAAAA01"
    assert len(text.tag_of("20261121T090000Z-" + "a" * 40)) == 30


# Command lines: never a password (section 8)

SERVER = client.Instance("ORCL", "/u01/home", "root")


def test_the_tools_run_with_fixed_language_and_dates_and_without_a_password() -> None:
    assert SERVER.rman_argv("/w/full.rman") == ["/u01/home/bin/rman", "target", "/", "nocatalog", "cmdfile=/w/full.rman"]
    assert SERVER.sqlplus_argv() == ["/u01/home/bin/sqlplus", "-S", "-L", "/ as sysdba"]
    assert SERVER._replace(connect="/@PROD").rman_argv("f")[2] == "/@PROD"
    found = SERVER.environment()
    assert found["NLS_LANG"] == "AMERICAN_AMERICA.AL32UTF8"
    assert found["NLS_DATE_FORMAT"] == "YYYY-MM-DD HH24:MI:SS"
    assert found["ORACLE_SID"] == "ORCL" and found["TZ"] == ":/etc/localtime"
    assert "TNS_ADMIN" not in found


def test_no_variable_of_a_login_account_leads_to_another_instance() -> None:
    """TWO_TASK and LOCAL make ``/`` an alias; a worker's own processes never have them."""

    class Elsewhere(LocalExecutor):
        remote = True

    far = SERVER._replace(executor=Elsewhere())
    for argv in (far.rman_argv("f"), far.sqlplus_argv()):
        assert argv[:5] == ["env", "-u", "TWO_TASK", "-u", "LOCAL"]
        assert argv[5].startswith("/u01/home/bin/")


@pytest.mark.parametrize("connect", ["sys/secret", "sys/secret@PROD", "/@A B", "//host/service", "/ as sysdba"])
def test_a_password_in_the_connection_is_refused(connect: str) -> None:
    with pytest.raises(BadInput, match="must be / or /@ALIAS"):
        client.instance({"sid": "ORCL", "home": "/u01", "connect": connect}, LocalExecutor())


@pytest.mark.parametrize("sid", ["", "a b", "1X", "X;Y", "X'"])
def test_what_cannot_be_a_sid_is_refused(sid: str) -> None:
    with pytest.raises(BadInput, match="is no SID"):
        client.instance({"sid": sid, "home": "/u01"}, LocalExecutor())


def test_the_home_comes_from_oratab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    oratab = tmp_path / "oratab"
    oratab.write_text("# ORCL:/no:N\nOTHER:/u02/home:Y\nORCL:/u01/home/:N\n")
    monkeypatch.setattr(client, "ORATAB", oratab)
    assert client.instance({"sid": "ORCL"}, LocalExecutor()).home == "/u01/home"
    with pytest.raises(BadInput, match="does not name the home of X"):
        client.instance({"sid": "X"}, LocalExecutor())


def test_answers_are_told_apart_and_a_missing_one_is_noticed() -> None:
    output = 'backstay-answer:a\n\n"x, y",12\n"it is ""it""",\nbackstay-answer:b\n'
    assert client.answers(output, ["a", "b"]) == {"a": [["x, y", "12"], ['it is "it"', ""]], "b": []}
    with pytest.raises(CommandFailed, match="without an answer to: c"):
        client.answers(output, ["a", "c"])


# Command files


def options(**changes: object) -> dict[str, object]:
    return {"level": 0, "channels": 2, "check_logical": True, **changes}


def test_a_full_backup_is_level_0_with_its_autobackup_in_the_set() -> None:
    assert cmdfile.render(cmdfile.data_files("/s/pieces", "BS_1", options())) == (
        "RUN {\n"
        "  SET CONTROLFILE AUTOBACKUP FORMAT FOR DEVICE TYPE DISK TO '/s/pieces/auto_%F';\n"
        "  ALLOCATE CHANNEL c1 DEVICE TYPE DISK;\n"
        "  ALLOCATE CHANNEL c2 DEVICE TYPE DISK;\n"
        "  BACKUP CHECK LOGICAL INCREMENTAL LEVEL 0 FILESPERSET 1 FORMAT '/s/pieces/data_%U' TAG 'BS_1' DATABASE;\n"
        "}\n"
        "EXIT;\n"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"level": 1}, "INCREMENTAL LEVEL 1 FILESPERSET"),
        ({"level": 1, "cumulative": True}, "INCREMENTAL LEVEL 1 CUMULATIVE FILESPERSET"),
        ({"cumulative": True}, "INCREMENTAL LEVEL 0 FILESPERSET"),
        ({"section_size": "32G"}, "LEVEL 0 SECTION SIZE 32G FILESPERSET"),
        ({"check_logical": False}, "BACKUP INCREMENTAL LEVEL 0"),
    ],
)
def test_what_the_options_say(changes: dict[str, object], words: str) -> None:
    assert words in cmdfile.data_files("/s", "T", options(**changes))[0]


def test_logs_are_chosen_by_sequence_and_nothing_is_ever_deleted() -> None:
    """ORA-8, decision 3: never by what RMAN remembers to have backed up."""
    command = cmdfile.render(cmdfile.archived_logs("/s", "T", {"1": 305, "2": 17}, 1))
    assert "ARCHIVELOG FROM SEQUENCE 305 THREAD 1;" in command
    assert "ARCHIVELOG FROM SEQUENCE 17 THREAD 2;" in command
    assert "NOT BACKED UP" not in command
    assert "DELETE" not in command and "CONFIGURE" not in command


def test_until_covers_restore_and_recover_and_new_names_are_switched_to() -> None:
    names = {"DATAFILE": {"10": "/n/10_system01.dbf", "2": "/n/2_system01.dbf"}, "TEMPFILE": {"1": "/n/1_temp01.dbf"}}
    lines = cmdfile.render(cmdfile.data_back(Until(scn=3803500), 1, names)).splitlines()
    assert [line.strip().rstrip(";") for line in lines] == [
        "RUN {",
        "ALLOCATE CHANNEL c1 DEVICE TYPE DISK",
        "SET UNTIL SCN 3803500",
        "SET NEWNAME FOR DATAFILE 2 TO '/n/2_system01.dbf'",
        "SET NEWNAME FOR DATAFILE 10 TO '/n/10_system01.dbf'",
        "SET NEWNAME FOR TEMPFILE 1 TO '/n/1_temp01.dbf'",
        "RESTORE DATABASE",
        "SWITCH DATAFILE ALL",
        "SWITCH TEMPFILE ALL",
        "RECOVER DATABASE",
        "}",
        "EXIT",
    ]
    assert "SWITCH" not in cmdfile.data_back(Until(scn=1), 1, {})[0]


def test_a_time_is_told_with_its_format() -> None:
    words = Until(time="2026-11-21 12:00:00").words()
    assert words == "TIME \"TO_DATE('2026-11-21 12:00:00','YYYY-MM-DD HH24:MI:SS')\""


def test_a_control_file_comes_back_by_dbid_and_piece() -> None:
    commands = cmdfile.control_file_back(1433672784, "/l/current_x") + cmdfile.known_pieces(["/l/a", "/l/b"])
    assert commands == [
        "SET DBID 1433672784",
        "RESTORE CONTROLFILE FROM '/l/current_x'",
        "ALTER DATABASE MOUNT",
        "CATALOG BACKUPPIECE '/l/a', '/l/b'",
        "CROSSCHECK BACKUP",
    ]


# Messages (section 6)

STACK = """RMAN-00571: ===========================================================
RMAN-00569: =============== ERROR MESSAGE STACK FOLLOWS ===============
RMAN-00571: ===========================================================
RMAN-03002: failure of backup command at 11/21/2026 09:00:00
{}
Recovery Manager complete.
"""


@pytest.mark.parametrize(
    ("lines", "kind", "words"),
    [
        (
            "RMAN-06059: expected archived log not found\nORA-19625: error identifying file /x",
            CaptureFailed,
            "gone from the disk",
        ),
        ("RMAN-06149: cannot BACKUP DATABASE in NOARCHIVELOG mode", Refused, "NOARCHIVELOG"),
        ("ORA-19502: write error\nORA-27072: File I/O error", NoSpace, "disk is full"),
        ("ORA-19809: limit exceeded for recovery files", NoSpace, "recovery area is full"),
        ("ORA-19504: failed to create file\nORA-27040: file create error", CaptureFailed, "cannot write into staging"),
        ("ORA-19870: error while restoring backup piece /p\nORA-19608: /p is not a backup piece", IntegrityError, "damaged"),
        ("RMAN-06026: some targets not found\nRMAN-06023: no backup of datafile 1", IntegrityError, "no usable backup"),
        ("ORA-28365: wallet is not open", Refused, "keystore is closed"),
        ("RMAN-06054: media recovery requesting unknown archived log", IntegrityError, "no set holds"),
        ("ORA-01034: ORACLE not available", CommandFailed, "not started"),
        ("ORA-12345: something new", CommandFailed, "ORA-12345: something new"),
    ],
)
def test_a_code_becomes_an_error_with_a_hint(lines: str, kind: type[BackstayError], words: str) -> None:
    error = messages.error_of("RMAN", STACK.format(lines), "ended with exit status 1")
    assert type(error) is kind
    assert words in error.message
    assert "RMAN-03002" not in error.message, "the wrapper is not the cause"


def test_a_failure_without_words_is_told_all_the_same() -> None:
    assert "it said nothing" in messages.error_of("RMAN", "", "was killed by SIGKILL").message
    assert "Recovery Manager complete." in messages.error_of("RMAN", "Recovery Manager complete.\n", "ended").message


def test_harmless_codes_are_warnings_and_never_the_cause() -> None:
    said = "RMAN-06820: warning\nRMAN-08137: warning: archived log not deleted\nRMAN-08137: again\n"
    assert len(messages.warnings(said)) == 2
    assert messages.warnings("channel c1: RMAN-08137 in the middle of a line") == []
    assert "RMAN-08137" not in messages.error_of("RMAN", said + "ORA-19809: limit", "ended").message


# Parameter files

SOURCE = """ORCL.__sga_target=1000
*.audit_file_dest='/u01/admin/ORCL/adump'
*.compatible='19.0.0'
*.control_files='/u02/oradata/ORCL/control01.ctl','/u03/fra/ORCL/control02.ctl'  # two
*.db_name='ORCL'
*.db_recovery_file_dest='/u03/fra'
*.db_recovery_file_dest_size=10G
*.log_archive_dest_1='LOCATION=/u04/arch'
*.local_listener='LISTENER_ORCL'
*.enable_pluggable_database=TRUE
"""


def test_at_another_place_no_parameter_leads_back() -> None:
    found = parameters.moved(parameters.read(SOURCE), "/n")
    assert not [value for value in found.values() if "/u0" in value or "LISTENER" in value]
    assert found["control_files"] == "'/n/control01.ctl','/n/control02.ctl'"
    assert found["compatible"] == "'19.0.0'" and found["db_recovery_file_dest_size"] == "10G"
    assert parameters.read(parameters.write(found)) == found
    assert set(parameters.places_in(found)) == {"/n", "/n/adump", "/n/diag", "/n/fra"}


def test_a_parameter_file_that_names_no_database_is_refused() -> None:
    with pytest.raises(IntegrityError, match="names no database"):
        parameters.moved({}, "/n")


def test_an_instance_of_its_own_has_another_unique_name() -> None:
    found = parameters.scratch({"db_name": "ORCL", "compatible": "19.0.0"}, "/s", "BS123456")
    assert found["db_unique_name"] == "'BS123456'" and found["db_name"] == "'ORCL'"
    assert all("/s" in found[name] for name in parameters.PLACES)


# Clocks


def test_a_moment_is_told_in_the_clock_of_the_database() -> None:
    moment = datetime(2026, 7, 31, 12, 0, 0, 999999, tzinfo=UTC)
    assert clock.until_time("<+0330>-3:30", moment) == "2026-07-31 15:30:00"
    assert clock.until_time("CET-1CEST,M3.5.0,M10.5.0/3", moment) == "2026-07-31 14:00:00"


@pytest.mark.parametrize("hour", [0, 1])
def test_the_hour_that_clocks_show_twice_is_refused(hour: int) -> None:
    with pytest.raises(BadInput, match="showed 2026-10-25 02:30:00 twice"):
        clock.until_time("CET-1CEST,M3.5.0,M10.5.0/3", datetime(2026, 10, 25, hour, 30, tzinfo=UTC))


def test_the_zone_of_this_process_stays() -> None:
    before = datetime.now().astimezone().utcoffset()
    clock.local_second("<+0330>-3:30", datetime.now(UTC))
    assert datetime.now().astimezone().utcoffset() == before


def test_a_zone_becomes_a_rule_that_any_host_understands(tmp_path: Path) -> None:
    compiled = tmp_path / "zone"
    compiled.write_bytes(b"TZif2" + b"\0" * 40 + b"\nCET-1CEST,M3.5.0,M10.5.0/3\n")
    assert clock.rule(f":{compiled}", LocalExecutor()) == "CET-1CEST,M3.5.0,M10.5.0/3"
    assert clock.rule("<+0330>-3:30", LocalExecutor()) == "<+0330>-3:30"
    assert clock.rule("UTC", LocalExecutor()) == "UTC0"
    for nothing in ("Mars/Olympus", "", ":/does/not/exist"):
        with pytest.raises(BadInput):
            clock.rule(nothing, LocalExecutor())
