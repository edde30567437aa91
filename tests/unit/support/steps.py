# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps that tests put into jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

Step = dict[str, Any]


def capture(script: str, artifact: str = "data", **more: Any) -> Step:
    """Return a step that captures the output of a shell script; its proof is 'completed OK!' on standard error."""
    proof = more.pop("proof", {"stderr_end": "completed OK!"})
    arguments = dict({"artifact": artifact, "argv": ["sh", "-c", script], "proof": proof}, **more)
    return {"name": f"Take {artifact}", "capture": arguments}


def good(text: str = "payload", artifact: str = "data", **more: Any) -> Step:
    """Return a capture that succeeds with ``text``."""
    return capture(f"printf %s '{text}'; echo 'completed OK!' >&2", artifact, **more)


def logs(text: str = "payload") -> Step:
    """Return the capture of a log set that succeeds with ``text``."""
    return good(text, "logs")


def service(state: str, name: str = "mariadb") -> Step:
    """Return a step that brings a service into a state."""
    return {"name": f"{name} {state}", "service": {"name": name, "state": state, "timeout": 5}}


def call(name: str, /, **arguments: Any) -> Step:
    """Return a step that calls the app for tests."""
    return {"name": f"Call {name}", "app": {"call": name, "arguments": arguments}}


def hold(folder: Path) -> Step:
    """Return a step that says (``reached``) that it is reached and waits for ``until``; both lie in ``folder``."""
    return call("hold", reached=str(folder / "reached"), until=str(folder / "until"))


def land(into: Path | str, kinds: list[str] | None = None, artifact: str = "data", script: str = "cat > content") -> Step:
    """Return a step that lands an artifact through a shell script."""
    arguments = {"artifact": artifact, "kinds": kinds or ["full"], "into": str(into), "unpack": ["sh", "-c", script]}
    return {"name": "Bring it back", "land": arguments}


def failing(message: str) -> Step:
    """Return a step whose native command fails."""
    return {"name": "Fail", "command": {"argv": ["sh", "-c", f"echo {message} >&2; exit 1"]}}
