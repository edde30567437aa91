# SPDX-License-Identifier: GPL-3.0-or-later
"""Lose a database and get it back: the whole product on the rehearsal fleet, proved by the application's own data.

Exit status 0 only when every proof succeeded. The lab stays up afterwards.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab_tools import shop
from lab_tools.fleet import BASE, OFFSITE, SPARE, Fleet
from lab_tools.playbooks import Playbooks, newest_record

SEED_MIB = 64
BOLD, DIM, RED, GREEN, PLAIN = ("\033[1m", "\033[2m", "\033[31m", "\033[32m", "\033[0m") if sys.stdout.isatty() else ("",) * 5
# What is worth reading of a playbook that goes well: progress, what the product says itself, what changed.
_PROGRESS = re.compile(r"^\S+ mysql (backup|restore|verify): ")
_SAID = re.compile(r'^\s+(?:"?msg"?: )?"?(\S+: set .*|\S+ gets mysql .*|\S+: \w+ of mysql .*|mysql  (?:20|every moment).*)')
_TASK = re.compile(r"^TASK \[(?:[\w.]+ : )?(.*?)\] \*+")
_CHANGED = re.compile(r"^changed: \[(\S+?)[\] ]")


class NotProven(Exception):
    """A step of the demonstration did not do what it promises."""


def fleet_of_operator() -> Fleet:
    """Return the lab that `make lab` makes, with the operator's own state directory."""
    home = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
    state = Path(os.environ.get("BACKSTAY_STATE_DIR") or home / "backstay")
    return Fleet(os.environ.get("BACKSTAY_LAB") or "backstay", int(os.environ.get("BACKSTAY_LAB_PORT") or 42200), state)


class Excerpt:
    """Chooses from Ansible's output, line by line, what is worth showing."""

    def __init__(self) -> None:
        self._task = ""
        self._last = ""

    def of(self, line: str) -> str:
        """Return what to show of ``line``, empty for nothing."""
        shown = self._choose(line)
        if shown == self._last:
            return ""
        self._last = shown or self._last
        return shown

    def _choose(self, line: str) -> str:
        task = _TASK.match(line)
        if task:
            self._task = task[1]
        changed = _CHANGED.match(line)
        if changed:
            return f"{changed[1]}: {self._task}"
        said = _SAID.match(line)
        if said:
            return said[1].rstrip('",')
        return line if _PROGRESS.match(line) else ""


