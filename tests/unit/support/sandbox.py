# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker of its own in a temporary directory: real code and processes, with fakes for restic and the service manager.

The archive is the one that hosts get, plus an app for tests and a ``__main__`` that points the fixed places of the worker
(program search path, restic, systemd) into the sandbox. So production code needs no switch for tests.
"""

from __future__ import annotations

import functools
import importlib.util
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.backstay.fleet.plugins import module_utils
from ansible_collections.backstay.fleet.plugins.module_utils import apps, layout, process
from ansible_collections.backstay.fleet.plugins.module_utils.worker import folder, job, launch, runner, services
from ansible_collections.backstay.fleet.plugins.plugin_utils import worker_archive

FAKES = Path(__file__).resolve().parents[1] / "fakes"
URL = "b2:sandbox:repository"  # a provider that only restic itself can reach
STOCKED = "20261121T090000Z-aaaaaa01"  # the set of Sandbox.backup
PASSWORD = "correct horse battery staple"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MAIN = """
import sys
from pathlib import Path

from backstay_worker import process
from backstay_worker.worker.cli import main

programs = Path(sys.argv[0]).resolve().parent / "programs"
process._PATH = f"{programs}:{process._PATH}"
if sys.argv[1] != "meter":
    from backstay_worker.worker import job, launch, services

    job._RESTIC_PROGRAMS = (str(programs / "restic"),)
    launch.has_systemd = services.has_systemd = lambda: False
    services._UNITS = programs / "units"
sys.exit(main())
"""


@functools.cache
def archive() -> bytes:
    """Return the worker archive with the app for tests and the sandbox's ``__main__``."""
    buffer = io.BytesIO(worker_archive.build())
    with zipfile.ZipFile(buffer) as built:
        members = {name: built.read(name) for name in built.namelist()}
    members["__main__.py"] = _MAIN.encode()
    members[f"{worker_archive.PACKAGE}/apps/testapp.py"] = (FAKES / "testapp.py").read_bytes()
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w") as target:
        for name, content in members.items():
            target.writestr(name, content)
    return result.getvalue()


