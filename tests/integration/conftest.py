# SPDX-License-Identifier: GPL-3.0-or-later
"""The rehearsal fleet for all integration tests: brought up once, removed unless it was there before."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from integration import apps
from integration.apps import App
from lab_tools import jobs, repository, short_form
from lab_tools.fleet import BASE, OFFSITE, Fleet
from lab_tools.playbooks import Playbooks

DATABASE_HOSTS = ("shop-db1", "spare1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--app", choices=apps.names(), action="append", help="test only this app")
    short_form.add_option(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(short_form)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark common tests long for an app that leaves them to others in the short form."""
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    name = getattr(item, "originalname", "") + (f"[{parameters['transport']}]" if "transport" in parameters else "")
    if "app" in parameters and name in apps.left_to_others(parameters["app"]):
        item.add_marker(pytest.mark.long)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Repeat common tests for every app; a module whose sentences are those of one app says so in APPS."""
    suited = getattr(metafunc.module, "APPS", apps.names())
    wanted = metafunc.config.getoption("--app") or apps.names()
    chosen = sorted({found for name in wanted for found in apps.adapters(name) if found in suited})
    if "transport" in metafunc.fixturenames:
        pairs = [(name, transport) for name in chosen for transport in apps.transports(name)]
        metafunc.parametrize(("app", "transport"), pairs, indirect=["app"], scope="session")
    elif "app" in metafunc.fixturenames:
        metafunc.parametrize("app", chosen, indirect=True, scope="session")


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    """The lab, with its offsite server set up and the database host given its repository."""
    found = Fleet.from_environment()
    ours = not found.exists()
    found.up(only=BASE)
    try:
        Playbooks(found).run("offsite").demand()
        yield found
    finally:
        if ours:
            found.down()


@pytest.fixture(scope="session")
def playbooks(fleet: Fleet) -> Playbooks:
    return Playbooks(fleet)


@pytest.fixture(scope="session")
def need(fleet: Fleet, playbooks: Playbooks) -> Callable[..., None]:
    """Return a function that brings further hosts of the lab up and gives them their repositories."""

    def bring_up(*hosts: str) -> None:
        new = sorted(set(hosts) & fleet.absent())
        if new:
            fleet.up(only=new)
            playbooks.run("offsite", "--limit", ",".join([OFFSITE, *new])).demand()

    return bring_up


@pytest.fixture(scope="session")
def app(request: pytest.FixtureRequest, fleet: Fleet, need: Callable[..., None]) -> App:
    found = apps.load(request.param, fleet)
    need(found.host)
    return found


@pytest.fixture(scope="session")
def spare(app: App, need: Callable[..., None]) -> str:
    """Return the host that may receive a restore of the app, up."""
    need(app.spare)
    return app.spare


@pytest.fixture(scope="session")
def first_set(app: App, playbooks: Playbooks) -> str:
    """Return the id of a good set made at the beginning."""
    app.repair()
    return str(playbooks.run("backup", "--limit", app.host).demand().record["set"])


@pytest.fixture
def live(app: App) -> App:
    """The app with its live data in order, whatever an earlier test did to it."""
    app.repair()
    return app


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest, fleet: Fleet) -> Iterator[None]:
    """Demand that no test leaves a job, process, lock or working file behind on its app's hosts."""
    yield
    live = request.node.funcargs.get("app")
    hosts = {live.host, live.spare} - fleet.absent() if live else DATABASE_HOSTS
    for host in sorted(hosts):
        assert jobs.leftovers(fleet, host) == []


@pytest.fixture
def nothing_stored(fleet: Fleet) -> Iterator[None]:
    """Demand that a test makes no snapshot in any repository."""
    listing = ["sh", "-c", f"find {repository.STORE} -path '*/snapshots/*' -type f | sort"]
    before = fleet.run(OFFSITE, *listing)
    yield
    assert fleet.run(OFFSITE, *listing) == before
