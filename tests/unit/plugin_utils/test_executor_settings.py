# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.lookup import executor
from ansible_collections.backstay.fleet.plugins.module_utils import apps
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.backstay.fleet.plugins.module_utils.executors import SETTINGS
from ansible_collections.backstay.fleet.plugins.module_utils.schema import problems
from ansible_collections.backstay.fleet.plugins.plugin_utils import executor_settings
from ansible_collections.backstay.fleet.plugins.plugin_utils.executor_settings import settings_of

FAR = {"backstay_worker": "backup1"}
PLAIN = {
    "name": "ssh",
    "address": "erp",
    "port": 22,
    "account": "oracle",
    "access": "/etc/backstay/executors/erp",
    "directory": "/var/lib/backstay-executor",
    "staging": "pull",
}


def test_an_inventory_that_names_a_worker_only_is_enough_for_oracle() -> None:
    assert settings_of("erp", FAR, ["oracle"]) == PLAIN
    assert list(problems(SETTINGS, PLAIN, "executor")) == []


def test_what_the_inventory_says_goes_before_the_defaults() -> None:
    said = {"ansible_host": "192.0.2.7", "executor_port": "2222", "executor_account": "ora19", "executor_staging": "share"}
    changes = {"address": "192.0.2.7", "port": 2222, "account": "ora19", "staging": "share"}
    assert settings_of("erp", {**FAR, **said}, ["oracle"]) == {**PLAIN, **changes}
    assert settings_of("erp", {**FAR, **said, "executor_address": "nat1"}, ["oracle"])["address"] == "nat1"


@pytest.mark.parametrize("variables", [{}, {"backstay_worker": ""}, {"backstay_worker": "erp"}])
def test_a_host_that_works_for_itself_needs_no_settings(variables: dict[str, Any]) -> None:
    assert settings_of("erp", variables, ["files", "oracle"]) == {}


def test_of_several_apps_the_one_that_works_from_afar_counts() -> None:
    assert settings_of("erp", FAR, ["files", "oracle"]) == PLAIN
    with pytest.raises(BadInput, match="files cannot be reached through ssh"):
        settings_of("erp", FAR, ["files"])


def test_an_app_that_needs_another_machine_and_names_no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    made = SimpleNamespace(EXECUTORS=("ssh",))
    monkeypatch.setattr(apps, "load_app", lambda _name: made)
    monkeypatch.setattr(executor_settings, "load_app", lambda _name: made)
    with pytest.raises(BadInput, match="made cannot work on the protected host itself") as caught:
        settings_of("erp", {}, ["made"])
    assert "backstay_worker" in caught.value.hint
    with pytest.raises(BadInput, match="nothing says as whom the worker logs in to erp"):
        settings_of("erp", FAR, ["made"])
    assert settings_of("erp", {**FAR, "executor_account": "me"}, ["made"])["account"] == "me"


def test_every_executor_of_an_app_can_be_described() -> None:
    assert {"local", *executor_settings._SETTINGS} == set(SETTINGS["properties"]["name"]["enum"])
    assert executor.LookupModule
