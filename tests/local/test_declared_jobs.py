# SPDX-License-Identifier: GPL-3.0-or-later
"""Every app role through a real ansible-playbook, on this machine and with made-up facts.

What the roles declare must be a job that the engine accepts, and each entry point must name what is missing.
What they are told lies in local/declared: another app needs a module there.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.backstay.fleet.plugins.action.job import specification
from ansible_collections.backstay.fleet.plugins.module_utils.apps import load_app
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.backstay.fleet.plugins.module_utils.job import KINDS, step_type
from local.declared import files, powershare
from unit.support.contract import APP_ENTRY_POINTS

ROOT = Path(__file__).resolve().parents[2]
APPS = sorted(path.name[len("app_") :] for path in (ROOT / "roles").glob("app_*"))
DECLARED = {app: importlib.import_module(f"local.declared.{app}") for app in APPS}
LANDING = {"land", "land_files"}
PLAN = {"hash": "ab" * 32, "target": "2026-11-21T09:00:00.000000Z", "stop_at": None, "sets": ["x"], "kinds": ["full"]}
VALUES: dict[str, Any] = {
    "backstay_work": "/var/lib/backstay/work/db1",
    "backstay_plan": dict(PLAN, bytes=1 << 30, facts={"version": "11.8.3"}),
    "backstay_result": {"action": "restore", "status": "ok"},
    "backstay_action": "backup",
}
# Every way in which a procedure is declared: its entry point, its action, and what is said beside the contract's variables.
LOGS = {"backstay_plan": dict(VALUES["backstay_plan"], kinds=["full", "incremental", "log", "log"], sets=["x", "y", "z", "u"])}
WAYS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "prepare": ("prepare", "backup", {}),
    **{f"prepare {kind}": ("prepare", "backup", {"kind": kind}) for kind in KINDS},
    "restore": ("restore", "restore", {}),
    "verify": ("verify", "verify", {}),
    "aside": ("restore", "restore", {"backstay_restore_to": "/srv/side"}),
    "restore logs": ("restore", "restore", LOGS),
    "verify logs": ("verify", "verify", LOGS),
}


def values(app: str, entry: str) -> dict[str, Any]:
    """Return the required contract variables of an entry point."""
    required, _allowed = APP_ENTRY_POINTS[entry]
    return {name: DECLARED[app].FACTS if name == "backstay_facts" else VALUES[name] for name in sorted(required)}


def include(app: str, entry: str, given: dict[str, Any]) -> dict[str, Any]:
    role = {"name": f"backstay.fleet.app_{app}", "tasks_from": entry}
    return {"name": f"Call {app} {entry}", "ansible.builtin.include_role": role, "vars": given}


def keep(name: str, value: str) -> dict[str, Any]:
    return {
        "name": f"Keep {name}",
        "ansible.builtin.set_fact": {"kept": "{{ kept | combine({'" + name + "': " + value + "}) }}"},
    }


def tasks_of(app: str) -> list[dict[str, Any]]:
    """Return tasks that call every entry point of ``app``, rightly and with everything left out."""
    tasks = []
    for way, (entry, _action, more) in WAYS.items():
        if more.get("kind", "full") not in load_app(app).KINDS:
            continue
        given = {"backstay_facts": dict(DECLARED[app].FACTS, kind=more["kind"])} if "kind" in more else more
        tasks += [include(app, entry, values(app, entry) | given), keep(f"{app} {way}", f"app_{app}_job")]
    for way, (entry, given) in getattr(DECLARED[app], "OWN_WAYS", {}).items():
        tasks += [include(app, entry, values(app, entry) | given), keep(f"{app} {way}", f"app_{app}_job")]
    for entry in ("preflight", "finish"):
        tasks.append(include(app, entry, values(app, entry)))
    tasks.append(keep(f"{app} preflight", f"app_{app}_options"))
    for entry in APP_ENTRY_POINTS:
        said = keep(f"{app} {entry} without anything", "ansible_failed_result.msg")
        tasks.append({"name": f"Leave all out of {entry}", "block": [include(app, entry, {})], "rescue": [said]})
    return tasks


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run all entry points of all apps in one play; return what they declared or complained about."""
    base = tmp_path_factory.mktemp("play")
    tasks = [task for app in APPS for task in tasks_of(app)]
    write = {"content": "{{ kept | to_json }}", "dest": str(base / "kept.json"), "mode": "0600"}
    tasks.append({"name": "Write", "ansible.builtin.copy": write})
    play = {"name": "Declare", "hosts": "localhost", "connection": "local", "gather_facts": False, "vars": {"kept": {}}}
    interpreter = {"ansible_python_interpreter": sys.executable, "kept": {}}
    (base / "play.yml").write_text(yaml.safe_dump([dict(play, vars=interpreter, tasks=tasks)], sort_keys=False))
    environment = dict(os.environ, ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"), ANSIBLE_HOME=str(base / "home"))
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", str(base / "play.yml")]
    done = subprocess.run(command, capture_output=True, check=False, cwd=ROOT, env=environment, text=True, timeout=150)
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads((base / "kept.json").read_text()))


