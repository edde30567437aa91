# SPDX-License-Identifier: GPL-3.0-or-later
"""Give a host access to its repository and make the repository once.

Nothing on the host changes before restic has proved that the access works: until then restic reads the secrets from
anonymous memory. A wrong password or a server that is away therefore never damages an access that worked.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from subprocess import PIPE, TimeoutExpired
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from . import restic
from .errors import BackstayError, Refused, RepositoryAbsent, RepositoryError
from .files import private_directory, write_atomic
from .process import kill_group, last_line, spawn
from .redact import redact

PROGRAMS = ("/usr/local/lib/backstay/restic", "/usr/local/bin/restic", "/usr/bin/restic")
_SECONDS_PER_CALL = 180.0


class Wanted(NamedTuple):
    """The access files as they shall be; None: no such file."""

    url: str
    password: str
    ca_pem: Optional[str]
    environment: Dict[str, str]

    def files(self) -> Dict[str, Optional[str]]:
        """Return the content by file name."""
        lines = "".join(f"{name}={value}\n" for name, value in sorted(self.environment.items()))
        return {
            "url": self.url + "\n",
            "password": self.password + "\n",
            "ca.pem": self.ca_pem or None,
            "environment": lines or None,
        }


class Outcome(NamedTuple):
    """What became of the repository: ``present``, ``created``, ``absent`` (may not be created) or ``would create``."""

    repository: str
    identity: Optional[str]
    restic_runs: int


def find_program(candidates: Tuple[str, ...] = PROGRAMS) -> Tuple[Optional[str], Tuple[int, ...]]:
    """Return the first restic of ``candidates`` with its version; ``(None, ())`` when there is none."""
    for program in candidates:
        if os.access(program, os.X_OK):
            _status, stdout, _stderr = _call([program, "version"], {}, ())
            return program, restic.parse_version(stdout)
    return None, ()


def is_adequate(version: Tuple[int, ...]) -> bool:
    """Whether this version of restic can do what Backstay needs."""
    return version[:2] >= restic.MINIMUM_VERSION


def differences(directory: Path, wanted: Wanted) -> List[str]:
    """Return the names of the access files that differ from what is wanted, in content or in mode."""
    return [name for name, content in wanted.files().items() if not _is_as_wanted(directory / name, content)]


def write_files(directory: Path, wanted: Wanted, names: List[str]) -> None:
    """Write the files ``names``, each in one move, 0600 in directories of root only; remove what is not wanted."""
    private_directory(directory)
    for folder in (directory.parent, directory):
        folder.chmod(0o700)
    for name in names:
        content = wanted.files()[name]
        if content is None:
            (directory / name).unlink()
        else:
            write_atomic(directory / name, content.encode())


def known_identity(directory: Path) -> Optional[str]:
    """Return the identity of the repository this host used last, None when it used none."""
    try:
        return (directory / "identity").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None


def settle(program: str, wanted: Wanted, known: Optional[str], *, create: bool, replace: bool, check_mode: bool) -> Outcome:
    """Find the repository, or make it when there is none and ``create`` allows it.

    ``known`` is the identity of the repository used so far: another one, or none, in its place is refused unless
    ``replace``. Raise a BackstayError for everything that is not plainly there or plainly absent.
    """
    with _in_memory(program, wanted) as (access, descriptors):
        status, stdout, stderr = _restic(access, ["cat", "config", "--no-lock"], descriptors)
        if status == 0:
            identity = str(json.loads(stdout)["id"])
            _require_known(known, identity, replace)
            return Outcome("present", identity, 1)
        error = _explain(status, stderr)
        if not isinstance(error, RepositoryAbsent):
            raise error
        _require_known(known, None, replace)
        if not create:
            raise error
        if check_mode:
            return Outcome("would create", None, 1)
        status, stdout, stderr = _restic(access, ["init"], descriptors)
        if status != 0:
            raise _explain(status, stderr)
        return Outcome("created", _initialised(stdout), 2)


def _is_as_wanted(path: Path, content: Optional[str]) -> bool:
    try:
        status = path.lstat()
        private = status.st_uid == os.geteuid() and status.st_mode & 0o777 == 0o600
        return content is not None and private and path.read_bytes() == content.encode()
    except FileNotFoundError:
        return content is None


@contextlib.contextmanager
def _in_memory(program: str, wanted: Wanted) -> Iterator[Tuple[restic.Access, Tuple[int, ...]]]:
    """Yield an access whose files exist only in memory, and the descriptors restic must inherit."""
    opened: Dict[str, int] = {}
    try:
        for name, content in wanted.files().items():
            if content is not None and name != "environment":
                opened[name] = os.memfd_create(name)
                os.write(opened[name], content.encode())
        paths = {name: f"/proc/self/fd/{descriptor}" for name, descriptor in opened.items()}
        yield (
            restic.Access(program, paths["url"], paths["password"], paths.get("ca.pem"), wanted.environment, "/nonexistent"),
            tuple(opened.values()),
        )
    finally:
        for descriptor in opened.values():
            os.close(descriptor)


def _restic(access: restic.Access, command: List[str], descriptors: Tuple[int, ...]) -> Tuple[int, str, str]:
    return _call([*restic.base_argv(access), "--no-cache", *command], access.environment, descriptors)


def _call(argv: List[str], environment: Dict[str, str], descriptors: Tuple[int, ...]) -> Tuple[int, str, str]:
    process = spawn(argv, environment, stdout=PIPE, stderr=PIPE, pass_fds=descriptors)
    try:
        stdout, stderr = process.communicate(timeout=_SECONDS_PER_CALL)
    except TimeoutExpired:
        kill_group(process)
        _stdout, stderr = process.communicate()
        said = redact(last_line(stderr.decode("utf-8", "replace")))  # it tries again for long what it has said is hopeless
        raise RepositoryError(
            f"restic had no answer within {_SECONDS_PER_CALL:.0f} s and was ended: {said}",
            "is the server up? A bucket has to be there before, and its key has to be allowed to use it",
        ) from None
    return process.returncode, stdout.decode("utf-8", "replace"), redact(stderr.decode("utf-8", "replace"))


def _explain(status: int, stderr: str) -> BackstayError:
    error = restic.error_for(status, stderr)
    if "401" in stderr and "nauthorized" in stderr:
        return RepositoryError(
            "the offsite server does not know this host's user or its password",
            "run playbooks/offsite.yml with the offsite server inside --limit, so that the user is made there",
        )
    if "x509:" in stderr:
        return RepositoryError(
            f"the certificate of the repository's server is not trusted: {stderr[stderr.index('x509:') :].splitlines()[0]}",
            "run playbooks/offsite.yml with the offsite server inside --limit, or set backstay_repository_ca_pem",
        )
    return error


def _require_known(known: Optional[str], found: Optional[str], replace: bool) -> None:
    if known is None or known == found or replace:
        return
    what = "is gone" if found is None else "has been replaced by another one"
    raise Refused(
        f"the repository this host has used so far ({known[:8]}) {what}",
        "is the right disk mounted on the server? To go on with a new history set repository_replace to true",
    )


def _initialised(stdout: str) -> str:
    for line in stdout.splitlines():
        if line.startswith("{"):
            item: Dict[str, Any] = json.loads(line)
            if item.get("message_type") == "initialized":
                return str(item["id"])
    raise RepositoryError("restic made a repository without telling its identity")
