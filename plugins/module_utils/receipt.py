# SPDX-License-Identifier: GPL-3.0-or-later
"""The receipt: the only thing that makes a set exist.

It is written after every process proved its success, uploaded as a small snapshot of its own, and read back. The tag
``receipt=<SHA-256>`` of that snapshot covers every byte, so a damaged or foreign receipt is never offered.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Dict, List

from .errors import IntegrityError
from .job import KINDS, SET_PATTERN, TRANSPORTS
from .schema import problems

SCHEMA_NAME = "backstay.receipt/1"

_TEXT = {"type": "string", "minLength": 1}
MOMENT = {"type": "string", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z\Z"}
HASH = {"type": "string", "pattern": r"^[0-9a-f]{64}\Z"}
POSITION = {"type": "string", "pattern": r"^[0-9A-Za-z:._-]{1,120}\Z"}
_COUNT = {"type": "integer", "minimum": 0}

RECEIPT_SCHEMA: Dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": [
        "schema",
        "set",
        "run",
        "host",
        "app",
        "kind",
        "parent",
        "chain",
        "position",
        "started_at",
        "consistent_at",
        "transport",
        "artifacts",
        "checks",
        "outage_seconds",
        "events",
        "tools",
        "facts",
    ],
    "properties": {
        "schema": {"type": "string", "enum": [SCHEMA_NAME]},
        "set": {"type": "string", "pattern": SET_PATTERN},
        "run": _TEXT,
        "host": _TEXT,
        "app": _TEXT,
        "kind": {"type": "string", "enum": list(KINDS)},
        "parent": {"type": ["string", "null"]},
        # The receipts of the sets before this one, oldest first, each with an empty chain of its own.
        "chain": {"type": "array", "items": {"type": "object", "required": ["set", "kind", "position"]}},
        "position": {
            "type": "object",
            "additionalProperties": False,
            "required": ["not_before", "not_after", "exact"],
            "properties": {
                "not_before": {"type": "object"},
                "not_after": {"type": "object"},
                "exact": {"type": "boolean"},
            },
        },
        # The stretch of the server's history that the set covers, a point for data: positions whose text order is their
        # order. ``id`` changes when the history breaks; ``mark`` spells ``last`` in another way of the engine, such as GTIDs.
        "stream": {
            "type": "object",
            "additionalProperties": False,
            "required": ["id", "first", "last"],
            "properties": {"id": POSITION, "first": POSITION, "last": POSITION, "mark": {"type": "string"}},
        },
        "started_at": MOMENT,
        # Data: nothing in the set was committed after this moment. Logs: all that was committed before it is in the set or
        # in those before it. By the worker's clock.
        "consistent_at": MOMENT,
        "transport": {"type": "string", "enum": list(TRANSPORTS)},
        "artifacts": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "path", "bytes", "sha256", "exit", "snapshot"],
                "properties": {
                    "name": _TEXT,
                    "path": {"type": "string", "pattern": r"^/[^\x00]*\Z"},
                    "bytes": {"type": "integer", "minimum": 1},
                    "sha256": HASH,
                    "exit": {"type": "integer"},
                    "snapshot": HASH,
                    "seconds": {"type": "number", "minimum": 0},
                },
            },
        },
        "checks": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "status"],
                "properties": {
                    "name": _TEXT,
                    "status": {"type": "string", "enum": ["ok", "warning"]},
                    "detail": {"type": "string"},
                },
            },
        },
        "outage_seconds": {"type": "number", "minimum": 0},
        "events": {
            "type": "array",
            "minItems": 2,
            "items": {"type": "object", "required": ["at", "event"], "properties": {"at": MOMENT, "event": _TEXT}},
        },
        "tools": {"type": "object", "additionalProperties": {"type": "string"}},
        "facts": {"type": "object"},
        "salvaged": {"type": "boolean"},
    },
}


def encode(receipt: Dict[str, Any]) -> bytes:
    """Return the one spelling of ``receipt`` in bytes. Raise IntegrityError when it breaks its schema."""
    check(receipt)
    return json.dumps(receipt, indent=1, sort_keys=True, ensure_ascii=True).encode("ascii") + b"\n"


def decode(raw: bytes, sha256: str) -> Dict[str, Any]:
    """Return the receipt in ``raw``. Raise IntegrityError when its hash is not ``sha256`` or it breaks its schema."""
    found = digest(raw)
    if found != sha256:
        raise IntegrityError(f"the receipt read back has SHA-256 {found}, its snapshot promises {sha256}")
    receipt = json.loads(raw.decode("ascii"))
    check(receipt)
    return receipt


def check(receipt: Dict[str, Any]) -> None:
    """Raise IntegrityError naming everything in ``receipt`` that breaks the schema or the order of events (G-1)."""
    found = list(problems(RECEIPT_SCHEMA, receipt, "receipt"))
    if not found:
        for index, item in enumerate(receipt["chain"]):
            found += problems(RECEIPT_SCHEMA, item, f"receipt.chain[{index}]")
        names = [event["event"] for event in receipt["events"]]
        if names[0] != "start backup" or names[-1] != "end backup":
            found.append("receipt.events must run from 'start backup' to 'end backup'")
    if found:
        raise IntegrityError("the receipt is not valid: " + "; ".join(found))


def digest(raw: bytes) -> str:
    """Return the SHA-256 of ``raw``, in hexadecimal."""
    return hashlib.sha256(raw).hexdigest()


def carried_chain(parent: Dict[str, Any]) -> List[Dict[str, Any]]:
    """Return the chain that a child of ``parent`` carries: the parent's own chain and the parent, chains emptied."""
    return [dict(item, chain=[]) for item in parent["chain"]] + [dict(parent, chain=[])]
