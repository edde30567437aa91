# SPDX-License-Identifier: GPL-3.0-or-later
"""Random small directory trees, and how to look at one as plain data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

Tree = dict[str, Any]  # name -> content of a file, ("link", where), or a Tree

NAMES = ["ibdata1", "aria_log_control", "shop", "a b", "ä", ".hidden"]
_leaves = st.binary(max_size=4) | st.sampled_from([("link", "../nowhere"), ("link", "ibdata1"), ("link", "/etc/hostname")])
trees = st.dictionaries(
    st.sampled_from(NAMES), _leaves | st.dictionaries(st.sampled_from(NAMES), _leaves, max_size=2), max_size=5
)


def plant(path: Path, tree: Tree) -> Path:
    """Make ``tree`` below ``path``."""
    path.mkdir(parents=True, exist_ok=True)
    for name, item in tree.items():
        if isinstance(item, dict):
            plant(path / name, item)
        elif isinstance(item, tuple):
            (path / name).symlink_to(item[1])
        else:
            (path / name).write_bytes(item)
    return path


def look(path: Path, leave_out: tuple[str, ...] = ()) -> Tree:
    """Return what lies below ``path``; nothing when there is no such directory."""
    if not path.is_dir():
        return {}
    found: Tree = {}
    for item in path.iterdir():
        if item.name in leave_out:
            continue
        if item.is_symlink():
            found[item.name] = ("link", str(item.readlink()))
        else:
            found[item.name] = look(item) if item.is_dir() else item.read_bytes()
    return found


def everything(*trees_seen: Tree) -> list[str]:
    """Return every entry of the trees, spelled, sorted: what must be the same before and after any crash."""

    def spell(item: Any) -> str:
        return repr({name: spell(item[name]) for name in sorted(item)} if isinstance(item, dict) else item)

    return sorted(f"{name} {spell(item)}" for tree in trees_seen for name, item in tree.items())


def owner(path: Path) -> tuple[int, int]:
    """Return user and group of ``path`` itself."""
    status = os.lstat(path)
    return status.st_uid, status.st_gid
