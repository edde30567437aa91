# SPDX-License-Identifier: GPL-3.0-or-later
"""PowerShare servers: what the variables mean, what preflight sees, what makes a set good."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.apps import powershare
from ansible_collections.backstay.fleet.plugins.module_utils.apps.powershare import calls, inspection, sealing, servers
from ansible_collections.backstay.fleet.plugins.module_utils.errors import (
    ApplicationDown,
    BadInput,
    CaptureFailed,
    CommandFailed,
    IntegrityError,
)

ROOT = Path(__file__).resolve().parents[4]
SETTINGS: dict[str, Any] = {
    "servers": ["mail"],
    "volume": "/Volumes/Post",
    "control": "systemd",
    "units": {"mail": "powershare-mail.service", "catalog": "powershare-catalog.service"},
    "applications": {"mail": "PowerShare Mail Server", "catalog": "PowerShare Catalog Server"},
    "helper": ["psctl"],
    "start_timeout": 300,
    "stop_timeout": 60,
}


# The rules

RULES = [f"PS-{number}" for number in range(1, 19)]


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_stands_in_the_page_and_in_a_test(rule: str) -> None:
    page = (ROOT / "docs" / "systems" / "powershare.md").read_text(encoding="utf-8")
    assert f"| {rule} |" in page
    word = re.compile(rf"{rule}(?!\d)")
    tests = [path for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__)]
    found = [path.name for path in tests if word.search(path.read_text(encoding="utf-8"))]
    own = Path(__file__).read_text(encoding="utf-8").replace("RULES = ", "")
    assert found or word.search(own), f"no test names {rule}"


# Variables


@pytest.mark.parametrize("wanted", [[], ["post"], ["mail", "mail"], "mail", None])
def test_the_servers_of_a_machine_are_named(wanted: Any) -> None:
    with pytest.raises(BadInput, match="app_powershare_servers is"):
        servers.servers_of({"servers": wanted})


def test_mail_comes_before_catalog() -> None:
    assert servers.servers_of({"servers": ["catalog", "mail"]}) == ["mail", "catalog"]


def test_data_lies_at_the_root_of_the_volume_unless_told() -> None:
    assert servers.data_folder("mail", SETTINGS) == "/Volumes/Post/PowerShare Mail Data"
    assert servers.data_folder("catalog", SETTINGS) == "/Volumes/Post/PowerShare Catalog Data"
    assert servers.data_folder("mail", {"data": {"mail": "/other/Mail"}}) == "/other/Mail"
    with pytest.raises(BadInput, match="nothing says on which volume"):
        servers.data_folder("mail", {})
    for wrong in ("relative", "/a/../b", "/a/"):
        with pytest.raises(BadInput, match="not the path of a data folder"):
            servers.data_folder("mail", {"data": {"mail": wrong}})


CONTROLS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "systemd": ({}, {"name": "powershare-mail.service"}),
    "gateway": (
        {"control": "gateway", "helper": ["psctl", "--machine", "post1"]},
        {
            "name": "PowerShare Mail Server",
            "control": {
                "start": ["psctl", "--machine", "post1", "--app", "mail", "launch", "--timeout", "300"],
                "stop": ["psctl", "--machine", "post1", "--app", "mail", "quit", "--timeout", "60"],
                "status": ["psctl", "--machine", "post1", "--app", "mail", "status"],
                "listed": "PowerShare Mail Server",
            },
        },
    ),
    "applescript, another machine": (
        {"control": "applescript", "machine": "eppc://post.example.org", "applications": {"mail": 'The "Mail" Server'}},
        {
            "name": 'The "Mail" Server',
            "control": {
                "start": [
                    "osascript",
                    "-e",
                    r'tell application "The \"Mail\" Server" of machine "eppc://post.example.org" to launch',
                ],
                "stop": [
                    "osascript",
                    "-e",
                    r'tell application "The \"Mail\" Server" of machine "eppc://post.example.org" to quit',
                ],
                "status": [
                    "osascript",
                    "-e",
                    'tell application "System Events" of machine "eppc://post.example.org" to get name of every process',
                ],
                "listed": 'The "Mail" Server',
            },
        },
    ),
    "custom": (
        {"control": "custom", "commands": {"mail": {"start": ["a"], "stop": ["b"], "status": ["c"]}}},
        {"name": "PowerShare Mail Server", "control": {"start": ["a"], "stop": ["b"], "status": ["c"]}},
    ),
}


@pytest.mark.parametrize("name", CONTROLS)
def test_each_way_to_quit_and_start(name: str) -> None:
    changed, wanted = CONTROLS[name]
    assert servers.service_of("mail", {**SETTINGS, **changed}) == wanted


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"control": "magic"}, "app_powershare_control is 'magic'"),
        ({"units": {}}, "app_powershare_units names no mail server"),
        ({"control": "gateway", "helper": []}, "app_powershare_helper names no program"),
        ({"control": "custom", "commands": {"mail": {"start": ["a"]}}}, "nothing of stop, status"),
    ],
)
def test_settings_that_say_nothing_usable_are_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        servers.service_of("mail", {**SETTINGS, **changed})


# Preflight


@pytest.fixture
def volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A volume with a mail server's data; the service manager says that both servers run."""
    place = tmp_path / "Post"
    (place / "PowerShare Mail Data").mkdir(parents=True)
    (place / "PowerShare Mail Data" / "Queue 1").write_bytes(b"x" * 5000)
    mounted = os.path.ismount
    monkeypatch.setattr(inspection.os.path, "ismount", lambda path: path == str(place) or mounted(path))
    from ansible_collections.backstay.fleet.plugins.module_utils.worker import services

    monkeypatch.setattr(services, "is_active", lambda *_arguments, **_more: True)
    return place


