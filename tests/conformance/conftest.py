# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-ins against their specification: raw commands in the lab, no Ansible, no Backstay."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lab_tools import powershare
from lab_tools.fleet import Fleet
from lab_tools.powershare import Server

NOT_RUN = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--short", action="store_true", help="leave out the tests that are marked long, and name them")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: left out of the short form that `make test` runs; `make conformance` runs it")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In the short form deselect what is marked long: counted and named at the end, never dropped in silence."""
    if config.getoption("--short"):
        left_out = [item for item in items if item.get_closest_marker("long")]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)
        config.stash[NOT_RUN] = [item.nodeid for item in left_out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for name in config.stash.get(NOT_RUN, []):
        terminalreporter.write_line(f"not run in short: {name} (make conformance runs it)")


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    """The lab; a new one gets only the hosts that stand-ins need, and goes at the end."""
    found = Fleet.from_environment()
    ours = not found.exists()
    if ours:
        found.command("up", "--only", "app_powershare")
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
