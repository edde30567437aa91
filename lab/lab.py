#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rehearsal fleet: real hosts in containers. `lab.py up` makes it, `lab.py down` takes it away."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable

from rehearsal import access, containers, fleet, image, machine
from rehearsal.fleet import Lab
from rehearsal.shell import LabError, in_parallel, locked


def build_images(lab: Lab) -> dict[str, image.Built]:
    """Build what the hosts need, by short name."""
    with locked(lab.state.parent / "images.lock"):
        return {name: image.build(name, lab.state) for name in sorted({host.image for host in lab.hosts})}


def prepare(lab: Lab) -> None:
    """Root, programs and podman settings in place."""
    machine.require_root()
    machine.install_missing({v.filesystem for host in lab.hosts for v in host.volumes if v.mib})
    machine.prepare_podman(lab)
    machine.require_working_podman()


def use(lab: Lab) -> None:
    """Podman settings for commands that look at a lab without making it."""
    machine.require_root()
    machine.require_podman()
    machine.use_podman(lab)


def command_up(lab: Lab, options: argparse.Namespace) -> int:
    """Make or complete the lab."""
    started = time.monotonic()
    if options.volume:
        fleet.with_volumes(fleet.every_host(), options.volume)
        fleet.remember_volumes(lab, options.volume)
    if options.only:
        names = options.only.split(",")
        fleet.only(fleet.every_host(), names)
        fleet.remember_only(lab, names)
    lab = fleet.load()
    prepare(lab)
    print(f"lab: {machine.describe(machine.detect())}", flush=True)
    images = build_images(lab)
    with locked(lab.lock):
        containers.require_own(lab)
        access.make_key(lab)
        containers.bring_up(lab, images)
        access.give_to_caller(lab)
    print(f"lab: {lab.name} is up, {len(lab.hosts)} hosts, {time.monotonic() - started:.1f} s")
    return 0


def command_build(lab: Lab, options: argparse.Namespace) -> int:
    """Build the images only."""
    prepare(lab)
    for built in build_images(lab).values():
        print(built.name)
    return 0


def command_down(lab: Lab, options: argparse.Namespace) -> int:
    """Remove the lab, and the images when asked."""
    use(lab)
    with locked(lab.lock):
        containers.tear_down(lab)
        left = image.remove_all() if options.images else []
        containers.remove_state(lab.state)
    for name in left:
        print(f"lab: {name} is kept, another container uses it")
    print(f"lab: {lab.name} is gone")
    return 0


def command_wait(lab: Lab, options: argparse.Namespace) -> int:
    """Return when every host is up."""
    use(lab)
    in_parallel(lambda host: containers.wait_for(lab, host), lab.hosts)
    return 0


def command_reset(lab: Lab, options: argparse.Namespace) -> int:
    """Cut a host's power and switch it on again; returns when it is up."""
    use(lab)
    host = lab.host(options.host)
    containers.reset(lab, host)
    containers.wait_for(lab, host)
    return 0


def command_status(lab: Lab, options: argparse.Namespace) -> int:
    """Show every host; exit status 3 unless all run."""
    use(lab)
    entries = containers.status(lab)
    if options.json:
        print(json.dumps(entries, indent=2))
    else:
        print(f"{'HOST':<16}{'PORT':<8}{'CONTAINER':<12}{'SYSTEMD':<14}GROUPS")
        for e in entries:
            failed = f"  failed: {', '.join(e['failed_units'])}" if e["failed_units"] else ""
            print(f"{e['host']:<16}{e['port']:<8}{e['container']:<12}{e['systemd']:<14}{', '.join(e['groups'])}{failed}")
    return 0 if all(entry["systemd"] == "running" for entry in entries) else 3


def command_ssh(lab: Lab, options: argparse.Namespace) -> int:
    """Log in over SSH, as Ansible does."""
    argv = access.ssh_command(lab, lab.host(options.host), options.command)
    os.execvp(argv[0], argv)


def command_exec(lab: Lab, options: argparse.Namespace) -> int:
    """Run a command as root inside a host, without SSH."""
    use(lab)
    flags = ["--interactive", "--tty"] if sys.stdin.isatty() else ["--interactive"]
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    argv = ["podman", "exec", *flags, lab.container(lab.host(options.host)), *(command or ["bash"])]
    os.execvp(argv[0], argv)


def command_seed(lab: Lab, options: argparse.Namespace) -> int:
    """Put more data into a database host."""
    use(lab)
    argv = ["podman", "exec", lab.container(lab.host(options.host)), "/usr/bin/python3", "/opt/shop/seed/shop_seed.py"]
    argv += ["--mib", str(options.mib), "--change", str(options.change)]
    argv += [flag for flag in ("--scattered", "--no-binlog") if getattr(options, flag[2:].replace("-", "_"))]
    os.execvp(argv[0], argv)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=__doc__, epilog="BACKSTAY_LAB and BACKSTAY_LAB_PORT choose the lab.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, function: Callable[[Lab, argparse.Namespace], int]) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=function.__doc__)
        one.set_defaults(function=function)
        return one

    up = add("up", command_up)
    up.add_argument(
        "--volume", action="append", default=[], metavar="HOST:PATH=MIB[:FS]", help="give a directory its own file system"
    )
    up.add_argument("--only", default="", metavar="NAME[,NAME]", help="make only these hosts or groups, until down")
    add("down", command_down).add_argument("--images", action="store_true", help="remove the images too")
    add("build", command_build)
    add("wait", command_wait)
    add("reset", command_reset).add_argument("host")
    add("status", command_status).add_argument("--json", action="store_true")
    for name, function in (("ssh", command_ssh), ("exec", command_exec)):
        one = add(name, function)
        one.add_argument("host")
        one.add_argument("command", nargs=argparse.REMAINDER)
    seed = add("seed", command_seed)
    seed.add_argument("host")
    seed.add_argument("--mib", type=int, default=0, help="append this many MiB")
    seed.add_argument("--change", type=float, default=0, metavar="PERCENT", help="rewrite this share of the rows")
    seed.add_argument("--scattered", action="store_true", help="spread the changed rows over the table")
    seed.add_argument("--no-binlog", action="store_true", help="faster, but a replay of logs cannot cross this point")
    return top


def main() -> int:
    """Run one command; expected errors are one sentence on stderr and exit status 1."""
    options = parser().parse_args()
    try:
        return options.function(fleet.load(), options)
    except KeyboardInterrupt:
        print("lab: interrupted; run the same command again, or 'lab.py down'", file=sys.stderr)
        return 130
    except LabError as error:
        for line in str(error).splitlines():
            print(f"lab: {line}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
