# SPDX-License-Identifier: GPL-3.0-or-later
"""The offsite server fails, fills up or cannot be trusted while a backup runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from faults import injection
from faults.scene import Scene, seconds
from lab_tools.fleet import OFFSITE

UNIT = "backstay-offsite.service"
STALL_SECONDS = 8
ACCESS = "/etc/backstay/repositories"


@pytest.mark.short
def test_server_killed_and_restarted(scene: Scene, offset: float) -> None:
    running = scene.start("backup")
    tool = scene.hold_capture(running, offset)
    scene.offsite("systemctl", "kill", "--signal=SIGKILL", UNIT)
    scene.release_held(tool)
    scene.succeeded(running)


@pytest.mark.short
def test_server_gone_for_good(scene: Scene, offset: float) -> None:
    running = scene.start("backup", backstay_stall_timeout=STALL_SECONDS)
    tool = scene.hold_capture(running, offset)
    scene.offsite("systemctl", "stop", UNIT)
    try:
        scene.release_held(tool)
        record = scene.failed(running, "stalled", f"No byte moved for {STALL_SECONDS} s", "Is the offsite server reachable")
        # What the operator is spared: restic itself would have tried on for more than half an hour.
        assert seconds(record) < STALL_SECONDS + 60
        refused = scene.start("backup").finish().demand(2)
        assert "cannot be reached" in " ".join(refused.output.split())
    finally:
        scene.offsite("systemctl", "start", UNIT)


def test_offsite_full(scene: Scene) -> None:
    used = int(scene.offsite("du", "-sb", "/srv/backstay/repositories").split()[0])
    scene.subject.add_unique_data(mib=24)
    try:
        with quota(scene, used + (6 << 20)):
            running = scene.start("backup", backstay_stall_timeout=STALL_SECONDS)
            # A restic that tries again for a long time is ended; a newer one gives up by itself.
            scene.failed(running, "stalled repository", "does its disk or quota have room")
    finally:
        scene.subject.remove_unique_data()


@contextmanager
def quota(scene: Scene, limit: int) -> Iterator[None]:
    """Give the offsite server a size limit in bytes, by its role's variable, while the block runs."""
    scene.playbooks.run("offsite", "--limit", OFFSITE, offsite_max_size=str(limit)).demand()
    try:
        yield
    finally:
        scene.playbooks.run("offsite", "--limit", OFFSITE).demand()


def test_wrong_repository_password(scene: Scene) -> None:
    with injection.changed_file(scene.fleet, scene.host, f"{ACCESS}/{scene.host}/password", "not the password\n"):
        running = scene.start("backup")
        scene.failed(
            running, "repository-password", "The repository password is wrong", "The password file on this host differs"
        )


@pytest.mark.parametrize("action", ["backup"])
def test_untrusted_certificate(scene: Scene, action: str) -> None:
    foreign = scene.offsite(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", "/CN=somebody else", "-keyout", "/dev/null", "-out", "-",
    )  # fmt: skip
    with injection.changed_file(scene.fleet, scene.host, f"{ACCESS}/{scene.host}/ca.pem", foreign):
        running = scene.start(action)
        refused = running.finish().refused("is not trusted", '"code": "preflight"', "run playbooks/offsite.yml")
        assert refused.status == 2
        assert scene.result(running.run_id) is None, "a job was started against a server that cannot be trusted"
