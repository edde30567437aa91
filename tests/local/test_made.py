# SPDX-License-Identifier: GPL-3.0-or-later
"""What a dead worker leaves to its release: things it made, services that must stay down while former data lies aside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.backstay.fleet.plugins.module_utils.files import write_json
from ansible_collections.backstay.fleet.plugins.module_utils.worker import land as land_module
from ansible_collections.backstay.fleet.plugins.module_utils.worker import release, services, swap
from ansible_collections.backstay.fleet.plugins.module_utils.worker.folder import JobFolder
from ansible_collections.backstay.fleet.plugins.module_utils.worker.requests import plan
from unit.support.sandbox import Sandbox
from unit.support.steps import good, land


@pytest.fixture
def job(sandbox: Sandbox) -> JobFolder:
    steps = [{"name": "Stop", "service": {"name": "mariadb", "state": "stopped"}}]
    return sandbox.create(sandbox.recovery("0" * 64, steps, facts={"services": [{"service": "mariadb"}]}))


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of systemd that belong to the test; reloading is recorded only."""
    monkeypatch.setattr(services, "_UNITS", tmp_path / "units")
    monkeypatch.setattr(services, "_ALLOWED", tmp_path / "allowed")
    monkeypatch.setattr(services, "has_systemd", lambda: True)
    monkeypatch.setattr(services, "require", lambda argv, timeout: (tmp_path / "reloaded").touch())
    (tmp_path / "units").mkdir()
    return tmp_path / "units"


def landed(job: JobFolder, tmp_path: Path) -> Path:
    """Return a landing with data in a yard, made by the job and noted before."""
    yard, landing = tmp_path / ".backstay-mysql", tmp_path / ".backstay-mysql" / "landing-1"
    job.note_made("parent", str(yard))
    job.note_made("directory", str(landing))
    landing.mkdir(parents=True)
    (landing / "ibdata1").touch()
    return landing


def test_a_dead_workers_landing_goes_with_its_release(job: JobFolder, tmp_path: Path) -> None:
    landing = landed(job, tmp_path)
    release.release(job)
    assert not landing.parent.exists()
    result: Any = job.result()
    assert result["error"]["code"] == "interrupted"


def test_a_parent_that_others_use_stays(job: JobFolder, tmp_path: Path) -> None:
    landing = landed(job, tmp_path)
    other = landing.parent / "aside-of-another-job"
    other.mkdir()
    release.release(job)
    assert not landing.exists()
    assert other.exists()


def test_both_copies_stay_while_former_data_lies_aside(job: JobFolder, tmp_path: Path) -> None:
    landing = landed(job, tmp_path)
    write_json(job.path / "swap.json", {"state": "begun", "aside": "/aside", "target": "/target"})
    release.release(job)
    assert landing.exists()
    result: Any = job.result()
    assert "put-back" in result["put_back"]


def test_a_result_that_stands_keeps_what_the_job_made(job: JobFolder, tmp_path: Path) -> None:
    landing = landed(job, tmp_path)
    job.finish({"status": "ok"})
    release.release(job)
    assert landing.exists()


def test_what_is_made_twice_is_noted_once(job: JobFolder) -> None:
    job.note_made("directory", "/srv/a")
    job.note_made("directory", "/srv/a")
    job.note_made("unit", "backstay-side-1.service")
    assert JobFolder(job.path).made() == [{"directory": "/srv/a"}, {"unit": "backstay-side-1.service"}]


def test_a_held_service_needs_a_leave_that_a_boot_takes_away(units: Path, tmp_path: Path) -> None:
    services.hold("mariadb", "run-1")
    leave = tmp_path / "allowed" / "mariadb"
    assert f"\n[Unit]\nAssertPathExists={leave}\n" in (units / "mariadb.service.d/90-backstay-hold.conf").read_text()
    assert (tmp_path / "reloaded").exists()
    assert not leave.exists()
    services.allow("mariadb")
    assert leave.exists()
    services.hold("mariadb", "run-2")
    assert not leave.exists(), "another restore needs its own leave"
    services.unhold("mariadb")
    assert list(units.iterdir()) == []
    assert not leave.exists()


def test_unholding_leaves_the_administrators_settings(units: Path) -> None:
    services.hold("mariadb.service", "run-1")
    own = units / "mariadb.service.d" / "limits.conf"
    own.touch()
    services.unhold("mariadb.service")
    assert list(own.parent.iterdir()) == [own]


def test_a_service_that_is_not_held_is_left_alone(units: Path, tmp_path: Path) -> None:
    services.allow("mariadb")
    services.unhold("mariadb")
    assert not (tmp_path / "reloaded").exists()
    assert not (tmp_path / "allowed").exists()


def test_undoing_lets_a_held_service_start(job: JobFolder, units: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    monkeypatch.setattr(
        services, "start", lambda name, _timeout, _control, _host: started.append((name, list(units.iterdir())))
    )
    job.push_undo({"service": "mariadb"})
    job.note_made("hold", "mariadb")
    services.hold("mariadb", "run-1")
    assert release.undo(job) == []
    assert started == [("mariadb", [])]


def test_restored_data_is_kept_on_request(job: JobFolder, sandbox: Sandbox) -> None:
    write_json(job.path / "swap.json", {"state": "done", "aside": "/aside", "target": "/target"})
    job.push_undo({"service": "mariadb"})
    assert "/target keeps the restored data; its former content stays in /aside" in release.keep_restored(job)
    assert sandbox.running() == {"mariadb"}
    assert swap.exchanged(job.path) == []
    assert job.undo_entries() == []


@pytest.mark.parametrize("state", [None, "begun", "put back"])
def test_only_wholly_exchanged_data_can_be_kept(job: JobFolder, state: str | None) -> None:
    if state:
        write_json(job.path / "swap.json", {"state": state, "aside": "/aside", "target": "/target"})
    with pytest.raises(BadInput, match="no wholly exchanged data"):
        release.keep_restored(job)


def test_a_landing_that_ran_full_is_told_as_such(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unpacking tools say no more than that a write failed."""
    assert sandbox.run(sandbox.backup([good("restored")]))["status"] == "ok"
    stored = plan({"host": "shop-db1", "app": "testapp", "directory": str(sandbox.access)})
    room = iter([1 << 40, 4096])  # before the landing, and when its tool had failed
    monkeypatch.setattr(land_module, "free_bytes", lambda _path: next(room))
    place = sandbox.base / "landing"
    failing = land(place, script="cat > /dev/null; exit 1")
    result = sandbox.run(sandbox.recovery(stored["hash"], [failing]))
    assert result["error"]["code"] == "space"
    assert f"the filesystem of {place} ran full" in result["error"]["message"]
    assert not place.exists()
