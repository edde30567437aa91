# SPDX-License-Identifier: GPL-3.0-or-later
"""How the worker touches the protected host: one object that runs commands there and reads and writes its files.

``local``: the worker is the protected host. ``ssh``: it is another machine, which logs in as the server's account. Steps and
apps use an executor and do not know which one; a test holds all of them to the same behaviour. Decision 11 says why.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional

from .base import Command, Executor
from .local import LocalExecutor


def _open_ssh(settings: Dict[str, Any], host: str, app: str) -> Executor:
    from .ssh import SshExecutor  # imported by those only who use it

    return SshExecutor(settings, host, app)


# What opens an executor, by its name. Nothing is reached before it is used.
_OPEN: Dict[str, Callable[[Dict[str, Any], str, str], Executor]] = {
    "local": lambda _settings, _host, _app: LocalExecutor(),
    "ssh": _open_ssh,
}
_TEXT = {"type": "string", "minLength": 1}
_PATH = {"type": "string", "pattern": r"^/[^\x00\n]*\Z"}
# What a job says of its executor. ``directory`` is ours on the protected host, ``access`` holds key and known hosts on the
# worker; ``staging``: the server writes where the worker reads (``share``), or the worker pulls what it wrote (``pull``).
SETTINGS: Dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "enum": list(_OPEN)},
        "address": _TEXT,
        "port": {"type": "integer", "minimum": 1},
        "account": _TEXT,
        "access": _PATH,
        "directory": _PATH,
        "staging": {"type": "string", "enum": ["pull", "share"]},
    },
}


def open_executor(settings: Optional[Dict[str, Any]], host: str, app: str) -> Executor:
    """Return the executor that ``settings`` (see SETTINGS; None: local) name, for ``app`` of the protected ``host``."""
    found = settings or {"name": "local"}
    return _OPEN[found["name"]](found, host, app)


__all__ = ["SETTINGS", "Command", "Executor", "LocalExecutor", "open_executor"]
