# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own checker must come to the same verdict as the real jsonschema library, on all schemas that travel."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.job import JOB_SCHEMA
from ansible_collections.backstay.fleet.plugins.module_utils.receipt import RECEIPT_SCHEMA
from ansible_collections.backstay.fleet.plugins.module_utils.results import RESULTS_SCHEMA
from ansible_collections.backstay.fleet.plugins.module_utils.schema import problems
from hypothesis import example, given
from unit.support.documents import any_json, spoilt, valid

_KNOWN_WORDS = {
    "type", "required", "properties", "additionalProperties", "items", "enum", "pattern", "minimum", "minLength", "minItems",
}  # fmt: skip


_THEIRS = {id(schema): jsonschema.Draft202012Validator(schema) for schema in (JOB_SCHEMA, RECEIPT_SCHEMA, RESULTS_SCHEMA)}


def _same_verdict(schema: dict[str, Any], document: Any) -> bool:
    """Hold both checkers against each other; return the verdict."""
    ours = list(problems(schema, document))
    validator = _THEIRS.get(id(schema)) or jsonschema.Draft202012Validator(schema)
    theirs = [error.message for error in validator.iter_errors(document)]
    assert bool(ours) == bool(theirs), f"ours: {ours}, jsonschema: {theirs}"
    return not ours


@given(valid(JOB_SCHEMA))
def test_valid_jobs_pass_both(document: Any) -> None:
    assert _same_verdict(JOB_SCHEMA, document)


@given(valid(RECEIPT_SCHEMA))
def test_valid_receipts_pass_both(document: Any) -> None:
    assert _same_verdict(RECEIPT_SCHEMA, document)


@given(valid(RESULTS_SCHEMA))
def test_valid_results_pass_both(document: Any) -> None:
    assert _same_verdict(RESULTS_SCHEMA, document)


@given(spoilt(JOB_SCHEMA))
def test_spoilt_jobs_get_the_same_verdict(document: Any) -> None:
    _same_verdict(JOB_SCHEMA, document)


@given(spoilt(RECEIPT_SCHEMA))
def test_spoilt_receipts_get_the_same_verdict(document: Any) -> None:
    _same_verdict(RECEIPT_SCHEMA, document)


@given(spoilt(RESULTS_SCHEMA))
def test_spoilt_results_get_the_same_verdict(document: Any) -> None:
    _same_verdict(RESULTS_SCHEMA, document)


_PARTS = [
    {"type": "integer", "minimum": 1},
    {"type": ["string", "null"], "minLength": 2},
    {"type": "number", "minimum": 0.5},
    {"type": "array", "minItems": 2, "items": {"type": "boolean"}},
    {"type": "object", "required": ["z"], "properties": {"z": {"type": "null"}}, "additionalProperties": {"type": "integer"}},
    {"enum": ["x", "full"]},
    {"type": "string", "pattern": "^x"},
    {},
]


@pytest.mark.parametrize("schema", _PARTS, ids=str)
@given(any_json)
@example(1.0)
@example(True)
@example("x\n")
def test_every_word_means_what_it_means_elsewhere(schema: dict[str, Any], document: Any) -> None:
    _same_verdict(schema, document)


@pytest.mark.parametrize("schema", [JOB_SCHEMA, RECEIPT_SCHEMA], ids=["job", "receipt"])
def test_the_schemas_use_no_word_that_the_checker_ignores(schema: Any) -> None:
    def words(part: Any) -> set[str]:
        found = set(part)
        for inner in [*part.get("properties", {}).values(), part.get("items"), part.get("additionalProperties")]:
            if isinstance(inner, dict):
                found |= words(inner)
        return found

    assert words(schema) <= _KNOWN_WORDS
    jsonschema.Draft202012Validator.check_schema(schema)


def test_a_problem_names_its_place() -> None:
    schema = {"type": "object", "properties": {"steps": {"type": "array", "items": {"type": "object", "required": ["name"]}}}}
    assert list(problems(schema, {"steps": [{"name": "a"}, {}]}, "job")) == ["job.steps[1].name is missing"]
    assert list(problems({"type": "integer"}, "5", "job.x")) == ["job.x must be integer, not str"]


@pytest.mark.parametrize("schema", [JOB_SCHEMA, RECEIPT_SCHEMA], ids=["job", "receipt"])
def test_no_pattern_lets_a_line_end_slip_through(schema: Any) -> None:
    """A trailing newline would end up in file names and tags: ``$`` matches before it, so patterns end otherwise."""

    def patterns(part: Any) -> list[str]:
        if isinstance(part, dict):
            own = [part["pattern"]] if isinstance(part.get("pattern"), str) else []
            return own + [found for item in part.values() for found in patterns(item)]
        return []

    found = patterns(schema)
    assert len(found) >= 2
    for pattern in found:
        assert not pattern.endswith("$"), pattern
