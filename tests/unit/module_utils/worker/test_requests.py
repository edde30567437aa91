# SPDX-License-Identifier: GPL-3.0-or-later
"""What the control node may ask a worker; start and collect in test_life_of_a_job.py."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import errors, layout
from ansible_collections.backstay.fleet.plugins.module_utils.apps import load_app
from ansible_collections.backstay.fleet.plugins.module_utils.files import write_json
from ansible_collections.backstay.fleet.plugins.module_utils.receipt import carried_chain
from ansible_collections.backstay.fleet.plugins.module_utils.worker import requests
from ansible_collections.backstay.fleet.plugins.module_utils.worker.folder import JobFolder
from unit.support.backups import stored_receipt
from unit.support.sandbox import STOCKED, Sandbox
from unit.support.steps import call, good

SET = "20261121T090000Z-aaaaaa01"


def ask_about(sandbox: Sandbox, **more: Any) -> dict[str, Any]:
    return dict({"host": "shop-db1", "app": "testapp", "directory": str(sandbox.access)}, **more)


def preflight_of(sandbox: Sandbox, **more: Any) -> dict[str, Any]:
    return ask_about(sandbox, **dict({"action": "backup", "kind": "full", "options": {}}, **more))


def test_a_preflight_returns_checks_facts_and_the_scratch_folder(sandbox: Sandbox) -> None:
    found = requests.preflight(preflight_of(sandbox))
    assert {item["name"]: item["status"] for item in found["checks"]} == {"restic": "ok", "repository": "ok"}
    assert found["facts"]["action"] == "backup"
    assert found["work"] == str(layout.work("shop-db1", "testapp"))


def test_a_preflight_of_a_restore_says_what_would_be_replaced(sandbox: Sandbox) -> None:
    assert requests.preflight(preflight_of(sandbox, action="restore"))["facts"]["replaces"] == ["/srv/testapp"]
    with pytest.raises(errors.BadInput, match="does not say what its restore replaces"):
        requests.preflight(preflight_of(sandbox, action="restore", options={"replaces": []}))


def test_a_preflight_names_every_failed_check_and_its_remedy(sandbox: Sandbox) -> None:
    (sandbox.access / "password").unlink()
    checks = [
        {"name": "privileges", "status": "failed", "detail": "the account lacks RELOAD", "hint": "GRANT RELOAD"},
        {"name": "binary log", "status": "warning", "detail": "off", "hint": ""},
    ]
    with pytest.raises(errors.PreflightFailed, match="2 of 4 checks failed") as failure:
        requests.preflight(preflight_of(sandbox, options={"checks": checks}))
    assert "privileges: the account lacks RELOAD - GRANT RELOAD" in failure.value.message
    assert "repository: " in failure.value.message
    assert "binary log" not in failure.value.message


def test_a_preflight_without_restic_fails(sandbox: Sandbox) -> None:
    (sandbox.programs / "restic").unlink()
    with pytest.raises(errors.PreflightFailed, match="restic: restic is not installed"):
        requests.preflight(preflight_of(sandbox))


def test_a_preflight_with_an_old_restic_fails(sandbox: Sandbox) -> None:
    (sandbox.programs / "restic").write_text("#!/bin/sh\necho restic 0.14.0 compiled with go1.19\n")
    with pytest.raises(errors.PreflightFailed, match=r"restic 0\.14\.0 .* is too old"):
        requests.preflight(preflight_of(sandbox))


def test_a_preflight_of_a_kind_that_the_app_cannot_make_fails(sandbox: Sandbox) -> None:
    with pytest.raises(errors.BadInput, match="differential"):
        requests.preflight(preflight_of(sandbox, kind="differential"))


def test_a_preflight_of_an_unknown_app_fails(sandbox: Sandbox) -> None:
    for name in ("nosuch", "../mysql", "MySQL", ""):
        with pytest.raises(errors.BadInput, match="app"):
            requests.preflight(preflight_of(sandbox, app=name))


def test_sets_are_listed_for_programs_and_for_people(sandbox: Sandbox) -> None:
    assert requests.sets(ask_about(sandbox)) == {"sets": [], "lines": []}
    sandbox.run(sandbox.backup([good()]))
    found = requests.sets(ask_about(sandbox))
    assert [item["set"] for item in found["sets"]] == [SET]
    (line,) = found["lines"]
    assert SET in line
    assert "full" in line
    assert "7 B" in line
    assert requests.sets(ask_about(sandbox, app="mysql"))["sets"] == []
    assert requests.sets(ask_about(sandbox, host="shop-db2"))["sets"] == []


def test_a_set_whose_parent_is_gone_is_shown_as_not_restorable(stocked: Sandbox) -> None:
    facts = {"parent": STOCKED, "chain": carried_chain(stored_receipt(stocked, STOCKED))}
    changes = {"run": "20261121T110000Z-testapp-3", "set": "20261121T110000Z-bbbbbb03", "facts": facts}
    assert stocked.run(stocked.backup([good()], kind="incremental", **changes))["status"] == "ok"
    (lost,) = stocked.snapshots("part=receipt", f"set={STOCKED}")
    (stocked.repository / "snapshots" / f"{lost['id']}.json").unlink()
    (line,) = requests.sets(ask_about(stocked))["lines"]
    assert f"after {STOCKED}" in line
    assert "NOT RESTORABLE" in line
    with pytest.raises(errors.PlanRefused, match="no set to restore from"):
        requests.plan(ask_about(stocked))


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"moment": "2020-01-01T00:00:00Z"}, errors.PlanRefused),
        ({"moment": "2099-01-01T00:00:00Z"}, errors.PlanRefused),
        ({"moment": "yesterday"}, errors.BadInput),
        ({"set": "20200101T000000Z-000000"}, errors.BadInput),
    ],
)
def test_a_plan_that_cannot_be_is_refused(stocked: Sandbox, changes: dict[str, str], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        requests.plan(ask_about(stocked, **changes))
    assert not (layout.ROOT / "plans").exists()


def test_a_plan_in_check_mode_leaves_nothing_on_the_host(stocked: Sandbox) -> None:
    made = requests.plan(ask_about(stocked, check_mode=True))
    assert made["sets"] == [SET]
    assert not (layout.ROOT / "plans").exists()


@pytest.mark.parametrize("check_mode", [False, True])
def test_an_app_may_refuse_a_plan_before_anything_is_brought_back(
    stocked: Sandbox, monkeypatch: pytest.MonkeyPatch, check_mode: bool
) -> None:
    def judge(plan: dict[str, Any]) -> None:
        raise errors.BadInput(f"no way to {plan['sets']} with {[item['kind'] for item in plan['receipts']]}")

    monkeypatch.setattr(load_app("testapp"), "judge", judge, raising=False)
    with pytest.raises(errors.BadInput, match=r"no way to \['.*'\] with \['full'\]"):
        requests.plan(ask_about(stocked, check_mode=check_mode))
    assert not (layout.ROOT / "plans").exists()


def test_planning_takes_two_calls_of_restic(stocked: Sandbox) -> None:
    before = len(stocked.restic_calls())
    requests.plan(ask_about(stocked, set=SET))
    assert len(stocked.restic_calls()) - before == 2


def test_a_damaged_receipt_is_never_planned_with(stocked: Sandbox) -> None:
    stocked.behave({"command": "dump", "do": "corrupt"})
    with pytest.raises(errors.IntegrityError, match="its snapshot promises"):
        requests.plan(ask_about(stocked))


def test_a_receipt_that_was_moved_to_another_host_is_never_planned_with(stocked: Sandbox) -> None:
    (snapshot,) = stocked.snapshots("part=receipt")
    path = stocked.repository / "snapshots" / f"{snapshot['id']}.json"
    path.write_text(json.dumps(dict(snapshot, hostname="shop-db2")))
    with pytest.raises(errors.IntegrityError, match="is of testapp on shop-db1"):
        requests.plan(ask_about(stocked, host="shop-db2"))


def claim_again(sandbox: Sandbox, **changed: str) -> str:
    """Add a snapshot that claims the stored set with other tags, and says of itself that it is the older one; return its id."""
    (snapshot,) = sandbox.snapshots("part=receipt")
    tags = dict(tag.split("=", 1) for tag in snapshot["tags"])
    forged = dict(snapshot, id="f" * 64, time=1, tags=[f"{name}={value}" for name, value in {**tags, **changed}.items()])
    (sandbox.repository / "snapshots" / f"{forged['id']}.json").write_text(json.dumps(forged))
    shutil.copytree(sandbox.repository / "blobs" / snapshot["id"], sandbox.repository / "blobs" / forged["id"])
    return str(snapshot["id"])


def test_a_set_that_two_receipts_claim_is_not_restored_in_silence(stocked: Sandbox) -> None:
    """A client says itself when it stored a snapshot: a host that was taken over could replace any of its sets."""
    ours = claim_again(stocked, receipt="0" * 64)
    said = f"set {SET} is claimed by 2 different receipts, snapshots f{{8}} and {ours[:8]}"
    with pytest.raises(errors.IntegrityError, match=said):
        requests.plan(ask_about(stocked))
    lines = requests.sets(ask_about(stocked))["lines"]
    assert any(SET in line and "CLAIMED BY 2 RECEIPTS" in line for line in lines)


def test_a_receipt_that_was_stored_twice_is_one_set(stocked: Sandbox) -> None:
    claim_again(stocked)
    assert requests.plan(ask_about(stocked))["sets"] == [SET]


def test_access_that_comes_with_a_question_is_gone_after_it(stocked: Sandbox) -> None:
    request = {"host": "shop-db1", "app": "testapp", "secrets": stocked.secrets}
    assert requests.plan(request)["sets"] == [SET]
    call = stocked.restic_calls("snapshots")[-1]["argv"]
    password_file = Path(call[call.index("--password-file") + 1])
    assert password_file.parent != stocked.access
    assert not password_file.parent.exists()
    with pytest.raises(errors.RepositoryPassword):
        requests.plan(dict(request, secrets=dict(stocked.secrets, password="wrong")))
    call = stocked.restic_calls("snapshots")[-1]["argv"]
    assert not Path(call[call.index("--password-file") + 1]).parent.exists()


@pytest.mark.parametrize(("do", "kind"), [(1, errors.RepositoryError), (11, errors.RepositoryLocked)])
def test_a_repository_that_does_not_answer_is_told(sandbox: Sandbox, do: int, kind: type[Exception]) -> None:
    sandbox.behave({"command": "snapshots", "do": do})
    with pytest.raises(kind):
        requests.sets(ask_about(sandbox))


def test_nobody_collects_what_never_was(sandbox: Sandbox) -> None:
    with pytest.raises(errors.BadInput, match="knows no run 'never-was'"):
        requests.collect({"run": "never-was"})


def test_errors_travel_as_an_answer(sandbox: Sandbox) -> None:
    assert sandbox.ask("collect", {"run": "never-was"})["error"]["code"] == "bad-input"
    answer = sandbox.ask("plan", {"host": "x"})
    assert answer["error"]["code"] == "internal"
    assert "KeyError" in answer["error"]["message"]


def test_an_unknown_command_is_a_usage_error(sandbox: Sandbox) -> None:
    for arguments in ([], ["sing"], ["run"], ["run", "a", "b"]):
        done = sandbox.call(*arguments) if arguments else sandbox.call("")
        assert done.returncode == 2
        assert "usage: worker.pyz" in done.stderr


def restore_that_failed(sandbox: Sandbox, run: str) -> JobFolder:
    """Leave the folder of a restore that failed with the former data aside."""
    aside = sandbox.base / f"aside-{run}"
    aside.mkdir()
    folder = JobFolder.create(dict(sandbox.backup([good()]), action="restore", run=run), {})
    state = {"target": "/srv/data", "landing": "/srv/landing", "aside": str(aside), "state": "begun"}
    write_json(folder.path / "swap.json", dict(state, moved_aside=[], moved_in=[], made=False))
    write_json(folder.path / "result.json", {"action": "restore", "status": "failed"})
    return folder


EXCHANGE = {"name": "Exchange", "swap": {"target": "/srv/data", "landing": "/srv/new"}}


@pytest.mark.parametrize(
    ("action", "steps", "more"),
    [
        ("backup", [good()], {}),
        ("restore", [EXCHANGE], {}),
        ("restore", [call("exchange files one by one")], {"in_place": True}),
    ],
)
def test_nothing_is_begun_on_data_that_a_failed_restore_left_exchanged(
    sandbox: Sandbox, action: str, steps: list[Any], more: dict[str, Any]
) -> None:
    failed = restore_that_failed(sandbox, "20261121T080000Z-testapp-1")
    specification = dict(sandbox.backup([good()]), action=action, plan="0" * 64, steps=steps, **more)
    with pytest.raises(errors.Refused, match="failed in run 20261121T080000Z-testapp-1") as refusal:
        requests.start({"specification": specification})
    assert f"put-back {failed.path}" in refusal.value.hint
    write_json(failed.path / "swap.json", {"state": "put back"})
    requests._require_whole_data([failed], specification)


@pytest.mark.parametrize("order", [1, -1])
def test_a_restore_that_succeeded_settles_no_other_whatever_the_clock_says(sandbox: Sandbox, order: int) -> None:
    """It came before, for none begins on exchanged data; the times of folders tell nothing after a clock was set back."""
    failed = restore_that_failed(sandbox, "20261121T080000Z-testapp-1")
    good_one = restore_that_failed(sandbox, "20261121T083000Z-testapp-2")
    write_json(good_one.path / "spec.json", dict(good_one.specification(), in_place=True))
    write_json(good_one.path / "result.json", {"action": "restore", "status": "ok"})
    requests._require_whole_data([good_one], sandbox.backup([good()]))
    with pytest.raises(errors.Refused, match="failed in run 20261121T080000Z-testapp-1"):
        requests._require_whole_data([failed, good_one][::order], sandbox.backup([good()]))


def test_a_later_restore_beside_the_live_data_does_not_settle_it(sandbox: Sandbox) -> None:
    failed = restore_that_failed(sandbox, "20261121T080000Z-testapp-1")
    beside = JobFolder.create(dict(sandbox.backup([good()]), action="restore", run="20261121T083000Z-testapp-2"), {})
    write_json(beside.path / "result.json", {"action": "restore", "status": "ok"})
    with pytest.raises(errors.Refused, match="is not proved"):
        requests._require_whole_data([failed, beside], sandbox.backup([good()]))
