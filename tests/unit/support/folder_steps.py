# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps that save folders of a stopped application and bring them back, as app_files declares them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.backstay.fleet.plugins.module_utils.yard import yard
from unit.support.steps import Step, service

NAMES = ("first", "second", "third")


def save(folders: list[Path], *between: Step, name: str = "ledger", **more: Any) -> list[Step]:
    """Return the steps of a backup of ``folders``; ``between`` are done while the service is stopped."""
    ahead: list[Step] = [{"name": f"Ahead {path}", "copy_ahead": {"folder": str(path), **more}} for path in folders]
    taken: list[Step] = [{"name": f"Picture {path}", "picture": {"folder": str(path), **more}} for path in folders]
    return [*ahead, service("stopped", name), *taken, *between, service("resumed", name), *archive(folders)]


def archive(folders: list[Path]) -> list[Step]:
    """Return the steps that archive the pictures of ``folders``."""
    return [
        {"name": f"Archive {path}", "archive": {"artifact": name, "folder": str(path)}}
        for name, path in zip(NAMES, folders, strict=False)
    ]


def bring_back(folders: list[Path], *after: Step, name: str = "ledger", **swap: Any) -> list[Step]:
    """Return the steps of a restore in place; ``after`` are done between the exchanges and the start."""
    landed: list[Step] = []
    exchanged: list[Step] = []
    for artifact, path in zip(NAMES, folders, strict=False):
        landing = str(yard(path) / "landing-1")
        landed.append({"name": f"Land {path}", "land": {"artifact": artifact, "kinds": ["full"], "into": landing}})
        landed.append({"name": f"Prove {path}", "prove": {"artifact": artifact, "directory": landing}})
        arguments = {"target": str(path), "landing": landing, "with_root": True, **swap}
        exchanged.append({"name": f"Exchange {path}", "swap": arguments})
        exchanged.append({"name": f"Discard {path}", "discard": {"path": landing}})
    return [*landed, service("stopped", name), *exchanged, *after, service("started", name)]
