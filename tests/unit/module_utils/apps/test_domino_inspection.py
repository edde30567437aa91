# SPDX-License-Identifier: GPL-3.0-or-later
"""Domino: where databases lie, what preflight says, how the backup task is judged. A made-up server in a folder."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.apps.domino import (
    gathering,
    ini,
    inspection,
    offline,
    places,
    server,
    target,
    tasks,
)
from ansible_collections.backstay.fleet.plugins.module_utils.apps.domino.inventory import Entry
from ansible_collections.backstay.fleet.plugins.module_utils.errors import CaptureFailed, CommandFailed

ME = getpass.getuser()


# The log


SETTINGS = ini.settings("[Notes]\nDirectory=/d\nTRANSLOG_Status=1\nTRANSLOG_Style=1\nTRANSLOG_MaxSize=640\n")


@pytest.mark.parametrize(
    ("count", "disk", "status"),
    [(7, (100, 90), "ok"), (8, (100, 90), "warning"), (1, (100, 20), "warning"), (1, (0, 0), "ok")],
)
def test_a_log_about_to_fill_is_told_before_the_server_panics(count: int, disk: tuple[int, int], status: str) -> None:
    found = inspection.fill_check(SETTINGS, count, disk, 75)
    assert found["status"] == status
    assert ("PANIC" in found["detail"]) is (status == "warning")


# The backup task, told over a console that is a file


class Console:
    """A server whose console is a file: a command writes what ``says`` holds for its words."""

    def __init__(self, root: Path, data: Path) -> None:
        self.data, self.log, self.answers = data, root / "console.log", root / "answers"
        self.answers.mkdir()
        self.log.write_text("")
        self.documents = root / "documents.json"
        script = root / "console"
        script.write_text(
            "#!/bin/sh\nset -- $1\nfile=" + str(self.answers) + "/$3\n"
            f'if [ -e "$file.docs" ]; then cat "$file.docs" >> {self.documents}; fi\n'
            f'if [ -e "$file" ]; then cat "$file" >> {self.log}; fi\n'
        )
        script.chmod(0o755)
        self.server = server.Server(
            account=ME,
            program="/none",
            data=str(data),
            ini=f"{data}/notes.ini",
            console_command=[str(script), "{command}"],
            console=str(self.log),
            status=["echo", "Domino Server is running"],
            documents=["cat", str(self.documents)],
            fields={},
            patterns={},
            timeout=3,
        )

    def says(self, option: str, text: str, *documents: dict[str, Any]) -> None:
        (self.answers / option).write_text(text)
        (self.answers / f"{option}.docs").write_text("".join(json.dumps(item) + "\n" for item in documents))


@pytest.fixture
def console(notesdata: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Console]:
    (notesdata / "dominobackup.nsf").write_bytes(b"NSF1")
    made = Console(tmp_path, notesdata)
    made.documents.write_text("")
    monkeypatch.setattr(tasks, "_FAILED_SECONDS", 0.3)
    monkeypatch.setattr(tasks, "_DOCUMENT_SECONDS", 0.5)
    monkeypatch.setattr(tasks, "_BUSY_PAUSE", 0.2)
    yield made


def backup_of(tmp_path: Path, *paths: str) -> list[dict[str, Any]]:
    documents: list[dict[str, Any]] = []
    for path in paths:
        file = tmp_path / "backup/n/FULL/1" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"copy")
        documents.append({"form": "Inventory", "List": f"FULL|1|{path}|id|{file}|4|now"})
    return [*documents, {"form": "Log", "mode": "FULL", "start": "1", "count": len(paths), "errors": []}]


DONE = "Backup: Started, FULL\nBackup: Finished, 2 databases, 0 errors\n"


def test_a_backup_is_what_its_documents_and_files_say(console: Console, tmp_path: Path) -> None:
    console.says("-b", DONE, *backup_of(tmp_path, "names.nsf", "mail/a.nsf"))
    result = tasks.back_up(console.server, "-b", {})
    assert [entry.database for entry in result.entries] == ["names.nsf", "mail/a.nsf"]
    assert (result.start, str(result.root)) == ("1", str(tmp_path / "backup/n/FULL/1"))


def test_without_documents_the_console_tells_what_was_saved(console: Console, tmp_path: Path) -> None:
    backup_of(tmp_path, "names.nsf", "mail/a.nsf")
    lines = [f"Return: PROCESSED ({tmp_path}/backup/n/FULL/1/{path})\n" for path in ("names.nsf", "mail/a.nsf")]
    console.says("-b", "".join(lines) + DONE)
    found = tasks.back_up(console.server._replace(documents=[]), "-b", {"names.nsf": "x", "mail/a.nsf": "y"})
    assert [entry.database for entry in found.entries] == ["names.nsf", "mail/a.nsf"]


def lies(console: Console, tmp_path: Path) -> None:
    documents = backup_of(tmp_path, "names.nsf")
    (tmp_path / "backup/n/FULL/1/names.nsf").unlink()
    console.says("-b", DONE, *documents)


def cut_off(console: Console, tmp_path: Path) -> None:
    documents = backup_of(tmp_path, "names.nsf")
    (tmp_path / "backup/n/FULL/1/names.nsf").write_bytes(b"co")
    console.says("-b", DONE, *documents)


def leaves_delta(console: Console, tmp_path: Path) -> None:
    console.says("-b", DONE, *backup_of(tmp_path, "names.nsf"))
    (tmp_path / "backup/n/FULL/1/names.nsf.DELTA").write_bytes(b"x")


def names_error(console: Console, tmp_path: Path) -> None:
    console.says("-b", "Backup: ERROR: no room\n" + DONE, *backup_of(tmp_path, "names.nsf"))


def logs_error(console: Console, tmp_path: Path) -> None:
    *rest, log = backup_of(tmp_path, "names.nsf")
    console.says("-b", DONE, *rest, dict(log, errors=["no room"]))


def counts_other(console: Console, tmp_path: Path) -> None:
    *rest, log = backup_of(tmp_path, "names.nsf")
    console.says("-b", DONE, *rest, dict(log, count=7))


def has_no_task(console: Console, _tmp_path: Path) -> None:
    console.says("-b", "Unable to load backup: the program could not be located\n")


def never_ends(console: Console, _tmp_path: Path) -> None:
    console.says("-b", "Backup: Started, FULL\n")


def has_no_document(console: Console, _tmp_path: Path) -> None:
    console.says("-b", DONE)


def is_busy(console: Console, _tmp_path: Path) -> None:
    console.says("-b", "Task 'backup' is already running\n")


@pytest.mark.parametrize(
    ("play", "words"),
    [
        (lies, "is not there"),
        (cut_off, "has 2 bytes, the inventory says 4"),
        (leaves_delta, "change information"),
        (names_error, "no room"),
        (logs_error, "no room"),
        (counts_other, "counts 7 files"),
        (has_no_task, "Unable to load backup"),
        (never_ends, "did not finish within 3 s"),
        (has_no_document, "no log document"),
        (is_busy, "another backup is at work"),
    ],
    ids=lambda item: getattr(item, "__name__", ""),
)
def test_a_backup_that_is_not_what_it_says_is_none(console: Console, tmp_path: Path, play: Any, words: str) -> None:
    play(console, tmp_path)
    with pytest.raises(CaptureFailed, match=words):
        tasks.back_up(console.server, "-b", {})


def test_a_server_that_ended_is_the_reason_not_the_documents_that_nobody_prints_then(console: Console) -> None:
    """The command of the documents asks the server."""
    gone = console.server._replace(status=["echo", "Domino Server is NOT running"])
    with pytest.raises(CommandFailed, match="the server ended while the task was at work"):
        server.await_task(gone, lambda: server.documents(gone._replace(documents=["false"]), "Log"), "the task")


def test_a_server_that_ends_during_the_backup_is_noticed(console: Console) -> None:
    console.says("-b", "Backup: Started, FULL\n")
    with pytest.raises(CaptureFailed, match="the server ended"):
        tasks.back_up(console.server._replace(status=["echo", "Domino Server is NOT running"]), "-b", {})


@pytest.mark.parametrize(
    ("text", "up"), [("Domino Server is running (/d)", True), ("Domino Server is NOT running", False), ("what?", None)]
)
def test_whether_it_runs_is_read_not_counted(console: Console, text: str, up: bool | None) -> None:
    host = console.server._replace(status=["sh", "-c", f"echo '{text}'; exit 3"])
    if up is None:
        with pytest.raises(CommandFailed, match="cannot tell"):
            server.runs(host)
    else:
        assert server.runs(host) is up


def test_the_console_is_read_from_its_mark_also_when_its_file_is_begun_anew(console: Console) -> None:
    console.log.write_text("before\n")
    mark = server.mark(console.server)
    with console.log.open("a") as stream:
        stream.write("after\n")
    assert server.since(console.server, mark) == "after\n"
    console.log.unlink()
    console.log.write_text("new\n")
    assert server.since(console.server, mark) == "new\n"


def test_words_of_the_past_in_another_file_of_the_console_are_not_new(console: Console, tmp_path: Path) -> None:
    """The server writes two, and which is the newer one changes with every line."""
    old = "Backup: Started\nBackup: Finished, 1 databases, 0 errors\n"
    data = tmp_path / "two"
    files = [data / "IBM_TECHNICAL_SUPPORT/console.log", data / f"{ME}.log"]
    for second, file in enumerate(files, 1):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(old)
        os.utime(file, (second, second))
    host = console.server._replace(data=str(data), console="")
    place = server.mark(host)
    files[1].write_text(old + "Backup: Started\n")
    files[0].write_text(old + "Backup: Started\n")
    os.utime(files[1], (3, 3))
    assert server.since(host, place) == "Backup: Started\n"


# Gathering


def test_a_path_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    with pytest.raises(CaptureFailed, match="no path below"):
        gathering._take(gathering.Wanted("databases/../../x", str(tmp_path / "x"), 1), tmp_path / "y")


def test_a_link_in_the_place_of_a_copy_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"root's own")
    (tmp_path / "copy").symlink_to(tmp_path / "secret")
    assert places.regular(tmp_path / "copy") == -1
    with pytest.raises(CaptureFailed):
        gathering._take(gathering.Wanted("a", str(tmp_path / "copy"), 10), tmp_path / "y" / "a")


# A stopped server


class Stopped:
    seen: dict[str, Any] = {}


def test_a_server_that_left_its_pid_file_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "processes", lambda _account: [])
    arguments = {"account": ME, "data": str(tmp_path)}
    offline.confirm_down(Stopped(), arguments)  # type: ignore[arg-type]
    (tmp_path / "pid.nbf").write_text("1")
    with pytest.raises(CaptureFailed, match="was killed or crashed"):
        offline.confirm_down(Stopped(), arguments)  # type: ignore[arg-type]
    offline.confirm_down(Stopped(), dict(arguments, clean=False))  # type: ignore[arg-type]
    with pytest.raises(CaptureFailed, match="was started while"):
        offline.confirm_quit(Stopped(), arguments)  # type: ignore[arg-type]


def test_processes_of_the_account_are_found_by_their_names() -> None:
    name = Path("/proc/self/comm").read_text().strip()
    assert f"{name} ({os.getpid()})" in offline.processes(ME, (name,))


# Restores


PLAN = {"kinds": ["full", "log"], "sets": ["s1", "s2"], "target": "2026-11-21T09:00:00.000000Z"}


def test_logs_without_a_command_to_roll_forward_are_refused_with_the_nearest_set() -> None:
    found = target._plan_check({"database": "", "roll_forward": []}, PLAN)
    assert found["status"] == "failed" and "backstay_set=s1" in found["hint"]
    assert target._plan_check({"database": "", "roll_forward": ["x"]}, PLAN)["status"] == "ok"


@pytest.mark.parametrize(
    ("source", "in_place", "place"),
    [("notes1", True, "/etc/notes.ini"), ("notes2", True, "/local/notes.ini"), ("notes2", False, "/etc/notes.ini")],
)
def test_notes_ini_comes_where_another_host_looks_for_it(source: str, in_place: bool, place: str) -> None:
    """DOM-3: it may lie anywhere, and the start script of each host says where."""
    options = {"host": "notes1", "server": {"ini": "/local/notes.ini"}}
    assert target._place_of_ini(options, {"ini": "/etc/notes.ini", "host": source}, in_place) == place


def test_a_place_of_notes_ini_that_is_not_there_is_told_before_anything_is_stopped(tmp_path: Path) -> None:
    facts = {"ini": f"{tmp_path}/etc/notes.ini", "data": "/local/data", "source": {"ini": "/etc/notes.ini"}}
    found = target._ini_check(facts)
    assert found["status"] == "failed" and f"has no {tmp_path}/etc" in found["detail"] and "app_domino_ini" in found["hint"]
    (tmp_path / "etc").mkdir()
    assert target._ini_check(facts)["status"] == "ok"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"restore_to": "/x"}, "beside it"),
        ({"database_target": ""}, "app_domino_database_target"),
        ({"database_target": "../x.nsf"}, "app_domino_database_target"),
        ({"database": "/abs.nsf"}, "app_domino_database is no path"),
        ({"database_target": "MAIL/a.nsf"}, "would be replaced"),
        ({"restore_request": []}, "no command makes"),
    ],
)
def test_one_database_needs_another_place(more: dict[str, Any], words: str) -> None:
    options = {"database": "mail/a.nsf", "database_target": "restored/a.nsf", "restore_request": ["x"], "restore_to": ""}
    (found,) = target._single_checks({**options, **more})
    assert found["status"] == "failed" and words in found["detail"]


def test_an_entry_knows_its_bytes() -> None:
    assert Entry("FULL", "1", "a", "b", "/c").bytes == -1
