# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet restore by a runbook: what came back, what was not begun, and that the operator is told all of it."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from integration.apps.mysql import Adapter
from lab_tools import jobs, shop
from lab_tools.fleet import CHECKOUT, SPARE, Fleet
from lab_tools.playbooks import Playbooks, Run
from lab_tools.waiting import wait_until

HOST = shop.HOST
LOCKED = "/srv/locked"
ORPHAN = "/srv/orphan"
FULL = "/srv/full"
CONFIRMED = {"backstay_confirm": f"{HOST},{SPARE}"}


class Past(NamedTuple):
    """A set and the hash of the content that it holds."""

    set: str
    moment: str
    content: str


@pytest.fixture(scope="module")
def application(fleet: Fleet) -> Adapter:
    return Adapter(fleet)


@pytest.fixture(scope="module")
def past(application: Adapter, playbooks: Playbooks) -> Past:
    """Make a set of quiesced data."""
    application.repair()
    content = application.quiesce()
    done = playbooks.run("backup", "--limit", HOST).demand().record
    return Past(done["set"], done["consistent_at"], content)


@pytest.fixture
def present(past: Past, application: Adapter) -> str:
    """Let the application commit beyond the past, stop it, and return the hash of the live content."""
    application.repair()
    application.start_writer()
    content = application.quiesce()
    assert content != past.content
    return content


class Books:
    """Runs runbooks as an operator does."""

    def __init__(self, playbooks: Playbooks, directory: Path) -> None:
        self.playbooks = playbooks
        self.directory = directory

    def run(self, *options: str, entries: list[dict[str, Any]], **variables: Any) -> Run:
        """Write the runbook and run it to its end."""
        return self.playbooks.run("restore-fleet", *options, backstay_runbook=self._write(entries), **variables)

    def begin(self, entries: list[dict[str, Any]], **variables: Any) -> subprocess.Popen[bytes]:
        """Write the runbook and start it."""
        return self.playbooks.begin("restore-fleet", backstay_runbook=self._write(entries), **variables)

    def _write(self, entries: list[dict[str, Any]]) -> str:
        path = self.directory / "runbook.yml"
        path.write_text(json.dumps({"schema": "backstay.runbook/1", "restore": entries}), encoding="utf-8")  # JSON is YAML
        return str(path)


@pytest.fixture
def books(playbooks: Playbooks, tmp_path: Path) -> Books:
    return Books(playbooks, tmp_path)


@pytest.fixture
def places(fleet: Fleet, application: Adapter) -> Iterator[None]:
    """Make a place where nothing can be unpacked and one that is taken; remove all side instances afterwards."""
    fleet.shell(SPARE, f"mkdir -p {FULL}; touch {FULL}/somebody; install -d -m 0700 {LOCKED}")
    try:
        yield
    finally:
        for host in (HOST, SPARE):
            for side in (f"{LOCKED}/side", ORPHAN, FULL):
                application.end_side(host, side)
            fleet.shell(host, f"rm -rf {LOCKED}")


def in_place(past: Past) -> dict[str, Any]:
    return {"name": "shop", "source": HOST, "set": past.set}


def copy(past: Past) -> dict[str, Any]:
    return {"name": "copy", "source": HOST, "target": SPARE, "moment": past.moment, "after": ["shop"]}


SIDE = {"name": "side", "source": HOST, "target": SPARE, "directory": f"{LOCKED}/side"}
LAST = {"name": "last", "source": HOST, "directory": ORPHAN, "after": ["side"]}


def said(run: Run) -> str:
    return " ".join(run.output.split())


@pytest.mark.long
def test_check_mode_shows_the_whole_plan_and_changes_nothing(
    past: Past, present: str, books: Books, fleet: Fleet, application: Adapter, places: None
) -> None:
    kept = ("/var/lib/backstay", "/etc/backstay", LOCKED, ORPHAN)
    before = [application.identity(), *(fleet.listing(host, *kept) for host in (HOST, SPARE))]
    run = books.run("--check", entries=[in_place(past), copy(past), SIDE, LAST]).demand()
    size = r"\d+\.\d [KMG]iB"
    one_set = rf"from 1 set\(s\) \({past.set}\), {size}"
    for line in (
        rf"1\. shop: mysql of {HOST} to {HOST}, replacing its data; as of {past.moment} {one_set}",
        rf"1\. side: mysql of {HOST} to {SPARE}:{LOCKED}/side; as of {past.moment} {one_set}",
        rf"2\. copy: mysql of {HOST} to {SPARE}, replacing its data, after shop; as of {past.moment} {one_set}",
        rf"2\. last: mysql of {HOST} to {HOST}:{ORPHAN}, after side; as of {past.moment} {one_set}",
        rf"Total: 4 of 4 to restore, {size}",
    ):
        assert re.search(line, said(run)), f"no line like {line}:\n{run.output}"
    assert not run.records
    assert [application.identity(), *(fleet.listing(host, *kept) for host in (HOST, SPARE))] == before
    assert application.prove() == present


