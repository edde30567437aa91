# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import struct

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import appledouble
from hypothesis import given
from hypothesis import strategies as st
from unit.support.folders import apple_double


@given(fork=st.binary(max_size=200), kind=st.binary(min_size=4, max_size=4), creator=st.binary(min_size=4, max_size=4))
def test_what_was_put_in_is_found(fork: bytes, kind: bytes, creator: bytes) -> None:
    raw = apple_double(fork, kind, creator)
    found = appledouble.parse(raw, len(raw))
    assert found is not None and found.finder is not None
    start, length = found.fork
    assert raw[start : start + length] == fork
    assert (found.finder.type.encode("mac_roman"), found.finder.creator.encode("mac_roman")) == (kind, creator)


@given(raw=st.binary(max_size=120), size=st.integers(0, 500))
def test_any_bytes_are_judged_and_never_break_it(raw: bytes, size: int) -> None:
    for head in (raw, struct.pack(">II", 0x00051607, 0x00020000) + raw):
        found = appledouble.parse(head, size)
        assert found is None or sum(found.fork) <= size


@given(cut=st.integers(0, 70), position=st.integers(0, 70), value=st.integers(0, 255))
def test_a_damaged_file_never_breaks_it(cut: int, position: int, value: int) -> None:
    raw = bytearray(apple_double(b"fork" * 10))
    raw[position] = value
    assert appledouble.parse(bytes(raw[:cut]), cut) is None or cut >= 50
    appledouble.parse(bytes(raw), len(raw))


@pytest.mark.parametrize("change", [(0, b"\x00\x05\x16\x00"), (4, b"\x00\x03\x00\x00"), (24, b"\xff\xff")])
def test_what_is_no_appledouble_is_told(change: tuple[int, bytes]) -> None:
    raw = bytearray(apple_double(b"fork"))
    raw[change[0] : change[0] + len(change[1])] = change[1]
    assert appledouble.parse(bytes(raw), len(raw)) is None


def test_attributes_of_several_servers_are_understood() -> None:
    finder = b"TEXTttxt" + bytes(24)
    assert appledouble.in_attributes({"user.text": b"1"}) is None
    assert appledouble.in_attributes({"user.com.apple.ResourceFork": b"fork", "user.com.apple.FinderInfo": finder}) == (
        b"fork",
        appledouble.FinderInfo("TEXT", "ttxt", 0),
    )
    netatalk = apple_double(b"")
    found = appledouble.in_attributes({"user.org.netatalk.Metadata": netatalk, "user.org.netatalk.ResourceFork": b"other"})
    assert found == (b"other", appledouble.FinderInfo("PSmq", "PSml", 0))


@pytest.mark.parametrize(
    ("path", "answer"),
    [(b"._x", True), (b"a/._x", True), (b".AppleDouble/x", True), (b"a/.AppleDouble/x", True), (b"x", False), (b"a._x", False)],
)
def test_a_companion_is_known_by_its_name(path: bytes, answer: bool) -> None:
    assert appledouble.is_companion(path) is answer
