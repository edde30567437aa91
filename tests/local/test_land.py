# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore jobs in this process: landing, hash checks, exchange, what stays after a failure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import layout, receipt, restic
from ansible_collections.backstay.fleet.plugins.module_utils.worker import release
from ansible_collections.backstay.fleet.plugins.module_utils.worker.folder import JobFolder
from ansible_collections.backstay.fleet.plugins.module_utils.worker.requests import plan
from ansible_collections.backstay.fleet.plugins.module_utils.yard import yard
from unit.support.backups import LIVE
from unit.support.sandbox import Sandbox
from unit.support.steps import Step, call, capture, good, land, service
from unit.support.trees import look, plant

SET = "20261121T090000Z-aaaaaa01"


def stored_receipt(sandbox: Sandbox, name: str) -> dict[str, Any]:
    """Return the receipt of a set as it lies in the repository."""
    (snapshot,) = sandbox.snapshots("part=receipt", f"set={name}")
    raw = (sandbox.repository / "blobs" / snapshot["id"] / "0").read_bytes()
    return receipt.decode(raw, restic.read_tags(snapshot)["receipt"])


def in_place(target: Path, *after: Step, **swap: Any) -> list[Step]:
    """Return the steps of a restore in place."""
    landing = str(yard(target) / "landing-1")
    return [
        land(landing),
        service("stopped"),
        {"name": "Exchange", "swap": dict({"target": str(target), "landing": landing}, **swap)},
        service("started"),
        *after,
    ]


def recover(sandbox: Sandbox, stored: dict[str, Any], steps: list[Step], **changes: Any) -> dict[str, Any]:
    return sandbox.run(sandbox.recovery(stored["hash"], steps, **changes))


def test_a_set_lands_whole_and_unpacked(sandbox: Sandbox, stored: dict[str, Any]) -> None:
    into = sandbox.base / "new" / "place"
    result = recover(sandbox, stored, [land(f"{into}/{{set}}"), call("note", name="checked")])
    assert (result["status"], result["set"], result["bytes"]) == ("ok", SET, 8)
    assert result["checks"] == [{"name": "checked", "status": "ok", "detail": ""}]
    assert look(into) == {SET: {"content": b"restored"}}


def test_the_placeholder_for_the_folder_is_filled_in(sandbox: Sandbox, stored: dict[str, Any]) -> None:
    step = land(sandbox.base / "x")
    step["land"]["unpack"] = ["tee", "{into}/copy"]
    assert recover(sandbox, stored, [step])["status"] == "ok"
    assert look(sandbox.base / "x") == {"copy": b"restored"}


def test_the_sets_of_a_chain_land_in_order(sandbox: Sandbox, stored: dict[str, Any]) -> None:
    name = SET
    for number in (1, 2):
        stream = {"id": SET, "first": f"000{number}", "last": f"000{number + 1}"}
        facts = {"parent": name, "position": {"lsn": number + 1}, "stream": stream}
        moment = f"20261121T1{number}0000Z"
        name = f"{moment}-bbbbbb01"
        changes = {"kind": "log", "transport": "stage", "run": f"{moment}-l", "set": name, "facts": facts}
        specification = sandbox.backup([good(f"log {number}", "logs")], **changes)
        assert sandbox.run(specification)["status"] == "ok"
    made = plan({"host": "shop-db1", "app": "testapp", "directory": str(sandbox.access)})
    log = sandbox.base / "log"
    steps = [
        land(sandbox.base / "data", ["full"], script=f"cat >> {log}; echo >> {log}"),
        land(sandbox.base / "logs" / "{set}", ["log"], "logs", script=f"cat >> {log}; echo >> {log}"),
    ]
    result = recover(sandbox, made, steps, run="20261121T130000Z-r")
    assert (result["status"], result["set"]) == ("ok", made["sets"][2])
    assert log.read_text() == "restored\nlog 1\nlog 2\n"


