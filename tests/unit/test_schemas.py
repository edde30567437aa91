# SPDX-License-Identifier: GPL-3.0-or-later
"""The published schemas are the ones the code enforces."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import job, receipt, results
from ansible_collections.backstay.fleet.plugins.plugin_utils import runbook

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"


PUBLISHED = [
    ("receipt-1.json", receipt.RECEIPT_SCHEMA),
    ("job-1.json", job.JOB_SCHEMA),
    ("results-1.json", results.RESULTS_SCHEMA),
    ("runbook-1.json", runbook.RUNBOOK_SCHEMA),
]


@pytest.mark.parametrize(("name", "schema"), PUBLISHED)
def test_the_published_schema_is_the_enforced_one(name: str, schema: dict) -> None:
    published = json.loads((SCHEMAS / name).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(published)
    assert {key: value for key, value in published.items() if not key.startswith("$")} == schema
