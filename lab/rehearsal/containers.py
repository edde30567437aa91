# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts as containers: make, wait for, look at, take away."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

from rehearsal import access, fleet, image, volumes
from rehearsal.fleet import LAB_SOURCES, Host, Lab
from rehearsal.shell import LabError, in_parallel, must, run, wait_until

LABEL = "backstay.lab"
SPEC_LABEL = "backstay.spec"
STATE_LABEL = "backstay.state"
# What root on an ordinary server may do and tests need: cut networks, mount, sandbox units, trace.
CAPABILITIES = ("NET_ADMIN", "NET_RAW", "SYS_ADMIN", "SYS_PTRACE", "IPC_LOCK", "SYS_NICE", "AUDIT_WRITE")
BOOT_SECONDS = 90
PROFILE_SECONDS = 180


def network_exists(lab: Lab) -> bool:
    """Whether the lab's network is there."""
    return run(["podman", "network", "exists", lab.name]).returncode == 0


def make_network(lab: Lab) -> None:
    """Make the lab's network, with names of hosts as its DNS."""
    if not network_exists(lab):
        must(["podman", "network", "create", "--label", f"{LABEL}={lab.name}", lab.name])


def containers_of(lab: Lab) -> dict[str, dict[str, str]]:
    """The lab's containers by name: state (running, exited, ...), spec (definition hash), checkout (its lab's directory)."""
    listed = must(["podman", "ps", "--all", "--filter", f"label={LABEL}={lab.name}", "--format", "json"])
    found = {}
    for entry in json.loads(listed or "[]"):
        labels = entry.get("Labels") or {}
        found[entry["Names"][0]] = {
            "state": entry["State"],
            "spec": labels.get(SPEC_LABEL, ""),
            "checkout": labels.get(STATE_LABEL, ""),
        }
    return found


def require_own(lab: Lab) -> None:
    """LabError when another checkout has a lab of this name: neither may touch the other's hosts."""
    strange = sorted({one["checkout"] for one in containers_of(lab).values()} - {"", str(lab.state)})
    if strange:
        raise LabError(f"A lab {lab.name} belongs to another checkout ({strange[0]}): choose another BACKSTAY_LAB and port.")


def create_command(lab: Lab, host: Host, image: str, mounts: list[str]) -> list[str]:
    """argv of podman run for a host, labelled with the hash of itself.

    It restarts whenever its init ends, so that a reboot from inside is a reboot; `podman stop` keeps it down.
    """
    key = f"{lab.key}.pub:/etc/ssh/authorized_keys/{access.LOGIN_USER}:ro"
    programs = [f"{LAB_SOURCES / part}:/opt/shop/{part}:ro" for part in ("writer", "seed")]
    programs += [f"{path}:/opt/{path.name}:ro" for path in sorted((LAB_SOURCES / "standins").iterdir()) if path.is_dir()]
    options = [
        *("--detach", "--systemd=always", "--restart=always"),
        *("--name", lab.container(host), "--hostname", host.name),
        *("--network", lab.name, "--network-alias", host.name),
        *("--publish", f"127.0.0.1:{lab.ssh_port(host)}:22"),
        *("--label", f"{LABEL}={lab.name}", "--label", f"backstay.host={host.name}"),
        *(word for name in CAPABILITIES for word in ("--cap-add", name)),
        *(word for mount in [key, *programs] for word in ("--volume", mount)),
        *mounts,
    ]
    spec = fleet.definition_hash([*options, image], host.volumes)
    labels = ["--label", f"{SPEC_LABEL}={spec}", "--label", f"{STATE_LABEL}={lab.state}"]
    return ["podman", "run", *options, *labels, image, "/sbin/init"]


def ensure_host(lab: Lab, host: Host, built: image.Built, present: Mapping[str, Mapping[str, str]]) -> None:
    """Make or start the host's container; one of another definition is replaced, with its volumes."""
    name = lab.container(host)
    command = create_command(lab, host, built.name, [*built.mounts, *volumes.mount_options(lab, host)])
    now = present.get(name)
    if now and f"{SPEC_LABEL}={now['spec']}" not in command:
        print(f"lab: {host.name} is defined differently now and is made anew", flush=True)
        remove_container(name)
        volumes.detach_host(lab, host)
        now = None
    volumes.attach_all(lab, host)
    if now is None:
        if not access.port_is_free(lab.ssh_port(host)):
            raise LabError(f"Port {lab.ssh_port(host)} for {host.name} is taken: choose another BACKSTAY_LAB_PORT.")
        must(command)
    elif now["state"] != "running":
        must(["podman", "start", name])


