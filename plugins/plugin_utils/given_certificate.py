# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate that the operator gives an offsite server, judged before a running server is told to use it."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.backstay.fleet.plugins.plugin_utils.certificate_authority import names_of
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

_FORM = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def bundle_of(chain: str, key: str, names: Iterable[str], now: datetime.datetime) -> str:
    """Return private key and certificate chain (PEM texts, the server's own certificate first) as one PEM text.

    Raise BadInput when they are no pair, the certificate is not valid ``now``, or it lacks one of ``names``, the DNS names and
    addresses under which clients reach the server.
    """
    certificate = _certificate(chain)
    if _key(key).public_key().public_bytes(*_FORM) != certificate.public_key().public_bytes(*_FORM):
        raise BadInput(
            "offsite_tls_key is the key of another certificate", "give the key of the first one in offsite_tls_certificate"
        )
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        raise BadInput(
            f"the certificate in offsite_tls_certificate is valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M}"
            f" to {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC only",
            "renew it",
        )
    known = names_of(certificate)
    missing = [name for name in names if not any(covers(pattern, name) for pattern in known)]
    if missing:
        raise BadInput(
            f"the certificate in offsite_tls_certificate names {', '.join(known) or 'nothing'}, not {', '.join(missing)}",
            "hosts reach the server as backstay_offsite_url_host says, else by its inventory name",
        )
    return f"{key.strip()}\n{chain.strip()}\n"


def covers(pattern: str, name: str) -> bool:
    """Return whether a name of a certificate is that of a server; ``*.example.org`` stands for one label (RFC 6125)."""
    if pattern.startswith("*."):
        return name.partition(".")[2].lower() == pattern[2:].lower()
    return pattern.lower() == name.lower()


def _certificate(chain: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(chain.encode())[0]
    except ValueError as error:
        raise BadInput("offsite_tls_certificate is no certificate in PEM", "give the whole text of the file") from error


def _key(key: str) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(key.encode(), password=None)
    except (ValueError, TypeError) as error:  # the latter: it has a passphrase, which the server could not be told
        raise BadInput(
            "offsite_tls_key is no private key in PEM without a passphrase", "give the key of offsite_tls_certificate"
        ) from error
