# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible import constants
from ansible.errors import AnsibleLookupError
from ansible_collections.backstay.fleet.plugins.lookup import runbook

CHECKOUT = Path(__file__).resolve().parents[3]
GROUPS = {"all": ["db1", "db2", "spare1", "spare2"], "app_mysql": ["db1", "db2"], "app_nosuchapp": ["spare1"]}


def lookup(path: Path | str, **variables: Any) -> dict[str, Any]:
    plugin = runbook.LookupModule()
    plugin._load_name = "backstay.fleet.runbook"
    constants.config.initialize_plugin_configuration_definitions("lookup", plugin._load_name, {})
    (found,) = plugin.run([str(path)], variables={"groups": GROUPS, **variables})
    return found


def test_a_runbook_is_resolved_against_the_inventory(tmp_path: Path) -> None:
    book = tmp_path / "book.yml"
    book.write_text("restore:\n- {name: one, source: db1}\n- {name: two, source: db2, target: spare1, after: [one]}\n")
    found = lookup(book)
    assert found["targets"] == ["db1", "spare1"]
    assert [unit["app"] for unit in found["units"]] == ["mysql", "mysql"]


def test_a_group_that_is_no_app_gives_none(tmp_path: Path) -> None:
    book = tmp_path / "book.yml"
    book.write_text("restore: [{name: one, source: spare1}]")
    with pytest.raises(AnsibleLookupError, match="spare1 has no app"):
        lookup(book)


def test_two_names_of_one_machine_are_seen_where_variables_of_hosts_are(tmp_path: Path) -> None:
    book = tmp_path / "book.yml"
    book.write_text(
        "restore:\n- {name: one, source: db1, target: spare1, directory: /srv/a}\n"
        "- {name: two, source: db2, target: spare2, directory: /srv/a}\n"
    )
    same = {"ansible_host": "10.0.0.1"}
    assert lookup(book)["steps"] == 1
    assert lookup(book, hostvars={"spare1": same, "spare2": {**same, "ansible_port": 2222}})["steps"] == 1
    with pytest.raises(AnsibleLookupError, match="'one' and 'two' both write to /srv/a"):
        lookup(book, hostvars={"spare1": same, "spare2": same})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        AnsibleLookupError, match=r"The runbook .*nosuch: It cannot be read: .* Give its path with -e backstay_runbook"
    ):
        lookup(tmp_path / "nosuch")


def test_the_example_is_a_runbook_of_the_example_inventory() -> None:
    groups = {"all": ["shop-db1", "shop-db2", "crm-db1", "spare1"], "app_mysql": ["shop-db1", "shop-db2", "crm-db1"]}
    assert lookup(CHECKOUT / "docs" / "examples" / "runbook.yml", groups=groups)["steps"] == 2


def test_the_documented_runbook_is_one(tmp_path: Path) -> None:
    page = (CHECKOUT / "docs" / "operating" / "restore-fleet.md").read_text(encoding="utf-8")
    book = tmp_path / "book.yml"
    book.write_text(page.split("```yaml\n")[1].split("```")[0])
    groups = {"all": ["shop-db1", "crm-db1", "spare1"], "app_mysql": ["shop-db1", "crm-db1"]}
    assert lookup(book, groups=groups)["targets"] == ["shop-db1", "spare1"]
