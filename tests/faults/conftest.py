# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab, the scene and the offsets of the fault tests. ``FAULTS``, ``FAULTS_APP`` and ``FAULTS_SEED`` steer them."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest
from faults import subjects
from faults.scene import Scene
from lab_tools.fleet import OFFSITE, Fleet
from lab_tools.playbooks import Playbooks

MODE = os.environ.get("FAULTS") or "full"
APP = os.environ.get("FAULTS_APP") or "mariadb"
SEED = os.environ.get("FAULTS_SEED") or str(random.SystemRandom().randrange(10**6))
os.environ["FAULTS_SEED"] = SEED  # processes that run tests side by side have to draw the same offsets
OFFSETS = {"short": 1, "full": 3}
NOT_RUN = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Refuse settings that mean nothing."""
    config.addinivalue_line("markers", "every_offset: a full run repeats the test at several random offsets")
    config.addinivalue_line("markers", "short: one or two of each kind, which `make test` runs")
    if MODE not in OFFSETS:
        raise pytest.UsageError(f"FAULTS={MODE} is neither short nor full")
    if APP not in subjects.names():
        raise pytest.UsageError(f"there are no fault tests for the app '{APP}' (known: {', '.join(subjects.names())})")


def pytest_report_header(config: pytest.Config) -> str:
    """Say how to repeat this run."""
    return f"faults: app {APP}, {MODE}; repeat with: make faults APP={APP} FAULTS={MODE} FAULTS_SEED={SEED}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of the subject and, in a short run, those marked short; the latter name at the end what they left out."""
    items[:] = [item for item in items if _belongs(item)]
    if MODE != "short":
        return
    left_out = [item for item in items if not item.get_closest_marker("short")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)
    config.stash[NOT_RUN] = [item.name for item in left_out]


def _belongs(item: pytest.Item) -> bool:
    """Whether a test is one of the subject's."""
    module = item.path.stem
    subject = subjects.load(APP)
    if subject.module:
        return bool(module == subject.module)
    return module in subject.more or module not in subjects.owned()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name what a short run left out, and say what tests have to tell."""
    for name in config.stash.get(NOT_RUN, []):
        terminalreporter.write_line(f"not run in short: {name} (make faults runs it)")
    for report in [*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", [])]:
        for name, value in report.user_properties if report.when == "call" else []:
            terminalreporter.write_line(f"{name}: {value}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give every test that asks for an ``offset`` its random shares of the data, the same for the same seed."""
    if "offset" in metafunc.fixturenames:
        chance = random.Random(f"{SEED} {metafunc.function.__name__}")
        count = OFFSETS[MODE] if metafunc.definition.get_closest_marker("every_offset") else 1
        metafunc.parametrize("offset", [round(chance.uniform(0.01, 0.6), 3) for _ in range(count)])


@pytest.fixture(scope="session")
def fleet() -> Fleet:
    """The lab, up, with an offsite server and the app's host set up."""
    fleet, host = Fleet.from_environment(), subjects.load(APP).host
    missing = host in fleet.absent()
    if missing or not fleet.is_up():
        fleet.up(only=[OFFSITE, host])
    if missing or fleet.ask(OFFSITE, ["systemctl", "is-active", "--quiet", "backstay-offsite.service"]).status != 0:
        Playbooks(fleet).run("offsite", "--limit", f"{OFFSITE},{host}").demand()
    return fleet


@pytest.fixture(scope="session")
def scene(fleet: Fleet) -> Iterator[Scene]:
    """The scene, with one good set to begin with; at the end one more is made, and proved as the newest of all."""
    scene = Scene(fleet, subjects.load(APP)(fleet))
    scene.abandon()
    scene.subject.prepare()
    scene.good = scene.sets() if fleet.ask(scene.host, ["test", "-d", "/var/lib/backstay/worker"]).status == 0 else []
    scene.backup()
    scene.gates.install()
    yield scene
    scene.backup()
    scene.nothing_staged()
    scene.gates.remove()
    scene.prove_newest()


@pytest.fixture(autouse=True)
def settled(request: pytest.FixtureRequest, scene: Scene) -> Iterator[None]:
    """After every fault the host has to be as if nothing had happened; in a full run the next backup has to succeed, too."""
    scene.begin()
    yield
    scene.gates.open("start")
    scene.gates.open("stop")
    if getattr(request.node, "failed", False):
        scene.abandon()
        scene.good = scene.sets()  # what the failed test did not come to judge is no failure of the next one
        return
    scene.settled()
    if MODE == "full":
        scene.backup()
        scene.nothing_staged()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Let fixtures know that the test itself failed: then its state is left for the eye, only its processes end."""
    report = yield
    if report.when == "call":
        item.failed = report.failed  # type: ignore[attr-defined]
    return report
