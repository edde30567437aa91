# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents for the schemas of Backstay: valid ones, and the same with one thing spoilt."""

from __future__ import annotations

import copy
import re
from typing import Any

from hypothesis import strategies as st

# At least one fits each pattern of our schemas; much quicker than making texts from patterns.
_SAMPLES = [
    "/srv/shop", "/ä\n", "data", "mysql", "run-20261121", "20261121T090000Z-mysql.1_a", "20261121T090000Z-0a1b2c",
    "2026-11-21T09:00:00.123456Z", "0123456789abcdef" * 4, "00" * 32,
]  # fmt: skip
any_json = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-2, 2) | st.sampled_from([1.0, 0.0, "", "x", "full", "a\n"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["set", "name", "kind", "z"]), inner, max_size=2)
    ),
    max_leaves=4,
)


def valid(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return documents that keep ``schema``, for the words that our schemas use."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kinds = schema.get("type")
    if isinstance(kinds, list):
        return st.one_of(*(valid(dict(schema, type=kind)) for kind in kinds))
    if kinds == "string":
        if "pattern" in schema:
            return st.sampled_from([sample for sample in _SAMPLES if re.search(schema["pattern"], sample)])
        return st.text("aß /%", min_size=schema.get("minLength", 0), max_size=6)
    if kinds == "array":
        return st.lists(
            valid(schema.get("items", {})), min_size=schema.get("minItems", 0), max_size=schema.get("minItems", 0) + 1
        )
    if kinds == "object":
        return _objects(schema)
    simple = {
        "integer": st.integers(schema.get("minimum", -5), 1 << 40),
        "number": st.integers(schema.get("minimum", -5), 1 << 40) | st.floats(schema.get("minimum", -5), 1e9),
        "boolean": st.booleans(),
        "null": st.none(),
    }
    return simple[kinds] if kinds else any_json


def _objects(schema: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    known = {name: valid(item) for name, item in schema.get("properties", {}).items()}
    required = {name: known.get(name, any_json) for name in schema.get("required", [])}
    optional = {name: item for name, item in known.items() if name not in required}
    made: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(required, optional=optional)
    more = schema.get("additionalProperties", True)
    if more is False:
        return made
    others = st.dictionaries(
        st.sampled_from(["extra", "more"]), valid(more) if isinstance(more, dict) else any_json, max_size=2
    )
    return st.builds(lambda base, extra: dict(extra, **base), made, others)


def _places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    if isinstance(document, (dict, list)):
        for key in document if isinstance(document, dict) else range(len(document)):
            found += _places(document[key], (*path, key))
    return found


@st.composite
def spoilt(draw: st.DrawFn, schema: dict[str, Any]) -> Any:
    """Return a valid document in which one thing was replaced, removed or added; it may be valid by luck."""
    document = copy.deepcopy(draw(valid(schema)))
    path = draw(st.sampled_from(_places(document)))
    if not path:
        return draw(any_json)
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    change = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
    if change == "replace":
        parent[path[-1]] = draw(any_json)
    elif change == "remove":
        del parent[path[-1]]
    elif isinstance(parent, dict):
        parent[draw(st.sampled_from(["extra", "name", "steps", "kind", "set"]))] = draw(any_json)
    else:
        parent.append(draw(any_json))
    return document
