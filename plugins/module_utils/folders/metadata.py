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


def read_xattrs(path: bytes) -> Dict[str, bytes]:
    """Return the extended attributes of ``path`` (of a link its own) that belong to its content, by name."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EPERM):
            return {}
        raise
    found = {}
    for name in sorted(names):
        if name.startswith(_KEPT) or name in _LISTS:
            try:
                found[name] = os.getxattr(path, name, follow_symlinks=False)
            except OSError as error:
                if error.errno != errno.ENODATA:  # removed since it was listed
                    raise
    return found


def apply_metadata(path: bytes, wanted: Metadata) -> None:
    """Give ``path`` exactly this metadata; what it has beyond is removed. Raise OSError when it will not take it."""
    status = os.lstat(path)
    if (status.st_uid, status.st_gid) != (wanted.uid, wanted.gid):
        os.lchown(path, wanted.uid, wanted.gid)  # first: it takes set-user-id bits and capabilities away
    if not stat.S_ISLNK(wanted.mode):
        os.chmod(path, stat.S_IMODE(wanted.mode))
    present = read_xattrs(path)
    for name in present.keys() - wanted.xattrs.keys():
        with contextlib.suppress(FileNotFoundError):
            os.removexattr(path, name, follow_symlinks=False)
    for name, value in wanted.xattrs.items():
        if present.get(name) != value:
            os.setxattr(path, name, value, follow_symlinks=False)
    os.utime(path, ns=(wanted.mtime, wanted.mtime), follow_symlinks=False)


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
