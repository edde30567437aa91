# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run costs and leaves: nothing in check mode, no secret anywhere, few remote executions, few restic calls."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.apps import load_app
from integration.apps import App
from lab_tools import jobs, shop
from lab_tools.fleet import Fleet
from lab_tools.playbooks import Playbooks, Run

APPS = ("mysql",)  # what is looked for is what MariaDB and its tools say
PLACES = (jobs.ROOT, "/etc/backstay", "/etc/systemd/system", "/usr/local/lib/backstay")
POLL = "flock -s -w"
MOST_EXECUTIONS = 4
MOST_RESTIC_CALLS = 3


def control_state(fleet: Fleet) -> list[tuple[str, int, int]]:
    """Return name, size and time of change of every file of the control node's state."""
    found = []
    for path in sorted(fleet.state.rglob("*")):
        status = path.stat()
        found.append((str(path), status.st_size, status.st_mtime_ns))
    return found


@pytest.mark.parametrize("name", ["backup", *(pytest.param(name, marks=pytest.mark.long) for name in ("restore", "verify"))])
def test_check_mode_changes_nothing(first_set: str, live: App, playbooks: Playbooks, fleet: Fleet, name: str) -> None:
    live.quiesce()
    before = footprint(fleet, live)
    playbooks.run(name, "--check", "--limit", live.host).demand()
    assert sorted(before ^ footprint(fleet, live)) == []


def footprint(fleet: Fleet, app: App) -> set[str]:
    """Return a line for everything on host and control node that a run could change."""
    found = {*fleet.listing(app.host, *PLACES), *shop.datadir_listing(fleet), app.identity()}
    return found | {f"control node: {entry}" for entry in control_state(fleet)}


class ProcessSampler(threading.Thread):
    """Looks at command lines and environments of every process of this machine, its containers included."""

    def __init__(self, secrets: dict[str, str]) -> None:
        super().__init__(daemon=True)
        self._secrets = {name: value.encode() for name, value in secrets.items()}
        self._stop_asked = threading.Event()
        self.seen: set[str] = set()
        self.leaks: set[str] = set()

    def run(self) -> None:
        while not self._stop_asked.wait(0.02):
            for process in Path("/proc").iterdir():
                if process.name.isdigit() and int(process.name) != os.getpid():
                    self._look(process)

    def _look(self, process: Path) -> None:
        try:
            words = (process / "cmdline").read_bytes()
            surroundings = (process / "environ").read_bytes()
        except OSError:
            return  # it ended meanwhile
        for tool in (b"mariadb-backup", b"--repository-file", b".pyz"):
            if tool in words:
                self.seen.add(tool.decode())
        for name, value in self._secrets.items():
            if value in words or value in surroundings:
                self.leaks.add(f"{name} in process {words.replace(bytes(1), b' ').decode(errors='replace')}")

    def finish(self) -> None:
        self._stop_asked.set()
        self.join()


def known_secrets(fleet: Fleet) -> dict[str, str]:
    """Return the secrets that this control node made, by a name that may be shown."""
    found = {
        str(path.relative_to(fleet.state)): path.read_text() for path in (fleet.state / "secrets").rglob("*") if path.is_file()
    }
    assert len(found) >= 2
    return found


def test_secrets_are_never_observable(first_set: str, live: App, playbooks: Playbooks, fleet: Fleet) -> None:
    secrets = known_secrets(fleet)
    sampler = ProcessSampler(secrets)
    sampler.start()
    try:
        runs = [playbooks.run(name, "-vvv", "--limit", live.host).demand() for name in ("backup", "verify")]
    finally:
        sampler.finish()
    assert sampler.seen == {"mariadb-backup", "--repository-file", ".pyz"}, "the sampler missed what it was to look at"
    assert not sampler.leaks
    records = [path.read_text() for path in (fleet.state / "runs").rglob("*.json")]
    for name, value in secrets.items():
        for text in (*(run.output for run in runs), *records):
            assert value not in text, f"{name} is in the output or the record of a run"
    for host in (live.host, "offsite1"):
        assert files_with(fleet, host, list(secrets.values())) == []


