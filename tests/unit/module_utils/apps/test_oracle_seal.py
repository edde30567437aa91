# SPDX-License-Identifier: GPL-3.0-or-later
"""Oracle: where pieces come, and what the seal of a set says: how old it is, and that a hole in its logs is no history."""

from __future__ import annotations

import getpass
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import layout
from ansible_collections.backstay.fleet.plugins.module_utils.apps.oracle import (
    capture,
    client,
    dictionary,
    places,
)
from ansible_collections.backstay.fleet.plugins.module_utils.apps.oracle.dictionary import Log, State
from ansible_collections.backstay.fleet.plugins.module_utils.apps.oracle.history import Link
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError, CommandFailed
from ansible_collections.backstay.fleet.plugins.module_utils.executors import LocalExecutor
from ansible_collections.backstay.fleet.plugins.module_utils.moment import now, parse_moment


class Elsewhere:
    """The executor of a database host whose clock is not the worker's; it tells whole seconds."""

    remote = True

    def __init__(self, ahead: float) -> None:
        self._ahead = ahead

    def clock(self) -> float:
        return float(int(time.time() + self._ahead))


def captured(kind: str, monkeypatch: pytest.MonkeyPatch, ahead: float = 0.0, logs: Sequence[int] = (5, 6)) -> Any:
    """Return a job whose capture of ``kind`` with ``logs`` is done; the database's host has a clock that is ``ahead``."""
    database = {"dbid": 7, "resetlogs": 100, "scn": 70, "name": "ORCL"}
    found = [Log("1", number, number * 10, number * 10 + 10, True, "", 0) for number in logs]
    written = {"pieces": {}, "files": {"1": {"level": "0", "from": 0, "scn": 55}}, "logs": found}
    monkeypatch.setattr(capture, "server_of", lambda _job: client.Instance("ORCL", "/home", "oracle"))
    monkeypatch.setattr(capture, "folder_of", lambda _job: Path("/pieces"))
    monkeypatch.setattr(capture, "target_of", lambda _job: Path("/pieces"))
    monkeypatch.setattr(capture, "ask", lambda _server, _questions: {"files": [["1", "/u02/system01.dbf", "100"]]})
    monkeypatch.setattr(dictionary, "written", lambda _server, _folder: written)
    monkeypatch.setattr(dictionary, "read_state", lambda _server: State(database, {}, {}))
    facts: dict[str, Any] = defaultdict(str, database, version="19")
    seen = {"link": Link("s1", "parent", {"1": 5}), "first": {"1": 5}, "scn": 70, "oldest": 55, "reason": ""}
    return SimpleNamespace(
        specification={"kind": kind, "set": "s2", "source": "erp-db1", "app": "oracle", "facts": facts},
        seen={"oracle": seen, "checks": [], "artifacts": []},
        access=SimpleNamespace(url_file="/url"),
        executor=Elsewhere(ahead),
    )


@pytest.mark.parametrize("ahead", [-100.0, 0.0, 100.0])
def test_a_data_set_is_as_old_as_the_later_of_both_clocks(monkeypatch: pytest.MonkeyPatch, ahead: float) -> None:
    """A restore to a moment begins with a set that holds nothing from after it, and the moment is one of the host's clock."""
    job = captured("full", monkeypatch, ahead)
    before = now()
    found = parse_moment(capture.seal(job)["consistent_at"])
    assert found >= before and found >= before + timedelta(seconds=ahead)
    assert found <= now() + timedelta(seconds=max(ahead, 0) + 1)


@pytest.mark.parametrize(
    ("first", "logs", "words"),
    [
        ({"1": 4}, [5, 6], "log 4 of thread 1 is missing in the set"),
        ({"1": 5}, [5, 7], "log 7 of thread 1 does not continue log 5"),
        ({"1": 5, "2": 9}, [5, 6], "logs of a thread are missing"),
    ],
)
@pytest.mark.parametrize("kind", ["log", "full"])
def test_a_log_that_is_missing_when_logs_are_sealed_breaks_the_history(
    monkeypatch: pytest.MonkeyPatch, kind: str, first: dict[str, int], logs: list[int], words: str
) -> None:
    """Else every log backup would fail in the same way until somebody asks for a full one."""
    job, broken = captured(kind, monkeypatch, logs=logs), []
    job.seen["oracle"].update(first=first, link=Link("s1", "parent", first))
    monkeypatch.setattr(capture, "mark_broken", lambda *words: broken.append(words))
    if kind == "full" and first == {"1": 4}:
        capture.seal(job)  # a data set needs what its files need, and no more
        return
    with pytest.raises(BackstayError, match=words):
        capture.seal(job)
    assert [found is job for found, _because in broken] == ([True] if kind == "log" else [])
    assert all(words in because for _job, because in broken)


def test_the_probe_on_a_share_is_removed_by_the_worker_who_made_its_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The folder around it is root's, so the account of the server, as whom the executor logs in, could not."""

    class Share(LocalExecutor):
        remote = True

        def staging(self, folder: Path) -> Path:
            return Path("/mnt/staging") / folder.name  # where the host has it

        def remove(self, path: Path) -> None:
            raise CommandFailed(f"rm: cannot remove {path}: Permission denied")

    monkeypatch.setattr(layout, "ROOT", tmp_path / "root")
    sqlplus = tmp_path / "home" / "bin" / "sqlplus"
    sqlplus.parent.mkdir(parents=True)
    sqlplus.write_text(f"#!/bin/sh\necho CREATE CONTROLFILE > {tmp_path}/root/staging/erp-db1+oracle/probe/controlfile.sql\n")
    sqlplus.chmod(0o755)
    server = client.Instance("ORCL", str(tmp_path / "home"), getpass.getuser(), executor=Share())
    assert places.staging_check(server, "erp-db1")["status"] == "ok"
    assert list((tmp_path / "root" / "staging" / "erp-db1+oracle").iterdir()) == []
