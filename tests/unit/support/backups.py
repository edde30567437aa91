# SPDX-License-Identifier: GPL-3.0-or-later
"""Backup jobs of the app for tests in a sandbox, and what came of them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import receipt, restic
from ansible_collections.backstay.fleet.plugins.module_utils.worker.requests import sets
from unit.support.sandbox import Sandbox
from unit.support.steps import Step, good

BOTH = pytest.mark.parametrize("transport", ["stream", "stage"])
LIVE = {"ibdata1": b"live", "shop": {"t.ibd": b"live too"}}  # the data directory of a server
SET = "20261121T090000Z-aaaaaa01"
STREAM = {"id": "20261121T090000Z-aaaaaa01", "first": "0007", "last": "0007"}


def back_up(sandbox: Sandbox, steps: list[Step] | None = None, **changes: Any) -> dict[str, Any]:
    return sandbox.run(sandbox.backup(steps or [good()], **changes))


def next_run(number: int, **changes: Any) -> dict[str, Any]:
    """Return what makes a later run of the same host and app."""
    return dict(
        {"run": f"20261121T1{number}0000Z-testapp-{number}", "set": f"20261121T1{number}0000Z-bbbbbb0{number}"}, **changes
    )


def next_log(number: int, **changes: Any) -> dict[str, Any]:
    """Return what makes a later run that takes logs; they are staged, because their server gives them up."""
    return next_run(number, **dict({"kind": "log", "transport": "stage"}, **changes))


def offered(sandbox: Sandbox) -> list[str]:
    """Return the sets that the worker offers for restore."""
    found = sets({"host": "shop-db1", "app": "testapp", "directory": str(sandbox.access)})["sets"]
    return [item["set"] for item in found]


def stored_receipt(sandbox: Sandbox, name: str = SET) -> dict[str, Any]:
    """Return the receipt of a set as it lies in the repository, checked against its tag."""
    (snapshot,) = sandbox.snapshots(f"set={name}", "part=receipt")
    raw = (sandbox.repository / "blobs" / snapshot["id"] / "0").read_bytes()
    return receipt.decode(raw, restic.read_tags(snapshot)["receipt"])