@pytest.mark.parametrize("app", APPS)
@pytest.mark.parametrize("way", WAYS)
def test_what_a_role_declares_is_a_job(kept: dict[str, Any], app: str, way: str) -> None:
    _entry, action, given = WAYS[way]
    if given.get("kind", "full") not in load_app(app).KINDS:
        assert f"{app} {way}" not in kept
        return
    declared = kept[f"{app} {way}"]
    arguments = {"action": action, "app": app, "host": "db1", "source": "db1", "repository": {"name": "db1"}, "job": declared}
    more = {"kind": given.get("kind", "full"), "transport": "stream"} if action == "backup" else {"plan": PLAN["hash"]}
    job = specification({**arguments, **more})
    assert re.match(rf"{app}:(/|[A-Z]).*", job["resource"])
    assert set(declared) - {"account"} == {"resource", "steps"}
    assert "{{" not in json.dumps(declared)


FAR = {"name": "ssh", "address": "erp", "account": "oracle", "access": "/etc/x", "directory": "/u03/x", "staging": "pull"}


@pytest.mark.parametrize("app", APPS)
@pytest.mark.parametrize("way", ["prepare", "verify", "restore"])
def test_only_what_works_through_an_executor_is_accepted_for_another_machine(kept: dict[str, Any], app: str, way: str) -> None:
    """ORA-9: an app that touches its worker's own files would back up the wrong machine."""
    declared = kept[f"{app} {way}"]
    arguments = {"app": app, "host": "db1", "source": "db1", "repository": {"name": "db1"}, "job": declared, "executor": FAR}
    action = "backup" if way == "prepare" else way
    arguments.update({"kind": "full", "transport": "stage"} if way == "prepare" else {"plan": PLAN["hash"]}, action=action)
    if way in getattr(DECLARED[app], "FROM_AFAR", ()):
        assert specification(arguments)["executor"] == FAR
        return
    with pytest.raises(BadInput, match="works only on the protected host itself") as caught:
        specification(arguments)
    assert "backstay_worker" in caught.value.hint


def types(kept: dict[str, Any], name: str) -> list[str]:
    return [step_type(step) for step in kept[name]["steps"]]


@pytest.mark.parametrize("app", APPS)
def test_a_restore_in_place_lands_before_it_stops_and_checks_after_it_starts(kept: dict[str, Any], app: str) -> None:
    found = types(kept, f"{app} restore")
    states = [step["service"]["state"] for step in kept[f"{app} restore"]["steps"] if "service" in step]
    assert states == ["stopped", "started"]
    landed = max(index for index, name in enumerate(found) if name in LANDING)
    started = max(index for index, name in enumerate(found) if name == "service")
    exchanged = max(index for index, name in enumerate(found) if name in ("swap", "app") and index < started)
    assert landed < found.index("service") < exchanged
    assert found[started + 1] == "app" and set(found[started + 2 :]) <= {"app", "discard"}, "the last word is the check"


@pytest.mark.parametrize("app", APPS)
@pytest.mark.parametrize("way", ["verify", "aside", "verify logs"])
def test_beside_the_live_server_nothing_live_is_touched(kept: dict[str, Any], app: str, way: str) -> None:
    assert not {"service", "swap"} & set(types(kept, f"{app} {way}"))
    steps = kept[f"{app} {way}"]["steps"]
    landed = [step[name]["into"] for step in steps for name in LANDING if name in step]
    assert landed
    live = getattr(DECLARED[app], "LIVE", "") or DECLARED[app].FACTS["datadir"]
    assert not [into for into in landed if into == live or into.startswith(live + "/")]
    if way == "aside":
        side = [step["land"]["into"] for step in steps if "land" in step]
        side += [
            step["app"]["arguments"]["directory"] + "/" for step in steps if step.get("app", {}).get("call") == "begin_side"
        ]
        assert side and all(into.startswith("/srv/side/") for into in side)


@pytest.mark.parametrize("app", APPS)
def test_a_verification_throws_away_what_it_landed(kept: dict[str, Any], app: str) -> None:
    steps = kept[f"{app} verify"]["steps"]
    gone = [step["discard"]["path"] for step in steps if "discard" in step]
    for step in steps:
        for name in LANDING & set(step):
            assert any(step[name]["into"].startswith(path) for path in gone)
    assert "discard" in steps[-1]


@pytest.mark.parametrize("app", APPS)
def test_preflight_declares_what_to_look_at(kept: dict[str, Any], app: str) -> None:
    assert kept[f"{app} preflight"]
    assert "{{" not in json.dumps(kept[f"{app} preflight"])


@pytest.mark.parametrize("app", APPS)
@pytest.mark.parametrize("entry", [entry for entry, (required, _allowed) in APP_ENTRY_POINTS.items() if required])
def test_a_missing_contract_variable_is_named(kept: dict[str, Any], app: str, entry: str) -> None:
    said = str(kept[f"{app} {entry} without anything"])
    assert "missing required arguments" in said
    for name in APP_ENTRY_POINTS[entry][0]:
        assert name in said


