# SPDX-License-Identifier: GPL-3.0-or-later
"""Owner, mode, times and extended attributes of anything in a folder; access lists are attributes, too."""

from __future__ import annotations

import base64
import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import Any, Dict, NamedTuple

_KEPT = ("user.", "trusted.", "security.")
_LISTS = ("system.posix_acl_access", "system.posix_acl_default")  # other system attributes are the filesystem's own


class Metadata(NamedTuple):
    """What a thing has beside its content. ``mode`` with its type, ``mtime`` in ns since the epoch."""

    uid: int
    gid: int
    mode: int
    mtime: int
    xattrs: Dict[str, bytes]


def of_status(status: os.stat_result, xattrs: Dict[str, bytes]) -> Metadata:
    """Return the metadata in ``status`` with ``xattrs``."""
    return Metadata(status.st_uid, status.st_gid, status.st_mode, status.st_mtime_ns, xattrs)


def read_metadata(path: bytes) -> Metadata:
    """Return the metadata of ``path``, of a link its own."""
    return of_status(os.lstat(path), read_xattrs(path))


def read_xattrs(path: bytes, follow_symlinks: bool = False) -> Dict[str, bytes]:
    """Return the extended attributes of ``path`` (of a link, unless it is followed, its own) that belong to its content."""
    try:
        names = os.listxattr(path, follow_symlinks=follow_symlinks)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EPERM):
            return {}
        raise
    found = {}
    for name in sorted(names):
        if name.startswith(_KEPT) or name in _LISTS:
            try:
                found[name] = os.getxattr(path, name, follow_symlinks=follow_symlinks)
            except OSError as error:
                if error.errno != errno.ENODATA:  # removed since it was listed
                    raise
    return found


def apply_metadata(path: bytes, wanted: Metadata) -> None:
    """Give ``path`` (of a link the link) exactly this metadata; what it has beyond is removed.

    Raise OSError when it will not take it, or is of another type: somebody else may have put a thing of his choice there.
    """
    held = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        status, itself = os.fstat(held), b"/proc/self/fd/%d" % held  # whatever becomes of the name meanwhile
        if stat.S_IFMT(status.st_mode) != stat.S_IFMT(wanted.mode):
            raise FileNotFoundError(errno.ENOENT, "it was exchanged for something else", path)
        _give(itself, status, wanted)
    finally:
        os.close(held)


def _give(itself: bytes, status: os.stat_result, wanted: Metadata) -> None:
    """Do what ``apply_metadata`` says; following the magic link ``itself`` ends at the thing, also if that is a link."""
    if (status.st_uid, status.st_gid) != (wanted.uid, wanted.gid):
        os.chown(itself, wanted.uid, wanted.gid)  # first: it takes set-user-id bits and capabilities away
    if not stat.S_ISLNK(wanted.mode):
        os.chmod(itself, stat.S_IMODE(wanted.mode))
    present = read_xattrs(itself, follow_symlinks=True)
    for name in present.keys() - wanted.xattrs.keys():
        with contextlib.suppress(FileNotFoundError):
            os.removexattr(itself, name)
    for name, value in wanted.xattrs.items():
        if present.get(name) != value:
            os.setxattr(itself, name, value)
    os.utime(itself, ns=(wanted.mtime, wanted.mtime))


def drop_default_list(path: Path) -> None:
    """Take away the access list that new entries of a directory would inherit."""
    try:
        os.removexattr(str(path), "system.posix_acl_default")
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.EOPNOTSUPP):
            raise


def to_plain(metadata: Metadata) -> Dict[str, Any]:
    """Return ``metadata`` as plain data for a file."""
    return dict(
        metadata._asdict(), xattrs={name: base64.b64encode(value).decode("ascii") for name, value in metadata.xattrs.items()}
    )


def from_plain(plain: Dict[str, Any]) -> Metadata:
    """Return the metadata that ``to_plain`` made ``plain`` of."""
    return Metadata(**dict(plain, xattrs={name: base64.b64decode(value) for name, value in plain["xattrs"].items()}))
