# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import string
from urllib.parse import quote

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.redact import MASK, redact
from hypothesis import assume, given
from hypothesis import strategies as st

# Long enough not to stand in the surrounding text by chance.
secrets = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"]), min_size=6, max_size=30)
simple_secrets = st.text(string.ascii_letters + string.digits + "!#$%&()*+./:<>?@[]^_{|}~,;=-", min_size=6, max_size=30)
texts = st.text(max_size=40)
NAMES = [
    "password",
    "RESTIC_PASSWORD",
    "db-password",
    "passwd",
    "client_secret",
    "TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "access_key_id",
]


def _unlikely(secret: str, *around: str) -> None:
    """Leave out secrets that stand in the text or the mask anyway."""
    assume(not set(secret) <= {"*"} and not any(secret in text for text in (*around, MASK)))


@given(st.lists(secrets, min_size=1, max_size=4), texts, texts)
def test_a_given_secret_never_survives(given_secrets: list[str], before: str, after: str) -> None:
    for secret in given_secrets:
        _unlikely(secret, before, after)
        text = redact(before + secret + after, given_secrets)
        assert secret not in text


@given(secrets, texts)
def test_a_password_in_a_url_never_survives(secret: str, before: str) -> None:
    text = f"{before} rest:https://shop:{quote(secret, safe='')}@offsite.example:8000/shop/ refused"
    _unlikely(quote(secret, safe=""), before, "rest:https://shop:@offsite.example:8000/shop/ refused")
    assert quote(secret, safe="") not in redact(text)
    assert "@offsite.example:8000/shop/ refused" in redact(text)


@given(simple_secrets, st.sampled_from(NAMES), st.sampled_from(["=", ": ", "= ", ":"]))
def test_the_value_of_a_secret_name_never_survives(secret: str, name: str, sign: str) -> None:
    _unlikely(secret, name, "error near  at line 3")
    text = redact(f"error near {name}{sign}{secret} at line 3")
    assert secret not in text
    assert text.endswith(" at line 3")


@given(secrets, st.sampled_from(NAMES), st.sampled_from("\"'"), st.text(" abc", max_size=5))
def test_a_quoted_value_never_survives_in_part(secret: str, name: str, mark: str, more: str) -> None:
    assume(mark not in secret and "\\" not in secret)
    _unlikely(secret, name, more)
    text = redact(f"{{{mark}{name}{mark}: {mark}{more}{secret} {secret}{mark}, {mark}host{mark}: {mark}db1{mark}}}")
    assert secret not in text
    assert f"{mark}host{mark}: {mark}db1{mark}" in text


@given(texts)
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    once = redact(text, ["hunter2"])
    assert redact(once, ["hunter2"]) == once


@pytest.mark.parametrize(
    "harmless",
    [
        "Fatal: wrong password or no key found",
        "see /srv/shop: 3 files",
        "https://offsite.example:8000/shop/",
        "mail ops@example.com",
        "the tokens are 3",
    ],
)
def test_a_sentence_without_secrets_stays(harmless: str) -> None:
    assert redact(harmless) == harmless


def test_the_longer_of_two_secrets_goes_first() -> None:
    assert redact("x hunter2-admin y", ["hunter2", "hunter2-admin"]) == f"x {MASK} y"
