# SPDX-License-Identifier: GPL-3.0-or-later
"""Check plain data against a JSON Schema, standard library only.

Protected hosts have no jsonschema package. This covers the subset that our own schemas use (type, required, properties,
additionalProperties, items, enum, pattern, minimum, minLength, minItems) and a test holds it against the real library.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Iterator

_TYPES: Dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "integer": int,
    "number": (int, float),
}


def problems(schema: Dict[str, Any], value: Any, path: str = "") -> Iterator[str]:
    """Yield one sentence for every place where ``value`` breaks ``schema``; ``path`` names the place."""
    where = path or "the document"
    if "type" in schema and not _has_type(schema["type"], value):
        yield f"{where} must be {_spell(schema['type'])}, not {type(value).__name__}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where} is {value!r}, must be one of: {', '.join(map(str, schema['enum']))}"
    if isinstance(value, str):
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield f"{where} is {value!r}, which does not look like {schema['pattern']}"
        if len(value) < schema.get("minLength", 0):
            yield f"{where} is empty"
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value < schema.get("minimum", value):
        yield f"{where} is {value}, must be at least {schema['minimum']}"
    if isinstance(value, list):
        yield from _list_problems(schema, value, where, path)
    if isinstance(value, dict):
        yield from _object_problems(schema, value, path)


def _list_problems(schema: Dict[str, Any], value: list, where: str, path: str) -> Iterator[str]:
    if len(value) < schema.get("minItems", 0):
        yield f"{where} must have at least {schema['minItems']} item(s)"
    if "items" in schema:
        for index, item in enumerate(value):
            yield from problems(schema["items"], item, f"{path}[{index}]")


def _object_problems(schema: Dict[str, Any], value: Dict[str, Any], path: str) -> Iterator[str]:
    prefix = f"{path}." if path else ""
    known = schema.get("properties", {})
    for name in schema.get("required", []):
        if name not in value:
            yield f"{prefix}{name} is missing"
    for name, item in value.items():
        if name in known:
            yield from problems(known[name], item, prefix + str(name))
        elif schema.get("additionalProperties") is False:
            yield f"{prefix}{name} is not known here (known: {', '.join(sorted(known))})"
        elif isinstance(schema.get("additionalProperties"), dict):
            yield from problems(schema["additionalProperties"], item, prefix + str(name))


def _has_type(wanted: Any, value: Any) -> bool:
    names = wanted if isinstance(wanted, list) else [wanted]
    for name in names:
        if isinstance(value, bool) and name in ("integer", "number"):
            continue
        if isinstance(value, _TYPES[name]):
            return True
        if name == "integer" and isinstance(value, float) and value.is_integer():
            return True  # JSON knows no difference between 1 and 1.0
    return False


def _spell(wanted: Any) -> str:
    return " or ".join(wanted) if isinstance(wanted, list) else str(wanted)
