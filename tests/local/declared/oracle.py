# SPDX-License-Identifier: GPL-3.0-or-later
"""A database whose files RMAN knows: preflight names no data directory."""

from __future__ import annotations

from typing import Any

FACTS: dict[str, Any] = {"kind": "full", "data_bytes": 1 << 30, "log_bytes": 1 << 20, "services": [{"service": "oracle@ORCL"}]}
LIVE = "/u02/oradata"
FROM_AFAR = ("prepare", "verify")  # FACTS name a service without control commands, which a restore would need there
