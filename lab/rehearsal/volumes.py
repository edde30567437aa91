# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories of hosts with a file system of their own (loop-mounted images of a fixed size), or one that several hosts see."""

from __future__ import annotations

import os
from pathlib import Path

from rehearsal import fleet
from rehearsal.fleet import Host, Lab, Volume
from rehearsal.shell import LabError, must, run

MAKE_OPTIONS = {"ext4": ["-q", "-F", "-m", "0"], "xfs": ["-q", "-f"], "btrfs": ["-q", "-f"]}
SMALLEST_MIB = {"ext4": 8, "xfs": 300, "btrfs": 120}


def base_name(host: Host, volume: Volume) -> str:
    """File name of a volume, without ending: shop-db1-var-lib-mysql."""
    return host.name + volume.path.replace("/", "-")


def mount_point(lab: Lab, host: Host, volume: Volume) -> Path:
    """Where the volume is mounted on this machine."""
    return lab.state / "volumes" / base_name(host, volume)


def mounted_at(point: Path) -> bool:
    """Whether something is mounted exactly there."""
    return os.path.ismount(point)


def attach(lab: Lab, host: Host, volume: Volume) -> None:
    """Make and mount the volume; an existing image is mounted as it is."""
    point = mount_point(lab, host, volume)
    image = point.with_name(point.name + ".img")
    if mounted_at(point):
        return
    if volume.mib < SMALLEST_MIB[volume.filesystem]:
        smallest = SMALLEST_MIB[volume.filesystem]
        raise LabError(f"{host.name} {volume.path}: {volume.filesystem} needs at least {smallest} MiB.")
    point.mkdir(parents=True, exist_ok=True)
    if not image.exists():
        fresh = image.with_suffix(".new")
        with fresh.open("wb") as handle:
            handle.truncate(volume.mib << 20)
        must([f"mkfs.{volume.filesystem}", *MAKE_OPTIONS[volume.filesystem], str(fresh)])
        fresh.rename(image)
    must(["mount", "-o", "loop", str(image), str(point)])
    # A server that finds a directory in its data directory may take it for data.
    if (point / "lost+found").is_dir():
        (point / "lost+found").rmdir()


def mount_options(lab: Lab, host: Host) -> list[str]:
    """podman --volume options for the host's sized and shared volumes."""
    sources = {v.path: str(mount_point(lab, host, v)) for v in host.volumes if v.mib}
    sources.update({v.path: shared_name(lab, v) for v in host.volumes if v.shared})
    return [word for path, source in sources.items() for word in ("--volume", f"{source}:{path}")]


def shared_name(lab: Lab, volume: Volume) -> str:
    """Name of podman's volume behind a shared one; podman makes it for the first host that needs it."""
    return f"{lab.name}-{volume.shared}"


def remove_shared(lab: Lab) -> None:
    """Remove the lab's shared volumes; no host has them any more."""
    for name in sorted({shared_name(lab, v) for host in fleet.every_host() for v in host.volumes if v.shared}):
        if run(["podman", "volume", "exists", name]).returncode == 0:
            must(["podman", "volume", "rm", name])


def attach_all(lab: Lab, host: Host) -> None:
    """Mount the host's sized volumes."""
    for volume in host.volumes:
        if volume.mib:
            attach(lab, host, volume)


def detach(point: Path) -> None:
    """Unmount a volume, remove its image and its directory."""
    if mounted_at(point):
        must(["umount", str(point)])
    point.with_name(point.name + ".img").unlink(missing_ok=True)
    point.with_name(point.name + ".new").unlink(missing_ok=True)
    if point.is_dir():
        point.rmdir()


def detach_host(lab: Lab, host: Host) -> None:
    """Remove every volume of a host, also those of an earlier definition."""
    directory = lab.state / "volumes"
    for volume in host.volumes:
        detach(mount_point(lab, host, volume))
    if directory.is_dir() and not any(directory.iterdir()):
        directory.rmdir()


def detach_everything(lab: Lab) -> None:
    """Remove every volume that the lab ever made."""
    directory = lab.state / "volumes"
    if not directory.is_dir():
        return
    for point in sorted({path.with_suffix("") if path.is_file() else path for path in directory.iterdir()}):
        detach(point)
    directory.rmdir()


def loop_devices_of(lab: Lab) -> list[str]:
    """Loop devices that still hold an image of this lab."""
    listed = run(["losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE"]).stdout
    return [line.split()[0] for line in listed.splitlines() if str(lab.state / "volumes") in line]
