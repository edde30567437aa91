# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.backstay.fleet.plugins.module_utils.job import JOB_SCHEMA
from ansible_collections.backstay.fleet.plugins.module_utils.moment import format_moment, now, parse_moment, set_id
from hypothesis import given
from hypothesis import strategies as st

zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30), timezones=zones)


@given(moments)
def test_a_moment_comes_back_from_its_text(moment: datetime) -> None:
    assert parse_moment(format_moment(moment)) == moment


@given(moments, moments)
def test_text_order_is_time_order(one: datetime, other: datetime) -> None:
    assert (format_moment(one) < format_moment(other)) == (one < other)


@given(moments)
def test_a_moment_with_any_zone_is_understood(moment: datetime) -> None:
    for text in (moment.isoformat(), moment.isoformat(" "), moment.isoformat().replace("T", " ") + " "):
        assert parse_moment(text) == moment


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-11-21T09:39Z", "2026-11-21T09:39:00.000000Z"),
        ("2026-11-21 10:39:29 +0100", "2026-11-21T09:39:29.000000Z"),
        ("2026-11-21T09:39:29.5Z", "2026-11-21T09:39:29.500000Z"),
        ("2026-11-21T23:30:00-01:00", "2026-11-22T00:30:00.000000Z"),
    ],
)
def test_other_spellings(text: str, same: str) -> None:
    assert format_moment(parse_moment(text)) == same


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-11-21",
        "2026-11-21T09:39:29",
        "2026-13-21T09:39:29Z",
        "2026-11-21T25:00Z",
        "0001-01-01T00:00:00+14:00",
    ],
)
def test_no_zone_or_no_moment_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="is not a moment"):
        parse_moment(text)


def test_now_is_utc_and_a_set_id_sorts_by_time_and_fits_the_job() -> None:
    moment = now()
    assert moment.utcoffset() == timedelta(0)
    first, second = set_id(moment, "ffffffff"), set_id(moment + timedelta(seconds=1), "00000000")
    assert first < second
    assert re.search(JOB_SCHEMA["properties"]["set"]["pattern"], first)
