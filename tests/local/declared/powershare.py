# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine with a mail server, and one with a catalog server beside it."""

from __future__ import annotations

from typing import Any


def found(*kinds: str) -> dict[str, Any]:
    """Return the facts of a machine with these PowerShare servers."""
    servers = [
        {
            "kind": kind,
            "title": f"{kind} server",
            "folder": f"/Volumes/Post/PowerShare {kind.capitalize()} Data",
            "yard": f"/Volumes/Post/.backstay-PowerShare {kind.capitalize()} Data",
            "name": f"PowerShare {kind.capitalize()} Data",
            "service": f"powershare-{kind}.service",
            "bytes": 1 << 30,
            "prefs": [f"PowerShare {kind.capitalize()} Prefs"],
        }
        for kind in kinds
    ]
    return {"datadir": servers[0]["folder"], "kind": "full", "servers": servers}


FACTS = found("mail")
BOTH = {"backstay_facts": found("mail", "catalog")}
OWN_WAYS: dict[str, tuple[str, dict[str, Any]]] = {"prepare both": ("prepare", BOTH), "restore both": ("restore", BOTH)}
