# SPDX-License-Identifier: GPL-3.0-or-later
"""borgmatic in the lab: a pinned release beside Debian's borg, and an account on the offsite server reached over SSH."""

from __future__ import annotations

import secrets
import subprocess
import sys
import tempfile
import tomllib

from rig.fleet import DATABASE_HOST, OFFSITE_HOST
from rig.lab import LAB, PROJECT, BenchError, inside, must, put, say

REPOSITORIES = "/srv/benchborg"
PROGRAM = "PYTHONPATH=/opt/bench/borgmatic PYTHONDONTWRITEBYTECODE= python3 -m borgmatic.commands.borgmatic"
_KIND = {"hook": "borgmatic-hook.yaml", "physical": "borgmatic-physical.yaml"}
_NEEDED = "borgbackup openssh-client"


def requirement() -> str:
    """Return the pinned borgmatic of pyproject.toml's extra `bench`."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    return str(project["project"]["optional-dependencies"]["bench"][0])


def install() -> None:
    """Install borg on both hosts, borgmatic on the database host, and let the latter's root reach the former's account."""
    say("installing borg and borgmatic in the lab")
    apt = f"apt-get update -qq && apt-get install -y -qq --no-install-recommends {_NEEDED}"
    for host in (DATABASE_HOST, OFFSITE_HOST):
        inside(host, f"if ! dpkg -s {_NEEDED} >/dev/null 2>&1; then {apt}; fi")
    _install_borgmatic()
    inside(
        OFFSITE_HOST,
        f"id benchborg >/dev/null 2>&1 || useradd --system --create-home --home-dir {REPOSITORIES} -s /bin/sh benchborg",
    )
    inside(
        DATABASE_HOST,
        "mkdir -p -m 0700 /root/bench; test -e /root/bench/key || ssh-keygen -q -t ed25519 -N '' -f /root/bench/key",
    )
    put(DATABASE_HOST, "/root/bench/passphrase", secrets.token_urlsafe(32))
    key = inside(DATABASE_HOST, "cat /root/bench/key.pub")
    put(
        OFFSITE_HOST,
        "/etc/ssh/authorized_keys/benchborg",
        f'restrict,command="borg serve --restrict-to-path {REPOSITORIES}" {key}',
        "0644",
    )
    host_key = inside(OFFSITE_HOST, "cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub")
    put(DATABASE_HOST, "/root/bench/known_hosts", f"{OFFSITE_HOST} {host_key}")


def _install_borgmatic() -> None:
    """Let the control node's pip fetch borgmatic for the host's Python, then copy it: hosts need no package index."""
    python = inside(
        DATABASE_HOST, 'python3 -c "import sys; print(sys.version_info[0], sys.version_info[1], sep=chr(46))"'
    ).strip()
    with tempfile.TemporaryDirectory(prefix="backstay-bench-") as folder:
        argv = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--target",
            f"{folder}/borgmatic",
        ]
        must([*argv, "--python-version", python, "--only-binary=:all:", requirement()])
        pack = subprocess.Popen(["tar", "-C", folder, "-cf", "-", "borgmatic"], stdout=subprocess.PIPE)
        unpack = [
            *LAB,
            "exec",
            DATABASE_HOST,
            "--",
            "sh",
            "-c",
            "mkdir -p /opt/bench && tar -C /opt/bench --no-same-owner -xf -",
        ]
        done = subprocess.run(unpack, stdin=pack.stdout, check=False, cwd=PROJECT)
        if pack.wait() or done.returncode:
            raise BenchError("borgmatic could not be copied into the lab")


def new_repository(kind: str, number: int) -> None:
    """Write borgmatic's configuration of ``kind`` (hook, physical) for a fresh repository and make that."""
    template = (PROJECT / "bench" / "contenders" / _KIND[kind]).read_text(encoding="utf-8")
    put(DATABASE_HOST, configuration(kind, number), template.replace("@REPOSITORY@", f"{kind}-{number}"))
    inside(DATABASE_HOST, f"{PROGRAM} --config {configuration(kind, number)} repo-create --encryption repokey-blake2")


def configuration(kind: str, number: int) -> str:
    """Return the path of a configuration inside the database host."""
    return f"/root/bench/{kind}-{number}.yaml"


def create_command(kind: str, number: int) -> str:
    """Return the command that takes one backup."""
    return f"{PROGRAM} --config {configuration(kind, number)} create"


def forget() -> None:
    """Remove repositories and whatever borg remembers of them."""
    inside(OFFSITE_HOST, f"rm -rf {REPOSITORIES}/hook-* {REPOSITORIES}/physical-*")
    inside(DATABASE_HOST, "rm -rf /root/bench /root/.cache/borg /root/.config/borg")


def remove() -> None:
    """Take everything out of the lab that ``install`` brought, Debian's packages included."""
    packages = "if dpkg -s borgbackup >/dev/null 2>&1; then apt-get purge -y -qq --auto-remove borgbackup; fi"
    inside(DATABASE_HOST, f"{packages}; rm -rf /opt/bench")
    account = "if id benchborg >/dev/null 2>&1; then userdel benchborg; fi"
    inside(OFFSITE_HOST, f"{packages}; {account}; rm -rf {REPOSITORIES} /etc/ssh/authorized_keys/benchborg")
