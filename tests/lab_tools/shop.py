# SPDX-License-Identifier: GPL-3.0-or-later
"""The shop: a server of either product whose data can be proved, and the record of what its application committed."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from lab_tools.fleet import Fleet
from lab_tools.waiting import wait_until

HOST = "shop-db1"
DATADIR = "/var/lib/mysql"
SOCKET = "/run/mysqld/mysqld.sock"
MYSQL_HOSTS = ("crm-db1", "mysql-spare1")
RECORD = "/var/lib/shop-writer/committed.log"


def service(host: str) -> str:
    """Return the service of the server on ``host``."""
    return "mysql.service" if host in MYSQL_HOSTS else "mariadb.service"


class Transaction(NamedTuple):
    """A transaction that the server confirmed to the application: ledger row and its hash."""

    number: int
    digest: str


def committed(fleet: Fleet, host: str = HOST) -> Transaction:
    """Return the last transaction that the application knows to be committed; number 0 when there was none yet."""
    line = fleet.shell(host, f"grep -s ' commit ' {RECORD} | tail -n 1").split()
    return Transaction(int(line[2]), line[3]) if line else Transaction(0, "")


class Commit(NamedTuple):
    """A transaction as the application recorded it: when (by its own clock), ledger row, hash, GTID."""

    at: str
    number: int
    digest: str
    gtid: str


def commits(fleet: Fleet, host: str = HOST, newest: int = 2000) -> list[Commit]:
    """Return the newest commits that the server confirmed to the application, oldest first."""
    lines = fleet.shell(host, f"grep -s ' commit ' {RECORD} | tail -n {newest}").splitlines()
    found = [line.split() for line in lines]
    return [Commit(words[0], int(words[2]), words[3], words[4]) for words in found if len(words) == 5]


def check(fleet: Fleet, host: str = HOST, socket: str = SOCKET, known: Transaction | None = None) -> dict[str, Any]:
    """Prove the shop's data on ``host`` and return its facts. Raise AssertionError with what is broken.

    ``known`` is a transaction that must be there with exactly its hash.
    """
    answer = ask_check(fleet, host, socket, known)
    assert answer["ok"], f"the shop's data on {host} is broken: {answer['problems']}"
    return answer


def ask_check(fleet: Fleet, host: str = HOST, socket: str = SOCKET, known: Transaction | None = None) -> dict[str, Any]:
    """Return what the check says, good or bad."""
    argv = ["python3", "/opt/shop/writer/shop_check.py", "--socket", socket, "--archive"]
    if known:
        argv += ["--at-id", f"{known.number}:{known.digest}"]
    return dict(json.loads(fleet.ask(host, argv).stdout))


def start_writer(fleet: Fleet, host: str = HOST) -> Transaction:
    """Start the application and return the first transaction that it committed since."""
    before = committed(fleet, host)
    fleet.run(host, "systemctl", "start", "shop-writer.service")

    def moved_on() -> Transaction | None:
        now = committed(fleet, host)
        return now if now != before else None

    return wait_until(moved_on, "the shop commits transactions")


def stop_writer(fleet: Fleet, host: str = HOST) -> Transaction:
    """Stop the application and return its last committed transaction."""
    fleet.run(host, "systemctl", "stop", "shop-writer.service")
    return committed(fleet, host)


def quiesce(fleet: Fleet, host: str = HOST) -> dict[str, Any]:
    """Stop application and server-side events and return the facts of the data, which now stands still."""
    stop_writer(fleet, host)
    sql(fleet, "SET GLOBAL event_scheduler = OFF", host)
    return check(fleet, host)


def sql(fleet: Fleet, statement: str, host: str = HOST, socket: str = SOCKET) -> str:
    """Run ``statement`` as the server's root and return its rows, tab-separated."""
    return fleet.run(host, "mysql", f"--socket={socket}", "--batch", "--skip-column-names", "-e", statement)


def running(fleet: Fleet, host: str = HOST) -> bool:
    """Whether the server answers."""
    return fleet.ask(host, ["mysql", f"--socket={SOCKET}", "-e", "SELECT 1"]).status == 0


def destroy(fleet: Fleet, host: str = HOST) -> str:
    """Kill the server, delete its data directory's content, and prove the loss; return what the server says of it."""
    fleet.ask(host, ["systemctl", "stop", "shop-writer.service"])
    unit = service(host)
    kill = f"systemctl kill --signal=KILL {unit}; systemctl stop {unit}"  # or systemd starts it again meanwhile
    fleet.shell(host, f'{kill}; find {DATADIR} -mindepth 1 -delete; test -z "$(ls -A {DATADIR})"')
    # Starting the server again does not bring the data back (MySQL does not even start without any).
    fleet.ask(host, ["systemctl", "restart", unit], timeout=120)
    answer = ask_check(fleet, host)
    assert not answer["ok"], f"the data of {host} survived its destruction: {answer}"
    return "; ".join(answer["problems"])


def datadir_listing(fleet: Fleet, host: str = HOST) -> list[str]:
    """Return names, owners and sizes below the data directory, without what a running server changes by itself."""
    script = f"find {DATADIR} -printf '%P %y %u:%g %m\\n' | sort"
    return fleet.shell(host, script).splitlines()
