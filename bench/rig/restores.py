# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores into a running server on the spare host: Backstay in place, and a dump loaded as people do it."""

from __future__ import annotations

import json
from typing import Any

from rig.fleet import ACCESS, DATABASE_HOST, SPARE_HOST, Fleet, restic
from rig.lab import LAB, ON_HOST, PROJECT, BenchError, inside, must, put
from rig.moments import seconds_between

_COUNT = "SELECT COUNT(*) FROM shop_archive.order_lines"


def expected_rows() -> int:
    """Return the rows of the bulk table on the database host."""
    return int(inside(DATABASE_HOST, f"mariadb -BNe '{_COUNT}'"))


def restore_in_place(fleet: Fleet, host: str, source: str, rows: int, client: str = "mariadb") -> dict[str, Any]:
    """Restore ``source`` in place on ``host``, until the server answers; the row count is asked for afterwards."""
    arguments = ["--limit", host, "-e", f"backstay_source={source}", "-e", f"backstay_confirm={host}"]
    played = fleet.play(PROJECT / "playbooks" / "restore.yml", *arguments, "-e", "backstay_keep_aside=false")
    record = fleet.newest_record(host)
    found = int(inside(host, f"{client} -BNe '{_COUNT}'"))
    if found != rows:
        raise BenchError(f"the restore brought {found} rows of {rows}")
    job = seconds_between(record["events"], "start restore", "end restore")
    return {
        "seconds": played["seconds"],
        "job_seconds": job,
        "outage_seconds": record["outage_seconds"],
        "control_cpu_seconds": played["cpu_seconds"],
    }


def logical_load(alias: str, dump_bytes: int, limit: float, rows: int) -> dict[str, Any]:
    """Load the hand-written playbook's dump out of the repository of ``alias`` for at most ``limit`` seconds.

    ``seconds`` is what was measured, ``share`` the part of the dump that the server took in that time.
    """
    for name in ("url", "password", "ca.pem"):
        put(SPARE_HOST, f"{ACCESS}/{alias}/{name}", inside(DATABASE_HOST, f"cat {ACCESS}/{alias}/{name}"))
    inside(SPARE_HOST, "mariadb -e 'DROP DATABASE IF EXISTS shop_archive'")
    source = f"{restic(alias)} dump latest /var/backups/handwritten/all.sql"
    program = (ON_HOST / "feed.py").read_text(encoding="utf-8")
    sink = "mariadb --binary-mode"
    output = must([*LAB, "exec", SPARE_HOST, "--", "python3", "-", str(limit), source, sink], program)
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    inside(SPARE_HOST, f"rm -rf {ACCESS}/{alias}")
    if result["finished"]:
        found = int(inside(SPARE_HOST, f"mariadb -BNe '{_COUNT}'"))
        if found != rows or result["fed"] != dump_bytes:
            raise BenchError(f"the load brought {found} rows of {rows}, {result['fed']} of {dump_bytes} bytes")
    share = result["fed"] / dump_bytes
    return dict(result, share=round(share, 4), whole_seconds=round(result["seconds"] / share, 1))
