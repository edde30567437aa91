# SPDX-License-Identifier: GPL-3.0-or-later
"""What this machine can do, and podman settings that fit it."""

from __future__ import annotations

import os
import re
import resource
import shutil
from dataclasses import dataclass
from pathlib import Path

from rehearsal.fleet import Lab
from rehearsal.shell import LabError, must, run

# Program -> Debian package. nft or iptables is what netavark needs to publish ports.
NEEDED_PROGRAMS = {
    "podman": "podman",
    "netavark": "netavark",
    "aardvark-dns": "aardvark-dns",
    "iptables": "iptables",
    "debootstrap": "debootstrap",
    "ssh": "openssh-client",
    "mkfs.ext4": "e2fsprogs",
    "losetup": "mount",
}
FILESYSTEM_PROGRAMS = {"xfs": ("mkfs.xfs", "xfsprogs"), "btrfs": ("mkfs.btrfs", "btrfs-progs")}
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/podman:/usr/libexec/podman"
CAP_SYS_RESOURCE = 24
# What podman asks for when nobody says otherwise.
PODMAN_LIMIT = 1048576


@dataclass(frozen=True)
class Machine:
    """Facts that decide podman's settings; limits are the hard limits of this process, -1 for unlimited."""

    cgroups: str  # v2, hybrid or v1
    runtimes: tuple[str, ...]
    systemd_is_init: bool
    may_raise_limits: bool
    nofile: int
    nproc: int
    pid_max: int


def cgroup_layout(mounts: str) -> str:
    """Tell the cgroup layout from /proc/self/mounts: v2, hybrid or v1."""
    types = {fields[1]: fields[2] for fields in (line.split() for line in mounts.splitlines()) if len(fields) > 2}
    if types.get("/sys/fs/cgroup") == "cgroup2":
        return "v2"
    return "hybrid" if "cgroup2" in types.values() else "v1"


def has_capability(status: str, number: int) -> bool:
    """Tell from /proc/self/status whether the process has a capability effectively."""
    match = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return bool(match and int(match[1], 16) >> number & 1)


def detect() -> Machine:
    """Look at this machine."""
    return Machine(
        cgroups=cgroup_layout(Path("/proc/self/mounts").read_text()),
        runtimes=tuple(name for name in ("crun", "runc") if shutil.which(name, path=SEARCH_PATH)),
        systemd_is_init=Path("/run/systemd/system").is_dir(),
        may_raise_limits=has_capability(Path("/proc/self/status").read_text(), CAP_SYS_RESOURCE),
        nofile=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        nproc=resource.getrlimit(resource.RLIMIT_NPROC)[1],
        pid_max=int(Path("/proc/sys/kernel/pid_max").read_text()),
    )


def choose_runtime(machine: Machine) -> str | None:
    """The runtime to use, None when no suitable one is installed: crun refuses hybrid cgroups."""
    suitable = machine.runtimes if machine.cgroups == "v2" else [r for r in machine.runtimes if r == "runc"]
    return next(iter(suitable), None)


def chosen_limits(machine: Machine) -> list[str]:
    """default_ulimits entries; without the right to raise limits the hard limits are the ceiling.

    podman itself lowers its limit of processes to pid_max, which is then the ceiling for its children.
    """
    entries = []
    for name, hard, most in (("nofile", machine.nofile, PODMAN_LIMIT), ("nproc", machine.nproc, machine.pid_max)):
        value = most if machine.may_raise_limits or hard < 0 else min(hard, most)
        entries.append(f"{name}={value}:{value}")
    return entries


def containers_conf(machine: Machine) -> str:
    """Text of a private containers.conf for this machine; LabError without a suitable runtime."""
    runtime = choose_runtime(machine)
    if runtime is None:
        raise LabError(f"No container runtime for {machine.cgroups} cgroups is installed: install runc.")
    manager = "systemd" if machine.systemd_is_init and machine.cgroups == "v2" else "cgroupfs"
    limits = ", ".join(f'"{entry}"' for entry in chosen_limits(machine))
    events = "journald" if machine.systemd_is_init else "file"
    return (
        f"[containers]\ndefault_ulimits = [{limits}]\n"
        'log_driver = "k8s-file"\nbase_hosts_file = "none"\n\n'
        f'[engine]\nruntime = "{runtime}"\ncgroup_manager = "{manager}"\nevents_logger = "{events}"\n\n'
        '[network]\nnetwork_backend = "netavark"\n'
    )


def describe(machine: Machine) -> str:
    """One line on what was detected and chosen."""
    limits = ", ".join(chosen_limits(machine))
    may = "may" if machine.may_raise_limits else "may not"
    return (
        f"{machine.cgroups} cgroups, runtime {choose_runtime(machine) or 'none'}"
        f" (installed: {', '.join(machine.runtimes) or 'none'}), {may} raise limits, ulimits {limits}"
    )


def require_root() -> None:
    """Containers with their own network, loop mounts and debootstrap need root."""
    if os.geteuid() != 0:
        raise LabError("The lab needs root rights (containers, networks, loop mounts): run it as root or with sudo.")


def missing_packages(machine: Machine, filesystems: set[str]) -> list[str]:
    """Debian packages of programs that are not there."""
    wanted = dict(NEEDED_PROGRAMS)
    wanted.update(FILESYSTEM_PROGRAMS[name] for name in filesystems if name in FILESYSTEM_PROGRAMS)
    missing = [package for program, package in wanted.items() if not shutil.which(program, path=SEARCH_PATH)]
    return missing if choose_runtime(machine) else [*missing, "runc"]


def install_missing(filesystems: set[str]) -> None:
    """Install what the lab needs through apt-get, or say which packages to install."""
    missing = missing_packages(detect(), filesystems)
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise LabError(f"Install these first, this machine has no apt-get: {' '.join(missing)}.")
    print(f"lab: installing {' '.join(missing)}", flush=True)
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing]
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if run(command, timeout=600, env=env).returncode != 0:
        must(["apt-get", "update", "-q"], timeout=300, env=env)
        must(command, timeout=600, env=env)


def prepare_podman(lab: Lab) -> None:
    """Write the lab's containers.conf and make every later podman call of this process use it."""
    lab.state.mkdir(parents=True, exist_ok=True)
    text = containers_conf(detect())
    if not lab.containers_conf.exists() or lab.containers_conf.read_text() != text:
        lab.containers_conf.write_text(text)
    os.environ["CONTAINERS_CONF"] = str(lab.containers_conf)


def use_podman(lab: Lab) -> None:
    """Use the settings that an earlier ``prepare_podman`` wrote; looking at the machine again would cost every command."""
    if lab.containers_conf.exists():
        os.environ["CONTAINERS_CONF"] = str(lab.containers_conf)
    else:
        prepare_podman(lab)


def require_podman() -> None:
    """LabError when podman is missing."""
    if not shutil.which("podman"):
        raise LabError("podman is not installed: 'lab.py up' installs it, or run apt-get install podman.")


def require_working_podman() -> None:
    """LabError when podman is missing or does not work."""
    require_podman()
    must(["podman", "info", "--format", "{{.Host.OCIRuntime.Name}}"], timeout=60)
