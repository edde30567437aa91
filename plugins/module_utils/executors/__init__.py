# SPDX-License-Identifier: GPL-3.0-or-later
"""How the worker touches the protected host: one object that runs commands there and reads and writes its files.

``local``: the worker is the protected host. ``ssh``: it is another machine, which logs in as the server's account. Steps and
apps use an executor and do not know which one; a test holds all of them to the same behaviour. Decision 11 says why.
"""

from __future__ import annotations

from typing import Any, Dict, Optional

from .base import Command, Executor
from .local import LocalExecutor

_TEXT = {"type": "string", "minLength": 1}
_PATH = {"type": "string", "pattern": r"^/[^\x00\n]*\Z"}
# What a job says of its executor. ``directory`` is ours on the protected host, ``access`` holds key and known hosts on the
# worker; ``staging``: the server writes where the worker reads (``share``), or the worker pulls what it wrote (``pull``).
SETTINGS: Dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "enum": ["local", "ssh"]},
        "address": _TEXT,
        "port": {"type": "integer", "minimum": 1},
        "account": _TEXT,
        "access": _PATH,
        "directory": _PATH,
        "staging": {"type": "string", "enum": ["pull", "share"]},
    },
}


def open_executor(settings: Optional[Dict[str, Any]], host: str, app: str) -> Executor:
    """Return the executor that ``settings`` (see SETTINGS; None: local) name, for ``app`` of the protected ``host``.

    Nothing is reached before it is used.
    """
    if not settings or settings["name"] == "local":
        return LocalExecutor()
    from .ssh import SshExecutor

    return SshExecutor(settings, host, app)


__all__ = ["SETTINGS", "Command", "Executor", "LocalExecutor", "open_executor"]
