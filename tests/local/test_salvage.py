# SPDX-License-Identifier: GPL-3.0-or-later
"""Salvage: what a capture consumed is uploaded before anything new is taken."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.backstay.fleet.plugins.module_utils import layout
from unit.support.backups import BOTH, SET, back_up, next_log, next_run, offered, stored_receipt
from unit.support.sandbox import Sandbox
from unit.support.steps import call, capture, failing, good, logs, service


def fail_upload(sandbox: Sandbox, kind: str, **changes: Any) -> dict[str, Any]:
    """Run a staged backup whose upload fails once; everything was captured by then."""
    sandbox.behave({"command": "backup", "tag": "part=data", "do": 1, "times": 1})
    result = back_up(sandbox, [logs("log 1") if kind == "log" else good("log 1")], kind=kind, transport="stage", **changes)
    assert (result["status"], result["error"]["code"]) == ("failed", "repository")
    assert offered(sandbox) == []
    return result


@BOTH
def test_what_a_log_backup_took_and_could_not_store_is_stored_under_its_own_name(sandbox: Sandbox, transport: str) -> None:
    fail_upload(sandbox, "log")
    changes = next_log(1) if transport == "stage" else next_run(1)
    result = back_up(sandbox, [logs("next") if transport == "stage" else good("next")], **changes)
    assert result["status"] == "ok"
    assert result["salvaged"] == [SET]
    saved = stored_receipt(sandbox)
    assert saved["salvaged"] is True
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
    result = back_up(sandbox, [service("stopped"), logs()], kind="log")
    assert result["error"]["code"] == "bad-input"
    assert "backstay_transport: stage" in result["error"]["hint"]
    assert sandbox.service_calls() == []


def test_a_log_backup_that_fails_after_its_capture_is_salvaged(sandbox: Sandbox) -> None:
    sandbox.set_running("mariadb")
    steps = [service("stopped"), logs("log 1"), failing("because"), service("started")]
    result = back_up(sandbox, steps, kind="log", transport="stage")
    assert (result["status"], result["error"]["message"]) == ("failed", "sh ended with exit status 1: because")
    assert sandbox.running() == {"mariadb"}
    assert offered(sandbox) == []
    assert back_up(sandbox, [logs("log 2")], **next_log(1))["salvaged"] == [SET]
    assert set(offered(sandbox)) == {SET, next_log(1)["set"]}


def test_nothing_new_is_taken_while_the_old_cannot_be_stored(sandbox: Sandbox) -> None:
    fail_upload(sandbox, "log")
    sandbox.behave({"command": "backup", "tag": "part=data", "do": 1})
    marker = sandbox.base / "captured"
    steps = [capture(f"touch {marker}; echo x; echo 'completed OK!' >&2", "logs")]
    result = back_up(sandbox, steps, **next_log(1))
    assert result["status"] == "failed"
    assert not marker.exists()
    assert (layout.staging("shop-db1", "testapp") / SET / "logs").read_bytes() == b"log 1"
    sandbox.behave()
    assert back_up(sandbox, [logs("log 2")], **next_log(2))["salvaged"] == [SET]


def test_a_salvaged_set_whose_receipt_was_lost_is_stored_again(sandbox: Sandbox) -> None:
    sandbox.behave({"command": "backup", "tag": "part=receipt", "do": "partial", "times": 1})
    assert back_up(sandbox, [logs("log 1")], kind="log", transport="stage")["status"] == "failed"
    assert offered(sandbox) == []
    assert back_up(sandbox, [logs("log 2")], **next_log(1))["salvaged"] == [SET]


def test_a_copy_whose_source_still_has_it_all_is_swept(sandbox: Sandbox) -> None:
    fail_upload(sandbox, "full")
    result = back_up(sandbox, [good("again")], transport="stage", **next_run(1))
    assert (result["status"], result["salvaged"]) == ("ok", [])
    assert offered(sandbox) == [next_run(1)["set"]]
    assert list(layout.staging("shop-db1", "testapp").iterdir()) == []


def test_a_capture_that_never_completed_is_swept(sandbox: Sandbox) -> None:
    result = back_up(sandbox, [capture("printf x; exit 1", "logs")], kind="log", transport="stage")
    assert result["status"] == "failed"
    result = back_up(sandbox, [logs("again")], **next_log(1))
    assert (result["status"], result["salvaged"]) == ("ok", [])
    assert SET not in json.dumps(sandbox.snapshots())


def test_a_staged_file_that_changed_since_is_never_stored_as_what_it_was(sandbox: Sandbox) -> None:
    fail_upload(sandbox, "log")
    staged = layout.staging("shop-db1", "testapp") / SET / "logs"
    staged.write_bytes(b"log X")
    result = back_up(sandbox, [logs("log 2")], **next_log(1))
    assert (result["status"], result["error"]["code"]) == ("failed", "capture")
    assert "was changed since its capture" in result["error"]["message"]
    assert staged.exists()
    assert offered(sandbox) == []


def test_salvage_belongs_to_one_host_and_app(sandbox: Sandbox) -> None:
    fail_upload(sandbox, "log")
    result = back_up(sandbox, [good("x")], **next_run(1, host="shop-db2", source="shop-db2"))
    assert (result["status"], result["salvaged"]) == ("ok", [])
    assert (layout.staging("shop-db1", "testapp") / SET / "logs").exists()


def test_a_function_of_the_app_after_the_last_capture_is_refused_where_captures_consume(sandbox: Sandbox) -> None:
    """What it takes would be in no receipt, and nobody could salvage it."""
    result = back_up(sandbox, [logs(), call("note", name="late")], kind="log", transport="stage")
    assert result["error"]["code"] == "bad-input"
    assert "'Call note' comes after the set is sealed" in result["error"]["message"]
    assert back_up(sandbox, [good(), call("note", name="late")], **next_run(1))["status"] == "ok"
