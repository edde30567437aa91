# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that a server's own tool wrote: collected into a set, salvaged, brought back under their names (G-4, ORA-6, ORA-8)."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import layout
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.backstay.fleet.plugins.module_utils.executors import LocalExecutor
from ansible_collections.backstay.fleet.plugins.module_utils.job import validate_job
from ansible_collections.backstay.fleet.plugins.module_utils.worker import folder, runner
from ansible_collections.backstay.fleet.plugins.module_utils.worker.collect import folder_of_set, open_folder
from ansible_collections.backstay.fleet.plugins.module_utils.worker.job import Job
from ansible_collections.backstay.fleet.plugins.module_utils.worker.requests import plan
from ansible_collections.backstay.fleet.plugins.module_utils.worker.steps import perform
from unit.support.backups import SET, back_up, next_log, offered, stored_receipt
from unit.support.sandbox import Sandbox
from unit.support.steps import Step, failing, good
from unit.support.trees import look

FILES = {"a_1": b"first piece", "b_2": b"second", "init.ora": b"db_name=x"}
STREAM = {"id": SET, "first": "0001", "last": "0001"}


def write(sandbox: Sandbox, files: dict[str, bytes], name: str = SET, before: str = "") -> Step:
    """Return the step in which a tool writes ``files``."""
    place = sandbox.root / "staging" / "shop-db1+testapp" / name / "pieces"
    lines = [f"printf '%s' '{content.decode()}' > {place}/{file}" for file, content in files.items()]
    return {"name": "Write", "command": {"argv": ["sh", "-c", "; ".join([f"mkdir -p {place}", *lines, before or "true"])]}}


def collect(**more: Any) -> Step:
    return {"name": "Collect", "collect": {"directory": "pieces", **more}}


def take(sandbox: Sandbox, files: dict[str, bytes] = FILES, before: str = "", **changes: Any) -> dict[str, Any]:
    steps = [write(sandbox, files, changes.get("set", SET), before), collect()]
    return back_up(sandbox, steps, **{"transport": "stage", "facts": {"stream": STREAM}, **changes})


def bring_back(sandbox: Sandbox, into: Path, kinds: list[str], **goal: str) -> dict[str, Any]:
    chosen = plan({"host": "shop-db1", "app": "testapp", "directory": str(sandbox.access), **goal})
    step = {"name": "Land", "land_files": {"kinds": kinds, "into": f"{into}/{{set}}"}}
    return sandbox.run(sandbox.recovery(chosen["hash"], [step]))


def test_every_file_becomes_an_artifact_and_the_manifest_lists_them(sandbox: Sandbox) -> None:
    assert take(sandbox)["status"] == "ok"
    artifacts = stored_receipt(sandbox)["artifacts"]
    assert [item["name"] for item in artifacts] == ["manifest", *sorted(FILES)]
    assert len({item["snapshot"] for item in artifacts}) == 1, "one snapshot"
    assert [item["bytes"] for item in artifacts[1:]] == [len(FILES[name]) for name in sorted(FILES)]
    assert list(layout.staging("shop-db1", "testapp").iterdir()) == []


class Share(LocalExecutor):
    """A host that sees the staging of the worker by a name of its own, as Windows does."""

    remote = True

    def staging(self, folder: Path) -> Path:
        return Path("//worker/staging") / folder.name


def test_what_lies_on_a_share_is_not_pulled_whatever_the_server_calls_it(sandbox: Sandbox) -> None:
    job = Job(sandbox.create(sandbox.backup([collect()], transport="stage")))
    job.executor = Share()
    assert str(open_folder(job, "pieces", getpass.getuser())) == "//worker/staging/pieces"
    (folder_of_set(job, "pieces") / "a_1").write_bytes(b"first piece")
    perform(job, collect())
    assert [item["name"] for item in job.seen["artifacts"]] == ["manifest", "a_1"]


def test_what_was_collected_comes_back_with_one_call_a_set(sandbox: Sandbox) -> None:
    take(sandbox)
    logs = {"stream": dict(STREAM, last="0002"), "parent": SET}
    changes = next_log(1)
    assert take(sandbox, {"log_7": b"redo"}, **{**changes, "facts": logs})["status"] == "ok"
    into = sandbox.base / "landing"
    before = len(sandbox.restic_calls("dump"))
    assert bring_back(sandbox, into, ["full", "log"])["status"] == "ok"
    assert look(into) == {SET: FILES, changes["set"]: {"log_7": b"redo"}}
    assert len(sandbox.restic_calls("dump")) - before == 1 + 2, "the receipt, and each set"


PIECES = f"staging/shop-db1+testapp/{SET}/pieces"


