# SPDX-License-Identifier: GPL-3.0-or-later
"""A server of its own on a copy: what its configuration says, of either product."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.apps.mysql import products, side


@pytest.mark.parametrize("product", products.PRODUCTS.values(), ids=products.PRODUCTS)
@pytest.mark.parametrize("directory", ["/srv/side", "/srv/a#b", '/srv/with "quotes"'])
def test_a_side_server_touches_nothing_of_the_hosts_own(directory: str, product: products.Product) -> None:
    text = side.side_configuration(product, Path(directory), "mysql", {"innodb_page_size": "8192"})
    parser = configparser.ConfigParser(allow_no_value=True, interpolation=None, comment_prefixes=(";",))
    parser.read_string(text)
    options = dict(parser[product.server])
    for name in ("datadir", "socket", "pid-file", "log-error"):
        value = str(options[name])
        assert value.startswith('"')
        assert value[1:-1].replace('\\"', '"').replace("\\\\", "\\").startswith(directory + "/")
    for name in (
        "skip-networking",
        "skip-log-bin",
        {"mariadb": "skip-slave-start", "mysql": "skip-replica-start"}[product.name],
    ):
        assert options[name] is None
    assert options["event-scheduler"] == '"OFF"'
    assert options["innodb_page_size"] == '"8192"'


def test_only_what_describes_the_files_is_taken_from_the_copied_settings(tmp_path: Path) -> None:
    (tmp_path / "backup-my.cnf").write_text(
        "[mariadbd]\ninnodb_page_size=8192\nplugin_load=evil.so\ninnodb_undo_tablespaces=\n"
    )
    assert side.copy_settings(tmp_path) == {"innodb_page_size": "8192"}
    assert side.copy_settings(tmp_path / "none") == {}


def test_only_plain_settings_of_a_receipt_are_taken() -> None:
    settings = {
        "innodb_data_file_path": "ibdata1:12M:autoextend",
        "gtid_mode": "ON\nplugin-load=evil.so",
        "innodb_page_size": "",
    }
    found = side.server_settings(products.MYSQL, {"settings": dict(settings, init_file="/tmp/x")})
    assert found == {"innodb_data_file_path": "ibdata1:12M:autoextend"}
