# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the databases of a server lie: below the data directory, and where links in it lead.

``NAME.dir`` holds the path of a linked folder; a database link is a text file with the name of a database that holds the path
of one. Symbolic links out of the data directory are followed like them. Logical paths are relative to the data directory,
whatever links they go through.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Tuple

from ...errors import CommandFailed
from ...files import read_plain
from ...folders.walk import excluded
from ...yard import is_yard

SUFFIXES = (".nsf", ".ntf", ".box")
# The files that only the backup task copies while the server runs; shell patterns for all spellings.
LIVE = ["*.[nN][sS][fF]", "*.[nN][tT][fF]", "*.[bB][oO][xX]", "[sS]" + "[0-9]" * 7 + ".[tT][xX][nN]", "nlogctrl.lfh"]
_DEPTH = 8  # links that lead to links


class Found(NamedTuple):
    """``databases``: file by logical path; ``folders``: linked folder by the logical path of its link; ``links``: linked file
    by the logical path of its link; ``link_files``: owner, group and mode of the link itself; ``left``: folders behind symbolic
    links that are left out."""

    databases: Dict[str, str]
    folders: Dict[str, str]
    links: Dict[str, str]
    link_files: Dict[str, List[int]]
    left: List[str]


def scan(data: Path, apart: Iterable[str] = (), patterns: Iterable[str] = ()) -> Found:
    """Return what lies in the data directory. Symbolic links are not followed into folders ``apart``, which are saved as such
    or not at all, nor where shell ``patterns`` leave them out.

    Raise CommandFailed for a link that leads nowhere, and for what cannot be read.
    """
    found = Found({}, {}, {}, {}, [])
    own = [os.path.realpath(str(data)), *apart]
    try:
        _scan(data, "", found, _Limits(_DEPTH, own, [os.fsencode(pattern) for pattern in patterns]))
    except OSError as error:
        raise CommandFailed(f"{error.filename or data} cannot be read: {error.strerror}", "mend or remove it") from error
    return found


class _Limits(NamedTuple):
    """How many links may lead to links, the folders that no symbolic link is followed into, what is left out."""

    depth: int
    apart: List[str]
    patterns: List[bytes]


def _scan(folder: Path, prefix: str, found: Found, limits: _Limits) -> None:
    for name, entry in _listed(folder):
        path = prefix + name
        if entry.is_dir(follow_symlinks=False):
            if not is_yard(Path(name)):
                _scan(folder / name, path + "/", found, limits)
        elif entry.is_dir():
            _scan_behind(path, folder, name, found, limits)
        elif name.lower().endswith(".dir"):
            target = _target(Path(os.path.realpath(str(folder / name))))
            if target and limits.depth:
                if not Path(target).is_dir():
                    raise CommandFailed(f"the link {path} leads to {target}, which is no folder", "mend or remove the link")
                _scan_linked(path[: -len(".dir")], target, found, limits)
        elif name.lower().endswith(SUFFIXES) or ("." not in name and entry.is_symlink()):
            _note_file(path, folder / name, found)


def _scan_behind(path: str, folder: Path, name: str, found: Found, limits: _Limits) -> None:
    """Scan the folder behind a symbolic link, unless it is found in its own place, or leads back up."""
    target = os.path.realpath(str(folder / name))
    if excluded(os.fsencode(path), limits.patterns):
        found.left.append(target)
        return
    known = [*limits.apart, *found.folders.values()]
    if limits.depth and not any(below(target, other) for other in known) and not below(os.path.realpath(str(folder)), target):
        _scan_linked(path, target, found, limits)


def _note_file(path: str, place: Path, found: Found) -> None:
    """Note the database ``path`` at ``place``, or where that leads. Raise CommandFailed for a symbolic link to nothing: it may
    lead to a whole folder of databases."""
    file = Path(os.path.realpath(str(place))) if place.is_symlink() else place
    if file != place and not file.exists():
        raise CommandFailed(f"the link {path} leads to {file}, which is not there", "mend or remove the link")
    if not path.lower().endswith(SUFFIXES):
        return
    target = _target(file) or (str(file) if file != place else "")
    if target:
        found.links[path] = target
        found.link_files[path] = owner_and_mode(str(file))
    found.databases[path] = target or str(place)


def _listed(folder: Path) -> Iterator[Tuple[str, Any]]:
    with contextlib.suppress(FileNotFoundError), os.scandir(str(folder)) as listing:
        for entry in sorted(listing, key=lambda item: item.name):
            yield entry.name, entry


def _target(link: Path) -> str:
    """Return the absolute path in a link file; empty for a file that is no link."""
    lines = read_plain(link).splitlines()
    first = lines[0].strip() if lines else ""
    return real(first) if first.startswith("/") and first.isprintable() else ""


def real(path: str) -> str:
    """Return the one spelling of a path, links in its folders resolved; empty for an empty one.

    POSIX lets two slashes at the beginning stand, Linux knows no such root.
    """
    above, name = os.path.split(re.sub("^//+", "/", path))
    return os.path.normpath(os.path.join(os.path.realpath(above), name)) if path else ""


def _scan_linked(path: str, target: str, found: Found, limits: _Limits) -> None:
    found.folders[path] = os.path.realpath(target)
    _scan(Path(found.folders[path]), path + "/", found, limits._replace(depth=limits.depth - 1))


def left_out(database: str, patterns: Iterable[str]) -> bool:
    """Return whether a database is excluded; a pattern counts from the beginning of the path, a ``*`` at its end is implied."""
    return any(fnmatchcase(database.lower(), pattern.lower().rstrip("*") + "*") for pattern in patterns)


def of_database(file: str, databases: Dict[str, str]) -> str:
    """Return the logical path of the database in ``file``, empty when it is none of ``databases``."""
    return next((path for path, place in databases.items() if place == file), "")


def regular(path: Path) -> int:
    """Return the bytes of a regular file, -1 for anything else and for nothing."""
    try:
        status = os.lstat(str(path))
    except OSError:
        return -1
    return status.st_size if stat.S_ISREG(status.st_mode) else -1


def described(folders: Iterable[str]) -> Dict[str, List[int]]:
    """Return owner, group and mode of those of ``folders`` that are there."""
    return {folder: owner_and_mode(folder) for folder in filter(None, dict.fromkeys(folders)) if Path(folder).is_dir()}


def owner_and_mode(path: str) -> List[int]:
    """Return owner, group and mode."""
    status = os.lstat(path)
    return [status.st_uid, status.st_gid, status.st_mode & 0o7777]


def below(path: str, folder: str) -> bool:
    """Return whether ``path`` is ``folder`` or lies in it."""
    return bool(folder) and (path == folder or path.startswith(folder.rstrip("/") + "/"))


def outermost(folders: Iterable[str]) -> List[str]:
    """Return the folders that lie in no other one of them, in order."""
    listed = list(dict.fromkeys(folders))
    return [one for one in listed if not any(below(one, other) for other in listed if other != one)]