def test_a_failure_stops_its_dependants_only_and_the_rest_can_follow(
    past: Past, present: str, books: Books, fleet: Fleet, application: Adapter, places: None
) -> None:
    entries = [in_place(past), copy(past), SIDE, LAST]
    run = books.run(entries=entries, **CONFIRMED).demand(2)
    summary = said(run)
    assert re.search(rf"shop: RESTORED after \d+ s: .* as of {past.moment}", summary), run.output
    assert re.search(rf"copy: RESTORED after \d+ s: .* as of {past.moment}", summary), run.output
    assert re.search(r"side: FAILED after \d+ s: ", summary), run.output
    assert "last: NOT BEGUN: depends on 'side', which failed" in summary
    assert "Total: 2 of 4 restored" in summary and "-e backstay_fleet_done=shop,copy" in summary
    assert f"Not restored to {SPARE}: side." in summary and f"Not restored to {HOST}: last." in summary
    assert application.prove() == application.prove(host=SPARE) == past.content
    assert fleet.shell(HOST, f"ls -d {ORPHAN} || true") == ""

    ended = {(record["host"], record["status"]): record["events"] for record in run.records}
    assert set(ended) == {(HOST, "ok"), (SPARE, "ok"), (SPARE, "failed")}
    assert ended[SPARE, "failed"][0]["at"] < ended[HOST, "ok"][-1]["at"], "a wave was restored host by host"
    assert ended[SPARE, "ok"][0]["at"] > ended[HOST, "ok"][-1]["at"], "a dependant began too early"

    fleet.run(SPARE, "chmod", "0755", LOCKED)
    done = {"backstay_fleet_done": "shop,copy"}
    again = books.run(entries=entries, **done).demand()
    assert "shop: DONE BEFORE" in said(again) and "Total: 2 of 4 restored, 2 done before" in said(again)
    assert application.prove(host=SPARE, side=f"{LOCKED}/side") == application.prove(side=ORPHAN) == past.content

    for host in (HOST, SPARE):
        command = re.search(rf"to put the former data back, on {host}: (sudo python3 [\w./-]+ put-back [\w./-]+)", summary)
        assert command, run.output
        fleet.shell(host, command[1])
    assert application.prove() == present, "the command of the summary does not put the former data back"
    fleet.shell(HOST, "rm -rf /var/lib/.backstay-mysql/landing-*")
    fleet.shell(SPARE, "rm -rf /var/lib/.backstay-mysql/landing-*")


@pytest.mark.long
def test_nothing_is_touched_while_a_part_of_the_plan_is_refused(
    past: Past, books: Books, fleet: Fleet, application: Adapter, places: None
) -> None:
    taken = {"name": "taken", "source": HOST, "target": SPARE, "directory": FULL, "set": past.set}
    later = {"name": "later", "source": HOST, "target": SPARE, "after": ["taken"]}
    other = {"name": "other", "source": HOST, "directory": ORPHAN, "set": past.set}
    identity = application.identity()
    run = books.run(entries=[taken, later, other], **CONFIRMED)
    run.refused("taken: mysql of shop-db1 to spare1:/srv/full; REFUSED:", f"{FULL} is not empty")
    run.refused("Nothing was touched, because the plan is refused for: taken.", "-e backstay_fleet_partial=true")
    assert not run.records and application.identity() == identity

    partial = books.run(entries=[taken, later, other], backstay_fleet_partial=True, **CONFIRMED).demand(2)
    assert "taken: REFUSED:" in said(partial) and "later: NOT BEGUN: depends on 'taken', which was refused" in said(partial)
    assert "Total: 1 of 3 restored" in said(partial)
    assert partial.record["status"] == "ok"
    assert application.prove(side=ORPHAN) == past.content
    assert fleet.run(SPARE, "ls", "-A", FULL).split() == ["somebody"]