def look(volume: Path, action: str = "backup", **changes: Any) -> tuple[dict[str, dict[str, str]], dict[str, Any]]:
    """Return the checks of a preflight by name, and its facts."""
    settings = {**SETTINGS, "volume": str(volume), **changes.pop("settings", {})}
    seen = powershare.preflight({"settings": settings, **changes}, action)
    return {item["name"]: item for item in seen["checks"]}, seen["facts"]


def statuses(checks: dict[str, dict[str, str]]) -> set[str]:
    return {item["status"] for item in checks.values()}


def test_a_mail_server_with_its_data_may_be_backed_up(volume: Path) -> None:
    checks, facts = look(volume)
    assert statuses(checks) == {"ok"}
    (server,) = facts["servers"]
    assert server["folder"] == str(volume / "PowerShare Mail Data")
    assert server["yard"] == str(volume / ".backstay-PowerShare Mail Data")
    assert server["bytes"] >= 5000
    assert facts["services"] == [{"service": "powershare-mail.service"}]


def test_a_folder_that_is_not_there_empty_or_elsewhere_is_refused(volume: Path, tmp_path: Path) -> None:
    """PS-3: what is saved is the server's folder, not what happens to lie where it should be."""
    other = tmp_path / "other" / "PowerShare Mail Data"
    other.mkdir(parents=True)
    (other / "Queue 1").touch()
    checks, _facts = look(volume, settings={"data": {"mail": str(other)}})
    assert "root of a volume" in checks["data of the mail server"]["detail"]
    (volume / "PowerShare Mail Data" / "Queue 1").unlink()
    checks, _facts = look(volume)
    assert "is empty" in checks["data of the mail server"]["detail"]
    (volume / "PowerShare Mail Data").rmdir()
    checks, _facts = look(volume)
    assert "is not there" in checks["data of the mail server"]["detail"]
    (volume / "PowerShare Mail Data").symlink_to(other)
    checks, _facts = look(volume)
    assert "is a link" in checks["data of the mail server"]["detail"]
    assert checks["data of the mail server"]["status"] == "failed"


