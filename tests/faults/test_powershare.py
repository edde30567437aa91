# SPDX-License-Identifier: GPL-3.0-or-later
"""PS-18: whatever fails, the mail server runs again; PS-1, PS-3, PS-4, PS-7: what is not whole is no set, and not restored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from faults import injection
from faults.kills import kill_at_random_moments, kill_while_held_down, kill_while_laid_down
from faults.scene import Scene
from lab_tools.powershare import mail
from lab_tools.waiting import wait_until


@pytest.mark.short
def test_mail_server_comes_back_from_random_kills(scene: Scene, record_property: Callable[[str, object], None]) -> None:
    """PS-18"""
    kill_at_random_moments(scene, record_property)


def test_worker_killed_while_the_mail_server_is_quit(scene: Scene) -> None:
    """PS-18"""
    kill_while_held_down(scene)


def test_connection_cut_and_control_node_killed_while_the_mail_server_is_quit(scene: Scene) -> None:
    """PS-18: the host needs neither to bring it back; the upload waits for the network."""
    scene.gates.close("stop")
    running = scene.start("backup")
    scene.gates.await_reached("stop")
    with injection.network_cut(scene.fleet, scene.host):
        running.kill()
        scene.gates.open("stop")
        wait_until(lambda: not scene.inactive() and mail(scene.fleet).running(), "the mail server runs", 60)
        assert scene.result(running.run_id) is None, "the upload cannot be over"
    ended = scene.await_result(running.run_id, 240)
    scene.good += [ended["set"]] if ended["status"] == "ok" else []
    scene.backup()


@pytest.mark.short
def test_a_dialog_is_open_and_the_mail_server_does_not_quit(scene: Scene) -> None:
    """PS-1: it is never killed and never copied live; the helper takes the quit event back."""
    server = mail(scene.fleet)
    process = scene.subject.main_process()
    with knob(scene, "quit-dialog", "on"):
        running = scene.start("backup", app_powershare_control="gateway", app_powershare_stop_timeout=4)
        record = scene.failed(running, "command", "did not stop: errAETimeout (-1712)", "it was not killed")
        assert server.running()
    assert "Take the picture of the mail server" not in [event["event"] for event in record["events"]]
    assert scene.subject.main_process() == process


def test_the_mail_server_does_not_start_again(scene: Scene) -> None:
    """PS-18: then the run says so, and the next one brings it back first."""
    scene.gates.close("stop")
    running = scene.start("backup")
    scene.gates.await_reached("stop")
    with knob(scene, "launch-fails", "on"):
        scene.gates.open("stop")
        record = scene.failed(running, "application-down", "did not start")
        assert any("did not start" in problem for problem in record["release_problems"])
    scene.backup()


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("/Volumes/Mail HD/Nothing", "is not there"),
        ("/Volumes/Mail HD/Empty", "is empty: there is nothing to back up"),
        ("/Volumes/Mail HD/Deep/PowerShare Mail Data", "does not lie at the root of a volume"),
    ],
)
def test_the_data_folder_is_not_where_it_should_be(scene: Scene, place: str, sentence: str) -> None:
    scene.fleet.shell(scene.host, "cd '/Volumes/Mail HD'; mkdir -p Empty 'Deep/PowerShare Mail Data'")
    process = scene.subject.main_process()
    try:
        scene.start("backup", app_powershare_data={"mail": place}).finish().refused('"code": "preflight"', sentence)
    finally:
        scene.fleet.shell(scene.host, "cd '/Volumes/Mail HD'; rm -rf Empty Deep")
    assert scene.subject.main_process() == process, "it was stopped"


def test_a_place_for_a_restore_that_is_not_empty_or_lies_in_the_data_folder(scene: Scene) -> None:
    """PS-7"""
    place = "/Volumes/Mail HD/side"
    scene.fleet.shell(scene.host, f"mkdir -p '{place}'; touch '{place}/old'")
    try:
        refused = scene.start("restore", backstay_restore_to=place).finish()
        refused.refused('"code": "preflight"', f"{place} is not empty")
        inside = f"{mail(scene.fleet).data}/old"
        refused = scene.start("restore", backstay_restore_to=inside).finish()
        refused.refused('"code": "preflight"', f"{inside} lies in {mail(scene.fleet).data}, among live data")
    finally:
        scene.fleet.shell(scene.host, f"rm -rf '{place}'")


@pytest.mark.short
def test_resource_forks_that_are_lost_on_the_way_back(scene: Scene) -> None:
    """PS-3: a tool that drops the companion files; the live server never notices."""
    process = scene.subject.main_process()
    program = '#!/bin/sh\nexec /usr/bin/tar "$@" --exclude="._*"\n'
    with injection.changed_file(scene.fleet, scene.host, "/usr/local/sbin/tar", program):
        scene.fleet.run(scene.host, "chmod", "755", "/usr/local/sbin/tar")
        scene.failed(scene.start("restore"), "integrity", "._")
    assert scene.subject.main_process() == process, "it was stopped"


def test_worker_killed_while_the_set_is_laid_down(scene: Scene) -> None:
    """PS-4, PS-7"""
    kill_while_laid_down(scene)


@contextmanager
def knob(scene: Scene, *words: str) -> Iterator[None]:
    """Order trouble while the block runs."""
    mail(scene.fleet).knob(*words)
    try:
        yield
    finally:
        mail(scene.fleet).knob("clear")
