# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from ansible_collections.backstay.fleet.plugins.plugin_utils import worker_archive


@pytest.fixture
def fresh() -> None:
    worker_archive.sources.cache_clear()
    worker_archive.version.cache_clear()


def test_the_archive_holds_all_of_module_utils_and_runs(tmp_path: Path) -> None:
    raw = worker_archive.build()
    names = zipfile.ZipFile(io.BytesIO(raw)).namelist()
    root = Path(__file__).resolve().parents[3] / "plugins" / "module_utils"
    expected = {f"{worker_archive.PACKAGE}/{path.relative_to(root)}" for path in root.rglob("*.py")}
    assert set(names) == expected | {"__main__.py"}
    path = tmp_path / "worker.pyz"
    path.write_bytes(raw)
    # Isolated: neither the collection nor anything installed is at hand on a host.
    done = subprocess.run([sys.executable, "-ISE", str(path)], capture_output=True, check=False, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: worker.pyz")


def test_the_same_sources_make_the_same_archive_and_version(fresh: None) -> None:
    first, version = worker_archive.build(), worker_archive.version()
    worker_archive.sources.cache_clear()
    worker_archive.version.cache_clear()
    assert (worker_archive.build(), worker_archive.version()) == (first, version)


def test_any_change_makes_another_version(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {worker_archive.version()}
    sources = worker_archive.sources()
    name = f"{worker_archive.PACKAGE}/chain.py"
    changed = [
        dict(sources, **{name: sources[name] + b"\n"}),
        {key: value for key, value in sources.items() if key != name},
        {("x" + key if key == name else key): value for key, value in sources.items()},
    ]
    for one in changed:
        worker_archive.version.cache_clear()
        monkeypatch.setattr(worker_archive, "sources", lambda one=one: one)
        versions.add(worker_archive.version())
    worker_archive.version.cache_clear()
    assert len(versions) == 4