def test_a_server_that_is_down_is_told_of(volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.backstay.fleet.plugins.module_utils.worker import services

    monkeypatch.setattr(services, "is_active", lambda *_arguments, **_more: False)
    checks, facts = look(volume)
    assert checks["mail server"]["status"] == "warning"
    assert facts["servers"][0]["running"] is False

    def lost(*_arguments: Any, **_more: Any) -> bool:
        raise CommandFailed("this host has no service")

    monkeypatch.setattr(services, "is_active", lost)
    assert look(volume)[0]["mail server"]["status"] == "failed"


def test_prefs_are_stored_with_their_companion(volume: Path, tmp_path: Path) -> None:
    place = tmp_path / "Preferences"
    place.mkdir()
    checks, facts = look(volume, settings={"preferences": str(place)})
    assert checks["prefs"]["status"] == "warning"
    for name in ("PowerShare Mail Prefs", "._PowerShare Mail Prefs", "Other Prefs"):
        (place / name).touch()
    _checks, facts = look(volume, settings={"preferences": str(place)})
    assert facts["servers"][0]["prefs"] == ["PowerShare Mail Prefs", "._PowerShare Mail Prefs"]
    job: Any = SimpleNamespace(specification={"facts": facts})
    assert calls.prefs_argv(job, {"artifact": "mail-prefs"})[-3:] == ["--", "PowerShare Mail Prefs", "._PowerShare Mail Prefs"]


def catalog_options(volume: Path, said: dict[str, Any], **more: Any) -> dict[str, Any]:
    (volume / "PowerShare Catalog Data").mkdir(exist_ok=True)
    (volume / "PowerShare Catalog Data" / "Folder").touch()
    argv = ["printf", "%s", json.dumps(said)]
    return {"settings": {"servers": ["catalog"]}, "system": "campus", "name": "c1", "query": argv, "system_query": argv, **more}


PEOPLE = {"state": "good", "version": 4}


def test_the_receipt_of_a_catalog_knows_its_folders(volume: Path) -> None:
    checks, facts = look(volume, **catalog_options(volume, {"running": True, "folders": {"People": PEOPLE}}))
    assert facts["catalog"] == {"folders": {"People": PEOPLE}}
    assert checks["catalog folders"]["status"] == "ok"
    bad = {"running": True, "folders": {"People": {"state": "damaged", "version": 4}}}
    checks, _facts = look(volume, **catalog_options(volume, bad))
    assert checks["catalog folders"]["status"] == "warning"
    checks, facts = look(volume, **dict(catalog_options(volume, {}), query=["false"]))
    assert (checks["catalog folders"]["status"], facts["catalog"]) == ("warning", {})


def test_the_receipt_of_a_single_catalog_server_knows_its_folders_where_they_can_be_asked(volume: Path) -> None:
    """PS-15: otherwise the audit would miss folders that are in its set. Apple documents no such question (PS-5 wants none)."""
    options = dict(catalog_options(volume, {"running": True, "folders": {"Rooms": PEOPLE}}), system="")
    checks, facts = look(volume, **options)
    assert (checks["catalog folders"]["status"], facts["catalog"]) == ("ok", {"folders": {"Rooms": PEOPLE}})
    checks, facts = look(volume, **dict(options, query=["false"]))
    assert "catalog folders" not in checks and facts["catalog"] == {}
    checks, _facts = look(volume, **dict(options, query=["false"], folders=["Rooms"]))
    assert checks["catalog folders"]["status"] == "warning", "the inventory says that it is to be audited"


def test_a_restore_is_decided_by_what_the_servers_say(volume: Path) -> None:
    """PS-12: a set never goes over newer copies unless that is wanted."""
    source = {"servers": {"catalog": {"bytes": 1}}, "catalog": {"folders": {"People": PEOPLE}}}
    system = {"servers": {"c1": {"running": True, "folders": {}}, "c2": {"running": True, "folders": {"People": PEOPLE}}}}
    options = catalog_options(volume, system, others=["c2"], source=source, replicate=["psctl", "replicate"])
    checks, _facts = look(volume, "restore", **options)
    assert checks["catalog system"]["status"] == "failed"
    assert "replicate.yml" in checks["catalog system"]["hint"]
    checks, facts = look(volume, "restore", **options, force=True)
    assert (checks["catalog system"]["status"], facts["replicate"]) == ("warning", [])
    system["servers"]["c2"]["folders"] = {"People": {"state": "damaged", "version": 4}}
    options = catalog_options(volume, system, others=["c2"], source=source, replicate=["psctl", "replicate"])
    checks, facts = look(volume, "restore", **options)
    assert (checks["catalog system"]["status"], facts["decision"]) == ("ok", "no good copy")
    assert facts["replicate"] == [{"folder": "People", "from": "c1", "to": "c2"}]
    checks, _facts = look(volume, "restore", **dict(options, system_query=["false"]))
    assert checks["catalog system"]["status"] == "failed"
    checks, _facts = look(volume, "restore", **dict(options, system_query=["false"]), force=True)
    assert checks["catalog system"]["status"] == "warning"


@pytest.mark.parametrize("orders", [{}, {"Orders": {"state": "damaged", "version": 3}}])
def test_a_set_without_the_lost_folder_is_refused(volume: Path, orders: dict[str, Any]) -> None:
    """PS-12: People is replicated; a set that has no good copy of Orders brings nothing back."""
    source = {"servers": {"catalog": {"bytes": 1}}, "catalog": {"folders": {"People": PEOPLE, **orders}}}
    system = {"servers": {"c1": {"running": False, "folders": {}}, "c2": {"running": True, "folders": {"People": PEOPLE}}}}
    options = catalog_options(volume, system, others=["c2"], source=source, folders=["People", "Orders"], replicate=["x"])
    checks, _facts = look(volume, "restore", **options)
    assert checks["catalog system"]["status"] == "failed"
    assert "this set does not hold Orders" in checks["catalog system"]["detail"]
    system["servers"]["c2"]["folders"] = {"People": {"state": "good", "version": 3}, "Orders": PEOPLE}
    old = look(volume, "restore", **dict(options, **catalog_options(volume, system)))
    assert (old[0]["catalog system"]["status"], old[1]["decision"]) == ("ok", "newer set"), "the set has version 4 of People"
    source["catalog"] = {}
    checks, facts = look(volume, "restore", **options)
    assert checks["catalog system"]["status"] == "ok", "nobody knows what this set holds"
    assert facts["replicate"] == [{"folder": "People", "from": "c2", "to": "c1"}]


def test_a_set_without_the_server_is_refused_and_a_lost_folder_may_come_back(volume: Path) -> None:
    checks, _facts = look(volume, "restore", source={"servers": {"catalog": {"bytes": 1}}})
    assert "holds no mail server" in checks["set"]["detail"]
    (volume / "PowerShare Mail Data" / "Queue 1").unlink()
    (volume / "PowerShare Mail Data").rmdir()
    checks, facts = look(volume, "restore", source={"servers": {"mail": {"bytes": 1}}})
    assert statuses(checks) == {"ok"}
    assert facts["servers"][0]["running"] is True
    checks, _facts = look(volume, "restore", source={"servers": {"mail": {"bytes": 1 << 60}}})
    assert checks["space"]["status"] == "failed"


def test_a_restore_to_a_directory_wants_an_empty_one(volume: Path, tmp_path: Path) -> None:
    (tmp_path / "side").mkdir()
    (tmp_path / "side" / "x").touch()
    source = {"servers": {"mail": {"bytes": 1}}}
    checks, _facts = look(volume, "restore", source=source, restore_to=str(tmp_path / "side"))
    assert checks["target"]["status"] == "failed"
    checks, _facts = look(volume, "restore", source=source, restore_to=str(tmp_path / "new"))
    assert statuses(checks) == {"ok"}
    assert statuses(look(volume, "verify", source=source)[0]) == {"ok"}
    inside = volume / "PowerShare Mail Data" / "old"
    checks, _facts = look(volume, "restore", source=source, restore_to=str(inside))
    assert checks["target"]["detail"] == f"{inside} lies in {inside.parent}, among live data", "PS-7"


def test_the_prefs_of_a_set_come_back_beside_the_live_server_only(volume: Path, tmp_path: Path) -> None:
    """The article on moving a server wants them on a new startup volume; a server that lost its data has them."""
    source = {"servers": {"mail": {"bytes": 1, "prefs": ["PowerShare Mail Prefs"]}}}
    _checks, facts = look(volume, "restore", source=source, restore_to=str(tmp_path / "new"))
    assert [server["kind"] for server in facts["prefs"]] == ["mail"]
    source["servers"]["mail"]["prefs"] = []
    assert look(volume, "restore", source=source, restore_to=str(tmp_path / "new"))[1]["prefs"] == []
    assert "prefs" not in look(volume, "restore", source=source)[1]


# What makes a set good

SERVER = {"kind": "mail", "title": "mail server", "folder": "/v/PowerShare Mail Data", "bytes": 5, "prefs": []}
EARLY, LATE = "2026-11-21T09:00:00.000000Z", "2026-11-21T09:00:01.000000Z"


def backup_job(**seen: Any) -> Any:
    picture = {"artifact": "mail", "folder": SERVER["folder"], "begun_at": EARLY, "taken_at": EARLY, "method": "snapshot"}
    picture.update(sockets=0, entries=3)
    known = {"archived": [picture], "outage_seconds": 0.5, "checks": [], **seen}
    return SimpleNamespace(specification={"facts": {"servers": [SERVER]}}, seen=known)


def test_a_set_says_that_its_server_was_quit() -> None:
    """PS-1, PS-16"""
    sealed = sealing.seal(backup_job(quit={"mail": LATE}))
    assert sealed["checks"][0] == {"name": "mail server was quit", "status": "ok", "detail": f"until {LATE}"}
    assert sealed["consistent_at"] == EARLY
    assert sealed["facts"]["servers"]["mail"]["bytes"] == 5


@pytest.mark.parametrize("quits", [{}, {"catalog": LATE}, {"mail": "2026-11-21T08:59:59.000000Z"}])
def test_a_set_that_may_be_of_a_running_server_is_no_set(quits: dict[str, str]) -> None:
    """PS-1, PS-2: a role that leaves the stop or its proof out makes no set."""
    with pytest.raises(CaptureFailed, match="nothing proves that the mail server was quit"):
        sealing.seal(backup_job(quit=quits))


def with_states(monkeypatch: pytest.MonkeyPatch, *states: bool) -> list[bool]:
    left = list(states)
    monkeypatch.setattr(calls, "_running", lambda *_arguments, **_more: left.pop(0) if len(left) > 1 else left[0])
    return left


def test_a_server_that_came_back_during_the_picture_spoils_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """PS-2"""
    job, arguments = backup_job(), {"server": "mail", "title": "mail server", "service": {"name": "x"}}
    with_states(monkeypatch, True)
    with pytest.raises(CaptureFailed, match="was started while its data was taken"):
        calls.confirm_quit(job, arguments)
    assert "quit" not in job.seen
    with_states(monkeypatch, False)
    calls.confirm_quit(job, arguments)
    assert set(job.seen["quit"]) == {"mail"}


def test_a_restored_server_has_to_keep_running(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = {"server": "mail", "title": "mail server", "service": {"name": "x"}, "seconds": 0.3, "checks": {}}
    job = backup_job()
    with_states(monkeypatch, True)
    calls.confirm_running(job, arguments)
    assert job.seen["checks"][0]["status"] == "ok"
    with_states(monkeypatch, True, False)
    with pytest.raises(ApplicationDown, match="started on the restored data and ended again"):
        calls.confirm_running(job, arguments)
    with_states(monkeypatch, True)
    with pytest.raises(IntegrityError, match="the check of the mail server ended with exit status 1"):
        calls.confirm_running(job, {**arguments, "checks": {"mail": ["false"]}})


def test_nothing_that_a_backup_takes_is_given_up() -> None:
    assert powershare.KINDS == ("full",)
    assert not powershare.consumes("full")
