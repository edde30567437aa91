# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole backup jobs in this process, against a strict restic: what is called good, and what never is."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import layout, receipt, restic
from ansible_collections.backstay.fleet.plugins.module_utils.worker.requests import plan, sets
from unit.support.sandbox import Sandbox
from unit.support.steps import Step, call, capture, good, service

BOTH = pytest.mark.parametrize("transport", ["stream", "stage"])
SET = "20261121T090000Z-aaaaaa01"


def back_up(sandbox: Sandbox, steps: list[Step] | None = None, **changes: Any) -> dict[str, Any]:
    return sandbox.run(sandbox.backup(steps or [good()], **changes))


def next_run(number: int, **changes: Any) -> dict[str, Any]:
    """Return what makes a later run of the same host and app."""
    return dict(
        {"run": f"20261121T1{number}0000Z-testapp-{number}", "set": f"20261121T1{number}0000Z-bbbbbb0{number}"}, **changes
    )


PARENT = {"facts": {"parent": "20261121T080000Z-cccccc00"}}


def next_log(number: int, **changes: Any) -> dict[str, Any]:
    """Return what makes a later run that takes logs; they are staged, because their server gives them up."""
    return next_run(number, **dict({"kind": "log", "transport": "stage", **PARENT}, **changes))


def offered(sandbox: Sandbox) -> list[str]:
    """Return the sets that the worker offers for restore."""
    found = sets({"host": "shop-db1", "app": "testapp", "directory": str(sandbox.access)})["sets"]
    return [item["set"] for item in found]


def stored_receipt(sandbox: Sandbox, name: str = SET) -> dict[str, Any]:
    """Return the receipt of a set as it lies in the repository, checked against its tag."""
    (snapshot,) = sandbox.snapshots(f"set={name}", "part=receipt")
    raw = (sandbox.repository / "blobs" / snapshot["id"] / "0").read_bytes()
    return receipt.decode(raw, restic.read_tags(snapshot)["receipt"])


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


# Salvage: what a capture consumed is uploaded before anything new is taken.


def fail_upload(sandbox: Sandbox, kind: str, **changes: Any) -> dict[str, Any]:
    """Run a staged backup whose upload fails once; everything was captured by then."""
    sandbox.behave({"command": "backup", "tag": "part=data", "do": 1, "times": 1})
    result = back_up(sandbox, [good("log 1")], kind=kind, transport="stage", **changes)
    assert (result["status"], result["error"]["code"]) == ("failed", "repository")
    assert offered(sandbox) == []
    return result


@BOTH
def test_what_a_log_backup_took_and_could_not_store_is_stored_under_its_own_name(sandbox: Sandbox, transport: str) -> None:
    fail_upload(sandbox, "log", **PARENT)
    changes = next_log(1) if transport == "stage" else next_run(1)
    result = back_up(sandbox, [good("next")], **changes)
    assert result["status"] == "ok"
    assert result["salvaged"] == [SET]
    saved = stored_receipt(sandbox)
    assert saved["salvaged"] is True
    assert saved["parent"] == PARENT["facts"]["parent"]
    (artifact,) = saved["artifacts"]
    assert (sandbox.repository / "blobs" / artifact["snapshot"] / "0").read_bytes() == b"log 1"
    newer = stored_receipt(sandbox, changes["set"])
    assert "salvaged" not in newer
    assert saved["consistent_at"] < newer["consistent_at"]
    assert list(layout.staging("shop-db1", "testapp").iterdir()) == []
    salvaged, new = sandbox.snapshots(f"set={SET}"), sandbox.snapshots(f"set={changes['set']}")
    assert max(item["time"] for item in salvaged) < min(item["time"] for item in new)


def test_a_capture_that_consumes_is_never_streamed(sandbox: Sandbox) -> None:
    """A failed upload would lose what the server has given up."""
    sandbox.set_running("mariadb")
    result = back_up(sandbox, [service("stopped"), good()], kind="log", **PARENT)
    assert result["error"]["code"] == "bad-input"
    assert "backstay_transport: stage" in result["error"]["hint"]
    assert sandbox.service_calls() == []


def test_a_log_backup_that_fails_after_its_capture_is_salvaged(sandbox: Sandbox) -> None:
    sandbox.set_running("mariadb")
    steps = [service("stopped"), good("log 1"), call("fail", message="because"), service("started")]
    result = back_up(sandbox, steps, kind="log", transport="stage", **PARENT)
    assert (result["status"], result["error"]["message"]) == ("failed", "because")
    assert sandbox.running() == {"mariadb"}
    assert offered(sandbox) == []
    assert back_up(sandbox, [good("log 2")], **next_log(1))["salvaged"] == [SET]
    assert set(offered(sandbox)) == {SET, next_log(1)["set"]}


