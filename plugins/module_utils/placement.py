# SPDX-License-Identifier: GPL-3.0-or-later
"""Is a repository really somewhere else? A repository on the protected host itself is refused (requirement G-5)."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
import ssl
from typing import Callable, Iterable, List, NamedTuple, Optional
from urllib.parse import urlsplit

from .errors import BadInput, RepositoryError

_DEFAULT_PORTS = {"http": 80, "https": 443}
_SCP_STYLE = re.compile(r"^(?:[^@/]+@)?(\[[^\]]+\]|[^:/]+):")
_HINT = "name another machine as backstay_offsite or in backstay_repository_url"


class Machine(NamedTuple):
    """A machine as the inventory knows it: its name, and the address and port Ansible logs in to."""

    name: str
    address: str
    port: int


class Server(NamedTuple):
    """Where a repository is served. ``host`` is None for a provider that restic finds by itself (b2, azure, gs, swift)."""

    scheme: str
    host: Optional[str]
    port: int
    tls: bool = False


def repository_server(url: str) -> Server:
    """Return the server a restic repository location leads to.

    Raise BadInput for a local directory and for a location whose server cannot be seen (rclone).
    """
    scheme, separator, rest = url.partition(":")
    if not separator or "/" in scheme or scheme in ("", "local"):
        raise BadInput("the repository is a directory on the host itself", _HINT)
    if scheme in ("b2", "azure", "gs", "swift"):
        return Server(scheme, None, 443)
    try:
        if scheme in ("rest", "s3"):
            return _from_url(scheme, rest if "://" in rest else "https://" + rest)
        if scheme == "sftp":
            return _from_sftp(rest)
    except ValueError as error:
        raise BadInput(f"the repository location is not understood: {error}") from error
    raise BadInput(f"cannot see where a repository of type {scheme} leads", "use rest, s3, sftp, b2, azure, gs or swift")


def refusal(
    protected: Machine,
    server: Optional[Machine],
    addresses: Iterable[str],
    is_own: Callable[[str], bool],
) -> Optional[str]:
    """Return why this repository may not be used, None when it is on another machine.

    ``protected`` is the host whose data it is to hold, ``server`` the offsite server of the inventory (None for others),
    ``addresses`` what the repository's host name resolves to, ``is_own`` tells whether an address belongs to ``protected``.
    """
    if server and server.name == protected.name:
        return f"the offsite server of {protected.name} is {protected.name} itself"
    if server and (server.address.lower(), server.port) == (protected.address.lower(), protected.port):
        return f"the offsite server {server.name} and {protected.name} are the same machine ({server.address}:{server.port})"
    for address in addresses:
        if ipaddress.ip_address(address.partition("%")[0]).is_loopback:
            return f"the repository of {protected.name} leads to the loopback address {address}"
        if is_own(address):
            return f"the repository of {protected.name} leads to {address}, an address of {protected.name} itself"
    return None


def resolve(host: str, port: int) -> List[str]:
    """Return the addresses of ``host``, each once, in the resolver's order. Raise RepositoryError when there are none."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise RepositoryError(f"the name {host} of the repository's server does not resolve: {error}") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_own_address(address: str) -> bool:
    """Whether ``address`` belongs to this machine: only then may a socket be bound to it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(socket.getaddrinfo(address, 0, family, socket.SOCK_DGRAM)[0][4])
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                return False
            raise
    return True


def connect(server: Server, ca_pem: Optional[str], timeout: float) -> None:
    """Prove within ``timeout`` seconds that the server answers and is trusted. Raise RepositoryError when it is not so.

    ``ca_pem`` is the authority to trust, None means the system's. restic itself would try for a quarter of an hour.
    """
    if server.host is None:
        return
    try:
        with socket.create_connection((server.host, server.port), timeout) as link:
            if server.tls:
                trust(ca_pem).wrap_socket(link, server_hostname=server.host).close()
    except ssl.SSLCertVerificationError as error:
        raise RepositoryError(
            f"the certificate of the repository's server {server.host}:{server.port} is not trusted: {error.verify_message}",
            "run playbooks/offsite.yml with the offsite server inside --limit, or set backstay_repository_ca_pem",
        ) from error
    except OSError as error:
        raise RepositoryError(
            f"no connection to the repository's server {server.host}:{server.port}: {error}",
            "is the server up, and does every firewall between let this host through?",
        ) from error


def trust(ca_pem: Optional[str]) -> ssl.SSLContext:
    """Return the TLS settings that trust ``ca_pem`` (None: the system's authorities) as restic does."""
    context = ssl.create_default_context(cadata=ca_pem)
    # restic does not insist on every field of RFC 5280 either; newer Pythons do and would refuse what works.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _from_url(scheme: str, url: str) -> Server:
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError("it names no server")
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 443)
    return Server(scheme, parts.hostname, port, tls=parts.scheme == "https")


def _from_sftp(rest: str) -> Server:
    if rest.startswith("//"):
        parts = urlsplit("sftp:" + rest)
        if not parts.hostname:
            raise ValueError("it names no server")
        return Server("sftp", parts.hostname, parts.port or 22)
    match = _SCP_STYLE.match(rest)
    if not match:
        raise ValueError("it names no server")
    return Server("sftp", match.group(1).strip("[]"), 22)
