# SPDX-License-Identifier: GPL-3.0-or-later
"""Domino: NOTES.INI, the console's words, documents. Pure functions over made-up texts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.apps.domino import console, ini, inventory, tasks
from ansible_collections.backstay.fleet.plugins.module_utils.apps.domino.inventory import Entry
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput, CommandFailed

INI = "[Notes]\nDirectory=/local/notesdata\nKeyFileName=server.id\nTRANSLOG_Status=1\nTRANSLOG_Style=1\nTRANSLOG_MaxSize=4096\n"
STAMP = "[2114:0002] 03/14/2025 01:07:45 AM  "


# NOTES.INI


def test_keys_are_free_of_case_and_the_first_of_two_counts() -> None:
    assert ini.parse("[Notes]\r\nKey=1\r\nKEY=2\r\nOther = a=b \r\n") == {"key": "1", "other": "a=b"}


def test_paths_that_are_not_absolute_lie_below_the_data_directory() -> None:
    found = ini.settings(INI + "DAOSEnable=1\n")
    assert (found.log, found.daos) == ("/local/notesdata/LOGDIR", "/local/notesdata/DAOS")
    assert found.keys == {"keyfilename": "/local/notesdata/server.id"}
    assert found.max_size == 4096


def test_the_log_directory_is_that_of_the_configuration() -> None:
    assert ini.settings(INI + "TRANSLOG_Path=/local/translog\n").log == "/local/translog"


@pytest.mark.parametrize(
    ("lines", "style"),
    [
        ("TRANSLOG_Status=0\nTRANSLOG_Style=1", "none"),
        ("TRANSLOG_Status=1\nTRANSLOG_Style=0", "circular"),
        ("TRANSLOG_Status=1", "circular"),
        ("TRANSLOG_Status=1\nTRANSLOG_Style=2", "circular"),
        ("TRANSLOG_Status=1\nTRANSLOG_Style=1", "archive"),
    ],
)
def test_only_archive_style_is_taken_for_archive_style(lines: str, style: str) -> None:
    assert ini.settings(f"[Notes]\nDirectory=/d\n{lines}\n").style == style


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_changed_notes_ini_keeps_its_lines(ending: str) -> None:
    text = ending.join(["[Notes]", "a=1", "Translog_Recreate_logctrl=0", "b=2"]) + ending
    done = ini.changed(text, {"TRANSLOG_Recreate_Logctrl": "1", "New": "x"})
    assert done == ending.join(["[Notes]", "a=1", "Translog_Recreate_logctrl=1", "b=2", "New=x"]) + ending


def test_a_recovery_server_is_told_that_it_only_recovers() -> None:
    values = ini.parse(ini.recovery("/r/data", "/r/log", {"keyfilename": "/r/server.id"}))
    assert (values["translog_mediaonly"], values["translog_style"], values["translog_path"]) == ("1", "1", "/r/log")
    assert values["keyfilename"] == "/r/server.id"


# The console


WORDS = console.patterns({})


@pytest.mark.parametrize(
    ("lines", "state"),
    [
        ([], "silent"),
        (["Backup: Started, FULL to /b"], "running"),
        (["Backup: Started", "Backup: Finished, 412 databases, 0 errors"], "finished"),
        (["Backup: Started", "Backup: Finished, 412 databases, 2 errors"], "failed"),
        (["Backup: ERROR: disk full", "Backup: Finished, 411 databases, 0 errors"], "failed"),
        (["Backup: Return: ERROR - no such folder"], "failed"),
        (["Unable to load backup: the program could not be located"], "absent"),
        (["Task 'backup' is already running"], "busy"),
        (["Backup: ERROR: mail/a.nsf: a backup of this database is in progress"], "failed"),
    ],
)
def test_what_the_console_says_of_a_backup(lines: list[str], state: str) -> None:
    assert console.judge_backup("\n".join(STAMP + line for line in lines), WORDS).state == state


def test_the_words_of_the_end_can_be_other_ones() -> None:
    own = console.patterns({"finished": r"Sicherung beendet: .*?(?P<errors>\d+) Fehler"})
    assert console.judge_backup("Sicherung beendet: 12 Datenbanken, 0 Fehler", own).state == "finished"
    assert console.judge_backup("Sicherung beendet: 12 Datenbanken, 1 Fehler", own).state == "failed"


@pytest.mark.parametrize(
    ("own", "words"),
    [({"finished": "("}, "no regular expression"), ({"finished": "done"}, "no group 'errors'"), ({"x": "y"}, "knows no 'x'")],
)
def test_a_pattern_that_cannot_be_used_is_refused(own: dict[str, str], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        console.patterns(own)


def test_what_the_provider_reports() -> None:
    text = f"{STAMP}Backup: Return: PROCESSED (/b/n/FULL/1/mail/Zoë (2).nsf) ab12\nReturn: PROCESSED (/b/x.nsf)\n"
    assert console.processed(text, WORDS) == [
        {"file": "/b/n/FULL/1/mail/Zoë (2).nsf", "reference": "ab12"},
        {"file": "/b/x.nsf", "reference": ""},
    ]


def test_databases_with_a_new_dbiid_are_found_once() -> None:
    line = "Recovery Manager: Assigning new DBIID for /d/mail/a b.nsf (need new backup for media recovery)."
    assert console.assigned(f"{STAMP}{line}\n10.09.2015 02:47:19  {line}\n", WORDS) == ["/d/mail/a b.nsf"]


@pytest.mark.parametrize(
    ("lines", "state"),
    [
        (["Restore: a.nsf is on line as b.nsf"], "silent"),
        (["Restore: ERROR: a.nsf: file is in use", "Restore: Finished"], "failed"),
        (["Restore: Finished"], "finished"),
        (["Unable to load restore: the program could not be located"], "absent"),
    ],
)
def test_what_the_console_says_of_a_restore(lines: list[str], state: str) -> None:
    assert console.judge_restore("\n".join(lines), WORDS).state == state


# Console commands


def test_a_backup_is_told_with_its_excludes() -> None:
    assert tasks.command("-b", ["log.nsf", "mail/x*"], verbose=True) == "load backup -b -v -e log.nsf -e mail/x*"


@pytest.mark.parametrize("pattern", ["a b", 'a"', "-t", "a;quit", ""])
def test_a_pattern_that_would_be_more_than_a_word_is_refused(pattern: str) -> None:
    with pytest.raises(BadInput, match="app_domino_exclude"):
        tasks.command("-b", [pattern], verbose=False)


# Documents


NAMED = inventory.fields({})


def listed(*values: str) -> dict[str, Any]:
    return {"form": "Inventory", "List": "|".join(values)}


def test_the_inventory_is_read_from_its_lists() -> None:
    document = listed("FULL", "20250314", "mail/a.nsf", "dbiid", "/b/n/FULL/20250314/mail/a.nsf", "4096", "2025-03-14")
    output = "\n".join(json.dumps(item) for item in ({"form": "Log"}, document))
    found = inventory.entries(inventory.parse(output), NAMED)
    assert found == [Entry("FULL", "20250314", "mail/a.nsf", "dbiid", "/b/n/FULL/20250314/mail/a.nsf", 4096)]


def test_other_names_of_parts_can_be_given() -> None:
    named = inventory.fields({"list": "Entries", "parts": ["database", "file", "reference", "start", "mode"]})
    found = inventory.entries([{"form": "Inventory", "Entries": ["a.nsf|/b/a.nsf|id|1|INCR"]}], named)
    assert found == [Entry("INCR", "1", "a.nsf", "id", "/b/a.nsf")]


@pytest.mark.parametrize("own", [{"x": 1}, {"parts": ["mode", "start"]}])
def test_fields_that_say_too_little_are_refused(own: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="app_domino_fields"):
        inventory.fields(own)


def test_an_entry_of_another_shape_is_an_error() -> None:
    with pytest.raises(CommandFailed, match="has no 7 parts"):
        inventory.entries([listed("FULL", "x")], NAMED)


@pytest.mark.parametrize("output", ["nonsense", "[1]", '"text"'])
def test_what_is_no_document_is_an_error(output: str) -> None:
    with pytest.raises(CommandFailed, match="no document"):
        inventory.parse(output)


@pytest.mark.parametrize(
    ("value", "errors"), [([], []), (["a"], ["a"]), (0, []), ("0", []), (2, ["2 errors"]), ("bad", ["bad"]), (None, [])]
)
def test_errors_of_a_log_document_have_several_forms(value: Any, errors: list[str]) -> None:
    (log,) = inventory.logs([{"form": "Log", "mode": "FULL", "start": "1", "count": 3, "errors": value}], NAMED)
    assert (log.errors, log.files) == (errors, 3)


def entry(database: str, file: str) -> Entry:
    return Entry("FULL", "1", database, "id", file)


def test_the_folder_of_a_backup_is_what_its_files_have_in_common() -> None:
    root = inventory.root_of([entry("names.nsf", "/b/n/FULL/1/names.nsf"), entry("mail/a.nsf", "/b/n/FULL/1/mail/a.nsf")])
    assert str(root) == "/b/n/FULL/1"


@pytest.mark.parametrize("file", ["/b/other/mail/a.nsf", "/b/n/FULL/1/a.nsf", "mail/a.nsf", "/b/../FULL/1/mail/a.nsf"])
def test_files_that_lie_elsewhere_have_no_folder_in_common(file: str) -> None:
    assert inventory.root_of([entry("names.nsf", "/b/n/FULL/1/names.nsf"), entry("mail/a.nsf", file)]) is None
