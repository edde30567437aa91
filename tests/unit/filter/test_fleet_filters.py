# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import pytest
import yaml
from ansible_collections.backstay.fleet.plugins import filter as filters

NAMES = sorted(path.stem for path in (Path(__file__).parents[3] / "plugins" / "filter").glob("fleet_*.py"))


def test_there_are_filters_to_look_at() -> None:
    assert len(NAMES) == 8


@pytest.mark.parametrize("name", NAMES)
def test_a_filter_is_called_like_its_file_and_documented_like_its_function(name: str) -> None:
    module = importlib.import_module(f"{filters.__name__}.{name}")
    ((offered, function),) = module.FilterModule().filters().items()
    described = yaml.safe_load(module.DOCUMENTATION)
    assert offered == described["name"] == name
    names = [item.strip() for item in described["positional"].split(",")]
    assert list(described["options"]) == ["_input", *names]
    assert len(inspect.signature(function).parameters) - 1 in (len(names), len(names) + 1)  # one may have a default
