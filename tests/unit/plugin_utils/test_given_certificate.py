# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import datetime
import ssl
from pathlib import Path
from typing import NamedTuple

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.backstay.fleet.plugins.plugin_utils.certificate_authority import issue, load_authority
from ansible_collections.backstay.fleet.plugins.plugin_utils.given_certificate import bundle_of
from cryptography.hazmat.primitives import serialization

NOW = datetime.datetime.now(datetime.UTC)
NAMES = ["vault.example.org", "*.south.example.org", "192.0.2.7"]


class Pair(NamedTuple):
    """A certificate and its key, as PEM texts."""

    certificate: str
    key: str


def new_pair(folder: Path, names: list[str]) -> Pair:
    key, begin, certificate = issue(load_authority(folder, create=True), names, 30).partition("-----BEGIN CERTIFICATE")
    return Pair(begin + certificate, key)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return new_pair(tmp_path, NAMES)


def locked(key: str) -> str:
    """Return a private key with a passphrase."""
    plain = serialization.load_pem_private_key(key.encode(), None)
    secret = serialization.BestAvailableEncryption(b"passphrase")
    return plain.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret).decode()


def test_a_good_pair_is_what_a_server_can_load(pair: Pair, tmp_path: Path) -> None:
    chain = pair.certificate + new_pair(tmp_path / "other", ["issuer"]).certificate
    for name in ("vault.example.org", "VAULT.example.org", "a.south.example.org", "192.0.2.7"):
        (tmp_path / "server.pem").write_text(bundle_of(chain, pair.key, [name], NOW))
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tmp_path / "server.pem")
    assert (tmp_path / "server.pem").read_text().count("BEGIN CERTIFICATE") == 2


@pytest.mark.parametrize("name", ["vault", "south.example.org", "a.b.south.example.org", "192.0.2.8"])
def test_a_name_that_the_certificate_lacks_is_told(pair: Pair, name: str) -> None:
    with pytest.raises(BadInput, match=f"names vault.example.org, .*, 192.0.2.7, not {name}$"):
        bundle_of(pair.certificate, pair.key, ["vault.example.org", name], NOW)


@pytest.mark.parametrize("days", [-2, 31])
def test_a_certificate_that_is_not_valid_now_is_refused(pair: Pair, days: int) -> None:
    with pytest.raises(BadInput, match=r"is valid from .* UTC only"):
        bundle_of(pair.certificate, pair.key, [], NOW + datetime.timedelta(days=days))


def test_what_is_no_pair_is_refused_and_no_key_is_said(pair: Pair, tmp_path: Path) -> None:
    other = new_pair(tmp_path / "other", NAMES)
    for certificate, key, sentence in (
        (pair.certificate, other.key, "the key of another certificate"),
        (pair.certificate, "", "offsite_tls_key is no private key"),
        (pair.certificate, locked(pair.key), "offsite_tls_key is no private key in PEM without a passphrase"),
        ("", pair.key, "offsite_tls_certificate is no certificate"),
        (pair.key, pair.key, "offsite_tls_certificate is no certificate"),
    ):
        with pytest.raises(BadInput, match=sentence) as caught:
            bundle_of(certificate, key, NAMES, NOW)
        assert caught.value.hint and not any(line and line in str(caught.value) for line in key.splitlines())
