# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder with one of everything that a filesystem can hold; also fed to a host's Python: standard library only.

``make FOLDER`` makes it, ``list FOLDER`` prints all that can be seen of it as JSON, by other means than the worker's.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import stat
import struct
import sys
from pathlib import Path

_NOBODY = 0xFFFFFFFF


def access_list(*entries: tuple[int, int, int]) -> bytes:
    """Return an access list as the kernel keeps it in an attribute: (tag, permissions, id)."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def apple_double(fork: bytes, kind: bytes = b"PSmq", creator: bytes = b"PSml") -> bytes:
    """Return an AppleDouble file with a resource fork and Finder information."""
    finder = kind + creator + bytes(24)
    start = 26 + 2 * 12
    head = struct.pack(">II16xH", 0x00051607, 0x00020000, 2)
    entries = struct.pack(">III", 9, start, 32) + struct.pack(">III", 2, start + 32, len(fork))
    return head + entries + finder + fork


def make_sparse(path: Path | bytes, size: int, *pieces: tuple[int, bytes]) -> None:
    """Make a file of ``size`` bytes that holds only ``pieces``: (offset, content)."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    os.ftruncate(descriptor, size)
    for offset, content in pieces:
        os.pwrite(descriptor, content, offset)
    os.close(descriptor)


def make_rich(folder: Path, *, special: bool = True) -> Path:
    """Make ``folder`` with one of everything. ``special``: also what only root can make."""
    folder.mkdir(parents=True)
    raw = os.fsencode(folder)
    (folder / "a b").write_bytes(b"hello")
    (folder / ".hidden").write_bytes(b"seen")
    (folder / "-rf").write_bytes(b"no option")
    (folder / "ünï:c\\n").write_bytes(b"x" * 100_000)
    (folder / "empty").mkdir()
    (folder / "sub").mkdir()
    odd = Path(os.fsdecode(raw + b"/d\xff\xfe\ny"))
    odd.mkdir()
    (odd / os.fsdecode(b"f\x80:=x")).write_bytes(b"data")
    (folder / ("n" * 200)).write_bytes(b"long")
    deep = folder / ("p" * 120) / ("q" * 120)
    deep.mkdir(parents=True)
    (deep / ("r" * 90)).write_bytes(b"deep")
    os.link(folder / "a b", folder / "sub" / "hard")
    (folder / "sub" / "link").symlink_to("../nowhere")
    (folder / "absolute").symlink_to("/etc/passwd")
    (folder / "binary link").symlink_to(os.fsdecode(b"\xff\xf0"))
    make_sparse(folder / "sparse", 9 << 20, (1 << 20, b"A" * 5000), (5 << 20, b"B" * 10))
    make_sparse(folder / "all hole", 3 << 20)
    make_sparse(raw + b"/sp\xffarse", 3 << 20, (0, b"B" * 10))
    (folder / "Queue 1").write_bytes(b"mail")
    (folder / "._Queue 1").write_bytes(apple_double(b"fork" * 5000))
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as end:  # a short path is all that an address takes
        here = Path.cwd()
        os.chdir(folder)
        end.bind("socket")
        os.chdir(here)
    os.setxattr(folder / "a b", "user.x=y%z", b"\x00\xff\n=1")
    os.setxattr(folder / "Queue 1", "user.com.apple.ResourceFork", b"in an attribute")
    os.setxattr(folder / "sub", "user.text", b"on a folder")
    if special:
        _make_special(folder)
    for path, moment in (("a b", -1_234_567_891), ("sub", 987_654_321_123_456_789), ("sub/link", 777_000_000_123)):
        os.utime(folder / path, ns=(1, moment), follow_symlinks=False)
    folder.chmod(0o2750)
    os.utime(folder, ns=(1, 777_000_000_999))
    return folder


def _make_special(folder: Path) -> None:
    os.mknod(folder / "device", stat.S_IFCHR | 0o640, os.makedev(1, 3))
    os.setxattr(folder / "sub" / "link", "trusted.of", b"a link", follow_symlinks=False)
    os.setxattr(folder / "-rf", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
    inherited = access_list((1, 7, _NOBODY), (2, 5, 77), (4, 5, _NOBODY), (0x10, 5, _NOBODY), (0x20, 0, _NOBODY))
    own = access_list((1, 7, _NOBODY), (2, 7, 1234), (4, 5, _NOBODY), (0x10, 7, _NOBODY), (0x20, 0, _NOBODY))
    os.setxattr(folder / "sub", "system.posix_acl_default", inherited)
    os.setxattr(folder / "sub", "system.posix_acl_access", own)
    (folder / "sub" / "inherits").write_bytes(b"an access list")
    os.chown(folder / "ünï:c\\n", 12345, 54321)
    (folder / "ünï:c\\n").chmod(0o4711)


def listing(folder: Path) -> dict[str, list[object]]:
    """Return everything below ``folder`` by name, with what can be seen of it; sockets do not count."""
    root, first, found = os.fsencode(folder), {}, {}
    paths = [root, *(b"%b/%b" % (base, name) for base, *parts in os.walk(root) for names in parts for name in names)]
    for path in sorted(paths):
        status = os.lstat(path)
        names = os.listxattr(path, follow_symlinks=False)
        more: object = {name: os.getxattr(path, name, follow_symlinks=False).hex() for name in sorted(names)}
        seen = [stat.filemode(status.st_mode), status.st_uid, status.st_gid, status.st_mtime_ns, more, status.st_rdev]
        if stat.S_ISLNK(status.st_mode):
            seen.append(repr(os.fsencode(Path(os.fsdecode(path)).readlink())))
        if stat.S_ISREG(status.st_mode):
            content = Path(os.fsdecode(path)).read_bytes()
            seen += [len(content), hashlib.sha256(content).hexdigest(), status.st_blocks * 512 < len(content) // 2]
            seen.append(repr(first.setdefault(status.st_ino, path)))
        if not stat.S_ISSOCK(status.st_mode):
            found[repr(os.path.relpath(path, root))] = seen
    return found


if __name__ == "__main__":
    place = Path(sys.argv[2])
    print(json.dumps(listing(place) if sys.argv[1] == "list" else str(make_rich(place))))