@pytest.mark.parametrize("app", APPS)
def test_a_call_without_an_entry_point_says_what_to_call(kept: dict[str, Any], app: str) -> None:
    assert "tasks_from" in str(kept[f"{app} main without anything"])


def words(kept: dict[str, Any], name: str) -> list[str]:
    """Return each step in a word: what it does, and to what."""
    found = []
    for step in kept[name]["steps"]:
        kind = step_type(step)
        about = step[kind]
        told = {"service": "{name} {state}", "command": "{argv}", "app": "{call}", "swap": "{target}"}.get(kind, "")
        told = told or ("{artifact}" if "artifact" in about else "{path}" if "path" in about else "{folder}")
        found.append(f"{kind} {told.format(**about)}")
    return found


def test_two_servers_on_one_machine_are_never_down_together_in_a_backup(kept: dict[str, Any]) -> None:
    """PS-1, PS-5: each is stopped for its own picture only, and what takes long comes when both run again."""
    folders = [server["folder"] for server in powershare.BOTH["backstay_facts"]["servers"]]
    each = [
        [
            f"copy_ahead {folder}",
            f"service powershare-{kind}.service stopped",
            f"picture {folder}",
            "app confirm_quit",
            f"service powershare-{kind}.service resumed",
        ]
        for kind, folder in zip(("mail", "catalog"), folders, strict=True)
    ]
    taken = ["archive mail", "archive catalog", "capture mail-prefs", "capture catalog-prefs"]
    assert words(kept, "powershare prepare both") == [*each[0], *each[1], *taken]


def test_both_servers_of_a_machine_are_landed_and_proved_before_either_stops(kept: dict[str, Any]) -> None:
    """PS-4, PS-6"""
    done = words(kept, "powershare restore both")
    assert done[:4] == ["land mail", "prove mail", "land catalog", "prove catalog"]
    for kind in ("mail", "catalog"):
        service, folder = f"service powershare-{kind}.service", f"swap /Volumes/Post/PowerShare {kind.capitalize()} Data"
        assert done.index(f"{service} stopped") + 1 == done.index(folder) < done.index(f"{service} started")
    assert done[-2:] == ["app confirm_running"] * 2


@pytest.mark.parametrize("way", ["prepare", "restore"])
def test_commands_of_the_operator_enclose_the_stop_and_are_undone(kept: dict[str, Any], way: str) -> None:
    done = words(kept, f"files {way} hooks")
    before, after = (f"command {files.HOOKS[name]}" for name in ("app_files_before", "app_files_after"))
    services = [index for index, name in enumerate(done) if name.startswith("service")]
    assert done.index(before) + 1 == services[0] and services[-1] + 1 == done.index(after)
    (step,) = [step for step in kept[f"files {way} hooks"]["steps"] if step.get("command", {}).get("undo")]
    assert step["command"] == {"argv": files.HOOKS["app_files_before"], "undo": files.HOOKS["app_files_after"]}


def test_a_domino_backup_follows_the_order_of_its_source(kept: dict[str, Any]) -> None:
    """DOM-1: databases, files, NOTES.INI, log extents. DOM-3: NOTES.INI is an item of its own. DOM-7: logs without files."""
    steps = kept["domino prepare"]["steps"]
    taken = [step["capture"]["artifact"] for step in steps if "capture" in step]
    assert taken == ["databases", "data", "ini", "ids", "logs"]
    calls = [step["app"]["call"] for step in steps if "app" in step]
    assert calls == ["begin", "back_up_databases", "gather_configuration", "back_up_logs", "arrange_logs"]
    steps = kept["domino prepare log"]["steps"]
    assert [step["capture"]["artifact"] for step in steps if "capture" in step] == ["logs"]
    calls = [step["app"]["call"] for step in steps if "app" in step]
    assert calls == ["begin", "back_up_logs", "back_up_changed", "arrange_logs"], "extents before changed databases"


def test_a_domino_server_without_its_own_backup_task_is_stopped_for_its_picture_only(kept: dict[str, Any]) -> None:
    """DOM-1, DOM-5: the complete copy, then NOTES.INI and ID files; what takes long comes after the start."""
    steps = kept["domino prepare offline"]["steps"]
    told = [step.get("app", {}).get("call") or step.get("service", {}).get("state") or step_type(step) for step in steps]
    rest = ["gather_configuration", "capture", "capture"]
    first = ["begin", "copy_ahead", "stopped", "confirm_down", "picture", "confirm_quit", "resumed", "archive"]
    assert told == [*first, *rest]


def test_one_domino_database_stops_nothing(kept: dict[str, Any]) -> None:
    assert not {"service", "swap"} & set(types(kept, "domino restore one"))
    assert types(kept, "domino restore one")[-2:] == ["app", "discard"]