def files_with(fleet: Fleet, host: str, values: list[str]) -> list[str]:
    """Return the files of ``host`` that hold one of the secrets and are not its 0600 access files; the journal counts, too."""
    script = f"""
    cat > /run/wanted
    journalctl --no-pager -o cat > /run/journal-text
    grep -rlFf /run/wanted {jobs.ROOT} /tmp /var/tmp /var/log /run/journal-text /etc /root /home 2>/dev/null |
      grep -v '^/etc/backstay/repositories/[^/]*/\\(url\\|password\\)$' || true
    [ ! -d /etc/backstay ] || find /etc/backstay -type f '(' -name url -o -name password ')' -perm /077
    rm /run/wanted /run/journal-text
    """
    return fleet.shell(host, script, stdin="\n".join(values) + "\n").splitlines()


@pytest.fixture
def counted_ssh(tmp_path: Path) -> tuple[dict[str, str], Path]:
    """Return an environment in which Ansible's ssh, scp and sftp log each call, and the log."""
    log = tmp_path / "calls"
    environment = {}
    for program in ("ssh", "scp", "sftp"):
        wrapper = tmp_path / program
        wrapper.write_text(
            f'#!/bin/sh\nprintf "%s\\n" "{program} $(echo "$*" | tr "\\n" " ")" >> {log}\nexec /usr/bin/{program} "$@"\n'
        )
        wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
        environment[f"ANSIBLE_{program.upper()}_EXECUTABLE"] = str(wrapper)
    return environment, log


@pytest.fixture
def counted_restic(fleet: Fleet, app: App):
    """Put a logging wrapper where the worker looks for restic first, and return a function that reads its log."""
    place, log = "/usr/local/lib/backstay/restic", "/run/restic-calls"
    wrapper = f'#!/bin/sh\necho "$*" >> {log}\nexec /usr/bin/restic "$@"\n'
    fleet.shell(app.host, f"test ! -e {place}; mkdir -p $(dirname {place}); cat > {place}; chmod 755 {place}", stdin=wrapper)
    try:
        yield lambda: fleet.shell(app.host, f"cat {log}; : > {log}").splitlines()
    finally:
        fleet.run(app.host, "rm", "-f", place, log)


def test_a_backup_takes_few_executions_and_few_restic_calls(
    first_set: str, live: App, fleet: Fleet, counted_ssh: tuple[dict[str, str], Path], counted_restic
) -> None:
    environment, log = counted_ssh
    playbooks = Playbooks(fleet, environment)
    playbooks.run("sets", "--limit", live.host).demand()  # warm: connection open, worker in place
    for kind in [kind for kind in ("full", "log") if kind in load_app(live.name).KINDS]:
        log.unlink()
        counted_restic()
        run = playbooks.run("backup", "--limit", live.host, backstay_kind=kind).demand()
        assert run.record["kind"] == kind
        demand_few(run, log.read_text().splitlines(), counted_restic())


def demand_few(run: Run, calls: list[str], restic_calls: list[str]) -> None:
    """Demand that a backup kept to the budgets of executions and of restic calls that derive a key."""
    polls = [call for call in calls if POLL in call]
    executions = [call for call in calls if POLL not in call]
    with_key = [call for call in restic_calls if "--repository-file" in call]
    print(
        f"\nwarm {run.record['kind']} backup: {len(executions)} executions, {len(polls)} polls,"
        f" {len(with_key)} restic calls with a key,"
        f" {run.cpu_seconds:.1f} s CPU of the control node for one host, start of ansible-playbook included"
    )
    assert polls, "the wrapper saw no poll"
    assert len(executions) <= MOST_EXECUTIONS, "\n".join(executions)
    assert 1 <= len(with_key) <= MOST_RESTIC_CALLS, "\n".join(with_key)
    assert run.cpu_seconds < 60
