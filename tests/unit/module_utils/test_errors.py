# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.backstay.fleet.plugins.module_utils import errors


def _classes() -> list[type[errors.BackstayError]]:
    found = [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, errors.BackstayError)]
    assert len(found) > 10
    return found


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [item.code for item in _classes()]
    assert sorted(codes) == sorted(set(codes))


def test_an_error_travels_as_three_fields() -> None:
    for kind in _classes():
        error = kind("the disk is full", "make room")
        assert error.as_dict() == {"code": kind.code, "message": "the disk is full", "hint": "make room"}
        assert str(error) == "the disk is full"


def test_every_refusal_is_an_error_that_changed_nothing() -> None:
    assert issubclass(errors.Busy, errors.Refused)
    assert issubclass(errors.PlanRefused, errors.Refused)
