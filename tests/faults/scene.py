# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene of a fault: one app on one host, runs with known ids, and what must be true after every fault."""

from __future__ import annotations

import json
import re
import secrets
import shlex
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from faults import injection
from faults.running import Command, Running
from faults.subjects import Subject
from lab_tools import jobs
from lab_tools.fleet import OFFSITE, Fleet
from lab_tools.playbooks import Playbooks, Run
from lab_tools.waiting import wait_until

# Those of ansible.cfg, except that a dead connection is noticed after 4 s instead of 30 s.
SSH_ARGUMENTS = (
    "-o ControlMaster=auto -o ControlPersist=120s -o ServerAliveInterval=2 -o ServerAliveCountMax=2 -o ConnectTimeout=5"
)
# Fed to a shell, so that no command line of the looking itself holds what is looked for.
_LEFT_BEHIND = """
systemctl list-units --all --plain --no-legend 'backstay-*' | grep -v '^backstay-release.service' || true
systemctl list-units --failed --plain --no-legend | sed 's/^/failed unit: /'
for p in YARD/landing-* YARD/picture-* YARD/verify-* YARD/aside-* YARD/clone-* \\
  /run/backstay-* ROOT/work/* ROOT/staging/*/* ROOT/jobs/*/secrets; do
  case "$p" in GATES) ;; *) [ ! -e "$p" ] || echo "left: $p";; esac
done
for p in ROOT/locks/*.lock ROOT/start.lock ROOT/jobs/*/alive; do
  [ ! -e "$p" ] || flock -s -n "$p" true || echo "locked: $p"
done
findmnt --raw --noheadings --output TARGET | grep -i backstay | sed 's/^/mounted: /' || true
for p in /proc/[0-9]*; do
  words=$(tr '\\0' ' ' < "$p/cmdline" 2>/dev/null || true)
  case "$words" in
    *restic\\ --repository-file*|*mbstream\\ *|*mariadb-backup\\ *|*ROOT/jobs/*) echo "process: $words";;
  esac
done
"""

_ABANDON = """
for unit in $(systemctl list-units --all --plain --no-legend 'backstay-*Z-*' | cut -d' ' -f1); do
  systemctl kill --signal=CONT --kill-whom=all "$unit" || true
  systemctl stop "$unit" || true
done
systemctl reset-failed
for swap in $(grep -l -E '"state": "(begun|done)"' ROOT/jobs/*/swap.json 2>/dev/null || true); do
  if grep -q '"status": "failed"' "${swap%swap.json}result.json"; then
    python3 $(ls -t ROOT/worker/*.pyz | head -n 1) put-back "${swap%/swap.json}"
  fi
done
"""


