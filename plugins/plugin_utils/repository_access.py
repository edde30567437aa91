# SPDX-License-Identifier: GPL-3.0-or-later
"""What gives access to a protected host's repository, computed from its inventory variables and the control node's state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.backstay.fleet.plugins.module_utils.layout import repository as repository_directory
from ansible_collections.backstay.fleet.plugins.module_utils.names import quote_name
from ansible_collections.backstay.fleet.plugins.module_utils.redact import redact
from ansible_collections.backstay.fleet.plugins.plugin_utils.certificate_authority import load_authority
from ansible_collections.backstay.fleet.plugins.plugin_utils.secret_store import (
    SecretMissing,
    SecretStore,
    state_directory,
)

DEFAULT_PORT = 8000
APP_GROUP_PREFIX = "app_"
# rest-server takes these path elements for parts of a repository instead of the name of one.
_RESERVED_USERS = frozenset({"data", "index", "keys", "locks", "snapshots", "config"})


def offsite_user(host: str) -> str:
    """Return the user (and folder) of ``host`` on the offsite server: letters, digits and ``. _ - @`` only.

    Different inventory names never give the same user.
    """
    user = quote_name(host).replace("=", "@")
    return f"@{ord(user[0]):02X}{user[1:]}" if user in _RESERVED_USERS else user


def protected_hosts(groups: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the inventory names of all protected hosts: every host of a group whose name starts with ``app_``."""
    return sorted({host for group, hosts in groups.items() if group.startswith(APP_GROUP_PREFIX) for host in hosts})


def uses_server(variables: Mapping[str, Any], server: str) -> bool:
    """Whether the host with ``variables`` keeps its repository on the offsite server ``server`` (an inventory name)."""
    return not variables.get("backstay_repository_url") and variables.get("backstay_offsite") == server


def names_in_use(server: str, hostvars: Mapping[str, Any], hosts: Iterable[str]) -> list[str]:
    """Return the names and addresses under which ``hosts`` reach the offsite server ``server``."""
    using = [hostvars[host] for host in hosts if uses_server(hostvars[host], server)]
    return list(dict.fromkeys(str(variables.get("backstay_offsite_url_host") or server) for variables in using))


class AccessBuilder:
    """Builds the access of one host. ``create`` makes missing secrets; ``allow_missing`` leaves them None instead."""

    def __init__(self, host: str, variables: Mapping[str, Any], create: bool, allow_missing: bool) -> None:
        self._host = host
        self._variables = variables
        self._state = state_directory(variables.get("backstay_state_dir"))
        self._create = create
        self._allow_missing = allow_missing
        self._missing: list[str] = []

    def build(self) -> dict[str, Any]:
        """Return the access as the lookup ``backstay.fleet.repository`` documents it. Raise a BackstayError."""
        given = str(self._variables.get("backstay_repository_url") or "")
        ca_pem = self._ca_pem(bool(given))  # first: a control node without the authority must not make secrets either
        password = self._secret("backstay_repository_password", "repository-password")
        user = None if given else offsite_user(self._host)
        user_password = None if given else self._secret("backstay_offsite_user_password", "offsite-user-password")
        plain = given or self._server_url(user or "")
        access = {
            "name": self._host,
            "directory": str(repository_directory(self._host)),
            "user": user,
            "url": plain if given or user_password is None else _with_credentials(plain, user or "", user_password),
            "public_url": redact(plain),
            "password": password,
            "user_password": user_password,
            "ca_pem": ca_pem,
            "environment": self._environment(),
            "missing": self._missing,
        }
        return dict(access, files=access_files(access))

    def user_password(self, exists: bool) -> str | None:
        """Return only the password of the host's user on the offsite server (None: missing, and that is allowed).

        When the user ``exists`` there already, its password was made once: it is never made anew.
        """
        return self._secret("backstay_offsite_user_password", "offsite-user-password", may_create=not exists)

    def _secret(self, variable: str, name: str, may_create: bool = True) -> str | None:
        given = self._variables.get(variable)
        if given:
            return str(given)
        try:
            return SecretStore(self._state).obtain(self._host, name, self._create and may_create)
        except SecretMissing:
            if not self._allow_missing:
                raise
            self._missing.append(name)
            return None

    def _server_url(self, user: str) -> str:
        server = self._variables.get("backstay_offsite")
        if not server:
            raise BadInput(
                f"there is no offsite server for {self._host}",
                "set backstay_offsite or backstay_repository_url in the inventory",
            )
        name = str(self._variables.get("backstay_offsite_url_host") or server)
        port = int(self._variables.get("backstay_offsite_port") or DEFAULT_PORT)
        bracketed = f"[{name}]" if ":" in name else name
        return f"rest:https://{bracketed}:{port}/{quote(user, safe='@')}/"

    def _ca_pem(self, own_url: bool) -> str | None:
        given = self._variables.get("backstay_repository_ca_pem")
        if given is not None or own_url:
            return str(given) if given else None
        try:
            return load_authority(self._state, create=False).pem
        except SecretMissing as error:
            if not self._allow_missing:
                error.hint += ", or set backstay_repository_ca_pem if the offsite server has a certificate of your own"
                raise
            self._missing.append("certificate authority")
            return None

    def _environment(self) -> dict[str, str]:
        given = self._variables.get("backstay_repository_environment") or {}
        environment = {str(name): str(value) for name, value in given.items()}
        for name, value in environment.items():
            if not name.isidentifier() or "\n" in value or "\r" in value:
                raise BadInput(
                    f"backstay_repository_environment of {self._host}: {name!r} cannot be a line NAME=value",
                    "names are letters, digits and underscores; values are single lines",
                )
        return environment


def access_files(access: Mapping[str, Any]) -> dict[str, str]:
    """Return the contents of the access files by file name, as a worker reads them (``worker.job.open_access``)."""
    lines = "".join(f"{name}={value}\n" for name, value in (access["environment"] or {}).items())
    files = {"url": access["url"], "password": access["password"], "ca.pem": access["ca_pem"], "environment": lines}
    return {name: content for name, content in files.items() if content}


def _with_credentials(url: str, user: str, password: str) -> str:
    return url.replace("://", f"://{quote(user, safe='')}:{quote(password, safe='')}@", 1)