@pytest.mark.parametrize(
    ("script", "code", "sentence"),
    [
        ("cat > content; exit 3", "command", "sh ended with exit status 3"),
        ("head -c 3 > content; echo 'tape torn' >&2; exit 1", "command", "sh ended with exit status 1: tape torn"),
        ("kill -9 $$", "command", "sh was killed by SIGKILL"),
    ],
)
def test_a_failing_unpacking_tool_is_told_and_nothing_stays(
    sandbox: Sandbox, stored: dict[str, Any], script: str, code: str, sentence: str
) -> None:
    result = recover(sandbox, stored, [land(sandbox.base / "new" / "place", script=script)])
    assert (result["status"], result["error"]["code"]) == ("failed", code)
    assert sentence in result["error"]["message"]
    assert not (sandbox.base / "new").exists()


def test_damaged_data_never_reaches_the_live_directory(sandbox: Sandbox, stored: dict[str, Any], target: Path) -> None:
    sandbox.behave({"command": "dump", "do": "corrupt"})
    result = recover(sandbox, stored, in_place(target))
    assert (result["status"], result["error"]["code"]) == ("failed", "integrity")
    assert "the receipt promises 8" in result["error"]["message"]
    assert look(target) == LIVE
    assert not yard(target).exists()
    assert sandbox.service_calls() == [], "nothing was stopped"
    assert "put_back" not in result


def test_a_repository_that_fails_meanwhile_is_told_as_such(sandbox: Sandbox, stored: dict[str, Any], target: Path) -> None:
    sandbox.behave({"command": "dump", "do": 1})
    result = recover(sandbox, stored, in_place(target))
    assert result["error"]["code"] == "repository"
    assert look(target) == LIVE


def test_a_stalled_dump_ends(sandbox: Sandbox, stored: dict[str, Any]) -> None:
    sandbox.behave({"command": "dump", "do": "hang"})
    result = recover(sandbox, stored, [land(sandbox.base / "x")], stall_timeout=1)
    assert result["error"]["code"] == "stalled"
    assert not (sandbox.base / "x").exists()


def test_nothing_lands_over_other_data(sandbox: Sandbox, stored: dict[str, Any]) -> None:
    plant(sandbox.base / "x", {"precious": b"1"})
    result = recover(sandbox, stored, [land(sandbox.base / "x")])
    assert "is not empty; nothing is ever restored over other data" in result["error"]["message"]
    assert look(sandbox.base / "x") == {"precious": b"1"}


def test_nothing_lands_through_a_link(sandbox: Sandbox, stored: dict[str, Any]) -> None:
    """Who owns the folder above could have root write, and give away, anything."""
    (sandbox.base / "theirs").mkdir()
    (sandbox.base / "x").symlink_to(sandbox.base / "theirs")
    result = recover(sandbox, stored, [land(sandbox.base / "x")])
    assert f"{sandbox.base}/x is a link; nothing is ever restored over other data" in result["error"]["message"]
    assert look(sandbox.base / "theirs") == {}


def test_a_missing_artifact_is_told(sandbox: Sandbox, stored: dict[str, Any]) -> None:
    result = recover(sandbox, stored, [land(sandbox.base / "x", artifact="logs")])
    assert f"set {SET} has no artifact 'logs'" in result["error"]["message"]


@pytest.mark.parametrize("change", ["other target", "gone"])
def test_a_plan_that_is_not_the_one_shown_is_refused(
    sandbox: Sandbox, stored: dict[str, Any], target: Path, change: str
) -> None:
    path = layout.plan(stored["hash"])
    if change == "gone":
        path.unlink()
    else:
        path.write_text(json.dumps(dict(json.loads(path.read_text()), target="2026-11-21T08:00:00.000000Z")))
    result = recover(sandbox, stored, in_place(target))
    assert result["error"]["code"] == "integrity"
    assert "is not the one that was shown" in result["error"]["message"]
    assert look(target) == LIVE


