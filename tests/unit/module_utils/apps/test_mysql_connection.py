# SPDX-License-Identifier: GPL-3.0-or-later
"""Which server the tools reach: the one whose socket they are given, whatever the operator's option file says."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils import process
from ansible_collections.backstay.fleet.plugins.module_utils.apps.mysql import (
    calls,
    client,
    inspection,
    logical,
    products,
    replay,
)
from ansible_collections.backstay.fleet.plugins.module_utils.worker import land
from unit.support.programs import program

VERSION = "11.8.3-MariaDB"


def test_a_host_in_the_defaults_file_leads_nobody_to_another_server(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host in that file means TCP, and then the client ignores the socket: the live server would be asked."""
    (programs / "mariadb").symlink_to("/bin/echo")
    copy = {"socket": "/srv/copy/server.sock", "defaults_extra_file": "/etc/mysql/backup.cnf"}
    commands = [
        client.query(copy, "x")[0][0].split(" "),
        replay.client_argv(products.MARIADB, copy),
        *(logical.dump_argv(product, copy, ["shop"], []) for product in products.PRODUCTS.values()),
    ]
    monkeypatch.setattr(calls, "run", lambda argv, _timeout: commands.append(argv) or process.Finished(0, "", ""))
    monkeypatch.setattr(calls, "await_server", lambda *_arguments: None)
    monkeypatch.setattr(land, "planned", lambda _specification: {"receipts": [{"kind": "log", "facts": {"product": "mysql"}}]})
    calls.check(SimpleNamespace(specification={}, seen={"checks": []}), copy)  # type: ignore[arg-type]
    assert len(commands) == 5
    assert [words for words in commands if "--protocol=socket" not in words] == []


def test_a_job_reaches_the_server_as_its_preflight_did(programs: Path, tmp_path: Path) -> None:
    """Without a socket the first question goes where the defaults file says; all others go through the server's own socket."""
    program(programs, "mariadb-backup", f"echo {VERSION}")
    shown = "".join(
        f"{name}\\t{value}\\n" for name, value in {"version": VERSION, "datadir": str(tmp_path), "socket": "/s"}.items()
    )
    script = f"""
case "$*" in
  *SHOW*VARIABLES*) printf '{shown}' ;;
  *VERSION*) echo '{VERSION}' ;;
  *--socket=/s*) echo 'ERROR 1045: Access denied' >&2; exit 1 ;;
  *GRANTS*) echo 'GRANT ALL PRIVILEGES ON *.* TO root' ;;
esac"""
    program(programs, "mariadb", script)
    checks, _facts = inspection.inspect_server({})
    assert {item["name"]: item["detail"] for item in checks if item["status"] == "failed"} == {
        "privileges": "ERROR 1045: Access denied"
    }
