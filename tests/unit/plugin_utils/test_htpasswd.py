# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import bcrypt
import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.backstay.fleet.plugins.plugin_utils.htpasswd import merge, parse


def opens(text: str, user: str, password: str) -> bool:
    return bcrypt.checkpw(password.encode(), parse(text)[user].encode())


def test_every_user_gets_a_bcrypt_line_that_its_password_opens() -> None:
    text = merge("", {"b": "two", "a": "one"}, keep_unknown=True)
    assert [line.partition(":")[0] for line in text.splitlines()] == ["a", "b"]
    assert opens(text, "a", "one")
    assert opens(text, "b", "two")
    assert not opens(text, "a", "two")


def test_the_second_time_nothing_changes() -> None:
    text = merge("", {"a": "one", "b": "two"}, keep_unknown=True)
    assert merge(text, {"a": "one", "b": "two"}, keep_unknown=True) == text


def test_only_the_line_with_another_password_changes() -> None:
    text = merge("", {"a": "one", "b": "two"}, keep_unknown=True)
    changed = merge(text, {"a": "new", "b": "two"}, keep_unknown=True)
    assert parse(changed)["b"] == parse(text)["b"]
    assert opens(changed, "a", "new")
    assert not opens(changed, "a", "one")


@pytest.mark.parametrize("weak", ["a:{SHA}plain", "a:", "a:plain", "a"])
def test_a_line_that_is_no_bcrypt_hash_is_replaced(weak: str) -> None:
    assert opens(merge(weak + "\n", {"a": "one"}, keep_unknown=True), "a", "one")


def test_unknown_users_stay_or_go_as_wished() -> None:
    text = "# comment\n\n" + merge("", {"gone": "x", "a": "one"}, keep_unknown=True)
    assert set(parse(merge(text, {"a": "one"}, keep_unknown=True))) == {"a", "gone"}
    assert set(parse(merge(text, {"a": "one"}, keep_unknown=False))) == {"a"}


def test_a_password_that_is_not_made_yet_opens_nothing() -> None:
    assert merge("", {"a": None}, keep_unknown=True) == "a:!\n"


def test_a_password_bcrypt_would_cut_is_refused() -> None:
    with pytest.raises(BadInput, match="longer than 72 bytes"):
        merge("", {"a": "ä" * 37}, keep_unknown=True)
