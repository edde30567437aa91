# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.backstay.fleet.plugins.plugin_utils.inventory_apps import apps_in, apps_of, groups_of, known_apps

GROUPS = {"all": ["db1", "db2", "bare"], "app_mysql": ["db1"], "app_files": ["db1"], "app_oops": ["db2"], "offsite": ["bare"]}
KNOWN = {"mysql", "files"}


def test_the_apps_of_a_host_are_its_groups() -> None:
    assert groups_of("db1", GROUPS) == ["all", "app_mysql", "app_files"]
    assert apps_in(["all", "app_mysql", "app_files"]) == ["files", "mysql"]
    assert apps_in(["app_mysql", "app_files"], "mysql") == ["mysql"]
    assert apps_of("db1", GROUPS, KNOWN) == ["files", "mysql"]
    assert apps_of("db1", GROUPS, KNOWN, "mysql") == ["mysql"]


@pytest.mark.parametrize(
    ("host", "only", "sentence"),
    [
        ("db9", "", "the inventory has no host 'db9'"),
        ("db2", "", "db2 is in the group app_oops, but there is no app 'oops'"),
        ("bare", "", "bare has no app"),
        ("db1", "oracle", "db1 has no app 'oracle'"),
    ],
)
def test_nothing_to_do_is_never_silent(host: str, only: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=f"^{sentence}$"):
        apps_of(host, GROUPS, KNOWN, only)


def test_who_restores_to_a_spare_host_and_names_no_source_is_told_how() -> None:
    with pytest.raises(BadInput) as caught:
        apps_of("bare", GROUPS, KNOWN)
    assert "backstay_source" in caught.value.hint


def test_every_app_role_is_known() -> None:
    assert "mysql" in known_apps()
