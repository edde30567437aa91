# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to the repository, asked from a real HTTP server on this machine."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import restic
from ansible_collections.backstay.fleet.plugins.module_utils.errors import Refused
from ansible_collections.backstay.fleet.plugins.module_utils.worker.preflight import reach, require_offsite


class Server:
    """A rest-server that knows one repository and one user."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self.status = 0
        asked, outer = self.asked, self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                asked.append((self.command, self.path, self.headers.get("Authorization", "")))
                right = "Basic " + base64.b64encode(b"shop:p@ss/word").decode()
                known = 200 if self.path == "/shop-db1/config" else 404
                self.send_response(outer.status or (known if self.headers.get("Authorization") == right else 401))
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                pass

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.http.server_address[1]
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


def access(tmp_path: Path, url: str) -> restic.Access:
    (tmp_path / "url").write_text(url + "\n")
    return restic.Access("restic", str(tmp_path / "url"), "", None, {}, "")


def test_a_repository_that_answers_is_asked_once_with_its_user(tmp_path: Path, server: Server) -> None:
    found = reach(access(tmp_path, f"rest:http://shop:p%40ss%2Fword@127.0.0.1:{server.port}/shop-db1/"))
    assert found["status"] == "ok"
    assert [(command, path) for command, path, _user in server.asked] == [("HEAD", "/shop-db1/config")]


@pytest.mark.parametrize(
    ("path", "user", "status", "sentence"),
    [
        ("other", "shop:p%40ss%2Fword", 0, "there is no repository"),
        ("shop-db1", "shop:wrong", 0, "refuses the user"),
        ("shop-db1", "shop:p%40ss%2Fword", 503, "HTTP 503"),
    ],
)
def test_what_is_wrong_is_told_without_the_password(
    tmp_path: Path, server: Server, path: str, user: str, status: int, sentence: str
) -> None:
    server.status = status
    found = reach(access(tmp_path, f"rest:http://{user}@127.0.0.1:{server.port}/{path}/"))
    assert found["status"] == "failed"
    assert sentence in found["detail"]
    assert found["hint"]
    assert user.split(":")[1] not in str(found)


@pytest.mark.parametrize("scheme", ["rest:http://shop:hunter2@", "rest:https://shop:hunter2@", "s3:http://", "sftp://shop@"])
def test_a_server_that_is_down_is_told_at_once(tmp_path: Path, scheme: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        found = reach(access(tmp_path, f"{scheme}127.0.0.1:{closed.getsockname()[1]}/shop-db1"))
    assert found["status"] == "failed"
    assert "127.0.0.1" in found["detail"]
    assert "hunter2" not in str(found)


def test_a_server_that_does_not_speak_tls_is_told(tmp_path: Path, server: Server) -> None:
    found = reach(access(tmp_path, f"rest:https://shop:hunter2@127.0.0.1:{server.port}/shop-db1/"))
    assert found["status"] == "failed"


@pytest.mark.parametrize("url", ["rest:https://u:p@127.0.0.1:8000/x/", "rest:http://[::1]:8000/", "s3:http://localhost:9000/x"])
def test_a_repository_on_this_very_machine_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(Refused, match="is this host itself"):
        require_offsite(access(tmp_path, url).url_file)


def test_a_repository_elsewhere_is_accepted(tmp_path: Path) -> None:
    for url in ("rest:https://u:p@192.0.2.1:8000/x/", "b2:bucket:x"):
        require_offsite(access(tmp_path, url).url_file)
