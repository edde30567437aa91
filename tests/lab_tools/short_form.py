# SPDX-License-Identifier: GPL-3.0-or-later
"""The short form of tests that need the lab: a plugin for pytest that leaves out what is marked long, and says so.

A conftest calls ``add_option`` and registers this module when pytest is configured.
"""

from __future__ import annotations

from typing import Any

import pytest

NOT_RUN = pytest.StashKey[list[str]]()


def add_option(parser: pytest.Parser) -> None:
    """Add the option that asks for the short form."""
    parser.addoption("--short", action="store_true", help="leave out the tests that are marked long, and name them")


def pytest_configure(config: pytest.Config) -> None:
    """Explain the mark."""
    config.addinivalue_line("markers", "long: left out of the short form that `make test` runs")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In the short form deselect what is marked long: counted and named at the end, never dropped in silence."""
    if config.getoption("--short"):
        left_out = [item for item in items if item.get_closest_marker("long")]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)
        config.stash[NOT_RUN] = [item.nodeid for item in left_out]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand what was left out to the process that writes the summary."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["not_run"] = session.config.stash.get(NOT_RUN, [])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a process left out; all collect the same tests."""
    node.config.stash[NOT_RUN] = getattr(node, "workeroutput", {}).get("not_run", [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name what was left out."""
    for name in config.stash.get(NOT_RUN, []):
        terminalreporter.write_line(f"not run in short: {name} (it runs without --short)")
