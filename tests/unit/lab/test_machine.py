# SPDX-License-Identifier: GPL-3.0-or-later
"""Podman settings follow what the machine has."""

import pytest
from rehearsal import machine
from rehearsal.machine import Machine
from rehearsal.shell import LabError

V2_MOUNTS = "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n"
HYBRID_MOUNTS = (
    "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n"
    "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"
)
V1_MOUNTS = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n"


def make(**changes):
    facts = {
        "cgroups": "v2",
        "runtimes": ("crun", "runc"),
        "systemd_is_init": True,
        "may_raise_limits": True,
        "nofile": 1024,
        "nproc": 500,
        "pid_max": 32768,
    }
    return Machine(**{**facts, **changes})


@pytest.mark.parametrize(("mounts", "layout"), [(V2_MOUNTS, "v2"), (HYBRID_MOUNTS, "hybrid"), (V1_MOUNTS, "v1")])
def test_cgroup_layout(mounts, layout):
    assert machine.cgroup_layout(mounts) == layout


def test_capability_bits():
    assert machine.has_capability("Name:\tx\nCapEff:\t0000000001000000\n", machine.CAP_SYS_RESOURCE)
    assert not machine.has_capability("CapEff:\t000001fffeffffff\n", machine.CAP_SYS_RESOURCE)


def test_crun_is_used_on_v2_and_refused_on_hybrid():
    assert machine.choose_runtime(make()) == "crun"
    assert machine.choose_runtime(make(cgroups="hybrid")) == "runc"
    assert machine.choose_runtime(make(cgroups="hybrid", runtimes=("crun",))) is None
    with pytest.raises(LabError, match="install runc"):
        machine.containers_conf(make(cgroups="hybrid", runtimes=("crun",)))


def test_cgroup_manager_is_systemd_only_where_systemd_runs_a_v2_tree():
    assert 'cgroup_manager = "systemd"' in machine.containers_conf(make())
    assert 'cgroup_manager = "cgroupfs"' in machine.containers_conf(make(systemd_is_init=False))
    assert 'cgroup_manager = "cgroupfs"' in machine.containers_conf(make(cgroups="hybrid"))


def test_limits_stay_under_the_hard_limits_unless_they_may_be_raised():
    low = make(may_raise_limits=False, nofile=20000, nproc=96365)
    assert machine.chosen_limits(low) == ["nofile=20000:20000", "nproc=32768:32768"]
    assert machine.chosen_limits(make(may_raise_limits=False, nofile=-1, nproc=100)) == [
        "nofile=1048576:1048576",
        "nproc=100:100",
    ]
    assert machine.chosen_limits(make()) == ["nofile=1048576:1048576", "nproc=32768:32768"]


def test_missing_packages_name_the_runtime_that_fits(monkeypatch):
    monkeypatch.setattr(machine.shutil, "which", lambda name, path=None: None if name == "debootstrap" else f"/bin/{name}")
    assert machine.missing_packages(make(), set()) == ["debootstrap"]
    assert machine.missing_packages(make(cgroups="hybrid", runtimes=("crun",)), set()) == ["debootstrap", "runc"]
    monkeypatch.setattr(machine.shutil, "which", lambda name, path=None: None)
    assert "xfsprogs" in machine.missing_packages(make(), {"xfs"})
    assert "xfsprogs" not in machine.missing_packages(make(), {"ext4"})