def test_a_restore_in_place_keeps_the_former_data(sandbox: Sandbox, stored: dict[str, Any], target: Path) -> None:
    result = recover(sandbox, stored, in_place(target))
    assert result["status"] == "ok"
    assert look(target) == {"content": b"restored"}
    assert look(Path(result["aside"])) == LIVE
    assert sandbox.service_calls() == ["stop mariadb", "start mariadb"]
    assert result["outage_seconds"] > 0


def test_the_former_data_goes_after_a_proved_restore_when_wished(
    sandbox: Sandbox, stored: dict[str, Any], target: Path
) -> None:
    landing = str(yard(target) / "landing-1")
    steps = in_place(target, {"name": "Clean", "discard": {"path": landing}}, keep_aside=False)
    result = recover(sandbox, stored, steps)
    assert result["status"] == "ok"
    assert "aside" not in result
    assert not yard(target).exists()


def test_the_former_data_stays_when_the_last_undo_fails(sandbox: Sandbox, stored: dict[str, Any], target: Path) -> None:
    before: Step = {"name": "Close", "command": {"argv": ["true"], "undo": ["false"]}}
    result = recover(sandbox, stored, [before, *in_place(target, keep_aside=False)])
    assert (result["status"], result["release_problems"]) == ("failed", ["false ended with exit status 1: it said nothing"])
    assert look(Path(result["aside"])) == LIVE
    assert result["put_back"].endswith(f" put-back {layout.job(result['run'])}")


def test_a_restore_that_fails_its_proof_keeps_both_copies_and_names_the_way_back(
    sandbox: Sandbox, stored: dict[str, Any], target: Path
) -> None:
    result = recover(sandbox, stored, in_place(target, call("fail", message="table shop.orders is corrupt"), keep_aside=False))
    assert (result["status"], result["error"]["message"]) == ("failed", "table shop.orders is corrupt")
    assert look(target) == {"content": b"restored"}
    assert look(Path(result["aside"])) == LIVE
    run = result["run"]
    assert result["put_back"].endswith(f" put-back {layout.job(run)}")
    sentence = release.put_back(JobFolder(layout.job(run)))
    assert "holds its former content again" in sentence
    assert look(target) == LIVE


def test_a_restore_whose_server_does_not_start_is_not_hidden(sandbox: Sandbox, stored: dict[str, Any], target: Path) -> None:
    sandbox.refuse("mariadb", "start")
    result = recover(sandbox, stored, in_place(target))
    assert result["error"]["code"] == "application-down"
    assert "put_back" in result
    sandbox.allow("mariadb", "start")
    sentence = release.put_back(JobFolder(layout.job(result["run"])))
    assert sentence.endswith("started: mariadb")
    assert (look(target), sandbox.running()) == (LIVE, {"mariadb"})


def test_a_failure_before_the_exchange_starts_the_server_on_its_own_data(
    sandbox: Sandbox, stored: dict[str, Any], target: Path
) -> None:
    steps = [service("stopped"), land(yard(target) / "landing-1"), call("fail", message="because")]
    result = recover(sandbox, stored, steps)
    assert result["error"]["message"] == "because"
    assert sandbox.running() == {"mariadb"}
    assert look(target) == LIVE
    assert not yard(target).exists()


def test_of_a_landing_folder_that_was_there_only_what_landed_is_discarded(sandbox: Sandbox, stored: dict[str, Any]) -> None:
    """The folder may be a mount point that others use, or hold the copy that the job leaves there."""
    shared = plant(sandbox.base / "shared", {"of others": b"kept"})
    discard: Step = {"name": "Clean", "discard": {"path": str(shared)}}
    result = recover(sandbox, stored, [land(f"{shared}/{{set}}"), discard])
    assert (result["status"], look(shared)) == ("ok", {"of others": b"kept"})
    refused = recover(sandbox, stored, [land(sandbox.base / "elsewhere"), discard], run="20261121T110000Z-testapp-3")
    assert "was not made by this job" in refused["error"]["message"]
    assert look(shared) == {"of others": b"kept"}


