# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole backup jobs in this process, against a strict restic: what is called good, and what never is."""

from __future__ import annotations

import hashlib
import json

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import layout
from unit.support.backups import BOTH, SET, back_up, offered, stored_receipt
from unit.support.sandbox import Sandbox
from unit.support.steps import call, capture, good, service


@BOTH
def test_a_good_backup_is_offered_with_a_receipt_that_tells_all(sandbox: Sandbox, transport: str) -> None:
    sandbox.set_running("mariadb")
    steps = [service("stopped"), good("some data"), good("more", "logs"), service("started")]
    result = back_up(sandbox, steps, transport=transport)
    assert (result["status"], result["set"], result["salvaged"]) == ("ok", SET, [])
    assert result["bytes"] == 13
    assert offered(sandbox) == [SET]
    stored = stored_receipt(sandbox)
    assert [item["name"] for item in stored["artifacts"]] == ["data", "logs"]
    for item, content in zip(stored["artifacts"], (b"some data", b"more"), strict=True):
        assert (item["bytes"], item["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
        (snapshot,) = [found for found in sandbox.snapshots("part=data") if found["id"] == item["snapshot"]]
        place = snapshot["paths"].index(item["path"])
        assert (sandbox.repository / "blobs" / item["snapshot"] / str(place)).read_bytes() == content
        assert {"app=testapp", "kind=full", f"set={SET}"} <= set(snapshot["tags"])
        assert snapshot["hostname"] == "shop-db1"
    assert 0 < stored["outage_seconds"] == result["outage_seconds"]
    names = [event["event"] for event in stored["events"]]
    assert (names[0], names[-1]) == ("start backup", "end backup")
    order = [names.index(name) for name in ("mariadb stopped", "Take data", "mariadb started", "end backup")]
    assert order == sorted(order)
    assert stored["transport"] == transport
    assert sandbox.running() == {"mariadb"}


@BOTH
def test_a_good_backup_leaves_nothing_on_the_host_but_its_job_folder(sandbox: Sandbox, transport: str) -> None:
    back_up(sandbox, transport=transport)
    staging = layout.staging("shop-db1", "testapp")
    assert not staging.is_dir() or list(staging.iterdir()) == []
    assert not layout.work("shop-db1", "testapp").exists()


@BOTH
def test_the_application_is_back_before_anything_is_uploaded_from_staging(sandbox: Sandbox, transport: str) -> None:
    """G-2: no release waits for an upload. A stream uploads while it captures, staging uploads at the end."""
    sandbox.set_running("mariadb")
    sandbox.behave({"command": "backup", "tag": "part=receipt", "do": 1})
    result = back_up(sandbox, [service("stopped"), good(), service("started")], transport=transport)
    assert result["status"] == "failed"
    assert sandbox.running() == {"mariadb"}
    assert sandbox.service_calls() == ["stop mariadb", "start mariadb"]


@pytest.mark.parametrize(
    ("transport", "script", "sentence"),
    [
        ("stream", "printf payload; echo 'disk error' >&2; exit 2", "sh ended with exit status 2: disk error"),
        ("stage", "printf payload; echo 'disk error' >&2; exit 2", "sh ended with exit status 2: disk error"),
        ("stream", "printf payload; echo 'almost' >&2", "without 'completed OK!' at the end of its stderr: almost"),
        ("stage", "printf payload; echo 'almost' >&2", "without 'completed OK!' at the end of its stderr: almost"),
        ("stream", "echo 'completed OK!' >&2", "sh produced no data"),
        ("stage", "printf payload; kill -9 $$", "sh was killed by SIGKILL"),
        ("stream", "exec no-such-tool", "not found"),
    ],
)
def test_a_capture_without_its_proof_makes_no_set(sandbox: Sandbox, transport: str, script: str, sentence: str) -> None:
    sandbox.set_running("mariadb")
    result = back_up(sandbox, [service("stopped"), capture(script), service("started")], transport=transport)
    assert result["status"] == "failed"
    assert result["error"]["code"] == "capture"
    assert sentence in result["error"]["message"]
    assert result["step"] == "Take data"
    assert sandbox.snapshots() == []
    assert offered(sandbox) == []
    assert sandbox.running() == {"mariadb"}, "the application comes back, also after a failure"
    assert result["release_problems"] == []


@BOTH
def test_one_bad_capture_of_two_makes_no_set(sandbox: Sandbox, transport: str) -> None:
    result = back_up(sandbox, [good("fine"), capture("printf x; exit 1", "logs")], transport=transport)
    assert result["status"] == "failed"
    assert offered(sandbox) == []
    assert sandbox.snapshots("part=receipt") == []


@pytest.mark.parametrize(
    ("transport", "part", "do", "code"),
    [
        ("stream", "data", 1, "repository"),
        ("stage", "data", 11, "repository-locked"),
        ("stream", "data", 3, "repository-partial"),
        ("stream", "data", "partial", "repository-partial"),
        ("stage", "data", "partial", "repository-partial"),
        ("stream", "receipt", 1, "repository"),
        ("stream", "receipt", "partial", "repository-partial"),
        ("stage", "receipt", "partial", "repository-partial"),
        ("stream", "data", "die", "repository"),
        ("stage", "receipt", "die", "repository"),
    ],
)
def test_only_exit_0_of_restic_counts(sandbox: Sandbox, transport: str, part: str, do: int | str, code: str) -> None:
    sandbox.behave({"command": "backup", "tag": f"part={part}", "do": do})
    result = back_up(sandbox, transport=transport)
    assert (result["status"], result["error"]["code"]) == ("failed", code)
    assert offered(sandbox) == []


def test_a_wrong_password_is_told_as_such(sandbox: Sandbox) -> None:
    (sandbox.access / "password").write_text("another\n")
    result = back_up(sandbox)
    assert result["error"]["code"] == "repository-password"
    assert "wrong password" in result["error"]["message"]


def test_a_missing_repository_is_told_as_such(sandbox: Sandbox) -> None:
    (sandbox.access / "url").write_text("b2:sandbox:elsewhere\n")
    assert back_up(sandbox)["error"]["code"] == "repository-absent"


@pytest.mark.parametrize(("transport", "part"), [("stream", "data"), ("stage", "data"), ("stream", "receipt")])
def test_a_snapshot_that_is_not_listed_afterwards_makes_no_set(sandbox: Sandbox, transport: str, part: str) -> None:
    """Read back: the repository said yes and lists nothing, so it is not there."""
    sandbox.behave({"command": "backup", "tag": f"part={part}", "do": "lose"})
    result = back_up(sandbox, transport=transport)
    assert (result["status"], result["error"]["code"]) == ("failed", "repository")
    assert "does not list what was just stored" in result["error"]["message"]


def test_a_staged_file_that_restic_skips_makes_no_set(sandbox: Sandbox) -> None:
    """A missing path can leave exit status 0."""
    sandbox.behave({"command": "backup", "tag": "part=data", "do": "skip"})
    result = back_up(sandbox, [good("some data"), good("more", "logs")], transport="stage")
    assert result["error"]["code"] == "capture"
    assert "2 staged files with 13 bytes were to be uploaded, 1 with 9 bytes were" in result["error"]["message"]
    assert offered(sandbox) == []


@pytest.mark.parametrize(("transport", "part"), [("stream", "data"), ("stage", "data"), ("stream", "receipt")])
def test_fewer_bytes_than_were_captured_make_no_set(sandbox: Sandbox, transport: str, part: str) -> None:
    sandbox.behave({"command": "backup", "tag": f"part={part}", "do": "short"})
    result = back_up(sandbox, transport=transport)
    assert result["status"] == "failed"
    assert result["error"]["code"] in ("capture", "repository")
    assert offered(sandbox) == []


def test_an_app_that_cannot_tell_its_position_makes_no_set(sandbox: Sandbox) -> None:
    result = back_up(sandbox, facts={"fail_seal": True})
    assert (result["status"], result["error"]["message"]) == ("failed", "the server forgot where it was")
    assert offered(sandbox) == []


def test_an_app_whose_receipt_breaks_the_schema_makes_no_set(sandbox: Sandbox) -> None:
    result = back_up(sandbox, facts={"position": "somewhere"})
    assert result["error"]["code"] == "integrity"
    assert "receipt.position" in result["error"]["message"]
    assert sandbox.snapshots("part=receipt") == []


def test_a_repository_on_this_host_is_refused_before_anything_is_touched(sandbox: Sandbox) -> None:
    sandbox.set_running("mariadb")
    for url in ("rest:https://127.0.0.1:8000/shop/", "/srv/backup", "rest:http://localhost/x", "sftp:backup@localhost:/srv"):
        (sandbox.access / "url").write_text(url)
        name = hashlib.sha256(url.encode()).hexdigest()[:8]
        result = back_up(sandbox, [service("stopped"), good()], run=f"20261121T090000Z-{name}")
        assert result["error"]["code"] in ("refused", "bad-input"), url
    assert sandbox.service_calls() == []


def test_a_kind_that_the_app_cannot_make_is_refused_before_anything_is_touched(sandbox: Sandbox) -> None:
    sandbox.set_running("mariadb")
    result = back_up(sandbox, [service("stopped"), good()], kind="differential")
    assert result["error"]["code"] == "bad-input"
    assert sandbox.service_calls() == []


def test_staging_that_is_too_small_is_refused_before_anything_is_touched(sandbox: Sandbox) -> None:
    sandbox.set_running("mariadb")
    result = back_up(sandbox, [service("stopped"), good(estimate_bytes=1 << 60)], transport="stage")
    assert result["error"]["code"] == "space"
    assert "backstay_transport: stream" in result["error"]["hint"]
    assert sandbox.service_calls() == []


def test_a_stalled_upload_ends_and_the_application_comes_back(sandbox: Sandbox) -> None:
    sandbox.set_running("mariadb")
    sandbox.behave({"command": "backup", "tag": "part=data", "do": "hang"})
    result = back_up(sandbox, [service("stopped"), good(), service("started")], stall_timeout=1)
    assert result["error"]["code"] == "stalled"
    assert sandbox.running() == {"mariadb"}


def test_restic_is_called_thrice_at_most(sandbox: Sandbox) -> None:
    back_up(sandbox)
    assert len(sandbox.restic_calls()) == 3


def test_no_secret_is_in_any_file_of_the_job_or_in_its_result(sandbox: Sandbox) -> None:
    password = sandbox.secrets["password"].strip()
    specification = sandbox.backup([good()], repository={"name": "shop-db1", "directory": ""})
    result = sandbox.run(specification, sandbox.secrets)
    assert result["status"] == "ok"
    assert password not in json.dumps(result)
    seen = [path for path in sandbox.root.rglob("*") if path.is_file()]
    assert len(seen) > 5
    for path in seen:
        assert password.encode() not in path.read_bytes(), path
    assert not (layout.job(specification["run"]) / "secrets").exists()


def test_an_unexpected_error_is_a_failure_with_a_trace_and_the_application_comes_back(sandbox: Sandbox) -> None:
    sandbox.set_running("mariadb")
    result = back_up(sandbox, [service("stopped"), call("crash", message="password=hunter2"), good()])
    assert (result["status"], result["error"]["code"]) == ("failed", "internal")
    assert "unexpected ZeroDivisionError" in result["error"]["message"]
    trace = (layout.job(result["run"]) / "traceback.log").read_text()
    assert "ZeroDivisionError" in trace
    assert "hunter2" not in trace + json.dumps(result)
    assert sandbox.running() == {"mariadb"}
