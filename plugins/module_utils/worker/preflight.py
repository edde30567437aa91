# SPDX-License-Identifier: GPL-3.0-or-later
"""Preflight: look before anything is touched. Every check has a name, a status and a hint; nothing is changed."""

from __future__ import annotations

import base64
import http.client
import ssl
from pathlib import Path
from typing import Any, Dict, List, Optional
from urllib.parse import unquote, urlsplit

from .. import placement, restic
from ..apps import load_app, require_executor, require_kind
from ..checks import Check, new_check
from ..errors import BackstayError, Refused
from ..executors import open_executor
from ..process import run
from . import newest
from .job import find_restic, open_access


def inspect(request: Dict[str, Any]) -> Dict[str, Any]:
    """Return ``{checks, facts}`` for ``{app, action, kind, options, directory}`` of the request."""
    app = load_app(request["app"])
    if request["action"] == "backup":
        require_kind(request["app"], request["kind"])
    checks = [_restic_check()]
    if request.get("directory"):
        checks.append(_repository_check(Path(request["directory"])))
    options = dict(request["options"])
    if request["action"] == "backup":
        options.update(kind=request["kind"], newest=None if _any_failed(checks) else _newest(request))
    require_executor(request["app"], (request.get("executor") or {"name": "local"})["name"])
    executor = open_executor(request.get("executor"), request["host"], request["app"])
    try:
        seen = app.preflight(dict(options, executor=executor), request["action"])
    finally:
        executor.end()
    return {"checks": checks + seen["checks"], "facts": seen["facts"]}


def _any_failed(checks: List[Check]) -> bool:
    return any(item["status"] == "failed" for item in checks)


def _newest(request: Dict[str, Any]) -> Optional[newest.Newest]:
    """Return the newest sets of the host's app; the repository is asked when this worker keeps none of it."""
    host, app, access = request["host"], request["app"], open_access(Path(request["directory"]))
    found = newest.kept(host, app, access.url_file)
    if found is None and request.get("check_mode"):
        found = newest.fetch(access._replace(cache=None), host, app)
    elif found is None:
        found = newest.fetch(access, host, app)
        newest.store(host, app, found)
    return newest.with_drafts(found, host, app)


def _restic_check() -> Check:
    try:
        done = run([find_restic(), "version"], 30)
    except BackstayError as error:
        return new_check("restic", "failed", error.message, error.hint)
    version = restic.parse_version(done.stdout)
    if version < restic.MINIMUM_VERSION:
        return new_check("restic", "failed", f"{done.stdout.strip() or 'no version'} is too old", "run playbooks/offsite.yml")
    return new_check("restic", "ok", ".".join(map(str, version)))


def _repository_check(directory: Path) -> Check:
    """Return the check of the way to the repository, without restic: one HTTPS request instead of a key derivation."""
    try:
        access = open_access(directory)
        require_offsite(access.url_file)
    except BackstayError as error:
        return new_check("repository", "failed", error.message, error.hint)
    return reach(access)


def reach(access: restic.Access) -> Check:
    """Return the check that the repository answers; restic itself would try for a quarter of an hour to find out."""
    url = Path(access.url_file).read_text(encoding="utf-8").strip()
    ca_pem = Path(access.ca_file).read_text(encoding="ascii") if access.ca_file else None
    if url.startswith("rest:"):
        return _ask_rest_server(url[len("rest:") :], ca_pem)
    server = placement.repository_server(url)
    try:
        placement.connect(server, ca_pem, 20)
    except BackstayError as error:
        return new_check("repository", "failed", error.message, error.hint)
    return new_check("repository", "ok", f"{server.host or server.scheme} answers")


def _ask_rest_server(url: str, ca_pem: Optional[str]) -> Check:
    parts = urlsplit(url)
    place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    try:
        status = _head_config(parts, ca_pem)
    except ssl.SSLCertVerificationError as error:
        return new_check(
            "repository",
            "failed",
            f"the certificate of {place} is not trusted: {error.verify_message}",
            "run playbooks/offsite.yml",
        )
    except (OSError, ValueError, http.client.HTTPException) as error:
        return new_check(
            "repository",
            "failed",
            f"{place} cannot be reached: {error}",
            "is the offsite server up, and the network open?",
        )
    answers = {
        200: ("ok", f"{place} answers", ""),
        401: ("failed", f"{place} refuses the user of this host", "run playbooks/offsite.yml"),
        404: ("failed", f"there is no repository at {place}{parts.path}", "run playbooks/offsite.yml"),
    }
    return new_check(
        "repository",
        *answers.get(status, ("failed", f"{place} answers with HTTP {status}", "look at the offsite server")),
    )


def _head_config(parts: Any, ca_pem: Optional[str]) -> int:
    """Return the HTTP status of the repository's config file."""
    if parts.scheme == "https":
        context = placement.trust(ca_pem)
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            parts.hostname, parts.port or 443, timeout=20, context=context
        )
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=20)
    user = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    headers = {"Authorization": "Basic " + base64.b64encode(user.encode()).decode()}
    try:
        connection.request("HEAD", parts.path.rstrip("/") + "/config", headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def require_offsite(url_file: str) -> None:
    """Raise Refused when the repository lies on this very host (G-5)."""
    server = placement.repository_server(Path(url_file).read_text(encoding="utf-8").strip())
    for address in placement.resolve(server.host, server.port) if server.host else []:
        if placement.is_own_address(address):
            raise Refused(
                f"the repository's server {server.host} is this host itself ({address})", "set backstay_offsite (G-5)"
            )
