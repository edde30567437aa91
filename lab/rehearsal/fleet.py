# SPDX-License-Identifier: GPL-3.0-or-later
"""What a lab consists of: its name, ports, paths and hosts, read from data."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rehearsal.shell import LabError

CHECKOUT = Path(__file__).resolve().parents[2]
LAB_SOURCES = CHECKOUT / "lab"
DEFAULT_NAME = "backstay"
DEFAULT_PORT = 42200
FILESYSTEMS = ("ext4", "xfs", "btrfs")


@dataclass(frozen=True)
class Volume:
    """A directory of a host that may be its own file system.

    mib is the size in MiB; 0 means an ordinary directory of the host. shared is a name: all volumes of a lab with it are one.
    """

    path: str
    mib: int = 0
    filesystem: str = "ext4"
    shared: str = ""


@dataclass(frozen=True)
class Host:
    """One machine of the fleet."""

    name: str
    groups: tuple[str, ...]
    port_offset: int
    image: str
    profiles: tuple[str, ...]
    volumes: tuple[Volume, ...] = ()


@dataclass(frozen=True)
class Lab:
    """One named lab; several can live on a machine side by side."""

    name: str
    port: int
    hosts: tuple[Host, ...]
    state: Path

    @property
    def key(self) -> Path:
        """The private key of the login user, made for this lab alone."""
        return self.state / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The host keys of this lab's machines."""
        return self.state / "known_hosts"

    @property
    def containers_conf(self) -> Path:
        """This lab's own settings of podman."""
        return self.state / "containers.conf"

    @property
    def lock(self) -> Path:
        """Taken by whoever makes or removes this lab."""
        return self.state.with_name(f"{self.name}.lock")

    def container(self, host: Host) -> str:
        """Name of the host's container."""
        return f"{self.name}-{host.name}"

    def ssh_port(self, host: Host) -> int:
        """Port on 127.0.0.1 that leads to the host's sshd."""
        return self.port + host.port_offset

    def host(self, name: str) -> Host:
        """The host of that name; LabError names the known ones otherwise."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise LabError(f"There is no host {name} in this lab; known: {', '.join(h.name for h in self.hosts)}.")


def parse_hosts(text: str) -> tuple[Host, ...]:
    """Read hosts.json; a port offset used twice or an unknown file system is an error."""
    hosts = []
    for name, entry in json.loads(text).items():
        hosts.append(
            Host(
                name=name,
                groups=tuple(entry["groups"]),
                port_offset=entry["port_offset"],
                image=entry["image"],
                profiles=tuple(entry["profiles"]),
                volumes=tuple(Volume(**volume) for volume in entry.get("volumes", [])),
            )
        )
    offsets = [host.port_offset for host in hosts]
    if len(set(offsets)) != len(offsets):
        raise LabError("hosts.json gives the same port_offset to two hosts.")
    for host in hosts:
        for volume in host.volumes:
            if volume.filesystem not in FILESYSTEMS:
                raise LabError(f"{host.name} {volume.path}: unknown file system {volume.filesystem}.")
    return tuple(hosts)


def every_host() -> tuple[Host, ...]:
    """All hosts that a lab can have."""
    return parse_hosts((LAB_SOURCES / "hosts.json").read_text())


def parse_volume_option(text: str) -> tuple[str, Volume]:
    """Read HOST:PATH=MIB[:FILESYSTEM], for example offsite1:/srv/backstay=256 or shop-db1:/var/lib/mysql=2048:xfs."""
    match = re.fullmatch(r"([a-z0-9-]+):(/[^=]+)=(\d+)(?::([a-z0-9]+))?", text)
    if not match or (match[4] or "ext4") not in FILESYSTEMS:
        raise LabError(f"'{text}' is not HOST:PATH=MIB[:ext4|xfs|btrfs].")
    return match[1], Volume(path=match[2], mib=int(match[3]), filesystem=match[4] or "ext4")


def with_volumes(hosts: tuple[Host, ...], chosen: list[str]) -> tuple[Host, ...]:
    """Replace the sizes of volumes by the options given, each HOST:PATH=MIB[:FILESYSTEM]."""
    by_name = {host.name: host for host in hosts}
    for option in chosen:
        name, volume = parse_volume_option(option)
        if name not in by_name:
            raise LabError(f"'{option}' names no host of hosts.json.")
        kept = tuple(v for v in by_name[name].volumes if v.path != volume.path)
        by_name[name] = replace(by_name[name], volumes=(*kept, volume))
    return tuple(by_name.values())


def only(hosts: tuple[Host, ...], names: list[str]) -> tuple[Host, ...]:
    """The hosts that are named, themselves or by a group; all of them without a name, LabError for an unknown one."""
    known = {word for host in hosts for word in (host.name, *host.groups)}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise LabError(f"hosts.json has no host and no group {', '.join(unknown)}.")
    return tuple(host for host in hosts if not names or {host.name, *host.groups} & set(names))


def definition_hash(command: list[str], volumes: tuple[Volume, ...]) -> str:
    """Changes when a host has to be made anew: the command that makes it and the sizes of its volumes."""
    text = json.dumps([command, [asdict(volume) for volume in volumes]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def load(environment: Mapping[str, str] = os.environ) -> Lab:
    """The lab that BACKSTAY_LAB and BACKSTAY_LAB_PORT name, with its remembered volume options and choice of hosts."""
    name = environment.get("BACKSTAY_LAB") or DEFAULT_NAME
    port = environment.get("BACKSTAY_LAB_PORT") or str(DEFAULT_PORT)
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name):
        raise LabError(f"BACKSTAY_LAB={name} is not a usable name: lower-case letters, digits and hyphens only.")
    if not port.isdigit() or not 1024 <= int(port) <= 65000:
        raise LabError(f"BACKSTAY_LAB_PORT={port} is not a port between 1024 and 65000.")
    state = CHECKOUT / ".lab" / name
    hosts = with_volumes(every_host(), _remembered(state / "volumes.json"))
    hosts = only(hosts, _remembered(state / "only.json"))
    return Lab(name=name, port=int(port), hosts=hosts, state=state)


def _remembered(path: Path) -> list[str]:
    return json.loads(path.read_text()) if path.exists() else []


def remember_volumes(lab: Lab, chosen: list[str]) -> None:
    """Keep volume options for later calls; the newest option for a directory wins."""
    lab.state.mkdir(parents=True, exist_ok=True)
    remembered = lab.state / "volumes.json"
    merged = {option.partition("=")[0]: option for option in [*_remembered(remembered), *chosen]}
    remembered.write_text(json.dumps(list(merged.values())))


def remember_only(lab: Lab, names: list[str]) -> None:
    """Keep which hosts the lab is to have; more names add to a choice, a lab that was made without one keeps all hosts."""
    remembered = lab.state / "only.json"
    if lab.key.exists() and not remembered.exists():
        return
    lab.state.mkdir(parents=True, exist_ok=True)
    remembered.write_text(json.dumps(sorted({*_remembered(remembered), *names})))
