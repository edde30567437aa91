# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import repository_setup
from ansible_collections.backstay.fleet.plugins.module_utils.errors import (
    Refused,
    RepositoryAbsent,
    RepositoryError,
    RepositoryPassword,
)
from ansible_collections.backstay.fleet.plugins.module_utils.repository_setup import (
    Outcome,
    Wanted,
    differences,
    find_program,
    is_adequate,
    known_identity,
    settle,
    write_files,
)

WANTED = Wanted("rest:https://u:pw@h:8000/u/", "secret", "CA", {"B": "2", "A": "1"})

# A restic that follows answers.json ({command: [exit status, stdout, stderr]}) and keeps what it was given in calls.jsonl.
RESTIC = """#!%s
import json, os, sys
from pathlib import Path
home = Path(__file__).resolve().parent
given = {}
for word, value in zip(sys.argv, sys.argv[1:]):
    if word in ("--repository-file", "--password-file", "--cacert"):
        given[word] = Path(value).read_text()
words = [word for word in sys.argv[1:] if word in ("cat", "init", "version")]
record = {"argv": sys.argv[1:], "given": given, "A": os.environ.get("A")}
with (home / "calls.jsonl").open("a") as calls:
    calls.write(json.dumps(record) + "\\n")
status, out, err = json.loads((home / "answers.json").read_text())[words[0]]
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(status)
"""
PRESENT = [0, json.dumps({"version": 2, "id": "abc123"}), ""]
ABSENT = [10, "", "Fatal: repository does not exist: unable to open config file"]
CREATED = [0, json.dumps({"message_type": "initialized", "id": "fresh", "repository": "rest:x"}) + "\n", ""]


