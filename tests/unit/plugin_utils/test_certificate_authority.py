# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import datetime
import socket
import ssl
import threading
from pathlib import Path

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError, Refused
from ansible_collections.backstay.fleet.plugins.plugin_utils.certificate_authority import (
    Authority,
    is_foreign,
    issue,
    load_authority,
    renewal_reason,
)
from ansible_collections.backstay.fleet.plugins.plugin_utils.secret_store import SecretMissing

NOW = datetime.datetime.now(datetime.UTC)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return load_authority(tmp_path, create=True)


def handshake(ca_pem: str, bundle: Path, name: str) -> None:
    """Connect a verifying client to a server with ``bundle``; raise what the client raises."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(bundle)
    client_context = ssl.create_default_context(cadata=ca_pem)
    near, far = socket.socketpair()

    def serve() -> None:
        try:
            server_context.wrap_socket(far, server_side=True).close()
        except OSError:
            far.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        client_context.wrap_socket(near, server_hostname=name).close()
    finally:
        near.close()
        thread.join()


@pytest.mark.parametrize("name", ["offsite1", "backup.example.org", "192.0.2.7", "2001:db8::7"])
def test_a_client_with_the_authority_trusts_the_server_under_every_name(
    authority: Authority, tmp_path: Path, name: str
) -> None:
    bundle = tmp_path / "server.pem"
    bundle.write_text(issue(authority, ["offsite1", "backup.example.org", "192.0.2.7", "2001:db8::7"], 30))
    handshake(authority.pem, bundle, name)


def test_a_client_refuses_another_name_and_another_authority(authority: Authority, tmp_path: Path) -> None:
    bundle = tmp_path / "server.pem"
    bundle.write_text(issue(authority, ["offsite1"], 30))
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        handshake(authority.pem, bundle, "offsite2")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(load_authority(tmp_path / "other", create=True).pem, bundle, "offsite1")


def test_the_authority_is_made_once_and_private(authority: Authority, tmp_path: Path) -> None:
    assert load_authority(tmp_path, create=True).pem == authority.pem
    assert load_authority(tmp_path, create=False).pem == authority.pem
    assert (tmp_path / "ca/authority.pem").stat().st_mode & 0o777 == 0o600
    assert "PRIVATE" not in authority.pem


def test_a_missing_or_damaged_authority_is_an_error(authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(SecretMissing):
        load_authority(tmp_path / "none", create=False)
    (tmp_path / "ca/authority.pem").write_text("nonsense")
    with pytest.raises(Refused, match="is not a certificate with its key"):
        load_authority(tmp_path, create=True)


def test_a_good_certificate_serves_on(authority: Authority) -> None:
    assert renewal_reason(authority, issue(authority, ["a", "192.0.2.1"], 90), ["192.0.2.1", "a"], 60, NOW) is None


@pytest.mark.parametrize(
    ("names", "later_days", "reason"),
    [(["a"], 31, "it ends on"), (["a", "b"], 0, "it does not name b"), (["192.0.2.9", "a"], 0, "it does not name 192.0.2.9")],
)
def test_reasons_for_renewal(authority: Authority, names: list[str], later_days: int, reason: str) -> None:
    bundle = issue(authority, ["a"], 90)
    found = renewal_reason(authority, bundle, names, 60, NOW + datetime.timedelta(days=later_days))
    assert found is not None
    assert found.startswith(reason)


def test_an_absent_mixed_or_foreign_bundle_is_renewed(authority: Authority, tmp_path: Path) -> None:
    one, two = issue(authority, ["a"], 90), issue(authority, ["a"], 90)
    marker = "-----BEGIN CERTIFICATE-----"
    mixed = one[: one.index(marker)] + two[two.index(marker) :]
    other = load_authority(tmp_path / "other", create=True)
    assert renewal_reason(authority, "", ["a"], 60, NOW) == "there is none yet"
    assert renewal_reason(authority, "nonsense", ["a"], 60, NOW) == "the present one cannot be read"
    assert renewal_reason(authority, mixed, ["a"], 60, NOW) == "its key belongs to another certificate"
    assert renewal_reason(other, one, ["a"], 60, NOW) == "the present one is from another authority"


def test_foreign_means_issued_by_somebody_else(authority: Authority, tmp_path: Path) -> None:
    bundle = issue(authority, ["a"], 90)
    assert not is_foreign(authority, bundle)
    assert not is_foreign(authority, "")
    assert is_foreign(load_authority(tmp_path / "other", create=True), bundle)


def test_a_certificate_needs_a_name(authority: Authority) -> None:
    with pytest.raises(BackstayError, match="needs a name"):
        issue(authority, [], 90)