def test_nothing_new_is_taken_while_the_old_cannot_be_stored(sandbox: Sandbox) -> None:
    fail_upload(sandbox, "log", **PARENT)
    sandbox.behave({"command": "backup", "tag": "part=data", "do": 1})
    marker = sandbox.base / "captured"
    steps = [capture(f"touch {marker}; echo x; echo 'completed OK!' >&2")]
    result = back_up(sandbox, steps, **next_log(1))
    assert result["status"] == "failed"
    assert not marker.exists()
    assert (layout.staging("shop-db1", "testapp") / SET / "data").read_bytes() == b"log 1"
    sandbox.behave()
    assert back_up(sandbox, [good("log 2")], **next_log(2))["salvaged"] == [SET]


def test_a_salvaged_set_whose_receipt_was_lost_is_stored_again(sandbox: Sandbox) -> None:
    sandbox.behave({"command": "backup", "tag": "part=receipt", "do": "partial", "times": 1})
    assert back_up(sandbox, [good("log 1")], kind="log", transport="stage", **PARENT)["status"] == "failed"
    assert offered(sandbox) == []
    assert back_up(sandbox, [good("log 2")], **next_log(1))["salvaged"] == [SET]


def test_a_copy_whose_source_still_has_it_all_is_swept(sandbox: Sandbox) -> None:
    fail_upload(sandbox, "full")
    result = back_up(sandbox, [good("again")], transport="stage", **next_run(1))
    assert (result["status"], result["salvaged"]) == ("ok", [])
    assert offered(sandbox) == [next_run(1)["set"]]
    assert list(layout.staging("shop-db1", "testapp").iterdir()) == []


def test_a_capture_that_never_completed_is_swept(sandbox: Sandbox) -> None:
    result = back_up(sandbox, [good("half"), capture("printf x; exit 1", "more")], kind="log", transport="stage", **PARENT)
    assert result["status"] == "failed"
    result = back_up(sandbox, [good("again")], **next_log(1))
    assert (result["status"], result["salvaged"]) == ("ok", [])
    assert SET not in json.dumps(sandbox.snapshots())


def test_a_staged_file_that_changed_since_is_never_stored_as_what_it_was(sandbox: Sandbox) -> None:
    fail_upload(sandbox, "log", **PARENT)
    staged = layout.staging("shop-db1", "testapp") / SET / "data"
    staged.write_bytes(b"log X")
    result = back_up(sandbox, [good("log 2")], **next_log(1))
    assert (result["status"], result["error"]["code"]) == ("failed", "capture")
    assert "was changed since its capture" in result["error"]["message"]
    assert staged.exists()
    assert offered(sandbox) == []


def test_salvage_belongs_to_one_host_and_app(sandbox: Sandbox) -> None:
    fail_upload(sandbox, "log", **PARENT)
    result = back_up(sandbox, [good("x")], **next_run(1, host="shop-db2", source="shop-db2"))
    assert (result["status"], result["salvaged"]) == ("ok", [])
    assert (layout.staging("shop-db1", "testapp") / SET / "data").exists()


def test_what_was_stored_can_be_planned(sandbox: Sandbox) -> None:
    back_up(sandbox, facts={"position": {"lsn": 7}})
    full = stored_receipt(sandbox)
    facts = {"parent": SET, "chain": receipt.carried_chain(full), "not_before": {"lsn": 7}, "position": {"lsn": 9}}
    back_up(sandbox, [good("log")], **next_log(1, facts=facts))
    made = plan({"host": "shop-db1", "app": "testapp", "directory": str(sandbox.access)})
    assert made["sets"] == [SET, next_run(1)["set"]]
    assert made["kinds"] == ["full", "log"]
    assert made["bytes"] == len("payload") + len("log")
    kept = json.loads(Path(layout.plan(made["hash"])).read_text())
    assert [item["set"] for item in kept["receipts"]] == made["sets"]


def test_an_unexpected_error_is_a_failure_with_a_trace_and_the_application_comes_back(sandbox: Sandbox) -> None:
    sandbox.set_running("mariadb")
    result = back_up(sandbox, [service("stopped"), call("crash", message="password=hunter2"), good()])
    assert (result["status"], result["error"]["code"]) == ("failed", "internal")
    assert "unexpected ZeroDivisionError" in result["error"]["message"]
    trace = (layout.job(result["run"]) / "traceback.log").read_text()
    assert "ZeroDivisionError" in trace
    assert "hunter2" not in trace + json.dumps(result)
    assert sandbox.running() == {"mariadb"}