class Program:
    """The fake restic and what it was asked."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.path = home / "restic"
        self.path.write_text(RESTIC % sys.executable)
        self.path.chmod(0o755)

    def answer(self, **answers: list[Any]) -> None:
        (self.home / "answers.json").write_text(json.dumps(answers))

    def calls(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.home / "calls.jsonl").read_text().splitlines()]

    def settle(self, known: str | None = None, create: bool = True, replace: bool = False, check: bool = False) -> Outcome:
        return settle(str(self.path), WANTED, known, create=create, replace=replace, check_mode=check)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    (tmp_path / "program").mkdir()
    return Program(tmp_path / "program")


def test_a_repository_that_is_there_needs_one_call(program: Program) -> None:
    program.answer(cat=PRESENT)
    assert program.settle() == Outcome("present", "abc123", 1)
    assert program.settle(known="abc123") == Outcome("present", "abc123", 1)


def test_restic_gets_the_secrets_as_files_and_never_as_words(program: Program) -> None:
    program.answer(cat=PRESENT)
    program.settle()
    call = program.calls()[0]
    assert call["given"] == {
        "--repository-file": WANTED.url + "\n",
        "--password-file": WANTED.password + "\n",
        "--cacert": WANTED.ca_pem,
    }
    assert call["A"] == "1"
    assert not any("pw" in word or "secret" in word for word in call["argv"])


def test_a_missing_repository_is_made_once(program: Program) -> None:
    program.answer(cat=ABSENT, init=CREATED)
    assert program.settle() == Outcome("created", "fresh", 2)
    assert [call["argv"][-1] for call in program.calls()] == ["--no-lock", "init"]


def test_check_mode_makes_nothing(program: Program) -> None:
    program.answer(cat=ABSENT, init=CREATED)
    assert program.settle(check=True) == Outcome("would create", None, 1)
    assert len(program.calls()) == 1


def test_a_restore_makes_nothing(program: Program) -> None:
    program.answer(cat=ABSENT, init=CREATED)
    with pytest.raises(RepositoryAbsent):
        program.settle(create=False)
    assert len(program.calls()) == 1


@pytest.mark.parametrize(
    ("answer", "kind", "sentence"),
    [
        ([12, "", "Fatal: wrong password or no key found"], RepositoryPassword, "the repository password is wrong"),
        (
            [1, "", "Fatal: server response unexpected: 401 Unauthorized (401)"],
            RepositoryError,
            "does not know this host's user",
        ),
        (
            [1, "", "tls: failed to verify certificate: x509: certificate signed by unknown authority\n"],
            RepositoryError,
            "x509",
        ),
        ([1, "", "Fatal: out of order"], RepositoryError, "exit status 1: Fatal: out of order"),
        ([3, "", ""], RepositoryError, "could not be read"),
        ([130, "", ""], RepositoryError, "interrupted"),
    ],
)
def test_every_other_answer_is_an_error_and_makes_nothing(
    program: Program, answer: list[Any], kind: type[RepositoryError], sentence: str
) -> None:
    program.answer(cat=answer, init=CREATED)
    with pytest.raises(kind, match=sentence.replace("(", r"\(")):
        program.settle()
    assert len(program.calls()) == 1


@pytest.mark.parametrize(("answer", "word"), [(ABSENT, "is gone"), (PRESENT, "has been replaced")])
def test_a_history_that_vanished_is_not_begun_anew_in_silence(program: Program, answer: list[Any], word: str) -> None:
    program.answer(cat=answer, init=CREATED)
    with pytest.raises(Refused, match=word):
        program.settle(known="former-identity")
    assert len(program.calls()) == 1
    assert program.settle(known="former-identity", replace=True).identity in ("fresh", "abc123")


def test_a_failing_init_is_an_error(program: Program) -> None:
    program.answer(cat=ABSENT, init=[1, "", "Fatal: create repository failed"])
    with pytest.raises(RepositoryError, match="create repository failed"):
        program.settle()
    program.answer(cat=ABSENT, init=[0, "{}\nnothing\n", ""])
    with pytest.raises(RepositoryError, match="without telling its identity"):
        program.settle()


def test_an_endless_restic_is_ended(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    retrying = "Stat(<config/0>) returned error, retrying after 5s: The specified bucket does not exist"
    program.path.write_text(f"#!/bin/sh\necho '{retrying}' >&2\nexec sleep 600\n")
    monkeypatch.setattr(repository_setup, "_SECONDS_PER_CALL", 0.3)
    with pytest.raises(RepositoryError, match=r"no answer within .* The specified bucket does not exist$") as caught:
        program.settle()
    assert "bucket" in caught.value.hint


def test_no_descriptor_stays_open(program: Program) -> None:
    program.answer(cat=PRESENT)
    program.settle()
    before = len(list(Path("/proc/self/fd").iterdir()))
    program.settle()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_files_are_written_once_and_private(tmp_path: Path) -> None:
    directory = tmp_path / "repositories" / "db1"
    names = differences(directory, WANTED)
    assert sorted(names) == ["ca.pem", "environment", "password", "url"]
    write_files(directory, WANTED, names)
    assert (directory / "environment").read_text() == "A=1\nB=2\n"
    assert differences(directory, WANTED) == []
    assert {entry.stat().st_mode & 0o777 for entry in directory.iterdir()} == {0o600}
    assert {folder.stat().st_mode & 0o777 for folder in (directory, directory.parent)} == {0o700}


def test_what_changed_is_written_and_what_is_not_wanted_goes(tmp_path: Path) -> None:
    directory = tmp_path / "repositories" / "db1"
    write_files(directory, WANTED, differences(directory, WANTED))
    (directory / "password").chmod(0o640)
    changed = WANTED._replace(ca_pem=None, environment={}, url="rest:https://new/")
    names = differences(directory, changed)
    assert sorted(names) == ["ca.pem", "environment", "password", "url"]
    write_files(directory, changed, names)
    assert sorted(entry.name for entry in directory.iterdir()) == ["password", "url"]
    assert differences(directory, changed) == []


def test_the_identity_is_remembered(tmp_path: Path) -> None:
    assert known_identity(tmp_path) is None
    (tmp_path / "identity").write_text("abc\n")
    assert known_identity(tmp_path) == "abc"


def test_the_first_restic_that_is_there_is_taken(program: Program) -> None:
    program.answer(version=[0, "restic 0.17.3 compiled with go1.23 on linux/amd64\n", ""])
    found, version = find_program(("/nonexistent/restic", str(program.path)))
    assert (found, version) == (str(program.path), (0, 17, 3))
    assert find_program(("/nonexistent/restic",)) == (None, ())


@pytest.mark.parametrize(("version", "wanted"), [((0, 17, 0), True), ((1, 0), True), ((0, 16, 5), False), ((), False)])
def test_which_versions_will_do(version: tuple[int, ...], wanted: bool) -> None:
    assert is_adequate(version) is wanted
