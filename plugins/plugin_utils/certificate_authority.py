# SPDX-License-Identifier: GPL-3.0-or-later
"""Backstay's own certificate authority: one key on the control node, certificates for the offsite servers.

Clients get the authority's certificate as a file and trust it for Backstay only, never system wide.
"""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path
from typing import NamedTuple

from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError, Refused
from ansible_collections.backstay.fleet.plugins.plugin_utils.secret_store import (
    SecretMissing,
    create_private,
    read_private,
)
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_AUTHORITY_DAYS = 20 * 365
_CLOCK_TOLERANCE = datetime.timedelta(days=1)  # a host whose clock lags must not refuse a fresh certificate


class Authority(NamedTuple):
    """The authority's certificate and key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        """What clients need to trust it."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()


def load_authority(state: Path, create: bool) -> Authority:
    """Return the authority kept in ``<state>/ca``, made first when there is none and ``create`` allows it.

    Key and certificate are one file, so neither exists without the other. Raise SecretMissing or Refused.
    """
    path = state / "ca" / "authority.pem"
    text = read_private(path)
    if text is None:
        if not create:
            raise SecretMissing(
                f"there is no certificate authority on this control node ({path})",
                "bring the state directory here from the control node that made it",
            )
        text = create_private(path, _new_authority())
    return _parse_authority(path, text)


def issue(authority: Authority, names: list[str], days: int) -> str:
    """Return a new private key and the certificate of a server that answers to ``names``, as one PEM text.

    Names are DNS names or addresses; the certificate is valid for ``days`` days, never longer than the authority.
    """
    if not names:
        raise BackstayError("a server certificate needs a name")
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    until = min(now + datetime.timedelta(days=days), authority.certificate.not_valid_after_utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_common_name(names[0]))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_TOLERANCE)
        .not_valid_after(until)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
    )
    return _pem(key, builder.sign(authority.key, hashes.SHA256()))


def is_foreign(authority: Authority, bundle: str) -> bool:
    """Whether ``bundle`` (PEM text) holds a certificate that another authority issued."""
    try:
        certificate = x509.load_pem_x509_certificate(bundle.encode())
    except ValueError:
        return False
    try:
        certificate.verify_directly_issued_by(authority.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return True
    return False


def renewal_reason(
    authority: Authority, bundle: str, names: list[str], renew_before_days: int, now: datetime.datetime
) -> str | None:
    """Return why the server needs a new certificate, None when the one in ``bundle`` (PEM text) serves on."""
    try:
        certificate = x509.load_pem_x509_certificate(bundle.encode())
        key = serialization.load_pem_private_key(bundle.encode(), password=None)
    except ValueError:
        return "there is none yet" if not bundle.strip() else "the present one cannot be read"
    if _public_bytes(key.public_key()) != _public_bytes(certificate.public_key()):
        return "its key belongs to another certificate"
    if is_foreign(authority, bundle):
        return "the present one is from another authority"
    if certificate.not_valid_after_utc - now < datetime.timedelta(days=renew_before_days):
        return f"it ends on {certificate.not_valid_after_utc:%Y-%m-%d}"
    missing = sorted(set(names) - set(names_of(certificate)))
    return f"it does not name {', '.join(missing)}" if missing else None


def names_of(certificate: x509.Certificate) -> list[str]:
    """Return the DNS names and addresses of a certificate; clients look at no other place."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses = [str(address) for address in extension.get_values_for_type(x509.IPAddress)]
    return [*extension.get_values_for_type(x509.DNSName), *addresses]


def _new_authority() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    name = _common_name("Backstay offsite authority")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_TOLERANCE)
        .not_valid_after(now + datetime.timedelta(days=_AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _pem(key, certificate)


def _parse_authority(path: Path, text: str) -> Authority:
    try:
        certificate = x509.load_pem_x509_certificate(text.encode())
        key = serialization.load_pem_private_key(text.encode(), password=None)
    except ValueError as error:
        raise Refused(f"{path} is not a certificate with its key", "bring it back from a copy") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise Refused(f"{path} holds a key that Backstay did not make", "bring it back from a copy")
    return Authority(certificate, key)


def _pem(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> str:
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return (private + certificate.public_bytes(serialization.Encoding.PEM)).decode()


def _public_bytes(key: object) -> bytes:
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(encoding, form)  # type: ignore[attr-defined]


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
