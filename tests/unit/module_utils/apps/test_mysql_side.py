# SPDX-License-Identifier: GPL-3.0-or-later
"""A server of its own on a copy: what its configuration says, of either product."""

from __future__ import annotations

import configparser
import os
import pwd
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import layout, process
from ansible_collections.backstay.fleet.plugins.module_utils.apps.mysql import products, side
from ansible_collections.backstay.fleet.plugins.module_utils.worker import land
from ansible_collections.backstay.fleet.plugins.module_utils.worker.folder import JobFolder


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


# By whose rights

ME = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a job whose copy has landed."""
    (tmp_path / "copy" / "data").mkdir(parents=True)
    (tmp_path / "job").mkdir()
    monkeypatch.setattr(layout, "ROOT", tmp_path / "root")
    receipt = {"kind": "full", "facts": {"product": "mariadb"}}
    monkeypatch.setattr(land, "planned", lambda _specification: {"receipts": [receipt]})
    return SimpleNamespace(
        specification={"run": "run-1"}, folder=JobFolder(tmp_path / "job"), cleanups=[], seen={"facts": {}}, work=tmp_path
    )


def test_what_the_account_plants_in_its_folder_leads_root_nowhere(job: Any, tmp_path: Path) -> None:
    """The folder is the account's after the first server; root writes the configuration of the second elsewhere."""
    victim = tmp_path / "shadow"
    victim.write_text("root")
    side.configure(job, tmp_path / "copy", ME)
    for name in ("my.cnf", "my.cnf.new"):
        (tmp_path / "copy" / name).symlink_to(victim)
    side.configure(job, tmp_path / "copy", ME)
    assert victim.read_text() == "root"
    path = side.option_file(job)
    assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (os.geteuid(), 0o644)
    assert path.parent.stat().st_mode & 0o777 == 0o711 and layout.ROOT.stat().st_mode & 0o111 == 0o111
    assert tmp_path / "copy" not in path.parents


def test_the_configuration_goes_with_its_job(job: Any, tmp_path: Path) -> None:
    side.configure(job, tmp_path / "copy", ME)
    assert {"directory": str(side.option_file(job).parent)} in job.folder.made()
    while job.cleanups:
        job.cleanups.pop()()
    assert not side.option_file(job).parent.exists()


def test_a_link_in_the_place_of_the_copy_is_not_given_away(job: Any, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "copy")
    with pytest.raises(side.CommandFailed, match="no folder of this job any more"):
        side.configure(job, tmp_path / "link", ME)


@pytest.mark.parametrize("detached", [False, True])
def test_a_server_on_a_copy_never_is_root(job: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, detached: bool) -> None:
    """It reads files that the account may have planted; and one that gave up root by itself would outlive a killed worker."""
    calls: list[tuple[list[str], str]] = []
    monkeypatch.setattr(side, "configure", lambda *_arguments: products.MARIADB)
    monkeypatch.setattr(side, "spawn", lambda argv, _environment, account, **_more: calls.append((argv, account)))
    monkeypatch.setattr(side, "run", lambda argv, _timeout: calls.append((argv, "")) or process.Finished(0, "", ""))
    side.start_side(job, {"directory": str(tmp_path / "copy"), "user": "mysql", "detached": detached})
    ((argv, account),) = calls
    assert account == ("" if detached else "mysql")
    if detached:
        assert argv[argv.index("--uid") + 1] == "mysql" and argv.index("--uid") < argv.index("--")
    assert argv[-1] == f"--defaults-file={tmp_path}/root/side/run-1/my.cnf"
