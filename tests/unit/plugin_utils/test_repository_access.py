# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.backstay.fleet.plugins.plugin_utils.certificate_authority import load_authority
from ansible_collections.backstay.fleet.plugins.plugin_utils.repository_access import (
    AccessBuilder,
    names_in_use,
    offsite_user,
    protected_hosts,
    uses_server,
)
from ansible_collections.backstay.fleet.plugins.plugin_utils.secret_store import SecretMissing
from hypothesis import given
from hypothesis import strategies as st


def access(state: Path, host: str = "db1", create: bool = True, allow_missing: bool = False, **more: Any) -> dict[str, Any]:
    variables = {"backstay_state_dir": str(state), "backstay_offsite": "offsite1", **more}
    return AccessBuilder(host, variables, create, allow_missing).build()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    load_authority(tmp_path, create=True)
    return tmp_path


@given(st.lists(st.text(min_size=1), unique=True, min_size=2, max_size=2))
def test_users_are_spelled_as_the_server_accepts_and_never_clash(hosts: list[str]) -> None:
    users = [offsite_user(host) for host in hosts]
    assert users[0] != users[1]
    assert all(re.fullmatch(r"[A-Za-z0-9@._-]+", user) and user not in (".", "..") for user in users)


@pytest.mark.parametrize("reserved", ["data", "index", "keys", "locks", "snapshots", "config"])
def test_no_user_is_taken_for_a_part_of_a_repository(reserved: str) -> None:
    assert offsite_user(reserved) != reserved
    assert offsite_user(reserved) != offsite_user("@" + reserved)


def test_an_ordinary_host(state: Path) -> None:
    found = access(state)
    assert found["public_url"] == "rest:https://offsite1:8000/db1/"
    assert found["url"] == f"rest:https://db1:{found['user_password']}@offsite1:8000/db1/"
    assert (found["name"], found["user"], found["missing"]) == ("db1", "db1", [])
    assert found["directory"] == "/etc/backstay/repositories/db1"
    assert found["ca_pem"] == load_authority(state, create=False).pem
    assert found["password"] != found["user_password"]
    assert access(state, create=False) == found


def test_vault_variables_win_and_nothing_is_kept(state: Path) -> None:
    found = access(state, create=False, backstay_repository_password="p w", backstay_offsite_user_password="u/:@%w")
    assert found["password"] == "p w"
    parts = urlsplit(found["url"].removeprefix("rest:"))
    assert unquote(parts.password or "") == "u/:@%w"
    assert parts.hostname == "offsite1"
    assert not (state / "secrets").exists()


def test_name_and_port_of_the_server(state: Path) -> None:
    found = access(state, backstay_offsite_url_host="2001:db8::1", backstay_offsite_port="8443")
    assert found["public_url"] == "rest:https://[2001:db8::1]:8443/db1/"


def test_a_repository_elsewhere(state: Path) -> None:
    found = access(
        state,
        backstay_repository_url="s3:https://s3.example.org/bucket/db1",
        backstay_repository_environment={"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret="},
    )
    assert found["url"] == found["public_url"] == "s3:https://s3.example.org/bucket/db1"
    assert (found["user"], found["user_password"], found["ca_pem"]) == (None, None, None)
    assert found["files"]["environment"] == "AWS_ACCESS_KEY_ID=id\nAWS_SECRET_ACCESS_KEY=secret=\n"
    assert "ca.pem" not in found["files"]


def test_credentials_in_a_given_url_are_not_public(state: Path) -> None:
    found = access(state, backstay_repository_url="rest:https://me:hidden@rest.example.org/x/")
    assert "hidden" in found["url"]
    assert "hidden" not in found["public_url"]


def test_another_authority_or_the_systems(tmp_path: Path) -> None:
    assert access(tmp_path, backstay_repository_ca_pem="PEM")["ca_pem"] == "PEM"
    assert access(tmp_path, backstay_repository_ca_pem="")["ca_pem"] is None


def test_a_restore_never_makes_a_password(state: Path) -> None:
    with pytest.raises(SecretMissing, match="there is no repository-password of db1"):
        access(state, create=False)
    assert not (state / "secrets").exists()


def test_a_control_node_without_the_authority_makes_no_secrets(tmp_path: Path) -> None:
    with pytest.raises(SecretMissing, match="no certificate authority"):
        access(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_check_mode_names_what_is_missing(tmp_path: Path) -> None:
    found = access(tmp_path, create=False, allow_missing=True)
    assert found["missing"] == ["certificate authority", "repository-password", "offsite-user-password"]
    assert found["password"] is None
    assert list(tmp_path.iterdir()) == []


def test_the_password_of_an_existing_user_is_never_made_anew(state: Path) -> None:
    builder = AccessBuilder("db1", {"backstay_state_dir": str(state)}, create=True, allow_missing=False)
    with pytest.raises(SecretMissing):
        builder.user_password(exists=True)
    assert builder.user_password(exists=False) == builder.user_password(exists=True)


@pytest.mark.parametrize("bad", [{"A B": "x"}, {"A=B": "x"}, {"A": "x\nB=y"}, {"": "x"}, {"1A": "x"}])
def test_an_environment_that_is_no_line_is_refused(state: Path, bad: dict[str, str]) -> None:
    with pytest.raises(BadInput, match="cannot be a line"):
        access(state, backstay_repository_environment=bad)


def test_a_host_without_any_destination_is_refused(state: Path) -> None:
    with pytest.raises(BadInput, match="no offsite server for db1"):
        access(state, backstay_offsite="")


def test_protected_hosts_are_those_of_app_groups() -> None:
    groups = {"all": ["a", "b", "c"], "app_mysql": ["b", "a"], "app_oracle": ["b"], "spares": ["c"], "my_app_x": ["c"]}
    assert protected_hosts(groups) == ["a", "b"]


def test_who_uses_a_server_and_under_which_names() -> None:
    hostvars = {
        "a": {"backstay_offsite": "off", "backstay_offsite_url_host": "off.example.org"},
        "b": {"backstay_offsite": "off"},
        "c": {"backstay_offsite": "other", "backstay_offsite_url_host": "no"},
        "d": {"backstay_offsite": "off", "backstay_offsite_url_host": "no", "backstay_repository_url": "s3:h/b"},
    }
    assert [host for host in hostvars if uses_server(hostvars[host], "off")] == ["a", "b"]
    assert names_in_use("off", hostvars, hostvars) == ["off.example.org", "off"]
