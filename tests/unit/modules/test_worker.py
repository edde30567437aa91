# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from ansible_collections.backstay.fleet.plugins.modules import worker
from unit.support.sandbox import Sandbox


def pushed(path: Path, **modules: str) -> str:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in modules.items():
            archive.writestr(f"{name}.py", content)
    return str(path)


def test_an_archive_is_kept_whole_and_private(tmp_path: Path) -> None:
    target = tmp_path / "worker" / "ab.pyz"
    worker.install(pushed(tmp_path / "pushed", __main__="print('one')"), str(target))
    assert stat.S_IMODE(target.stat().st_mode) & 0o077 == 0
    assert stat.S_IMODE(target.parent.stat().st_mode) == 0o700
    worker.install(pushed(tmp_path / "pushed", __main__="print('other')"), str(target))
    assert [path.name for path in target.parent.iterdir()] == ["ab.pyz"]
    assert subprocess.check_output([sys.executable, str(target)], text=True) == "other\n"
    with pytest.raises(zipfile.BadZipFile):
        worker.install(__file__, str(target))
    assert [path.name for path in target.parent.iterdir()] == ["ab.pyz"]
    assert subprocess.check_output([sys.executable, str(target)], text=True) == "other\n"


def test_what_is_kept_need_not_be_compiled_again(tmp_path: Path) -> None:
    target = tmp_path / "ab.pyz"
    main = "import part; print(part.__spec__.loader.__class__.__name__, part.__cached__ or part.__file__, part.where())"
    part = "import sys\n\n\ndef where():\n    return sys._getframe().f_code.co_filename\n"
    worker.install(pushed(tmp_path / "pushed", __main__=main, part=part), str(target))
    said = subprocess.check_output([sys.executable, str(target)], text=True).split()
    assert said == ["zipimporter", f"{target}/part.pyc", f"{target}/part.py"]


def test_compiled_by_another_python_does_not_count(tmp_path: Path) -> None:
    target = tmp_path / "ab.pyz"
    worker.install(pushed(tmp_path / "pushed", __main__="import part", part="print('source')"), str(target))
    with zipfile.ZipFile(target) as kept:
        content = {name: kept.read(name) for name in kept.namelist()}
    with zipfile.ZipFile(target, "w") as changed:
        for name, data in content.items():
            changed.writestr(name, b"\0\0\r\n" + data[4:] if name.endswith(".pyc") else data)
    assert subprocess.check_output([sys.executable, str(target)], text=True) == "source\n"


def test_a_question_is_answered_by_the_archive(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKSTAY_ROOT", str(sandbox.root))
    reply = worker.ask(str(sandbox.archive), "collect", {"run": "never-was"})
    assert reply == {"error": {"code": "bad-input", "message": "this host knows no run 'never-was'", "hint": ""}}


def test_an_archive_that_breaks_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "broken.pyz").write_text("import sys; sys.exit('no good')")
    with pytest.raises(ValueError, match="ended with exit status 1: no good"):
        worker.ask(str(tmp_path / "broken.pyz"), "sets", {})
    (tmp_path / "silent.pyz").write_text("")
    with pytest.raises(ValueError, match="ended with exit status 0"):
        worker.ask(str(tmp_path / "silent.pyz"), "sets", {})
