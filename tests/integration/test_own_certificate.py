# SPDX-License-Identifier: GPL-3.0-or-later
"""The offsite server with a certificate of the operator's own authority, and the way back to Backstay's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from ansible_collections.backstay.fleet.plugins.plugin_utils.certificate_authority import issue, load_authority
from lab_tools import shop
from lab_tools.fleet import OFFSITE, Fleet
from lab_tools.playbooks import Playbooks

HOST = shop.HOST
UNIT = "backstay-offsite.service"


class Given(NamedTuple):
    """Variables of a given certificate, and those for the hosts that are to trust its authority."""

    server: dict[str, str]
    hosts: dict[str, str]


@pytest.fixture
def given(playbooks: Playbooks, tmp_path: Path) -> Iterator[Given]:
    authority = load_authority(tmp_path, create=True)
    key, begin, certificate = issue(authority, [OFFSITE], 30).partition("-----BEGIN CERTIFICATE")
    server = {"offsite_tls_certificate": begin + certificate, "offsite_tls_key": key}
    yield Given(server, {"backstay_repository_ca_pem": authority.pem})
    playbooks.run("offsite", offsite_tls_replace_authority=True).demand()
    playbooks.run("backup", "--limit", HOST).demand()


def state_of(fleet: Fleet) -> str:
    """Return what the server is started with, and since when it runs."""
    fleet.run(OFFSITE, "systemctl", "is-active", UNIT)
    pid = fleet.run(OFFSITE, "systemctl", "show", "--value", "--property=MainPID", UNIT)
    return pid + fleet.run(OFFSITE, "sha256sum", "/etc/backstay-offsite/server.pem")


@pytest.mark.long
def test_a_given_certificate_is_proved_first_then_used(
    fleet: Fleet, playbooks: Playbooks, given: Given, tmp_path: Path
) -> None:
    before = state_of(fleet)
    other = issue(load_authority(tmp_path / "other", create=True), [OFFSITE], 30).partition("-----BEGIN CERTIFICATE")[0]
    wrong = {**given.server, **given.hosts, "offsite_tls_key": other}
    playbooks.run("offsite", **wrong).refused("offsite_tls_key is the key of another certificate")
    assert state_of(fleet) == before, "a running server was given a pair that it cannot use"

    done = playbooks.run("offsite", **given.server, **given.hosts).demand()
    assert state_of(fleet) != before and "PRIVATE KEY" not in done.output
    made = playbooks.run("backup", "--limit", HOST).demand().record
    verified = playbooks.run("verify", "--limit", HOST, backstay_set=made["set"], **given.hosts).demand()
    assert verified.record["status"] == "ok"
    playbooks.run("verify", "--limit", HOST).refused("is not trusted")
