# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-ins against their specification: raw commands in the lab, no Ansible, no Backstay."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lab_tools import powershare, short_form
from lab_tools.fleet import Fleet
from lab_tools.powershare import Server

HOSTS = {"mail1", *powershare.CATALOGS}


def pytest_addoption(parser: pytest.Parser) -> None:
    short_form.add_option(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(short_form)


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    """The lab, with the hosts of stand-ins; one that was not there goes at the end."""
    found = Fleet.from_environment()
    ours = not found.exists()
    if ours or found.absent() & HOSTS:
        found.up(only=sorted(HOSTS))
    try:
        yield found
    finally:
        if ours:
            found.down()


@pytest.fixture(scope="module", autouse=True)
def in_order_at_the_end(fleet: Fleet) -> Iterator[None]:
    """Leave every server running and whole."""
    yield
    powershare.in_order([powershare.mail(fleet), *powershare.catalogs(fleet)])


@pytest.fixture
def mail(fleet: Fleet) -> Server:
    """The mail server, running and in order."""
    server = powershare.mail(fleet)
    server.repair()
    return server


@pytest.fixture
def catalogs(fleet: Fleet) -> list[Server]:
    """The three catalog servers, running and in order."""
    servers = powershare.catalogs(fleet)
    powershare.in_order(servers)
    return servers
