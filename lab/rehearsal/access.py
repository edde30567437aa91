# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's own SSH key, the known host keys and commands that use them."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from rehearsal.fleet import Host, Lab
from rehearsal.shell import must

LOGIN_USER = "operator"


def make_key(lab: Lab) -> None:
    """Make the lab's key pair once."""
    lab.state.mkdir(parents=True, exist_ok=True)
    if not lab.key.exists():
        must(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{lab.name} lab", "-f", str(lab.key)])


def give_to_caller(lab: Lab) -> None:
    """After sudo, let the calling user read the key and write the directory."""
    if "SUDO_UID" not in os.environ:
        return
    owner = (int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"]))
    for path in [lab.state.parent, lab.state, lab.key, Path(f"{lab.key}.pub"), lab.known_hosts]:
        os.chown(path, *owner)


def write_known_hosts(lab: Lab) -> None:
    """Read every host's public key from inside its container and write known_hosts in one move."""
    lines = []
    for host in lab.hosts:
        command = ["podman", "exec", lab.container(host), "cut", "-d ", "-f1,2", "/etc/ssh/ssh_host_ed25519_key.pub"]
        lines.append(f"[127.0.0.1]:{lab.ssh_port(host)} {must(command)}\n")
    fresh = lab.known_hosts.with_suffix(".new")
    fresh.write_text("".join(lines))
    fresh.replace(lab.known_hosts)


def sshd_answers(lab: Lab, host: Host) -> bool:
    """Whether an SSH server greets at the published port."""
    try:
        with socket.create_connection(("127.0.0.1", lab.ssh_port(host)), timeout=2) as link:
            return link.recv(8).startswith(b"SSH-2.0")
    except OSError:
        return False


def port_is_free(port: int) -> bool:
    """Whether nothing listens on that loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def ssh_command(lab: Lab, host: Host, rest: list[str]) -> list[str]:
    """argv of an SSH login to the host, with a command when rest is not empty."""
    options = [f"UserKnownHostsFile={lab.known_hosts}", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes"]
    flags = [word for option in options for word in ("-o", option)]
    target = ["-p", str(lab.ssh_port(host)), f"{LOGIN_USER}@127.0.0.1"]
    return ["ssh", "-i", str(lab.key), *flags, *target, *rest]
