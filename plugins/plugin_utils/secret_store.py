# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets that Backstay makes itself, kept on the control node: made once, never changed, readable by their owner only.

``<state>/secrets/<quoted inventory name>/<secret name>``, directories 0700, files 0600. A secret appears whole or not at
all, and when several processes make the same one at once all of them get the first.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError, Refused
from ansible_collections.backstay.fleet.plugins.module_utils.files import sync_directory
from ansible_collections.backstay.fleet.plugins.module_utils.names import quote_name

_RANDOM_BYTES = 32


class SecretMissing(BackstayError):
    """A secret is wanted that was never made, and the caller may not make it."""

    code = "secret-missing"


def state_directory(chosen: str | None, environment: Mapping[str, str] = os.environ) -> Path:
    """Return where Backstay keeps its state on this control node.

    ``chosen`` is the variable backstay_state_dir; without it BACKSTAY_STATE_DIR, XDG_STATE_HOME/backstay and
    ~/.local/state/backstay are taken in this order.
    """
    if chosen:
        return Path(chosen).expanduser()
    if environment.get("BACKSTAY_STATE_DIR"):
        return Path(environment["BACKSTAY_STATE_DIR"]).expanduser()
    if environment.get("XDG_STATE_HOME"):
        return Path(environment["XDG_STATE_HOME"]) / "backstay"
    return Path("~/.local/state/backstay").expanduser()


def new_secret() -> str:
    """Return 256 random bits as 43 characters that need no quoting anywhere."""
    return secrets.token_urlsafe(_RANDOM_BYTES)


class SecretStore:
    """The secrets below one state directory."""

    def __init__(self, state: Path) -> None:
        self._root = state / "secrets"

    def path(self, host: str, name: str) -> Path:
        """Return the file that holds the secret ``name`` of ``host`` (an inventory name)."""
        return self._root / quote_name(host) / name

    def read(self, host: str, name: str) -> str | None:
        """Return the secret, None when it was never made. Raise Refused when others could read or change it."""
        return read_private(self.path(host, name))

    def obtain(self, host: str, name: str, create: bool, make: Callable[[], str] = new_secret) -> str:
        """Return the secret and make it first when there is none and ``create`` allows it.

        Raise SecretMissing when there is none and ``create`` is false, Refused for loose permissions.
        """
        found = self.read(host, name)
        if found is not None:
            return found
        path = self.path(host, name)
        if not create:
            raise SecretMissing(
                f"there is no {name} of {host} on this control node ({path})",
                "bring the secrets here from the control node that made them, or set the vault variable",
            )
        return create_private(path, make())


def read_private(path: Path) -> str | None:
    """Return the text of a private file, None when there is none. Raise Refused unless it is ours and 0600 or tighter."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, encoding="utf-8") as file:
        _require_private(path, os.fstat(descriptor))
        text = file.read()
    if not text:
        raise Refused(f"{path} is empty", "bring the secret back from a copy; without it the repository cannot be read")
    return text


def create_private(path: Path, text: str) -> str:
    """Create ``path`` with ``text`` unless it exists and return what it holds; durable, 0600, never a part of it seen."""
    private_directory(path.parent)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        with contextlib.suppress(FileExistsError):  # somebody was faster: theirs is the secret
            os.link(temporary, path)
    finally:
        temporary.unlink()
    sync_directory(path.parent)
    kept = read_private(path)
    if kept is None:
        raise Refused(f"{path} vanished while it was being made", "does another program clean this directory?")
    return kept


def private_directory(path: Path) -> None:
    """Make ``path`` and missing parents 0700. Raise Refused when ``path`` exists and others may enter it."""
    if not path.exists():
        missing = [parent for parent in path.parents if not parent.exists()]
        for folder in [*reversed(missing), path]:
            folder.mkdir(mode=0o700, exist_ok=True)
            sync_directory(folder.parent)
    _require_private(path, path.stat())


def _require_private(path: Path, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        raise Refused(f"{path} belongs to another user", f"run: chown {os.geteuid()} '{path}'")
    if stat.S_IMODE(status.st_mode) & 0o077:
        wanted = "700" if stat.S_ISDIR(status.st_mode) else "600"
        raise Refused(f"{path} is open to other users of this machine", f"run: chmod {wanted} '{path}'")
