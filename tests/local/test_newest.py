# SPDX-License-Identifier: GPL-3.0-or-later
"""What the next backup continues: the newest sets that were read back, and the plans that follow from them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import layout
from ansible_collections.backstay.fleet.plugins.module_utils.worker import newest
from ansible_collections.backstay.fleet.plugins.module_utils.worker.job import open_access
from ansible_collections.backstay.fleet.plugins.module_utils.worker.requests import plan
from unit.support.backups import SET, STREAM, back_up, next_log, next_run, offered, stored_receipt
from unit.support.sandbox import Sandbox
from unit.support.steps import logs


def test_what_was_stored_can_be_planned(sandbox: Sandbox) -> None:
    back_up(sandbox, facts={"position": {"lsn": 7}, "stream": STREAM})
    full = stored_receipt(sandbox)
    assert full["stream"] == STREAM
    facts = {"parent": SET, "stream": dict(STREAM, first="0005", last="0009"), "position": {"lsn": 9}}
    back_up(sandbox, [logs("log")], **next_log(1, facts=facts))
    made = plan({"host": "shop-db1", "app": "testapp", "directory": str(sandbox.access)})
    assert made["sets"] == [SET, next_run(1)["set"]]
    assert made["kinds"] == ["full", "log"]
    assert made["bytes"] == len("payload") + len("log")
    kept = json.loads(Path(layout.plan(made["hash"])).read_text())
    assert [item["set"] for item in kept["receipts"]] == made["sets"]
    (artifact,) = stored_receipt(sandbox, next_run(1)["set"])["artifacts"]
    (landed,) = kept["receipts"][1]["artifacts"]  # by its tags alone
    assert landed == {key: artifact[key] for key in landed}


def test_a_set_whose_name_another_snapshot_bears_is_no_success(sandbox: Sandbox) -> None:
    """The older snapshot is the one that is offered."""
    assert back_up(sandbox)["status"] == "ok"
    (first,) = sandbox.snapshots("part=receipt")
    forged = dict(first, tags=[tag.replace(f"set={SET}", f"set={next_run(1)['set']}") for tag in first["tags"]], id="f" * 64)
    (sandbox.repository / "snapshots" / f"{forged['id']}.json").write_text(json.dumps(forged))
    result = back_up(sandbox, **next_run(1))
    assert (result["status"], result["error"]["code"]) == ("failed", "repository")
    assert "does not list what was just stored" in result["error"]["message"]


def test_a_listing_may_be_long(sandbox: Sandbox) -> None:
    """Half a year of log sets, one every five minutes, fills 64 MiB."""
    assert back_up(sandbox)["status"] == "ok"
    for number in range(66):
        filler = {"id": f"{number:064}", "time": number, "tags": ["part=receipt"], "hostname": "shop-db1"}
        filler["paths"] = ["x" * (1 << 20)]
        (sandbox.repository / "snapshots" / f"{filler['id']}.json").write_text(json.dumps(filler))
    assert offered(sandbox) == [SET]


def test_a_set_whose_parent_is_gone_from_the_repository_is_no_success(sandbox: Sandbox) -> None:
    """What it continues cannot be restored any more, and nobody shall find out at 3 a.m."""
    back_up(sandbox, facts={"stream": STREAM})
    result = back_up(sandbox, [logs("log")], **next_log(1, facts={"parent": "20261121T080000Z-cccccc00"}))
    assert (result["status"], result["error"]["code"]) == ("failed", "repository")
    assert "continues set 20261121T080000Z-cccccc00, which the repository no longer has" in result["error"]["message"]
    assert newest.kept("shop-db1", "testapp", str(sandbox.access / "url")) is None, "the repository has to be asked now"


def test_the_newest_sets_are_kept_and_the_repository_says_the_same(sandbox: Sandbox) -> None:
    back_up(sandbox, facts={"stream": STREAM})
    back_up(sandbox, [logs("log")], **next_log(1, facts={"parent": SET, "stream": dict(STREAM, last="0009")}))
    access = open_access(sandbox.access)
    kept = newest.kept("shop-db1", "testapp", access.url_file)
    assert kept is not None
    assert (kept["data"]["set"], kept["log"]["set"]) == (SET, next_run(1)["set"])
    asked = newest.fetch(access, "shop-db1", "testapp")
    assert asked == kept
    (sandbox.access / "url").write_text("b2:sandbox:elsewhere\n")
    assert newest.kept("shop-db1", "testapp", access.url_file) is None, "another repository has other sets"


def test_logs_of_a_history_that_ended_are_not_continued(sandbox: Sandbox) -> None:
    back_up(sandbox, facts={"stream": STREAM})
    back_up(sandbox, [logs("log")], **next_log(1, facts={"parent": SET, "stream": dict(STREAM, last="0009")}))
    about = {"source": "shop-db1", "app": "testapp"}
    job: Any = SimpleNamespace(specification=about, access=open_access(sandbox.access))
    newest.mark_broken(job, "purged")
    assert (newest.newest_of(job) or {})["broken"] == "purged"
    back_up(sandbox, **next_run(2, facts={"stream": dict(STREAM, id="another")}))
    kept = newest.kept("shop-db1", "testapp", str(sandbox.access / "url")) or {}
    assert kept["data"]["set"] == next_run(2)["set"]
    assert "log" not in kept and "broken" not in kept


def test_what_waits_for_its_salvage_counts_as_the_newest(sandbox: Sandbox) -> None:
    back_up(sandbox, facts={"stream": STREAM})
    sandbox.behave({"command": "backup", "tag": "part=data", "do": 1, "times": 1})
    log = next_log(1, facts={"parent": SET, "stream": dict(STREAM, last="0009")})
    assert back_up(sandbox, [logs("log")], **log)["status"] == "failed"
    url = str(sandbox.access / "url")
    assert "log" not in (newest.kept("shop-db1", "testapp", url) or {})
    kept = newest.kept("shop-db1", "testapp", url)
    assert kept is not None
    assert newest.with_drafts(kept, "shop-db1", "testapp")["log"]["set"] == next_run(1)["set"]


def test_a_set_that_was_committed_before_its_worker_died_is_noted_by_the_next_run(sandbox: Sandbox) -> None:
    back_up(sandbox, facts={"stream": STREAM})
    log = next_log(1, facts={"parent": SET, "stream": dict(STREAM, first="0007", last="0009")})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(newest, "note", lambda *_arguments: (_ for _ in ()).throw(OSError(5, "the power went")))
        assert back_up(sandbox, [logs("log")], **log)["status"] == "failed"
    url = str(sandbox.access / "url")
    assert "log" not in (newest.kept("shop-db1", "testapp", url) or {})
    following = next_log(2, facts={"parent": next_run(1)["set"], "stream": dict(STREAM, first="0009", last="0011")})
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        store = newest.store
        patch.setattr(newest, "store", lambda host, app, found: (seen.append(found["log"]["set"]), store(host, app, found)))
        assert back_up(sandbox, [logs("next")], **following)["status"] == "ok"
    assert seen == [next_run(1)["set"], next_run(2)["set"]]


def test_what_was_made_before_a_restore_is_not_continued(sandbox: Sandbox) -> None:
    """Also when nothing is kept and the repository is asked: a server's logs may look as if nothing had happened."""
    back_up(sandbox, facts={"stream": STREAM})
    newest.mark_restored("shop-db1", "testapp", "r1")
    url, access = str(sandbox.access / "url"), open_access(sandbox.access)
    for found in (newest.kept("shop-db1", "testapp", url), newest.fetch(access, "shop-db1", "testapp")):
        assert found is not None and "was restored by run r1" in found["broken"]
    back_up(sandbox, **next_run(2, facts={"stream": dict(STREAM, id="another")}))
    assert "broken" not in (newest.kept("shop-db1", "testapp", url) or {})


def test_another_password_of_the_day_is_the_same_repository(sandbox: Sandbox, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("rest:https://db1:old@vault:8000/db1/\n")
    other.write_text("rest:https://db1:new@vault:8000/db1/")
    back_up(sandbox, facts={"stream": STREAM})
    kept = newest.kept("shop-db1", "testapp", str(sandbox.access / "url")) or {}
    newest.note(str(one), kept["data"])
    assert newest.kept("shop-db1", "testapp", str(other)) is not None
