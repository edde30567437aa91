# SPDX-License-Identifier: GPL-3.0-or-later
"""Receipts and the summaries made of their tags, for tests."""

from __future__ import annotations

from typing import Any


def make_receipt(**changes: Any) -> dict[str, Any]:
    """Return a valid receipt of a full set; ``changes`` replace its parts."""
    moment = "2026-11-21T09:00:00.000000Z"
    made = {
        "schema": "backstay.receipt/1",
        "set": "20261121T090000Z-aaaaaa01",
        "run": "20261121T090000Z-mysql-1",
        "host": "shop-db1",
        "app": "mysql",
        "kind": "full",
        "parent": None,
        "chain": [],
        "position": {"not_before": {"lsn": 1}, "not_after": {"lsn": 1}, "exact": True},
        "started_at": moment,
        "consistent_at": moment,
        "transport": "stream",
        "artifacts": [
            {
                "name": "data",
                "path": "/mysql-data",
                "bytes": 5,
                "sha256": "ab" * 32,
                "exit": 0,
                "snapshot": "cd" * 32,
                "seconds": 1.5,
            }
        ],
        "checks": [{"name": "completed OK!", "status": "ok", "detail": ""}],
        "outage_seconds": 0.0,
        "events": [{"at": moment, "event": "start backup"}, {"at": moment, "event": "end backup"}],
        "tools": {"mariadb-backup": "11.8.3"},
        "facts": {"version": "11.8.3-MariaDB"},
    }
    return dict(made, **changes)


def summary(name: str, kind: str, parent: str | None, consistent_at: str, **more: Any) -> dict[str, Any]:
    """Return what the tags of a receipt snapshot say about a set; ``more``: stream, first, last, mark, ..."""
    return {"set": name, "kind": kind, "parent": parent, "consistent_at": consistent_at, **more}
