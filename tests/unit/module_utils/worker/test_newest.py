# SPDX-License-Identifier: GPL-3.0-or-later
"""What the next backup continues: the newest sets that were read back, and the plans that follow from them."""

from __future__ import annotations

import json
from pathlib import Path

from ansible_collections.backstay.fleet.plugins.module_utils import layout
from ansible_collections.backstay.fleet.plugins.module_utils.worker import newest
from ansible_collections.backstay.fleet.plugins.module_utils.worker.job import open_access
from ansible_collections.backstay.fleet.plugins.module_utils.worker.requests import plan
from unit.support.backups import SET, STREAM, back_up, next_log, next_run, stored_receipt
from unit.support.sandbox import Sandbox
from unit.support.steps import good


def test_what_was_stored_can_be_planned(sandbox: Sandbox) -> None:
    back_up(sandbox, facts={"position": {"lsn": 7}, "stream": STREAM})
    full = stored_receipt(sandbox)
    assert full["stream"] == STREAM
    facts = {"parent": SET, "stream": dict(STREAM, first="0005", last="0009"), "position": {"lsn": 9}}
    back_up(sandbox, [good("log", "logs")], **next_log(1, facts=facts))
    made = plan({"host": "shop-db1", "app": "testapp", "directory": str(sandbox.access)})
    assert made["sets"] == [SET, next_run(1)["set"]]
    assert made["kinds"] == ["full", "log"]
    assert made["bytes"] == len("payload") + len("log")
    kept = json.loads(Path(layout.plan(made["hash"])).read_text())
    assert [item["set"] for item in kept["receipts"]] == made["sets"]
    (artifact,) = stored_receipt(sandbox, next_run(1)["set"])["artifacts"]
    (landed,) = kept["receipts"][1]["artifacts"]  # by its tags alone
    assert landed == {key: artifact[key] for key in landed}


def test_a_set_whose_parent_is_gone_from_the_repository_is_no_success(sandbox: Sandbox) -> None:
    """What it continues cannot be restored any more, and nobody shall find out at 3 a.m."""
    back_up(sandbox, facts={"stream": STREAM})
    result = back_up(sandbox, [good("log")], **next_log(1, facts={"parent": "20261121T080000Z-cccccc00"}))
    assert (result["status"], result["error"]["code"]) == ("failed", "repository")
    assert "continues set 20261121T080000Z-cccccc00, which the repository no longer has" in result["error"]["message"]
    assert newest.kept("shop-db1", "testapp", str(sandbox.access / "url")) is None, "the repository has to be asked now"


def test_the_newest_sets_are_kept_and_the_repository_says_the_same(sandbox: Sandbox) -> None:
    back_up(sandbox, facts={"stream": STREAM})
    back_up(sandbox, [good("log")], **next_log(1, facts={"parent": SET, "stream": dict(STREAM, last="0009")}))
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
    back_up(sandbox, [good("log")], **next_log(1, facts={"parent": SET, "stream": dict(STREAM, last="0009")}))
    newest.mark_broken("shop-db1", "testapp", str(sandbox.access / "url"), "purged")
    assert (newest.kept("shop-db1", "testapp", str(sandbox.access / "url")) or {})["broken"] == "purged"
    back_up(sandbox, **next_run(2, facts={"stream": dict(STREAM, id="another")}))
    kept = newest.kept("shop-db1", "testapp", str(sandbox.access / "url")) or {}
    assert kept["data"]["set"] == next_run(2)["set"]
    assert "log" not in kept and "broken" not in kept


def test_what_waits_for_its_salvage_counts_as_the_newest(sandbox: Sandbox) -> None:
    back_up(sandbox, facts={"stream": STREAM})
    sandbox.behave({"command": "backup", "tag": "part=data", "do": 1, "times": 1})
    log = next_log(1, facts={"parent": SET, "stream": dict(STREAM, last="0009")})
    assert back_up(sandbox, [good("log")], **log)["status"] == "failed"
    url = str(sandbox.access / "url")
    assert "log" not in (newest.kept("shop-db1", "testapp", url) or {})
    assert (newest.known("shop-db1", "testapp", url) or {})["log"]["set"] == next_run(1)["set"]
