# SPDX-License-Identifier: GPL-3.0-or-later
"""Two folders of one service; the operator's own commands around its stop."""

from __future__ import annotations

from typing import Any

FACTS: dict[str, Any] = {
    "datadir": "/srv/ledger",
    "folders": [
        {
            "folder": path,
            "real": path,
            "artifact": name,
            "yard": f"/srv/.backstay-{name}",
            "bytes": 1 << 20,
        }
        for path, name in (("/srv/ledger", "srv-ledger"), ("/srv/a b", "srv-a-b"))
    ],
    "services": [{"service": "ledger", "control": {"start": ["a"], "stop": ["b"], "status": ["c"], "listed": "Ledger"}}],
}
HOOKS = {"app_files_before": ["/opt/ledger/freeze"], "app_files_after": ["/opt/ledger/thaw"]}
OWN_WAYS: dict[str, tuple[str, dict[str, Any]]] = {"prepare hooks": ("prepare", HOOKS), "restore hooks": ("restore", HOOKS)}
