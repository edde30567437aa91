# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.names import quote_name, unquote_name
from hypothesis import given
from hypothesis import strategies as st

any_name = st.one_of(st.text(), st.binary().map(os.fsdecode))


@given(any_name)
def test_every_name_comes_back_from_its_spelling(name: str) -> None:
    assert unquote_name(quote_name(name)) == name


@given(any_name)
def test_a_spelling_is_safe_as_file_unit_and_tag(name: str) -> None:
    spelled = quote_name(name)
    assert re.fullmatch(r"[A-Za-z0-9._=-]*", spelled, re.ASCII)
    assert not spelled.startswith(".")
    assert Path("/base", spelled).parent == Path("/base") or not spelled


@given(st.lists(any_name, min_size=2, max_size=8, unique=True))
def test_two_names_never_share_a_spelling(names: list[str]) -> None:
    assert len({quote_name(name) for name in names}) == len(names)


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("shop-db1", "shop-db1"),
        ("Läden 1", "L=C3=A4den=201"),
        ("../../etc", "=2E.=2F..=2Fetc"),
        (".", "=2E"),
        ("a=b", "a=3Db"),
        ("50%", "50=25"),
    ],
)
def test_spelling(name: str, spelled: str) -> None:
    assert quote_name(name) == spelled


@given(any_name)
def test_a_spelled_name_makes_a_file(name: str) -> None:
    spelled = quote_name(name)
    assert "/" not in spelled
    assert "\0" not in spelled
    assert os.fsencode(spelled) == spelled.encode("ascii")
