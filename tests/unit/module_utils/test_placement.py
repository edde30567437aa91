# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput, RepositoryError
from ansible_collections.backstay.fleet.plugins.module_utils.placement import (
    Machine,
    Server,
    connect,
    is_own_address,
    refusal,
    repository_server,
    resolve,
)
from ansible_collections.backstay.fleet.plugins.plugin_utils.certificate_authority import issue, load_authority

PROTECTED = Machine("db1", "192.0.2.10", 22)
OFFSITE = Machine("offsite1", "192.0.2.20", 22)


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("rest:https://u:p%40@offsite1:8000/db1/", Server("rest", "offsite1", 8000, tls=True)),
        ("rest:http://offsite1/db1/", Server("rest", "offsite1", 80)),
        ("rest:https://[2001:db8::1]:8000/", Server("rest", "2001:db8::1", 8000, tls=True)),
        ("s3:https://s3.example.org/bucket/x", Server("s3", "s3.example.org", 443, tls=True)),
        ("s3:http://minio:9000/bucket", Server("s3", "minio", 9000)),
        ("s3:s3.amazonaws.com/bucket", Server("s3", "s3.amazonaws.com", 443, tls=True)),
        ("sftp:me@host:/srv/x", Server("sftp", "host", 22)),
        ("sftp:host:x", Server("sftp", "host", 22)),
        ("sftp://me@host:2222//srv/x", Server("sftp", "host", 2222)),
        ("sftp://[::1]/x", Server("sftp", "::1", 22)),
        ("b2:bucket:x", Server("b2", None, 443)),
        ("gs:bucket:/", Server("gs", None, 443)),
    ],
)
def test_where_a_location_leads(url: str, wanted: Server) -> None:
    assert repository_server(url) == wanted


@pytest.mark.parametrize("url", ["/srv/backup", "backup", "local:/srv/backup", "./a:b", "", ":x"])
def test_a_directory_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match="a directory on the host itself"):
        repository_server(url)


@pytest.mark.parametrize("url", ["rclone:remote:x", "ftp:host", "rest:https:///x", "s3:", "sftp:nothing", "rest:https://h:x/"])
def test_a_location_that_cannot_be_seen_through_is_refused(url: str) -> None:
    with pytest.raises(BadInput):
        repository_server(url)


@pytest.mark.parametrize(
    ("server", "addresses", "own", "sentence"),
    [
        (PROTECTED._replace(address="192.0.2.99"), [], [], "the offsite server of db1 is db1 itself"),
        (Machine("other", "192.0.2.10", 22), [], [], "the offsite server other and db1 are the same machine"),
        (Machine("other", "DB1.example.org", 22), [], [], None),
        (Machine("other", "192.0.2.10", 2222), [], [], None),
        (OFFSITE, ["192.0.2.20"], ["192.0.2.10"], None),
        (OFFSITE, ["198.51.100.1", "192.0.2.10"], ["192.0.2.10"], "leads to 192.0.2.10, an address of db1 itself"),
        (OFFSITE, ["127.0.0.53"], [], "loopback address 127.0.0.53"),
        (OFFSITE, ["::1"], [], "loopback address ::1"),
        (OFFSITE, ["fe80::1%eth0"], [], None),
        (None, ["127.0.0.1"], [], "loopback"),
        (None, ["203.0.113.5"], [], None),
        (None, [], [], None),
    ],
)
def test_refusals(server: Machine | None, addresses: list[str], own: list[str], sentence: str | None) -> None:
    found = refusal(PROTECTED, server, addresses, own.__contains__)
    assert found is None if sentence is None else sentence in str(found)


def test_machines_are_compared_without_regard_to_case() -> None:
    assert refusal(PROTECTED._replace(address="Db.Example"), OFFSITE._replace(address="dB.example"), [], lambda _: False)


def test_own_addresses_are_those_a_socket_can_be_bound_to() -> None:
    assert is_own_address("127.0.0.1")
    assert not is_own_address("192.0.2.1")


def test_an_unknown_name_is_a_clear_error() -> None:
    with pytest.raises(RepositoryError, match=r"the name no-such-host\.invalid of the repository's server does not resolve"):
        resolve("no-such-host.invalid", 1)
    assert resolve("127.0.0.1", 1) == ["127.0.0.1"]


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[tuple[int, str]]:
    """Give the port of a TLS server with a certificate for 127.0.0.1, and the authority to trust."""
    authority = load_authority(tmp_path, create=True)
    (tmp_path / "server.pem").write_text(issue(authority, ["127.0.0.1"], 30))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                context.wrap_socket(self.request, server_side=True).close()

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1], authority.pem
        server.shutdown()
        thread.join()


def test_only_a_trusted_server_will_do(tls_server: tuple[int, str], tmp_path: Path) -> None:
    port, ca_pem = tls_server
    server = Server("rest", "127.0.0.1", port, tls=True)
    connect(server, ca_pem, 5)
    for other in (None, load_authority(tmp_path / "other", create=True).pem):
        with pytest.raises(RepositoryError, match="is not trusted"):
            connect(server, other, 5)
    with pytest.raises(RepositoryError, match=r"is not trusted: .*mismatch"):
        connect(server._replace(host="localhost"), ca_pem, 5)


def test_a_server_that_is_away_is_told_at_once() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        with pytest.raises(RepositoryError, match=f"no connection to the repository's server 127.0.0.1:{port}"):
            connect(Server("rest", "127.0.0.1", port), None, 2)
        listener.listen()
        connect(Server("rest", "127.0.0.1", port), None, 2)
    connect(Server("b2", None, 443), None, 2)
