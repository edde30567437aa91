# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import errors, restic
from hypothesis import given
from hypothesis import strategies as st

ACCESS = restic.Access("/usr/bin/restic", "/a/url", "/a/password", "/a/ca.pem", {}, "/cache")
BASE = [
    "/usr/bin/restic", "--repository-file", "/a/url", "--password-file", "/a/password", "--cacert", "/a/ca.pem",
    "--cache-dir", "/cache", "--cleanup-cache", "--retry-lock", "2m", "--json",
]  # fmt: skip


def ids(number: int) -> str:
    """Return the id of a set."""
    return f"20261121T090000Z-00000{number}"


@pytest.mark.parametrize(
    ("argv", "rest"),
    [
        (
            restic.backup_command_argv(ACCESS, "db 1", {"set": "a", "part": "data"}, "/mysql-data", ["meter", "--x"]),
            ["backup", "--host", "db 1", "--tag", "set=a", "--tag", "part=data", "--stdin-filename", "/mysql-data",
             "--stdin-from-command", "--", "meter", "--x"],
        ),
        (
            restic.backup_listed_argv(ACCESS, "db1", {"set": "a"}, "/job/upload"),
            ["backup", "--host", "db1", "--tag", "set=a", "--files-from-raw", "/job/upload"],
        ),
        (restic.snapshots_argv(ACCESS, "db1"), ["snapshots", "--host", "db1"]),
        (
            restic.snapshots_argv(ACCESS, "db1", {"set": "a", "part": "data"}),
            ["snapshots", "--host", "db1", "--tag", "set=a,part=data"],
        ),
        (restic.dump_argv(ACCESS, "abc", "/mysql-data"), ["dump", "--", "abc", "/mysql-data"]),
    ],
)  # fmt: skip
def test_command_lines(argv: list[str], rest: list[str]) -> None:
    assert argv == BASE + rest


def test_paths_are_listed_as_they_are() -> None:
    assert restic.path_listing(["/a b", "/--c", "/d\ne", "/\udcff"]) == b"/a b\0/--c\0/d\ne\0/\xff\0"


def test_without_an_authority_of_its_own_the_system_decides() -> None:
    assert "--cacert" not in restic.base_argv(ACCESS._replace(ca_file=None))


def test_a_tag_with_a_comma_is_refused() -> None:
    with pytest.raises(ValueError, match="holds a comma"):
        restic.tag_argv({"at": "1,5"})


def test_tags_are_read_back() -> None:
    assert restic.read_tags({"tags": ["set=a", "at=2026=x", "loose"]}) == {"set": "a", "at": "2026=x"}
    assert restic.read_tags({"tags": None}) == {}
    assert restic.read_tags({}) == {}


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (1, errors.RepositoryError, "repository"),
        (2, errors.RepositoryError, "repository"),
        (3, errors.RepositoryPartial, "repository-partial"),
        (10, errors.RepositoryAbsent, "repository-absent"),
        (11, errors.RepositoryLocked, "repository-locked"),
        (12, errors.RepositoryPassword, "repository-password"),
        (130, errors.RepositoryError, "repository"),
        (-9, errors.RepositoryError, "repository"),
    ],
)
def test_every_exit_status_but_zero_is_an_error(status: int, kind: type[errors.BackstayError], code: str) -> None:
    error = restic.error_for(status, "Fatal: because\n")
    assert isinstance(error, kind)
    assert error.code == code
    assert error.message.endswith(": Fatal: because")


def test_a_full_offsite_server_is_named() -> None:
    """Restic 0.19 on the answer of rest-server: it gave up within seconds (seen), where 0.18 tries on until it is ended."""
    said = "unable to save snapshot: error flushing repository: unexpected HTTP response (507): 507 Insufficient Storage"
    error = restic.error_for(1, f"Fatal: {said}\n")
    assert error.code == "repository" and error.message.endswith(said) and "disk or quota have room" in error.hint


