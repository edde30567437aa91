# SPDX-License-Identifier: GPL-3.0-or-later
"""One adapter for each app: what a round trip needs to know of it. A module here is an app that `make e2e APP=...` knows."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any, Protocol

from lab_tools.fleet import Fleet


class App(Protocol):
    """What the common tests ask of an app's adapter. ``known`` is the app's own idea of a transaction."""

    name: str
    host: str
    spare: str
    restore_to: str
    proofs: int  # checks that a verification makes at least

    def __init__(self, fleet: Fleet) -> None: ...

    def repair(self) -> None:
        """Make sure that the live application is there with good data, whatever an earlier test did."""

    def seed(self, mib: int) -> None:
        """Add data that compresses badly enough to matter."""

    def start_writer(self) -> Any:
        """Start the application that keeps committing; return its first transaction."""

    def last_known(self) -> Any:
        """Return the last transaction that the application knows to be committed."""

    def quiesce(self) -> str:
        """Stop all writing and return the hash of the content."""

    def destroy(self) -> str:
        """Really destroy the live data and prove it; return what the server says."""

    def prove(self, host: str | None = None, known: Any = None, side: str = "") -> str:
        """Check the data's invariants and that ``known`` is in; return the hash of the content.

        On the live server of ``host`` (default: the app's own host), or on the side instance in the directory ``side``.
        """

    def end_side(self, host: str, side: str) -> None:
        """Stop the side instance in ``side`` and remove it."""

    def identity(self) -> str:
        """Return something of the live server that changes with every restart and every exchange of its data."""


def names() -> list[str]:
    """Return the apps that have an adapter."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def adapters(name: str) -> list[str]:
    """Return the modules that ``name`` means: itself, and the other products of the app of that name."""
    return [found for found in names() if name in (found, importlib.import_module(f"integration.apps.{found}").Adapter.name)]


def left_to_others(name: str) -> frozenset[str]:
    """Return the common tests that add little for app ``name`` when others are run: LONG of its module, ``test`` or
    ``test[transport]``."""
    return frozenset(getattr(importlib.import_module(f"integration.apps.{name}"), "LONG", ()))


def transports(name: str) -> tuple[str, ...]:
    """Return the transports of app ``name``: what its adapter says, both when it says nothing."""
    adapter = importlib.import_module(f"integration.apps.{name}").Adapter
    return tuple(getattr(adapter, "transports", ("stream", "stage")))


def bare(app: App) -> tuple[str, ...]:
    """Return the yards of the folders of an app that hold nothing: what its adapter says, none when it says nothing."""
    return tuple(getattr(app, "bare", ()))


def load(name: str, fleet: Fleet) -> App:
    """Return the adapter of app ``name``."""
    module = importlib.import_module(f"integration.apps.{name}")
    return module.Adapter(fleet)  # type: ignore[no-any-return]