class Scene:
    """Everything a fault test does goes through here. ``good`` are the sets that must exist, oldest first."""

    def __init__(self, fleet: Fleet, subject: Subject) -> None:
        self.fleet = fleet
        self.subject = subject
        self.host = subject.host
        self.playbooks = Playbooks(fleet, {"ANSIBLE_SSH_ARGS": SSH_ARGUMENTS})
        self.gates = injection.Gates(fleet, subject.host, subject.service)
        self.good: list[str] = []
        self.bytes = 0  # of the newest set's data
        self.known: Any = None
        self._running: list[Running] = []

    # Runs ---------------------------------------------------------------------------------------------------------------

    def start(self, action: str, run_id: str = "", **variables: Any) -> Running:
        """Start a playbook whose job has a known id, or attach to the job ``run_id``."""
        run_id = run_id or f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{self.subject.app}-{secrets.token_hex(4)}"
        more = {"backstay_confirm": self.host} if action == "restore" else {}
        more.update(variables, backstay_run=run_id, backstay_only_app=self.subject.app)
        running = Running(self.playbooks, action, ("--limit", self.host), more)
        self._running.append(running)
        return running

    def hit(self, running: Running, **point: Any) -> dict[str, Any]:
        """Hit a process of the job at a point; see ``injection.hit_when``."""
        try:
            return injection.hit_when(self.fleet, self.host, running.run_id, **point)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{running.output}") from None

    def hit_capture(self, running: Running, part: str, offset: float, signal: str = "SIGKILL") -> dict[str, Any]:
        """Hit a process of a backup when the capture has moved the share ``offset`` of the data."""
        step = self.subject.capture_step
        return self.hit(running, step=step, moved=int(self.bytes * offset), hit=part, signal=signal)

    def hold_capture(self, running: Running, offset: float) -> int:
        """Stop the server's tool at the share ``offset`` of its data, so that a fault finds it there; return its process.

        Not at its very beginning: a tool that is held while it connects to its server fails by that, not by the fault.
        """
        return int(self.hit_capture(running, "tool", max(offset, 0.15), "SIGSTOP")["pid"])

    def release_held(self, pid: int) -> None:
        """Let a held process go on."""
        injection.resume(self.fleet, self.host, pid)

    def backup(self, **variables: Any) -> Run:
        """Make an ordinary backup that has to succeed."""
        options = ("--limit", self.host)
        run = self.playbooks.run("backup", *options, backstay_only_app=self.subject.app, **variables).demand()
        record = run.records[-1]
        assert record["status"] == "ok", record
        self.good += [
            *record.get("salvaged", []),
            record["set"],
        ]
        self.bytes = record["bytes"]
        return run

    def record(self, run_id: str) -> dict[str, Any]:
        """Return what the control node recorded of a run."""
        return dict(json.loads((self.fleet.state / "runs" / self.host / f"{run_id}.json").read_text()))

    def result(self, run_id: str) -> dict[str, Any] | None:
        """Return how the job ended according to the host, None while it has not."""
        found = self.fleet.read_json(self.host, f"{jobs.ROOT}/jobs/{run_id}/result.json")
        return found if isinstance(found, dict) else None

    def await_result(self, run_id: str, deadline: float = 120) -> dict[str, Any]:
        """Return how the job ended, once it has, without any control node."""
        found = wait_until(lambda: self.result(run_id), f"run {run_id} ends", deadline)
        assert found is not None
        return found

    # Judgement ----------------------------------------------------------------------------------------------------------

    def succeeded(self, running: Running, deadline: float = 300) -> dict[str, Any]:
        """Return the record of a run that had to succeed in spite of the fault."""
        run = running.finish(deadline).demand()
        record = self.record(running.run_id)
        assert record["status"] == "ok", run.output
        if record["action"] == "backup":
            self.good.append(record["set"])
        return record

    def failed(self, running: Running, codes: str, *words: str, deadline: float = 300) -> dict[str, Any]:
        """Return the record of a run that had to fail with one of ``codes`` and a sentence that holds all ``words``."""
        run = running.finish(deadline).demand(2)
        sentence, found = said(run.output), [code for code in codes.split() if f'"code": "{code}"' in said(run.output)]
        assert found, f"the operator does not read code {codes}:\n{run.output}"
        for part in words:
            assert part in sentence, f"the operator does not read '{part}':\n{run.output}"
        assert "Traceback" not in run.output, run.output
        record = self.record(running.run_id)
        assert record["status"] == "failed" and record["error"]["code"] == found[0], record
        return dict(record, sentence=sentence)

    def sets(self) -> list[str]:
        """Return the ids of the sets that are offered for restore."""
        return [item["set"] for item in self._listed()]

    def _listed(self) -> list[dict[str, Any]]:
        """Return the sets that are offered for restore, by the same question that playbooks/sets.yml asks."""
        question = {"host": self.host, "directory": f"/etc/backstay/repositories/{self.host}"}
        script = f"python3 $(ls -t {jobs.ROOT}/worker/*.pyz | head -n 1) sets"
        reply = json.loads(self.fleet.shell(self.host, script, stdin=json.dumps(question)))
        return list(reply["ok"]["sets"])

    def accept_only(self, run_id: str) -> None:
        """Judge a run that died while it committed: its set is not there, or it is there and comes back whole."""
        more = [name for name in self.sets() if name not in self.good]
        specification = self.fleet.read_json(self.host, f"{jobs.ROOT}/jobs/{run_id}/spec.json")
        assert isinstance(specification, dict)
        assert more in ([], [specification["set"]]), more
        self.good += more
        if more:
            self.prove_newest()

    def left_behind(self) -> list[str]:
        """Return everything on the host that a run must not leave there, whatever happened to it."""
        script = (
            _LEFT_BEHIND.replace("YARD", shlex.quote(self.subject.yard))
            .replace("GATES", injection.GATES)
            .replace("ROOT", jobs.ROOT)
        )
        return [line for line in self.fleet.run(self.host, "sh", "-eu", stdin=script).splitlines() if line.strip()]

    def settled(self) -> None:
        """Demand what holds after every fault: nothing left, nothing locked, nothing good that is not, the application up."""
        found: list[str] = []

        def clean() -> bool:
            found[:] = [line for line in self.left_behind() if not waits(line)]
            return not found

        def waits(line: str) -> bool:
            return self.subject.staging_waits and line.startswith(f"left: {jobs.ROOT}/staging/")

        try:
            wait_until(clean, "nothing is left behind", 30)
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *found])) from None
        offered, good = self.sets(), list(self.good)
        if self.subject.logs_may_precede:
            offered, good = sorted(offered), sorted(good)
        assert offered == good, "the sets that are offered are not the sets that succeeded"
        self.subject.prove(self.known)

    def nothing_staged(self) -> None:
        """Demand that a good backup has swept or salvaged whatever a failed one left in staging."""
        assert [line for line in self.left_behind() if line.startswith(f"left: {jobs.ROOT}/staging/")] == []

    def prove_newest(self) -> None:
        """Demand that the operator is shown exactly the good sets, and that the newest of them comes back."""
        shown = said(self.playbooks.run("sets", "--limit", self.host).demand().output)
        logs = {item["set"] for item in self._listed() if item["kind"] == "log"}  # shown as stretches of time, not one by one
        assert [name for name in self.good if name not in shown and name not in logs] == []
        proof = self.playbooks.run("verify", "--limit", self.host, backstay_only_app=self.subject.app).demand()
        assert (proof.record["status"], proof.record["set"]) == ("ok", self.good[-1]), proof.record

    # Clean-up -----------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Note what the application has committed before the fault."""
        self.known = self.subject.mark()

    def abandon(self) -> None:
        """End what a failed test left and bring the application back, so that the next test says something of its own."""
        for running in self._running:
            running.abandon()
        self._running.clear()
        self.fleet.run(self.host, "sh", "-eu", stdin=_ABANDON.replace("ROOT", jobs.ROOT), timeout=600)
        self.forget_landed()
        self.fleet.run(self.host, "systemctl", "start", self.subject.service)

    @contextmanager
    def background(self, command: str) -> Iterator[Command]:
        """Run a shell command as the login user of the host, as an operator does, while the block runs."""
        argv = self.fleet.exec_argv(self.host, ["runuser", "-u", "operator", "--", "sh", "-c", command])
        running = Command(argv, self.fleet.environment)
        try:
            yield running
        finally:
            running.end()

    @contextmanager
    def hitting(self, running: Running, **point: Any) -> Iterator[None]:
        """Lie in wait for a point that comes because of the block; return when the hit was made."""
        with ThreadPoolExecutor(max_workers=1) as pool:
            future = pool.submit(self.hit, running, **point)
            yield
            future.result()

    def inactive(self) -> bool:
        """Whether the app's service is down and not on its way up."""
        shown = self.fleet.ask(self.host, ["systemctl", "is-active", self.subject.service]).stdout.strip()
        return shown in ("inactive", "failed")

    def power_cut(self) -> None:
        """Cut the host's power; return when it has booted as far as it will."""
        # The lab's own reset demands that everything came up, and a service that is kept down on purpose did not.
        container = f"{self.fleet.name}-{self.host}"
        for words in (["kill", "--signal", "KILL"], ["wait", "--condition", "stopped"], ["start"]):
            argv = ["podman", *words, container]
            subprocess.run(argv, check=True, capture_output=True, timeout=120, env=self.fleet.environment)
        self._await_boot()

    def _await_boot(self) -> None:
        settled = ("running", "degraded")
        asked = ["systemctl", "is-system-running"]
        wait_until(lambda: self.fleet.ask(self.host, asked).stdout.strip() in settled, f"{self.host} has booted", 180)

    @contextmanager
    def rebooting(self) -> Iterator[None]:
        """Tell the host to reboot in an orderly way, do what the block does meanwhile; return when it has booted."""
        shown = ["podman", "inspect", "--format", "{{.State.StartedAt}}", f"{self.fleet.name}-{self.host}"]

        def started() -> str:
            return subprocess.run(
                shown, check=True, capture_output=True, text=True, timeout=60, env=self.fleet.environment
            ).stdout

        before = started()
        self.fleet.run(self.host, "systemctl", "--no-block", "reboot")
        yield
        wait_until(lambda: started() != before, f"{self.host} goes down", 120)
        self._await_boot()

    def forget_landed(self) -> None:
        """Remove what a put-back leaves beside the data on purpose: the restored data."""
        self.fleet.shell(self.host, f"rm -rf {shlex.quote(self.subject.yard)}")

    def offsite(self, *argv: str) -> str:
        """Run a command as root on the offsite server."""
        return self.fleet.run(OFFSITE, *argv)


def seconds(record: dict[str, Any]) -> float:
    """Return how long a job took, by its own events."""
    moments = [datetime.fromisoformat(event["at"].replace("Z", "+00:00")) for event in record["events"]]
    return (moments[-1] - moments[0]).total_seconds()


def warned(run: Run, words: str) -> bool:
    """Whether the operator was warned with ``words``; Ansible breaks the lines of warnings anywhere, even in an id."""
    return "".join(words.split()) in "".join(run.output.split())


def said(output: str) -> str:
    """Return what the operator read, with every run of white space as one space, so that line breaks cannot hide words."""
    return re.sub(r"\s+", " ", output)