def test_what_the_job_runs_ends_before_a_service_starts_and_before_its_folder_goes(
    sandbox: Sandbox, stored: dict[str, Any], target: Path
) -> None:
    """An instance of the job keeps the service from starting it anew, and its files in use."""
    landing, noted = yard(target) / "landing-1", sandbox.base / "noted"
    running = sandbox.programs / "running" / "mariadb"
    occupy = call("occupy", watched=[str(running), f"{running}-too", str(landing)], noted=str(noted))
    steps = [land(landing), service("stopped"), occupy, call("fail", message="because")]
    assert recover(sandbox, stored, steps)["release_problems"] == []
    assert noted.read_text().split() == [str(landing)]
    assert sandbox.running() == {"mariadb"}
    assert not landing.exists()
    noted.unlink()
    left = {"name": "Close", "command": {"argv": ["true"], "undo": ["touch", str(running) + "-too"]}}
    assert recover(sandbox, stored, [land(landing), left, occupy], run="20261121T110000Z-testapp-3")["status"] == "ok"
    assert f"{running}-too" not in noted.read_text()


def test_an_instance_of_the_job_that_cannot_be_ended_is_not_hidden_by_a_service_that_says_it_started(
    sandbox: Sandbox, stored: dict[str, Any], target: Path
) -> None:
    occupy = call("occupy", watched=[], noted=str(sandbox.base / "noted"), fail="the instance ORCL did not end")
    steps = [land(yard(target) / "landing-1"), service("stopped"), occupy, call("fail", message="because")]
    assert recover(sandbox, stored, steps)["release_problems"] == ["the instance ORCL did not end"]


def test_secrets_of_another_repository_are_gone_afterwards(sandbox: Sandbox, stored: dict[str, Any]) -> None:
    specification = sandbox.recovery(stored["hash"], [land(sandbox.base / "x")], repository={"name": "other", "directory": ""})
    assert sandbox.run(specification, sandbox.secrets)["status"] == "ok"
    assert not (layout.job(specification["run"]) / "secrets").exists()


def test_a_set_with_an_artifact_that_is_no_path_is_not_taken_for_an_option(sandbox: Sandbox, stored: dict[str, Any]) -> None:
    recover(sandbox, stored, [land(sandbox.base / "x")])
    (call_of_dump,) = [found["argv"] for found in sandbox.restic_calls("dump") if "/testapp-data" in found["argv"]]
    assert call_of_dump[-3] == "--"


def test_a_capture_that_lands_again_is_the_same(sandbox: Sandbox) -> None:
    content = sandbox.base / "content"
    content.write_bytes(bytes(range(256)) * 5000)
    sandbox.run(sandbox.backup([capture(f"cat {content}; echo 'completed OK!' >&2")]))
    made = plan({"host": "shop-db1", "app": "testapp", "directory": str(sandbox.access)})
    assert recover(sandbox, made, [land(sandbox.base / "x")])["status"] == "ok"
    assert (sandbox.base / "x" / "content").read_bytes() == content.read_bytes()


def test_a_restore_that_lands_nothing_is_none(sandbox: Sandbox, stored: dict[str, Any]) -> None:
    result = recover(sandbox, stored, [call("note", name="checked")])
    assert (result["status"], result["error"]["code"]) == ("failed", "integrity")
    assert f"brought back by no step (kinds: full), the first is {SET}" in result["error"]["message"]


def test_a_planned_set_that_no_step_brings_back_ends_the_restore_before_anything_is_exchanged(
    sandbox: Sandbox, stored: dict[str, Any], target: Path
) -> None:
    steps = in_place(target)
    steps[0]["land"]["kinds"] = ["incremental"]
    result = recover(sandbox, stored, steps)
    assert result["error"]["code"] == "integrity"
    assert f"brought back by no step (kinds: full), the first is {SET}" in result["error"]["message"]
    assert look(target) == LIVE and sandbox.running() == {"mariadb"}