@pytest.mark.parametrize(
    ("stderr", "said"),
    [
        ('{"message_type":"exit_error","code":12,"message":"Fatal: wrong password"}', "Fatal: wrong password"),
        ('{"message_type":"error","error":{"message":"read /x: denied"},"during":"archival","item":"/x"}\n', "read /x: denied"),
        ('{"message_type":"exit_error","code":10,"message":"Fatal: it is not\\nthere"}', "Fatal: it is not there"),
        ("Fatal: no\nIs there a repository at the following location?\n", "Fatal: no"),
        ("{torn", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_the_last_sentence_is_found_in_json_and_in_text(stderr: str, said: str) -> None:
    assert restic.last_message(stderr) == said


def test_a_summary_names_the_snapshot() -> None:
    status = json.dumps({"message_type": "status", "current_files": ['a "summary"']})
    summary = {"message_type": "summary", "snapshot_id": "ab", "total_bytes_processed": 6}
    assert restic.summary_of(f"{status}\n{json.dumps(summary)}\n") == summary


@pytest.mark.parametrize("stdout", ["", '{"message_type":"status"}', '{"message_type":"summary","snapshot_id":""}'])
def test_a_backup_without_a_snapshot_saved_nothing(stdout: str) -> None:
    with pytest.raises(errors.CaptureFailed, match="without naming a snapshot"):
        restic.summary_of(stdout)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("restic 0.18.0 compiled with go1.24.4 on linux/amd64", (0, 18, 0)),
        ("restic 0.17.3-dev (compiled manually)", (0, 17, 3)),
        ("restic 0.9", (0, 9)),
        ("bash: restic: not found", ()),
        ("", ()),
    ],
)
def test_versions(text: str, version: tuple[int, ...]) -> None:
    assert restic.parse_version(text) == version
    assert (version >= restic.MINIMUM_VERSION) == (version[:2] in ((0, 17), (0, 18)))


def listed(**changes: Any) -> dict[str, Any]:
    """Return a receipt snapshot as restic lists it."""
    tags = {
        "app": "mysql", "kind": "log", "set": ids(1), "part": "receipt", "parent": ids(0), "at": "2026-11-21T09:00:00.000000Z",
        "bytes": "500", "size": "90", "receipt": "ab" * 32,
    }  # fmt: skip
    tags.update(changes.pop("tags", {}))
    snapshot = {
        "id": "cd" * 32,
        "hostname": "shop-db1",
        "paths": ["/receipt-s1.json"],
        "tags": [f"{key}={value}" for key, value in tags.items() if value is not None],
        "summary": {"total_files_processed": 1, "total_bytes_processed": 90},
    }
    return dict(snapshot, **changes)


def test_a_receipt_snapshot_is_a_set() -> None:
    assert restic.committed_sets([listed()]) == [
        {
            "set": ids(1),
            "host": "shop-db1",
            "app": "mysql",
            "kind": "log",
            "parent": ids(0),
            "consistent_at": "2026-11-21T09:00:00.000000Z",
            "receipt_sha256": "ab" * 32,
            "snapshot": "cd" * 32,
            "path": "/receipt-s1.json",
            "stored": 500,
        }
    ]


@pytest.mark.parametrize("name", ["app", "kind", "set", "part", "parent", "at", "size", "receipt", "bytes"])
def test_a_snapshot_without_any_of_the_tags_is_no_set(name: str) -> None:
    assert restic.committed_sets([listed(tags={name: None})]) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"tags": {"part": "data"}},
        {"tags": {"size": "91"}},
        {"tags": {"at": "yesterday"}},
        {"tags": {"kind": "everything"}},
        {"tags": {"bytes": "many"}},
        {"tags": {"receipt": "xyz"}},
        {"summary": {"total_files_processed": 0, "total_bytes_processed": 0}},
        {"summary": {"total_files_processed": 1, "total_bytes_processed": 45}},
        {"summary": {"total_files_processed": 2, "total_bytes_processed": 90}},
        {"summary": None},
        {"paths": []},
    ],
    ids=str,
)
def test_partial_foreign_and_broken_snapshots_are_no_sets_and_hide_no_others(changes: dict[str, Any]) -> None:
    good = listed(tags={"set": ids(9)})
    assert [item["set"] for item in restic.committed_sets([listed(**changes), good])] == [ids(9)]


@given(st.permutations(range(4)))
def test_sets_are_listed_by_time(order: list[int]) -> None:
    snapshots = [listed(tags={"set": ids(number), "at": f"2026-11-21T0{number}:00:00.000000Z"}) for number in order]
    assert [item["set"] for item in restic.committed_sets(snapshots)] == [
        ids(0),
        ids(1),
        ids(2),
        ids(3),
    ]


def test_a_full_set_has_no_parent_and_is_listed_once() -> None:
    again = [listed(tags={"kind": "full", "parent": ""}), listed(tags={"kind": "full", "parent": ""})]
    found = restic.committed_sets(again)
    assert [(item["set"], item["parent"]) for item in found] == [(ids(1), None)]


@pytest.mark.parametrize(
    ("stderr", "failed"),
    [
        ("Fatal: unable to save snapshot: command failed: signal: killed\n", True),
        ("Fatal: unable to save snapshot: context canceled\n", True),
        ("Fatal: unable to save snapshot: no space left on device\n", False),
    ],
)
def test_the_end_of_the_command_is_told_from_other_failures(stderr: str, failed: bool) -> None:
    """Both were seen of restic 0.18 when its command was killed: the second while packs were on their way."""
    assert restic.command_failed(stderr) is failed
