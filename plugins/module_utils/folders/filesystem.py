# SPDX-License-Identifier: GPL-3.0-or-later
"""What Linux filesystems offer for a picture of a folder: write-back, clones of files, snapshots of btrfs subvolumes.

Only ioctls and system calls: a protected host needs neither btrfs-progs nor xfsprogs. Numbers are those of the kernel's
``linux/fs.h`` and ``linux/btrfs.h``.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import struct
import time
from pathlib import Path
from typing import Iterator, Optional, Set, Tuple

from ..process import require

FICLONE = 0x40049409
_SNAP_CREATE_V2 = 0x50009417
_SNAP_DESTROY = 0x5000940F
_READ_ONLY = 1 << 1
_SUBVOLUME_INODE = 256  # the root of every btrfs subvolume
_CLOCK_REALTIME_COARSE = 5  # the clock that the kernel takes file times from
_NO_CLONE = (errno.EOPNOTSUPP, errno.EINVAL, errno.EXDEV, errno.ENOTTY, errno.ENOSYS)
_NO_RANGE = (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)
_BLOCK = 1 << 20

# Filesystems whose times say what was changed since a write-back, also by writes through mmap.
TIMES_TRUSTED = ("btrfs", "ext2/ext3", "xfs")
EXT = "ext2/ext3"  # how statfs calls the whole family


def kind(path: Path) -> str:
    """Return the kind of filesystem that ``path`` lies on, as ``stat --file-system`` names it."""
    return require(["stat", "--file-system", "--format=%T", "--", str(path)], 60).strip()


def write_back(path: Path) -> None:
    """Write all dirty pages of the filesystem of ``path`` (syncfs): from now on every write through mmap moves its times."""
    descriptor = os.open(str(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if library.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(descriptor)


def file_clock() -> int:
    """Return the moment in ns by the clock that file times are taken from: no later change gets an earlier time."""
    return time.clock_gettime_ns(_CLOCK_REALTIME_COARSE)


def time_grain(folder: Path) -> int:
    """Return in ns how much earlier than ``file_clock`` the time of a later change in ``folder`` may look.

    One tick of the clock, and what the filesystem cuts off (ext4 with small inodes keeps whole seconds): tried, not guessed.
    """
    probe = folder / "time-probe"
    probe.touch()
    wanted = 999_999_999
    os.utime(str(probe), ns=(wanted, wanted))
    lost = wanted - probe.stat().st_mtime_ns
    probe.unlink()
    return int(time.clock_getres(_CLOCK_REALTIME_COARSE) * 1e9) + lost


def can_clone(folder: Path) -> bool:
    """Return whether files in ``folder`` can be cloned (reflink): tried with two small files."""
    names = [folder / "clone-probe-1", folder / "clone-probe-2"]
    try:
        names[0].write_bytes(b"clone me" * 1024)
        with names[0].open("rb") as source, names[1].open("wb") as target:
            return clone(source.fileno(), target.fileno())
    finally:
        for name in names:
            name.unlink(missing_ok=True)


def clone(source: int, target: int) -> bool:
    """Make the open file ``target`` share all blocks of ``source``; return False when this pair cannot."""
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError as error:
        if error.errno in _NO_CLONE:
            return False
        raise
    return True


def copy_content(source: int, target: int, size: int) -> None:
    """Copy ``size`` bytes between open files, holes as holes. A source that shrinks meanwhile leaves a hole at the end."""
    os.ftruncate(target, size)
    for start, end in data_ranges(source, size):
        _copy_range(source, target, start, end)


def data_ranges(descriptor: int, size: int) -> Iterator[Tuple[int, int]]:
    """Yield the ranges ``(start, end)`` below ``size`` that hold data; what lies between reads as zeros."""
    position = 0
    while position < size:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            yield position, size  # a filesystem that knows no holes
            return
        end = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
        if start >= end:
            return
        yield start, end
        position = end


def _copy_range(source: int, target: int, start: int, end: int) -> None:
    while start < end:
        count = _copy_inside(source, target, start, end)
        if count < 0:
            count = _copy_block(source, target, start, end)
        if count == 0:
            return
        start += count


def _copy_inside(source: int, target: int, start: int, end: int) -> int:
    """Have the kernel copy, without a way through this process; return -1 when it (or this Python) cannot."""
    if not hasattr(os, "copy_file_range"):
        return -1
    try:
        return os.copy_file_range(source, target, min(end - start, 1 << 30), start, start)
    except OSError as error:
        if error.errno not in _NO_RANGE:
            raise
        return -1


def _copy_block(source: int, target: int, start: int, end: int) -> int:
    block = os.pread(source, min(end - start, _BLOCK), start)
    written = 0
    while written < len(block):
        written += os.pwrite(target, block[written:], start + written)
    return written


def mount_points() -> Set[str]:
    """Return every mount point that this process sees."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        return {re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), line.split()[4]) for line in lines}


def subvolume_of(folder: Path) -> Optional[Path]:
    """Return the root of the btrfs subvolume that holds ``folder``, None when it cannot be reached below the mount point."""
    mounted = mount_points()
    for place in (folder, *folder.parents):
        if place.stat().st_ino == _SUBVOLUME_INODE and kind(place) == "btrfs":
            return place
        if str(place) in mounted:
            return None
    return None


def take_snapshot(subvolume: Path, snapshot: Path) -> None:
    """Make the read-only ``snapshot`` of a btrfs ``subvolume``. Raise OSError when this host may not."""
    source = os.open(str(subvolume), os.O_RDONLY | os.O_DIRECTORY)
    try:
        name = os.fsencode(snapshot.name)
        request = struct.pack("=qQQ32s4040s", source, 0, _READ_ONLY, b"", name)
        _ask_directory(snapshot.parent, _SNAP_CREATE_V2, request)
    finally:
        os.close(source)


def remove_snapshot(snapshot: Path) -> None:
    """Remove a snapshot; one that is not there (any more) is fine."""
    if snapshot.exists():
        _ask_directory(snapshot.parent, _SNAP_DESTROY, struct.pack("=q4088s", 0, os.fsencode(snapshot.name)))


def _ask_directory(directory: Path, number: int, request: bytes) -> None:
    descriptor = os.open(str(directory), os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(descriptor, number, bytearray(request))  # bytes may not be that long
    finally:
        os.close(descriptor)