class Demo:
    """One demonstration; times are seconds by step."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.playbooks = Playbooks(fleet, {"BACKSTAY_PROGRESS_INTERVAL": "1"})
        self.times: dict[str, float] = {}

    def step(self, name: str, headline: str, action: Callable[[], Any]) -> Any:
        """Say what happens, do it, remember how long it took."""
        print(f"\n{BOLD}{len(self.times) + 1}. {headline}{PLAIN}", flush=True)
        started = time.monotonic()
        answer = action()
        self.times[name] = time.monotonic() - started
        print(f"{DIM}   {self.times[name]:.1f} s{PLAIN}", flush=True)
        return answer

    def tell(self, text: str) -> None:
        """Print one indented line."""
        print(f"   {text}", flush=True)

    def play(self, name: str, *options: str, **variables: Any) -> dict[str, Any] | None:
        """Run a playbook, show the useful lines while it runs, everything when it fails; return its record, if any."""
        command = " ".join([f"ansible-playbook playbooks/{name}.yml", *options, *(f"-e {k}={v}" for k, v in variables.items())])
        print(f"   {DIM}$ {command}{PLAIN}", flush=True)
        before = newest_record(self.fleet)
        process = self.playbooks.begin(name, *options, **variables)
        assert process.stdout
        everything, excerpt = [], Excerpt()
        for raw in process.stdout:
            line = raw.decode(errors="replace").rstrip("\n")
            everything.append(line)
            shown = excerpt.of(line)
            if shown:
                self.tell(shown)
        if process.wait() != 0:
            raise NotProven(f"{command} ended with {process.returncode}:\n" + "\n".join(everything))
        after = newest_record(self.fleet)
        return after if after != before else None


def bring_up(demo: Demo) -> None:
    """Make the lab, or complete the one that is there."""
    argv = ["/usr/bin/python3", "lab/lab.py", "up", "--only", ",".join(BASE)]
    if subprocess.run(argv, env=demo.fleet.environment, check=False).returncode != 0:
        raise NotProven("the lab did not come up")


def set_up(demo: Demo) -> None:
    """Set the offsite server and the repositories up, unless an earlier demonstration did on this lab."""
    ready = demo.fleet.ask(OFFSITE, ["systemctl", "is-active", "backstay-offsite.service"]).status == 0
    access = [
        demo.fleet.ask(host, ["test", "-e", f"/etc/backstay/repositories/{host}/identity"]) for host in (shop.HOST, SPARE)
    ]
    if ready and all(found.status == 0 for found in access):
        demo.tell("the last demonstration did: ansible-playbook playbooks/offsite.yml would change nothing")
    else:
        demo.play("offsite")


def fill(demo: Demo) -> None:
    """Give the shop bulk data once, and let its application commit."""
    if not shop.check(demo.fleet)["archive_rows"]:
        demo.fleet.command("seed", shop.HOST, "--mib", str(SEED_MIB))
    demo.fleet.run(shop.HOST, "systemctl", "start", "shop-writer.service")
    facts = shop.check(demo.fleet)
    demo.tell(f"{facts['archive_rows']} archive rows, {facts['last_ledger_id']} transactions in the ledger, money adds up")


def back_up(demo: Demo) -> tuple[dict[str, Any], shop.Transaction]:
    """Back up while the application commits; return the record and the last transaction known before it began."""
    known = shop.start_writer(demo.fleet)
    demo.tell(f"last committed transaction before the backup: {known.number} ({known.digest[:16]})")
    record = demo.play("backup", "--limit", shop.HOST)
    during = shop.committed(demo.fleet).number - known.number
    if record is None or record["status"] != "ok" or during <= 0:
        raise NotProven(f"no set was made while the application committed ({during} transactions): {record}")
    demo.tell(f"the application committed {during} transactions meanwhile, it was stopped for {record['outage_seconds']} s")
    return record, known


def back_up_logs(demo: Demo) -> tuple[dict[str, Any], shop.Transaction]:
    """Back up the logs twice while the application commits; return the last record and what was committed before it."""
    for _number in range(2):
        known = shop.start_writer(demo.fleet)
        record = demo.play("backup", "--limit", shop.HOST, backstay_kind="log")
        if record is None or record["status"] != "ok" or record["kind"] != "log":
            raise NotProven(f"no log set was made: {record}")
    demo.tell(f"every moment until {record['consistent_at']} can be restored now; last known transaction: {known.number}")
    return record, known


def lose(demo: Demo) -> shop.Transaction:
    """Stop the application, delete the data directory, show that the server has nothing; return what was committed last."""
    last = shop.stop_writer(demo.fleet)
    demo.tell(f"last committed transaction: {last.number}")
    demo.tell(f"$ systemctl kill -s KILL mariadb.service; rm -rf {shop.DATADIR}/*")
    said = shop.destroy(demo.fleet)
    demo.tell(f"{RED}the shop is dead:{PLAIN} {said}")
    return last


def prove(demo: Demo, host: str, known: shop.Transaction) -> dict[str, Any]:
    """Check every invariant of the shop's data on ``host`` and that the known transaction is there, hash and all."""
    answer = shop.ask_check(demo.fleet, host, known=known)
    if not answer["ok"] or answer["last_ledger_id"] < known.number:
        raise NotProven(f"the data on {host} is not what it was: {answer}")
    demo.tell(
        f"{GREEN}proved on {host}:{PLAIN} ledger without a hole to {answer['last_ledger_id']}, transaction {known.number}"
        f" has its hash, balances add up to {answer['balance_sum']}, {answer['archive_rows']} archive rows have their checksum"
    )
    return answer