def load_test_app() -> Any:
    """Return the app for tests as a module of the collection, for ``sys.modules``."""
    name = f"{apps.__name__}.testapp"
    spec = importlib.util.spec_from_file_location(name, FAKES / "testapp.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Sandbox:
    """One worker: its root, programs, repository and archive."""

    def __init__(self, base: Path) -> None:
        base.mkdir()
        self.base = base
        self.root = base / "root"
        self.programs = base / "programs"
        self.archive = base / "worker.pyz"
        self.access = base / "access"
        self.programs.mkdir()
        lines = (FAKES / "restic").read_text().split("\n", 1)
        (self.programs / "restic").write_text(f"#!{sys.executable} -SE\n{lines[1]}")
        shutil.copy(FAKES / "service", self.programs / "service")
        for program in self.programs.iterdir():
            program.chmod(0o755)
        self.archive.write_bytes(archive())
        self.secrets = {"url": URL + "\n", "password": PASSWORD + "\n"}
        self.access.mkdir()
        for name, content in self.secrets.items():
            (self.access / name).write_text(content)
        self.repository = self.programs / "repositories" / URL.encode().hex()
        (self.repository / "snapshots").mkdir(parents=True)
        (self.repository / "password").write_text(PASSWORD)

    def use_in_process(self, patch: Any) -> None:
        """Make this test's own process work in the sandbox (``patch``: pytest's monkeypatch)."""
        patch.setattr(layout, "ROOT", self.root)
        patch.setattr(process, "_PATH", f"{self.programs}:{SYSTEM_PATH}")
        patch.setattr(job, "_RESTIC_PROGRAMS", (str(self.programs / "restic"),))
        patch.setattr(launch, "has_systemd", lambda: False)
        patch.setattr(services, "has_systemd", lambda: False)
        patch.setattr(services, "_UNITS", self.programs / "units")
        patch.setattr(sys, "argv", [str(self._unpacked())])
        patch.setitem(sys.modules, f"{apps.__name__}.testapp", load_test_app())

    def _unpacked(self) -> Path:
        """Return the same program as a directory, which starts quicker: Python keeps its modules compiled."""
        place = self.base / "worker"
        place.mkdir()
        (place / "__main__.py").write_text(_MAIN)
        (place / worker_archive.PACKAGE).symlink_to(Path(next(iter(module_utils.__path__))).resolve())
        return place

    # restic

    def behave(self, *rules: dict[str, Any]) -> None:
        """Make restic fail as ``rules`` say; see the fake."""
        (self.programs / "behaviour.json").write_text(json.dumps(rules))

    def restic_calls(self, command: str = "") -> list[dict[str, Any]]:
        """Return the calls of restic so far, or those of one command."""
        path = self.programs / "calls.jsonl"
        calls = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [call for call in calls if not command or command in call["argv"]]

    def snapshots(self, *tags: str) -> list[dict[str, Any]]:
        """Return the snapshots in the repository that have all ``tags``, oldest first."""
        found = [json.loads(path.read_text()) for path in (self.repository / "snapshots").iterdir()]
        return sorted((item for item in found if set(tags) <= set(item["tags"])), key=lambda item: item["time"])

    # services

    def set_running(self, *names: str) -> None:
        """Make exactly these services run."""
        shutil.rmtree(self.programs / "running", ignore_errors=True)
        for name in names:
            (self.programs / "running").mkdir(exist_ok=True)
            (self.programs / "running" / name).touch()

    def refuse(self, name: str, verb: str) -> None:
        """Make ``service name verb`` fail."""
        (self.programs / "refuse").mkdir(exist_ok=True)
        (self.programs / "refuse" / f"{name}-{verb}").touch()

    def allow(self, name: str, verb: str) -> None:
        """Make ``service name verb`` work again."""
        (self.programs / "refuse" / f"{name}-{verb}").unlink()

    def running(self) -> set[str]:
        """Return the names of the running services."""
        path = self.programs / "running"
        return {item.name for item in path.iterdir()} if path.is_dir() else set()

    def service_calls(self) -> list[str]:
        """Return what was asked of the service manager, without the questions about status."""
        path = self.programs / "service.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if not line.startswith("status ")]

    # jobs

    def backup(self, steps: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
        """Return the specification of a backup job; ``changes`` replace its parts."""
        specification = {
            "schema": "backstay.job/1",
            "run": "20261121T090000Z-testapp-1",
            "action": "backup",
            "app": "testapp",
            "host": "shop-db1",
            "source": "shop-db1",
            "kind": "full",
            "transport": "stream",
            "set": STOCKED,
            "resource": "testapp:/srv/shop",
            "repository": {"name": "shop-db1", "directory": str(self.access)},
            "stall_timeout": 20,
            "facts": {},
            "steps": steps,
        }
        return dict(specification, **changes)

    def recovery(self, plan: str, steps: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
        """Return the specification of a restore job that follows ``plan``."""
        specification = self.backup(steps, action="restore", plan=plan, run="20261121T100000Z-testapp-2")
        for name in ("kind", "transport", "set"):
            del specification[name]
        return dict(specification, **changes)

    def create(self, specification: dict[str, Any], secrets: dict[str, str] | None = None) -> folder.JobFolder:
        """Make the folder of a job; nobody works on it yet."""
        return folder.JobFolder.create(specification, secrets or {})

    def run(self, specification: dict[str, Any], secrets: dict[str, str] | None = None) -> dict[str, Any]:
        """Run a job to its end in this process and return its result."""
        made = self.create(specification, secrets)
        status = runner.run_job(made.path)
        result = made.result()
        assert result is not None
        assert status == (0 if result["status"] == "ok" else 1)
        return result

    # the worker as a process

    def environment(self) -> dict[str, str]:
        """Return the environment in which a host runs the worker."""
        return dict(os.environ, BACKSTAY_ROOT=str(self.root))

    def ask(self, command: str, request: dict[str, Any]) -> dict[str, Any]:
        """Ask the worker archive, as the module on a host does; return its whole answer."""
        done = subprocess.run(
            [sys.executable, str(self.archive), command],
            check=False,
            input=json.dumps(request).encode(),
            capture_output=True,
            env=self.environment(),
            timeout=40,
        )
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the worker archive that is meant for people and units."""
        argv = [sys.executable, str(self.archive), *arguments]
        return subprocess.run(argv, check=False, capture_output=True, env=self.environment(), timeout=40, text=True)

    def worker_pid(self, run: str) -> int:
        """Return the process id of the worker of ``run``."""
        path = str(self.root / "jobs" / run)
        for process_folder in Path("/proc").glob("[0-9]*"):
            try:
                argv = (process_folder / "cmdline").read_bytes().decode().split("\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if argv[1:4] == [str(self.archive), "run", path]:
                return int(process_folder.name)
        raise AssertionError(f"no worker runs {run}")

    def kill_worker(self, run: str) -> None:
        """End the worker of ``run`` as the kernel would: at once, without a chance to clean up."""
        os.kill(self.worker_pid(run), signal.SIGKILL)

    def forget_workers(self) -> None:
        """Kill every process of this sandbox that a failed test left behind."""
        for process_folder in Path("/proc").glob("[0-9]*"):
            try:
                argv = (process_folder / "cmdline").read_bytes().decode().split("\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if str(self.archive) in argv[:2]:
                os.kill(int(process_folder.name), signal.SIGKILL)


def wait_until(condition: Callable[[], Any], seconds: float = 20, what: str = "the condition") -> Any:
    """Return the first true value of ``condition``; fail when there is none within ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds} s"
        time.sleep(0.01)
