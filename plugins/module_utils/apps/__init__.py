# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of servers. One package or module here for each app, all with the same names:

``KINDS``
    The kinds of backup that the app can make; any other is refused before anything is touched.
``preflight(options, action) -> {"checks": [...], "facts": {...}}``
    Look, change nothing. A check is ``{name, status: ok|warning|failed, detail, hint}``; facts are plain data for the role;
    ``services`` in them, ``{service[, control]}``, must not run while data is exchanged. For a backup ``options`` also hold
    ``kind`` and ``newest`` (``worker/newest.py``), and the facts say which ``kind`` is possible.
``seal(job) -> {"position", "checks", "tools", "facts"[, "parent", "chain"]}``
    After capture: what the receipt says. ``position`` is ``{not_before, not_after, exact}`` in the engine's own terms. An app
    that knows better than the engine of which moment the set is adds ``consistent_at``, one with logs ``stream`` (see
    ``receipt.py``).
``consumes(kind) -> bool``
    Whether a capture of that kind takes something that its source then no longer offers (see salvage).
``covers(position, summary) -> bool``
    Whether a set ends at or after a position that an operator names; raises BadInput for what is none. (Apps with logs only.)
``judge(plan)``
    Raise what keeps the app from following a plan ``{stop_at, position, sets, receipts}``, before anything is brought back
    and in check mode, too. (Optional.)
``EXECUTORS``
    The executors (``executors/``) that the app can work through; without it only ``local``. The one that is used is in
    ``options["executor"]`` of preflight and in ``job.executor``. An app without ``local`` needs a worker on another machine.
``EXECUTOR_ACCOUNT``
    The account that such a worker logs in as where ``executor_account`` names none. (Optional.)
``CALLS``
    Functions ``(job, arguments)`` that steps of type ``app`` may name.
``TOOLS``
    Functions ``(arguments) -> exit status`` that run as the tool of a capture: ``worker.pyz tool APP NAME ...``. (Optional.)

Which of the facts and of what ``seal`` returns the engine itself reads is in docs/contract.md.
"""

from __future__ import annotations

import importlib
import re
from types import ModuleType
from typing import Tuple

from ..errors import BadInput

EXPORTS = ("KINDS", "preflight", "seal", "consumes", "CALLS")
OPTIONAL = ("covers", "judge", "EXECUTORS", "EXECUTOR_ACCOUNT", "TOOLS")


def load_app(name: str) -> ModuleType:
    """Return the module of app ``name``. Raise BadInput when there is none."""
    if not re.match(r"^[a-z][a-z0-9_]*$", name):
        raise BadInput(f"'{name}' is not the name of an app")
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
        raise BadInput(f"there is no app '{name}'", "see docs/systems/ for the apps") from None


def require_kind(name: str, kind: str) -> None:
    """Raise BadInput unless app ``name`` can make a backup of ``kind``: a set must never claim to be what it is not."""
    kinds = load_app(name).KINDS
    if kind not in kinds:
        raise BadInput(f"there is no backup of kind '{kind}' for {name}", f"kinds: {', '.join(kinds)}")


def executors_of(name: str) -> Tuple[str, ...]:
    """Return the names of the executors that app ``name`` can work through."""
    return tuple(getattr(load_app(name), "EXECUTORS", ("local",)))


def require_executor(name: str, executor: str) -> None:
    """Raise BadInput unless app ``name`` can work through ``executor``: it would look at the wrong machine."""
    known = executors_of(name)
    if executor in known:
        return
    if executor == "local":
        raise BadInput(f"{name} cannot work on the protected host itself", "name another machine in backstay_worker")
    hint = "leave backstay_worker out" if "local" in known else f"it works through {', '.join(known)}"
    raise BadInput(f"{name} cannot be reached through {executor}", hint)
