# SPDX-License-Identifier: GPL-3.0-or-later
"""The time zone of a server that is backed up: told by its process or host, proved by its times, given to servers on copies."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import files
from ansible_collections.backstay.fleet.plugins.module_utils.apps.mysql import inspection, products, side, zone
from ansible_collections.backstay.fleet.plugins.module_utils.errors import Refused
from ansible_collections.backstay.fleet.plugins.module_utils.process import Finished
from ansible_collections.backstay.fleet.plugins.module_utils.worker import land


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the place of a host's own settings, of which it has none yet."""
    monkeypatch.setattr(zone, "_LOCALTIME", tmp_path / "localtime")
    monkeypatch.setattr(zone, "_NAMED", tmp_path / "timezone")
    return tmp_path


def server_in(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let the server give the times of this zone."""
    monkeypatch.setattr(zone, "query", lambda _options, _sql: [zone._times_of_zone(name)])


@pytest.fixture
def process_in(host: Path) -> Iterator[Any]:
    """Return what starts the server's process with a variable TZ and returns its PID file."""
    started = []

    def start(text: str) -> str:
        started.append(subprocess.Popen(["sleep", "60"], env=dict(os.environ, TZ=text)))
        (host / "server.pid").write_text(f"{started[-1].pid}\n")
        return str(host / "server.pid")

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("spelled", ["Europe/Berlin", ":Europe/Berlin", "/usr/share/zoneinfo/Europe/Berlin"])
def test_the_zone_is_that_of_the_servers_process(
    host: Path, process_in: Any, monkeypatch: pytest.MonkeyPatch, spelled: str
) -> None:
    (host / "localtime").symlink_to("/usr/share/zoneinfo/America/New_York")
    server_in(monkeypatch, "Europe/Berlin")
    check, name = zone.zone_of_server({}, process_in(spelled))
    assert (check["status"], name) == ("ok", "Europe/Berlin")


@pytest.mark.parametrize("told", ["localtime", "timezone"])
def test_else_it_is_that_of_the_host(host: Path, monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    if told == "localtime":
        (host / "localtime").symlink_to("/usr/share/zoneinfo/Asia/Kolkata")
    else:
        (host / "timezone").write_text("Asia/Kolkata\n")
    server_in(monkeypatch, "Asia/Kolkata")
    assert zone.zone_of_server({}, str(host / "none.pid"))[1] == "Asia/Kolkata"


def test_a_host_without_a_zone_is_in_utc(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server_in(monkeypatch, "UTC")
    assert zone.zone_of_server({}, str(host / "none.pid"))[1] == "UTC"


def test_a_name_that_does_not_give_the_servers_times_is_not_believed(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server keeps the zone that it was started in."""
    (host / "localtime").symlink_to("/usr/share/zoneinfo/Europe/Berlin")
    server_in(monkeypatch, "Europe/Lisbon")
    check, name = zone.zone_of_server({}, str(host / "none.pid"))
    assert (check["status"], name) == ("warning", "") and "UTC" in check["detail"]


@pytest.mark.parametrize("kind", ["nothing", "link", "pipe", "folder"])
def test_only_a_plain_file_is_read_where_somebody_else_writes(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "server.pid"
    (tmp_path / "secret").write_text("secret")
    {"nothing": lambda: None, "link": lambda: path.symlink_to(tmp_path / "secret"), "pipe": lambda: os.mkfifo(path)}.get(
        kind, path.mkdir
    )()
    assert files.read_plain(path) == ""
    assert files.read_plain(tmp_path / "secret", 3) == "sec"


@pytest.mark.parametrize("name", ["Europe/Nowhere", "../../../etc/passwd", "/etc/passwd", "Europe", "UTC\nLD_PRELOAD=x"])
def test_a_zone_that_the_host_does_not_know_is_refused(name: str) -> None:
    """A program would take it for UTC, without a word."""
    assert zone.zone_check({"time_zone": name})["status"] == "failed"
    with pytest.raises(Refused, match="does not know the server's time zone"):
        zone.zone_environment({"time_zone": name})
    (found,) = [check for check in inspection.inspect_target({"datadir": "/none", "source": source(name)})[0] if zoned(check)]
    assert found["status"] == "failed" and found["hint"] == "install tzdata"


def zoned(check: dict[str, str]) -> bool:
    return check["name"] == "time zone"


def source(name: str) -> dict[str, Any]:
    return {"product": "mariadb", "method": "dump", "time_zone": name}


@pytest.mark.parametrize("facts", [{}, {"time_zone": ""}])
def test_a_set_that_does_not_tell_its_zone_changes_nothing(facts: dict[str, Any]) -> None:
    assert zone.zone_environment(facts) == {}
    assert zone.zone_check(facts)["status"] == "ok"


@pytest.mark.parametrize(
    ("former", "present", "warned"),
    [("Europe/Berlin", "UTC", True), ("UTC", "UTC", False), ("Europe/Berlin", "", False), (None, "UTC", False)],
)
def test_logs_of_another_zone_than_that_of_their_data_are_told(former: str | None, present: str, warned: bool) -> None:
    newest = {"data": {"facts": {"time_zone": former} if former else {}}, "log": None}
    assert bool(zone.moved_check(newest, present)) == warned
    assert zone.moved_check(None, present) == zone.moved_check({"data": None}, present) == []


@pytest.mark.parametrize("detached", [False, True])
def test_a_server_on_a_copy_lives_in_the_zone_of_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, detached: bool
) -> None:
    """Else NOW() in a replayed statement, and the times of events, would be those of UTC."""
    calls: list[tuple[list[str], dict[str, str]]] = []
    kinds = {"full": "Europe/London", "incremental": "Europe/Berlin", "log": "UTC"}
    receipts = [{"kind": kind, "facts": source(name)} for kind, name in kinds.items()]
    monkeypatch.setattr(land, "planned", lambda _specification: {"receipts": receipts})
    monkeypatch.setattr(side, "configure", lambda *_arguments: products.MARIADB)
    monkeypatch.setattr(side, "spawn", lambda argv, environment, _account, **_more: calls.append((argv, environment)))
    monkeypatch.setattr(side, "run", lambda argv, _timeout: calls.append((argv, {})) or Finished(0, "", ""))
    folder = SimpleNamespace(note_made=lambda *_arguments: None)
    job: Any = SimpleNamespace(specification={"run": "r"}, folder=folder, cleanups=[], seen={"facts": {}})
    side.start_side(job, {"directory": str(tmp_path), "detached": detached})
    ((argv, environment),) = calls
    assert "--setenv=TZ=Europe/Berlin" in argv if detached else environment == {"TZ": "Europe/Berlin"}
