# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible import constants
from ansible.errors import AnsibleLookupError
from ansible_collections.backstay.fleet.plugins.lookup import offsite_users, repository, server_certificate
from ansible_collections.backstay.fleet.plugins.plugin_utils.certificate_authority import issue, load_authority

PLUGINS = {"offsite_users": offsite_users, "repository": repository, "server_certificate": server_certificate}


def load(name: str) -> Any:
    """Return the lookup with the options its documentation declares, as Ansible's own loader does."""
    plugin = PLUGINS[name].LookupModule()
    plugin._load_name = f"backstay.fleet.{name}"
    options = yaml.safe_load(PLUGINS[name].DOCUMENTATION)["options"]
    constants.config.initialize_plugin_configuration_definitions("lookup", plugin._load_name, options)
    return plugin


class Fleet:
    """An inventory with two protected hosts, one of them elsewhere, and the lookups as a task calls them."""

    def __init__(self, state: Path) -> None:
        everywhere = {"backstay_state_dir": str(state), "backstay_offsite": "offsite1"}
        self.hostvars: dict[str, dict[str, Any]] = {
            "offsite1": dict(everywhere),
            "db1": dict(everywhere, backstay_offsite_url_host="off.example.org"),
            "db2": dict(everywhere),
            "cloud1": dict(everywhere, backstay_repository_url="s3:https://s3.example.org/b"),
        }
        self.groups = {"all": list(self.hostvars), "offsite": ["offsite1"], "app_mysql": ["db1", "db2", "cloud1"]}

    def lookup(self, name: str, *terms: str, **options: Any) -> Any:
        return load(name).run(list(terms), variables={"hostvars": self.hostvars, "groups": self.groups}, **options)


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path)


def test_a_server_gets_users_for_its_hosts_only(fleet: Fleet) -> None:
    (text,) = fleet.lookup("offsite_users", "offsite1", create=True)
    assert [line.partition(":")[0] for line in text.splitlines()] == ["db1", "db2"]
    assert fleet.lookup("offsite_users", "offsite1", present=text, create=True) == [text]
    assert fleet.lookup("offsite_users", "other", create=True) == [""]


def test_users_in_check_mode_are_shown_and_not_made(fleet: Fleet, tmp_path: Path) -> None:
    assert fleet.lookup("offsite_users", "offsite1", allow_missing=True) == ["db1:!\ndb2:!\n"]
    assert list(tmp_path.iterdir()) == []


def test_a_control_node_without_the_secrets_does_not_replace_users(fleet: Fleet, tmp_path: Path) -> None:
    (text,) = fleet.lookup("offsite_users", "offsite1", create=True)
    stranger = Fleet(tmp_path / "stranger")
    for options in ({"create": True}, {"allow_missing": True}):
        with pytest.raises(AnsibleLookupError, match="There is no offsite-user-password of db1"):
            stranger.lookup("offsite_users", "offsite1", present=text, **options)


def test_a_control_node_without_the_authority_does_not_replace_the_certificate(fleet: Fleet, tmp_path: Path) -> None:
    (bundle,) = fleet.lookup("server_certificate", "offsite1", create=True)
    stranger = Fleet(tmp_path / "stranger")
    with pytest.raises(AnsibleLookupError, match="no certificate authority"):
        stranger.lookup("server_certificate", "offsite1", present=bundle, create=True)
    stranger.lookup("server_certificate", "offsite1", create=True)
    with pytest.raises(AnsibleLookupError, match="from an authority that this control node does not have"):
        stranger.lookup("server_certificate", "offsite1", present=bundle, create=True)
    (replaced,) = stranger.lookup("server_certificate", "offsite1", present=bundle, create=True, replace_authority=True)
    assert replaced != bundle


def test_a_good_certificate_is_returned_as_it_is(fleet: Fleet) -> None:
    (bundle,) = fleet.lookup("server_certificate", "offsite1", create=True)
    assert fleet.lookup("server_certificate", "offsite1", present=bundle) == [bundle]
    assert fleet.lookup("server_certificate", "offsite1", present=bundle, names=["192.0.2.9"]) != [bundle]
    fleet.hostvars["db2"]["backstay_offsite_url_host"] = "another.example.org"
    assert fleet.lookup("server_certificate", "offsite1", present=bundle) != [bundle]


def test_a_given_certificate_is_used_as_it_is_and_makes_no_authority(fleet: Fleet, tmp_path: Path) -> None:
    bundle = issue(load_authority(tmp_path / "theirs", create=True), ["offsite1", "off.example.org"], 30)
    key, begin, certificate = bundle.partition("-----BEGIN CERTIFICATE")
    given = {"certificate": begin + certificate, "key": key, "create": True}
    assert fleet.lookup("server_certificate", "offsite1", present="another", **given) == [bundle]
    fleet.hostvars["db2"]["backstay_offsite_url_host"] = "another.example.org"
    with pytest.raises(AnsibleLookupError, match=r"not another\.example\.org"):
        fleet.lookup("server_certificate", "offsite1", **given)
    with pytest.raises(AnsibleLookupError, match="offsite_tls_certificate is no certificate"):
        fleet.lookup("server_certificate", "offsite1", key=key)
    assert not (tmp_path / "ca").exists()


def test_a_certificate_in_check_mode_makes_no_authority(fleet: Fleet, tmp_path: Path) -> None:
    assert fleet.lookup("server_certificate", "offsite1", allow_missing=True) == [""]
    assert list(tmp_path.iterdir()) == []


def test_access_of_several_hosts(fleet: Fleet) -> None:
    fleet.lookup("server_certificate", "offsite1", create=True)
    found = fleet.lookup("repository", "db1", "cloud1", create=True)
    assert [access["public_url"] for access in found] == [
        "rest:https://off.example.org:8000/db1/",
        "s3:https://s3.example.org/b",
    ]
    assert fleet.lookup("repository", "db1", "cloud1") == found


def test_an_error_is_one_sentence_with_a_hint(fleet: Fleet) -> None:
    fleet.lookup("server_certificate", "offsite1", create=True)
    with pytest.raises(AnsibleLookupError, match=r"There is no repository-password of db1 .*\. Bring the secrets here"):
        fleet.lookup("repository", "db1")
    with pytest.raises(AnsibleLookupError, match="the inventory has no host named nobody"):
        fleet.lookup("repository", "nobody")


@pytest.mark.parametrize("name", ["offsite_users", "server_certificate"])
def test_one_server_at_a_time(fleet: Fleet, name: str) -> None:
    with pytest.raises(AnsibleLookupError, match="one offsite server"):
        fleet.lookup(name, "offsite1", "offsite2")
