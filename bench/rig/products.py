# SPDX-License-Identifier: GPL-3.0-or-later
"""Both products and both methods: Backstay's own physical full backup against its own dump, and the way back of each."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from rig import lab
from rig.contenders import THREADS, stored_bytes
from rig.fleet import OFFSITE_HOST, Fleet
from rig.moments import seconds_between
from rig.restores import restore_in_place

METHODS = ("physical", "logical")
_DIRTY = "SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'"
_FLUSH = "SET GLOBAL innodb_max_dirty_pages_pct_lwm = 0; SET GLOBAL innodb_max_dirty_pages_pct = 0"
_NO_FLUSH = "SET GLOBAL innodb_max_dirty_pages_pct = DEFAULT; SET GLOBAL innodb_max_dirty_pages_pct_lwm = DEFAULT"


class Product(NamedTuple):
    """A server of the lab, the host that its backups are restored to, and its client."""

    key: str
    title: str
    host: str
    spare: str
    client: str

    @property
    def warm(self) -> str:
        """The inventory name whose backup is not measured."""
        return f"bench-warm-{self.key}"

    def alias(self, method: str) -> str:
        """Return the inventory name, with a repository of its own, for the backups by ``method``."""
        return f"bench-{self.key}-{method}"

    def ask(self, statement: str) -> str:
        """Run ``statement`` on the server and return its rows, tab-separated."""
        return lab.inside(self.host, f'{self.client} -BNe "{statement}"')


PRODUCTS = (
    Product("mariadb", "MariaDB", "shop-db1", "spare1", "mariadb"),
    Product("mysql", "MySQL", "crm-db1", "mysql-spare1", "mysql"),
)
HOSTS = (OFFSITE_HOST, *(host for product in PRODUCTS for host in (product.host, product.spare)))


def stop_writers() -> None:
    """Let nobody write but the benchmark."""
    for product in PRODUCTS:
        lab.inside(product.host, "systemctl stop shop-writer.service")


def start_writers() -> None:
    """Undo ``stop_writers``."""
    for product in PRODUCTS:
        lab.inside(product.host, "systemctl start shop-writer.service")


def aliases() -> dict[str, str]:
    """Return the inventory names that the comparison needs."""
    measured = {product.alias(method): product.host for product in PRODUCTS for method in METHODS}
    return {**measured, **{product.warm: product.host for product in PRODUCTS}}


def compare(fleet: Fleet, mib: int, keep: Callable[[dict[str, Any]], None]) -> None:
    """Measure everybody with ``mib`` MiB of the same bulk data; ``keep`` gets the results again after each measurement."""
    results: dict[str, Any] = {"mib": mib}
    for product in PRODUCTS:
        _prepare(fleet, product, mib)
        mine = results[product.key] = {"version": product.ask("SELECT VERSION()").strip()}
        for method in METHODS:
            mine[method] = {"backup": _backup(fleet, product, method)}
            keep(results)
            mine[method]["restore"] = restore_in_place(
                fleet, product.spare, product.alias(method), _rows(product), product.client
            )
            keep(results)
            lab.say(
                f"{product.title} {method}: backup {mine[method]['backup']['seconds']} s,"
                f" restore {mine[method]['restore']['seconds']} s"
            )


def _prepare(fleet: Fleet, product: Product, mib: int) -> None:
    """Have the worker on the server's host, and the bulk data in the server."""
    product.ask("SET sql_log_bin = 0; DROP DATABASE IF EXISTS shop_archive")
    fleet.backup(product.warm)
    lab.say(f"seeding {mib} MiB into {product.title}")
    lab.seed(product.host, "--mib", str(mib), "--no-binlog")


def _rows(product: Product) -> int:
    return int(product.ask("SELECT COUNT(*) FROM shop_archive.order_lines"))


def _backup(fleet: Fleet, product: Product, method: str) -> dict[str, Any]:
    """Make a first full backup of a server that has written its dirty pages; return times, CPU seconds and bytes."""
    alias = product.alias(method)
    folder = f"/srv/backstay/repositories/{alias}"
    _settle(product)
    meter, before, load = lab.Cpu(product.host), stored_bytes(folder), os.getloadavg()[0]
    began = meter.seconds()
    played = fleet.backup(alias, "-e", f"app_mysql_method={method}", "-e", f"app_mysql_parallel={THREADS}")
    ended, record = meter.seconds(), fleet.newest_record(alias)
    return {
        "seconds": played["seconds"],
        "job_seconds": seconds_between(record["events"], "start backup", "end backup"),
        "control_cpu_seconds": played["cpu_seconds"],
        "host_cpu_seconds": None if began is None or ended is None else round(ended - began, 2),
        "load_before": round(load, 2),
        "bytes": record["bytes"],
        "stored_bytes": stored_bytes(folder) - before,
    }


def _settle(product: Product, seconds: int = 120) -> None:
    """Wait until the server has hardly any dirty page left."""
    product.ask(_FLUSH)
    deadline = time.monotonic() + seconds
    while int(product.ask(_DIRTY).split()[1]) > 100:
        if time.monotonic() > deadline:
            raise lab.BenchError(f"{product.host} did not write its dirty pages within {seconds} s")
        time.sleep(0.2)
    product.ask(_NO_FLUSH)
    os.sync()