def restore(demo: Demo, host: str, moment: str, known: shop.Transaction, **variables: Any) -> dict[str, Any]:
    """Restore the shop to ``moment`` on ``host`` and prove it."""
    record = demo.play("restore", "--limit", host, backstay_confirm=host, backstay_moment=moment, **variables)
    if record is None or record["status"] != "ok":
        raise NotProven(f"the restore left no good record: {record}")
    return prove(demo, host, known)


def resume(demo: Demo) -> None:
    """Let the application go on with the restored data."""
    first = shop.start_writer(demo.fleet)
    demo.tell(f"the application commits again: transaction {first.number}")


def summary(demo: Demo, done: dict[str, Any], known: shop.Transaction, last: shop.Transaction, back: dict[str, Any]) -> None:
    """Say what was lost, what was proved and how long it took."""
    print(f"\n{BOLD}{GREEN}Proved.{PLAIN}")
    demo.tell(f"moment     {done['consistent_at']}, that of the last log set, {done['bytes'] / 1e6:.1f} MB")
    demo.tell(f"kept       every transaction up to {back['last_ledger_id']}; known before the last log backup: {known.number}")
    lost = last.number - back["last_ledger_id"]
    demo.tell(f"lost       {lost} transactions, committed after that moment (the next log set would have held them)")
    demo.tell(f"backup     full {demo.times['backup']:.1f} s, two logs {demo.times['logs']:.1f} s, while the application ran")
    demo.tell(f"restore    {demo.times['restore']:.1f} s in place, {demo.times['spare']:.1f} s to {SPARE}, proof included")
    demo.tell(f"all steps  {sum(demo.times.values()):.0f} s")
    print(
        "\nThe lab is still up. Look around:\n"
        "   make lab-status\n"
        "   .venv/bin/ansible-playbook playbooks/sets.yml\n"
        f"   lab/lab.py ssh {shop.HOST}        (as Ansible logs in; MariaDB: sudo mariadb shop)\n"
        "Take it away: make lab-down"
    )


def run(demo: Demo) -> None:
    """All steps in order."""
    demo.step("lab", "Bring up the rehearsal fleet: real servers in containers", lambda: bring_up(demo))
    demo.step("offsite", "Set up the offsite server and give the database host its repository", lambda: set_up(demo))
    demo.step("seed", f"Fill the shop with {SEED_MIB} MiB and let it commit", lambda: fill(demo))
    full, _before = demo.step("backup", "Back up while the shop commits", lambda: back_up(demo))
    done, known = demo.step("logs", "Back up what was committed since, twice", lambda: back_up_logs(demo))
    moment = done["consistent_at"]
    demo.step("sets", "List what is recoverable", lambda: demo.play("sets"))
    last = demo.step("loss", "Destroy the database", lambda: lose(demo))
    headline = f"Restore in place, to {moment}: full set, then logs"
    back = demo.step("restore", headline, lambda: restore(demo, shop.HOST, moment, known))
    demo.step("resume", "Let the shop go on", lambda: resume(demo))
    demo.step(
        "spare",
        f"Restore to another host, {SPARE}, to the same moment",
        lambda: restore(demo, SPARE, moment, known, backstay_source=shop.HOST, backstay_keep_aside=False),
    )
    demo.step("verify", "Verify the full set on a scratch copy", lambda: demo.play("verify", backstay_set=full["set"]))
    summary(demo, done, known, last, back)


def main() -> int:
    """Run the demonstration; a step that fails is told whole."""
    try:
        run(Demo(fleet_of_operator()))
    except (NotProven, AssertionError) as error:
        print(f"\n{BOLD}{RED}Not proved:{PLAIN} {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. The lab is still up; run it again, or make lab-down.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
