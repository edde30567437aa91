# SPDX-License-Identifier: GPL-3.0-or-later
"""The round trip of every app: back up, lose, restore, prove - with the app's own adapter, see integration/apps."""

from __future__ import annotations

from pathlib import Path

import pytest
from integration import apps
from integration.apps import App
from lab_tools import repository
from lab_tools.fleet import Fleet
from lab_tools.playbooks import Playbooks, Run


def back_up(playbooks: Playbooks, app: App, **variables: str) -> Run:
    return playbooks.run("backup", "--limit", app.host, **variables).demand()


def restore_in_place(playbooks: Playbooks, app: App, **variables: str) -> Run:
    return playbooks.run("restore", "--limit", app.host, backstay_confirm=app.host, **variables)


def test_moving_data_comes_back_after_a_total_loss(live: App, playbooks: Playbooks, fleet: Fleet, transport: str) -> None:
    live.start_writer()
    live.seed(16)
    known = live.last_known()
    done = back_up(playbooks, live, backstay_transport=transport).record
    assert live.last_known() != known, "the writer did not write during the backup"
    assert done["status"] == "ok" and done["transport"] == transport
    assert done["set"] in repository.receipts(fleet, live.host)

    loss = live.destroy()
    assert loss
    restored = restore_in_place(playbooks, live, backstay_set=done["set"]).demand().record

    assert restored["target"] == done["consistent_at"]
    assert {check["status"] for check in restored["checks"]} == {"ok"}
    live.prove(known=known)


def test_quiesced_data_comes_back_with_equal_hashes(live: App, playbooks: Playbooks) -> None:
    content = live.quiesce()
    back_up(playbooks, live)
    assert live.prove() == content
    live.destroy()
    restore_in_place(playbooks, live).demand()
    # The restored server may run its own scheduled events again, so the application's content is compared at once.
    assert live.prove() == content


@pytest.mark.long
def test_restore_replaces_newer_data_and_keeps_it_aside(live: App, playbooks: Playbooks, fleet: Fleet) -> None:
    content = live.quiesce()
    done = back_up(playbooks, live).record
    live.start_writer()
    live.quiesce()
    assert live.prove() != content
    restored = restore_in_place(playbooks, live, backstay_set=done["set"]).demand().record
    assert live.prove() == content
    for aside in restored["aside"].split(", "):
        held = fleet.run(live.host, "ls", "-A", aside).split()
        assert bool(held) != (str(Path(aside).parent) in apps.bare(live)), f"{aside} holds {held}"
        fleet.run(live.host, "rm", "-rf", aside)


def test_restore_to_another_host(live: App, spare: str, playbooks: Playbooks) -> None:
    live.start_writer()
    known = live.last_known()
    back_up(playbooks, live)
    playbooks.run("restore", "--limit", spare, backstay_source=live.host, backstay_confirm=spare).demand()
    live.prove(host=spare, known=known)
    live.prove(known=known)


@pytest.mark.long
def test_restore_to_another_directory_runs_beside_the_live_server(live: App, playbooks: Playbooks) -> None:
    content = live.quiesce()
    back_up(playbooks, live)
    identity = live.identity()
    restore_in_place(playbooks, live, backstay_restore_to=live.restore_to).demand()
    try:
        assert live.prove(side=live.restore_to) == content
        assert live.identity() == identity
    finally:
        live.end_side(live.host, live.restore_to)


@pytest.mark.long
def test_verify_proves_a_set_without_touching_live_data(live: App, first_set: str, playbooks: Playbooks) -> None:
    identity = live.identity()
    done = playbooks.run("verify", "--limit", live.host, backstay_set=first_set).demand().record
    assert len(done["checks"]) >= live.proofs and {check["status"] for check in done["checks"]} == {"ok"}
    assert live.identity() == identity


def test_one_damaged_blob_is_noticed_and_live_data_stays(live: App, playbooks: Playbooks, fleet: Fleet) -> None:
    live.seed(8)
    done = back_up(playbooks, live).record
    snapshot = repository.receipt(fleet, done["set"], live.host)["artifacts"][0]["snapshot"]
    blob = repository.data_blob(fleet, snapshot, live.host)
    identity = live.identity()
    repository.flip(fleet, blob)
    try:
        verified = playbooks.run("verify", "--limit", live.host, backstay_set=done["set"])
        restored = restore_in_place(playbooks, live, backstay_set=done["set"])
    finally:
        repository.flip(fleet, blob)
    for run in (verified, restored):
        run.refused(f"Set {done['set']}: ", "damaged")
        error = run.record["error"]
        assert run.record["status"] == "failed" and error["code"] == "integrity" and done["set"] in error["message"]
    assert live.identity() == identity
    live.prove()
    playbooks.run("verify", "--limit", live.host, backstay_set=done["set"]).demand()


def test_the_sets_are_listed(live: App, first_set: str, playbooks: Playbooks) -> None:
    done = playbooks.run("backup", "--limit", live.host, "--tags", "backup").demand().record
    listed = playbooks.run("sets", "--limit", live.host, "--tags", "sets").demand()
    assert first_set in listed.output and done["set"] in listed.output
