# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-ins against their specification: raw commands in the lab, no Ansible, no Backstay."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab_tools import powershare, short_form
from lab_tools.domino_standin import Server as DominoServer
from lab_tools.fleet import CONFORMANCE, Fleet, hosts
from lab_tools.oracle_standin import Server as OracleServer
from lab_tools.powershare import Server

HOSTS = {name for name, words in hosts().items() if words & set(CONFORMANCE)}


def pytest_addoption(parser: pytest.Parser) -> None:
    short_form.add_option(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(short_form)


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    """The lab, with the hosts of stand-ins; one that was not there goes at the end. Modules use different hosts."""
    found = Fleet.from_environment(shared=True)
    ours = not found.exists()
    if ours and "PYTEST_XDIST_WORKER" in os.environ:
        pytest.exit("several processes need a lab that is up: run 'make conformance'", 2)
    if ours or found.absent() & HOSTS:
        found.up(only=CONFORMANCE)
    try:
        yield found
    finally:
        if ours:
            found.down()


@pytest.fixture(scope="module")
def mail_server(fleet: Fleet) -> Iterator[Server]:
    """The mail server, running and whole at the end."""
    server = powershare.mail(fleet)
    yield server
    server.repair()


@pytest.fixture
def mail(mail_server: Server) -> Server:
    """The mail server, running and in order."""
    mail_server.repair()
    return mail_server


@pytest.fixture(scope="module")
def catalog_servers(fleet: Fleet) -> Iterator[list[Server]]:
    """The three catalog servers, running and whole at the end."""
    servers = powershare.catalogs(fleet)
    yield servers
    powershare.in_order(servers)


@pytest.fixture
def catalogs(catalog_servers: list[Server]) -> list[Server]:
    """The three catalog servers, running and in order."""
    powershare.in_order(catalog_servers)
    return catalog_servers


@pytest.fixture
def new_oracle(tmp_path: Path) -> Iterator[Callable[..., OracleServer]]:
    """Makes Oracle servers on this machine, each with an open database unless create is false; instances end with the test."""
    made: list[OracleServer] = []

    def new(*options: str, name: str = "host", sid: str = "TEST", create: bool = True) -> OracleServer:
        server = OracleServer(tmp_path / name, sid)
        made.append(server)
        server.install()
        if create:
            server.create(*options)
        return server

    yield new
    for server in made:
        server.crash()


@pytest.fixture
def oracle(new_oracle: Callable[..., OracleServer]) -> OracleServer:
    """An open database with an spfile, without containers."""
    return new_oracle("--no-cdb")


@pytest.fixture(scope="module")
def oracle_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OracleServer]:
    """An open database for questions that change nothing."""
    server = OracleServer(tmp_path_factory.mktemp("oracle"))
    server.create("--no-cdb")
    yield server
    server.crash()


@pytest.fixture
def new_domino(tmp_path: Path) -> Iterator[Callable[..., DominoServer]]:
    """Makes Domino servers on this machine, each running; they end with the test."""
    made: list[DominoServer] = []

    def new(*options: str, name: str = "host") -> DominoServer:
        server = DominoServer(tmp_path / name)
        made.append(server)
        server.create(*options)
        return server

    yield new
    for server in made:
        server.end()


@pytest.fixture
def domino(new_domino: Callable[..., DominoServer]) -> DominoServer:
    """A server of release 14 with transaction logging of archive style."""
    return new_domino()
