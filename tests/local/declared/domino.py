# SPDX-License-Identifier: GPL-3.0-or-later
"""A server with transaction logging of archive style, and one that has to be stopped."""

from __future__ import annotations

from typing import Any

FACTS: dict[str, Any] = {
    "data": "/local/notesdata",
    "datadir": "/local/notesdata",
    "yard": "/local/.backstay-notesdata",
    "kind": "full",
    "method": "native",
    "style": "archive",
    "folders": [
        {
            "artifact": "data",
            "role": "data",
            "folder": "/local/notesdata",
            "yard": "/local/.backstay-notesdata",
            "exclude": ["*.[nN][sS][fF]"],
            "bytes": 1 << 20,
        }
    ],
    "beside": [{"artifact": name, "yard": "/local/.backstay-notesdata"} for name in ("databases", "ini", "ids")],
    "exchanged": [
        {"artifact": "data", "folder": "/local/notesdata", "yard": "/local/.backstay-notesdata"},
        {"artifact": "log", "folder": "/local/translog", "yard": "/local/.backstay-translog"},
    ],
    "landings": [{"yard": "/local/.backstay-notesdata"}, {"yard": "/local/.backstay-translog"}],
    "log_kinds": ["full", "log"],
    "data_bytes": 1 << 30,
    "log_bytes": 1 << 20,
    "services": [{"service": "domino"}],
}
OWN_WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "prepare offline": ("prepare", {"backstay_facts": dict(FACTS, method="offline")}),
    "restore one": ("restore", {"app_domino_database": "a.nsf", "app_domino_database_target": "b.nsf"}),
}