@pytest.mark.long
def test_a_target_that_cannot_be_reached_is_in_the_plan_and_takes_only_dependants_along(
    past: Past, books: Books, application: Adapter, tmp_path: Path
) -> None:
    ghost = {"hosts": {"ghost1": {"ansible_host": "127.0.0.1", "ansible_port": 1}}}
    (tmp_path / "ghost.yml").write_text(json.dumps({"all": ghost}), encoding="utf-8")
    both = ("-i", str(CHECKOUT / "inventories" / "lab"), "-i", str(tmp_path / "ghost.yml"))
    lost = {"name": "lost", "source": HOST, "target": "ghost1"}
    after = {"name": "after", "source": HOST, "directory": ORPHAN, "after": ["lost"]}
    run = books.run(*both, entries=[lost, after], backstay_fleet_partial=True, backstay_confirm="ghost1").demand(2)
    assert "lost: REFUSED: ghost1 cannot be reached:" in said(run)
    assert "after: NOT BEGUN: depends on 'lost', which was refused" in said(run)
    alone = books.run(*both, entries=[lost], backstay_confirm="ghost1")
    alone.refused("REFUSED: ghost1 cannot be reached:", "Nothing was touched")


@pytest.mark.long
def test_a_target_that_is_lost_on_the_way_takes_only_dependants_along(
    past: Past, books: Books, fleet: Fleet, application: Adapter, places: None
) -> None:
    lost = {"name": "lost", "source": HOST, "target": SPARE, "set": past.set}
    near = {"name": "near", "source": HOST, "directory": ORPHAN, "set": past.set}
    behind = {"name": "behind", "source": HOST, "directory": FULL, "after": ["lost"]}
    process = books.begin([lost, near, behind], run_reconnect_timeout=5, backstay_confirm=SPARE)
    cut = ["INPUT", "-p", "tcp", "--dport", "22", "-j", "REJECT", "--reject-with", "tcp-reset"]
    wait_until(lambda: jobs.living_units(fleet, SPARE), "the job runs on the target", deadline=120)
    fleet.run(SPARE, "iptables", "-I", *cut)
    try:
        output = process.communicate(timeout=300)[0].decode()
    finally:
        fleet.run(SPARE, "iptables", "-D", *cut)
    told = " ".join(output.split())
    assert process.returncode == 2, output
    assert "lost: FAILED: the connection was lost, the job may go on by itself:" in told, output
    assert "behind: NOT BEGUN: depends on 'lost', which failed" in told and "near: RESTORED" in told, output
    assert application.prove(side=ORPHAN) == past.content
    # The job needs no connection; the next run on this host tells how it ended.
    wait_until(lambda: not jobs.living_units(fleet, SPARE), "the job ends by itself", deadline=120)
    assert application.prove(host=SPARE) == past.content


@pytest.mark.long
def test_a_limit_leaves_out_and_says_what_that_means(past: Past, books: Books) -> None:
    run = books.run("--check", "--limit", SPARE, entries=[in_place(past), copy(past)])
    run.refused("shop: mysql of shop-db1 to shop-db1, replacing its data; LEFT OUT: --limit leaves out shop-db1")
    run.refused("depends on 'shop', which --limit leaves out", "add -e backstay_fleet_done=shop")
    done = books.run("--check", "--limit", SPARE, entries=[in_place(past), copy(past)], backstay_fleet_done="shop").demand()
    assert "Total: 1 of 2 to restore" in said(done)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "two mistakes": (
        {"entries": [{"name": "shop", "source": "nosuch"}, {"name": "copy", "source": HOST, "directory": "srv"}]},
        "Entry 'shop': the inventory has no host 'nosuch' (source); entry 'copy': the directory 'srv' is relative",
    ),
    "no confirmation": (
        {"entries": [{"name": "shop", "source": HOST}, {"name": "copy", "source": HOST, "target": SPARE}]},
        "This runbook replaces data on shop-db1, spare1. Look at the plan with --check, then confirm it by name:"
        " -e backstay_confirm=shop-db1,spare1",
    ),
    "half a confirmation": (
        {"entries": [{"name": "copy", "source": HOST, "target": SPARE}], "backstay_confirm": HOST},
        "-e backstay_confirm=spare1",
    ),
    "variable that would hold for all": (
        {"entries": [{"name": "shop", "source": HOST}], "backstay_moment": "2026-11-21T09:30:00Z", **CONFIRMED},
        "backstay_moment would hold for every entry of the runbook",
    ),
}


# The unit tests of fleet_restore have the others, too.
IN_SHORT = ("two mistakes", "no confirmation", "variable that would hold for all")


@pytest.mark.parametrize("case", [pytest.param(case, marks=() if case in IN_SHORT else pytest.mark.long) for case in WRONG])
def test_a_wrong_runbook_is_refused_before_any_host_is_touched(application: Adapter, books: Books, case: str) -> None:
    variables, sentence = WRONG[case]
    identity = application.identity()
    run = books.run(**variables).refused(sentence)
    assert "Traceback" not in run.output and not run.records
    assert application.identity() == identity