@pytest.mark.parametrize(
    ("files", "before", "words"),
    [
        ({}, "true", "wrote no file"),
        ({"a": b"x"}, "cd $PLACE; : > b", "is empty"),
        ({"a": b"x"}, "cd $PLACE; ln -s a c", "is no regular file"),
        ({"a": b"x"}, "cd $PLACE; mkdir d", "is no regular file"),
        ({"a": b"x"}, "cd $PLACE; echo x > 'Mail Box.nsf'", "could never be restored"),
        ({"manifest.json": b"x"}, "true", "could never be restored"),
    ],
)
def test_what_is_no_proper_file_makes_no_set(sandbox: Sandbox, files: dict[str, bytes], before: str, words: str) -> None:
    result = take(sandbox, files, before.replace("$PLACE", str(sandbox.root / PIECES)))
    assert result["error"]["code"] == "capture" and words in result["error"]["message"]
    assert offered(sandbox) == []


@pytest.mark.parametrize(
    ("more", "transport", "words"),
    [([], "stream", "staged"), ([good()], "stage", "only source"), ([collect()], "stage", "only source")],
)
def test_a_collection_is_staged_and_the_only_source_of_its_set(
    sandbox: Sandbox, more: list[Step], transport: str, words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        validate_job(sandbox.backup([write(sandbox, FILES), collect(), *more], transport=transport))


def test_a_failed_upload_loses_nothing(sandbox: Sandbox) -> None:
    """ORA-8: what the server believes to be backed up is uploaded under its own name before anything new is taken."""
    sandbox.behave({"command": "backup", "tag": "part=data", "do": 1, "times": 1})
    assert take(sandbox, kind="log")["error"]["code"] == "repository"
    assert offered(sandbox) == []
    changes = next_log(1)
    assert take(sandbox, {"log_8": b"more"}, **changes)["salvaged"] == [SET]
    assert {item["name"] for item in stored_receipt(sandbox)["artifacts"]} == {"manifest", *FILES}


def test_a_staged_file_that_was_changed_is_not_salvaged(sandbox: Sandbox) -> None:
    sandbox.behave({"command": "backup", "tag": "part=data", "do": 1, "times": 1})
    take(sandbox, kind="log")
    (layout.staging("shop-db1", "testapp") / SET / "pieces" / "a_1").write_bytes(b"FIRST piece")
    result = take(sandbox, {"log_8": b"more"}, **next_log(1))
    assert result["error"]["code"] == "capture" and "was changed since its capture" in result["error"]["message"]


@pytest.mark.parametrize("do", ["corrupt", "die"])
def test_what_does_not_come_back_whole_is_noticed_and_removed(sandbox: Sandbox, do: str) -> None:
    take(sandbox)
    chosen = plan({"host": "shop-db1", "app": "testapp", "directory": str(sandbox.access)})
    sandbox.behave({"command": "dump", "do": do})
    into = sandbox.base / "landing"
    step = {"name": "Land", "land_files": {"kinds": ["full"], "into": f"{into}/{{set}}"}}
    result = sandbox.run(sandbox.recovery(chosen["hash"], [step]))
    assert result["status"] == "failed" and SET in result["error"]["message"]
    assert result["error"]["code"] == ("integrity" if do == "corrupt" else "repository")
    assert not into.exists() or look(into) == {}


def test_a_file_that_nobody_promised_is_refused(sandbox: Sandbox) -> None:
    """A hostile repository may hold more than the manifest lists."""
    take(sandbox)
    (snapshot,) = sandbox.snapshots("part=data")
    path = sandbox.repository / "snapshots" / f"{snapshot['id']}.json"
    entry = json.loads(path.read_text())
    entry["paths"].append(str(Path(entry["paths"][-1]).parent / "evil"))
    (sandbox.repository / "blobs" / snapshot["id"] / str(len(entry["paths"]) - 1)).write_bytes(b"evil")
    path.write_text(json.dumps(entry))
    result = bring_back(sandbox, sandbox.base / "landing", ["full"])
    assert result["error"]["code"] == "integrity" and "evil" in result["error"]["message"]


def test_a_set_that_was_not_collected_is_refused(stocked: Sandbox) -> None:
    result = bring_back(stocked, stocked.base / "landing", ["full"])
    assert result["error"]["code"] == "integrity" and "collected" in result["error"]["message"]


def test_a_command_runs_with_its_variables(sandbox: Sandbox) -> None:
    script = 'test "$WORD" = "two words" && test "$LANG" = C.UTF-8'
    step = {"name": "Ask", "command": {"argv": ["sh", "-c", script], "environment": {"WORD": "two words"}}}
    assert back_up(sandbox, [step, good()])["status"] == "ok"


def test_a_command_of_an_unknown_account_is_refused(sandbox: Sandbox) -> None:
    step = {"name": "Ask", "command": {"argv": ["true"], "account": "nobody-like-this"}}
    result = back_up(sandbox, [step, good()])
    assert "no account 'nobody-like-this'" in result["error"]["message"]


def test_the_last_step_that_takes_is_followed_by_the_seal(sandbox: Sandbox) -> None:
    """What fails after the collection is salvaged, so the draft has to be on disk by then."""
    specification = sandbox.backup([write(sandbox, FILES), collect(), failing("because")], transport="stage", kind="log")
    made = folder.JobFolder.create(specification, {})
    assert runner.run_job(made.path) == 1
    assert (layout.staging("shop-db1", "testapp") / SET / "captured.json").exists()
