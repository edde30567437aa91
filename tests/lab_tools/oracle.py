# SPDX-License-Identifier: GPL-3.0-or-later
"""Oracle databases of the lab: their application, its record of what was committed, and the proof of their content."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from lab_tools.fleet import Fleet
from lab_tools.waiting import wait_until

HOST = "oracle1"
SPARE = "oracle-spare1"
SID = "ORCL"
HOME = "/u01/app/oracle/product/19.0.0/dbhome_1"
KNOBS = "/u01/app/oracle/standin/{}/knobs"


class Commit(NamedTuple):
    """A transaction as the application recorded it: when (by its own clock), ledger row, hash, SCN."""

    at: str
    number: int
    digest: str
    scn: int


def command(program: str, *arguments: str, sid: str = SID) -> list[str]:
    """Return the command line of a program of the database software, as its account."""
    variables = [f"ORACLE_HOME={HOME}", "ORACLE_BASE=/u01/app/oracle", f"ORACLE_SID={sid}", "TZ=:/etc/localtime"]
    variables += ["NLS_LANG=AMERICAN_AMERICA.AL32UTF8", "NLS_DATE_FORMAT=YYYY-MM-DD HH24:MI:SS"]
    return ["runuser", "-u", "oracle", "--", "env", *variables, f"{HOME}/bin/{program}", *arguments]


def commits(fleet: Fleet, host: str = HOST, sid: str = SID, newest: int = 2000) -> list[Commit]:
    """Return the newest commits that the database confirmed to the application, oldest first."""
    lines = fleet.shell(host, f"tail -n {newest} /var/lib/orawriter/{sid}/committed.log").splitlines()
    found = [line.split() for line in lines]
    return [Commit(words[0], int(words[2]), words[3], int(words[4])) for words in found if len(words) == 5]


def ask_check(fleet: Fleet, host: str = HOST, sid: str = SID, known: Commit | None = None) -> dict[str, Any]:
    """Return what the check of the content says, good or bad."""
    more = ["--at-id", f"{known.number}:{known.digest}"] if known else []
    answer = fleet.ask(host, command("oracle-check", sid, *more, sid=sid))
    return dict(json.loads(answer.stdout)) if answer.stdout else {"ok": False, "problems": [answer.stderr]}


def check(fleet: Fleet, host: str = HOST, sid: str = SID, known: Commit | None = None) -> dict[str, Any]:
    """Prove the content of the database and return its facts. Raise AssertionError with what is broken."""
    answer = ask_check(fleet, host, sid, known)
    assert answer["ok"], f"the database {sid} on {host} is broken: {answer['problems']}"
    return answer


def start_writer(fleet: Fleet, host: str = HOST, sid: str = SID) -> Commit:
    """Start the application and return the first transaction that it committed since."""
    before = commits(fleet, host, sid, 1)
    fleet.run(host, "systemctl", "start", f"orawriter@{sid}.service")

    def moved_on() -> Commit | None:
        now = commits(fleet, host, sid, 1)
        return now[0] if now and now != before else None

    return wait_until(moved_on, "the application commits transactions")


def stop_writer(fleet: Fleet, host: str = HOST, sid: str = SID) -> None:
    fleet.run(host, "systemctl", "stop", f"orawriter@{sid}.service")


def transact(fleet: Fleet, count: int, host: str = HOST, sid: str = SID) -> dict[str, Any]:
    """Commit ``count`` transactions and return the last one: id, hash, scn, written_at."""
    return dict(json.loads(fleet.run(host, *command("oracle-transact", sid, str(count), sid=sid))))


def sql(fleet: Fleet, statement: str, host: str = HOST, sid: str = SID) -> str:
    """Run a statement and return what SQL*Plus prints."""
    script = f"SET PAGESIZE 0 FEEDBACK OFF HEADING OFF NUMWIDTH 20\n{statement};\nEXIT\n"
    return fleet.run(host, *command("sqlplus", "-S", "-L", "/ as sysdba", sid=sid), stdin=script).strip()


def rman(fleet: Fleet, commands: str, host: str = HOST, sid: str = SID) -> str:
    """Run commands of RMAN, as an administrator would, and return what it said."""
    return fleet.run(host, *command("rman", "target", "/", "nocatalog", sid=sid), stdin=f"{commands}\nEXIT;\n")


@contextmanager
def knob(fleet: Fleet, name: str, content: str, host: str = HOST) -> Iterator[str]:
    """Turn a knob of the stand-in while the block runs; gives the file that appears where ``hold_at`` has RMAN stand still."""
    place = KNOBS.format(SID)
    fleet.shell(host, f"install -d -o oracle {place}; cat > {place}/{name}; chmod 666 {place}/{name}", stdin=content)
    try:
        yield f"{place}/held"
    finally:
        fleet.run(host, "rm", "-f", f"{place}/{name}", f"{place}/held")


def destroy(fleet: Fleet, host: str = HOST, sid: str = SID) -> str:
    """Kill the instance and delete data files, control files, online and archived logs and parameter files; prove the loss."""
    for words in (["stop", f"orawriter@{sid}"], ["kill", "--signal=KILL", f"oracle@{sid}"], ["stop", f"oracle@{sid}"]):
        fleet.ask(host, ["systemctl", *words], timeout=120)
    files = " ".join(f"{HOME}/dbs/{name}" for name in (f"spfile{sid}.ora", f"init{sid}.ora", f"orapw{sid}"))
    fleet.shell(host, f"rm -rf /u02/oradata/{sid} /u03/fra/{sid}; rm -f {files}")
    fleet.ask(host, ["systemctl", "restart", f"oracle@{sid}.service"], timeout=120)
    answer = ask_check(fleet, host, sid)
    assert not answer["ok"], f"the database {sid} on {host} survived its destruction: {answer}"
    return "; ".join(map(str, answer["problems"]))