def inside(
    lab: Lab, host: Host, command: list[str], *, stdin: str | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a command as root inside the host and return the finished process."""
    flags = ["--interactive"] if stdin is not None else []
    return run(["podman", "exec", *flags, lab.container(host), *command], stdin=stdin, timeout=timeout)


def system_state(lab: Lab, host: Host) -> str:
    """systemd's own word: running, degraded, starting, ... or 'unreachable'."""
    said = inside(lab, host, ["systemctl", "is-system-running"]).stdout.strip()
    return said or "unreachable"


def failed_units(lab: Lab, host: Host) -> list[str]:
    """Names of the host's failed units."""
    listed = inside(lab, host, ["systemctl", "list-units", "--failed", "--plain", "--no-legend"]).stdout
    return [line.split()[0] for line in listed.splitlines() if line.strip()]


def wait_for(lab: Lab, host: Host) -> None:
    """Return when systemd says running and sshd answers; failed units are an error that names them."""
    settled = ("running", "degraded", "maintenance")
    state = [""]

    def booted() -> bool:
        state[0] = system_state(lab, host)
        return state[0] in settled

    def not_booted() -> str:
        container = containers_of(lab).get(lab.container(host), {}).get("state", "absent")
        return f"{host.name}: systemd says '{state[0]}' after {BOOT_SECONDS} s, its container is {container}."

    wait_until(booted, BOOT_SECONDS, not_booted)
    if state[0] != "running":
        raise LabError(f"{host.name}: systemd says {state[0]}; failed units: {', '.join(failed_units(lab, host))}.")
    port = lab.ssh_port(host)
    wait_until(lambda: access.sshd_answers(lab, host), 30, lambda: f"{host.name}: no SSH server on port {port}.")


def apply_profile(lab: Lab, host: Host, profile: str) -> None:
    """Run a profile's script inside the host; the script is idempotent."""
    script = LAB_SOURCES / "profiles" / f"{profile}.sh"
    if not script.is_file():
        raise LabError(f"{host.name}: lab/profiles/{profile}.sh does not exist.")
    done = inside(lab, host, ["bash", "-s"], stdin=script.read_text(), timeout=PROFILE_SECONDS)
    if done.returncode != 0:
        said = " | ".join((done.stdout + done.stderr).strip().splitlines()[-5:])
        raise LabError(f"{host.name}: profile {profile} failed with exit status {done.returncode}: {said}")


def bring_up(lab: Lab, images: Mapping[str, image.Built]) -> None:
    """Every host made, booted and in its profile, at the same time."""
    make_network(lab)
    present = containers_of(lab)

    def one(host: Host) -> None:
        ensure_host(lab, host, images[host.image], present)
        wait_for(lab, host)
        for profile in host.profiles:
            apply_profile(lab, host, profile)
        wait_for(lab, host)

    in_parallel(one, lab.hosts)
    access.write_known_hosts(lab)


def reset(lab: Lab, host: Host) -> None:
    """Cut the host's power and switch it on again: no process gets to finish anything."""
    name = lab.container(host)
    must(["podman", "kill", "--signal", "KILL", name])
    must(["podman", "wait", "--condition", "stopped", name])
    must(["podman", "start", name])


def remove_container(name: str) -> None:
    """End and remove a container; its SSH connections are closed first, so that clients notice."""
    run(["podman", "exec", name, "pkill", "-KILL", "sshd"], timeout=20)
    must(["podman", "rm", "--force", "--time", "0", "--volumes", name])


def tear_down(lab: Lab) -> None:
    """Remove containers, network and volumes of the lab, however much of it exists."""
    require_own(lab)
    in_parallel(remove_container, containers_of(lab))
    if network_exists(lab):
        must(["podman", "network", "rm", "--force", lab.name])
    volumes.remove_shared(lab)
    volumes.detach_everything(lab)
    left = volumes.loop_devices_of(lab)
    if left:
        raise LabError(f"Loop devices are still in use: {', '.join(left)}.")


def remove_state(directory: Path) -> None:
    """Remove the lab's directory with key, known hosts and settings; it holds plain files by now."""
    if not directory.is_dir():
        return
    for path in sorted(directory.rglob("*"), reverse=True):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()
    directory.rmdir()


def status(lab: Lab) -> list[dict[str, object]]:
    """One entry per host: name, groups, port, container state, systemd state and failed units."""
    present = containers_of(lab)

    def one(host: Host) -> dict[str, object]:
        state = present.get(lab.container(host), {}).get("state", "absent")
        system = system_state(lab, host) if state == "running" else "-"
        failed = failed_units(lab, host) if system == "degraded" else []
        return {
            "host": host.name,
            "groups": list(host.groups),
            "port": lab.ssh_port(host),
            "container": state,
            "systemd": system,
            "failed_units": failed,
        }

    return in_parallel(one, lab.hosts)
