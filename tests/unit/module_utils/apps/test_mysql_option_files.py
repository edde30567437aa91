# SPDX-License-Identifier: GPL-3.0-or-later
"""Option files of a host may tell the tool of a backup to leave data out; no backup is made while one does."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.backstay.fleet.plugins.module_utils.apps.mysql import logical, option_files, products
from ansible_collections.backstay.fleet.plugins.module_utils.checks import Check
from unit.support.programs import program

FILE = "/etc/mysql/backup.cnf"
SAID = "{name} would have been started with the following arguments:\\n{words} "


def told(programs: Path, name: str, words: str, options: dict[str, str]) -> list[Check]:
    """Return the check of a tool that takes ``words`` from option files; it demands that nothing precedes their options."""
    product = next(item for item in products.PRODUCTS.values() if name in (item.dump, item.physical))
    way = "extra-file" if name == "mariadb-backup" else "file"  # it needs what the server is told as well
    first = f"--defaults-{way}={FILE}" if options else "--print-defaults"
    said = SAID.format(name=name, words=words)
    program(programs, name, f"""[ "$1" = {first} ] || exit 1; printf -- '{said}'""")
    return option_files.files_check(product, "dump" if name == product.dump else name, options)


@pytest.mark.parametrize("name", ["mysqldump", "mariadb-dump"])
@pytest.mark.parametrize(
    "words",
    [
        "--where=id > 7",
        "--no-data",
        "--ignore_table=shop.ledger",
        "--replace",
        "--skip-opt",
        "--loose-exclude-user=shop",
        "--xml",
    ],
)
def test_a_dump_that_files_would_cut_is_refused(programs: Path, name: str, words: str) -> None:
    (check,) = told(programs, name, f"--quick {words}", {"socket": "/s", "defaults_extra_file": FILE})
    word = words.removeprefix("--").removeprefix("loose-").split("=")[0].replace("_", "-")
    assert check["status"] == "failed" and check["detail"].endswith(f": {word}") and "[client] alone" in check["hint"]


@pytest.mark.parametrize(
    "words",
    ["", "--quick --quote-names --max_allowed_packet=16M", "--user=backup --password=***** --default-character-set=latin1"],
)
def test_credentials_and_what_debian_says_are_no_matter(programs: Path, words: str) -> None:
    assert told(programs, "mysqldump", words, {}) == []


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("--databases-exclude=old --datadir=/var/lib/mysql", "databases-exclude"),
        ("--tables_file=/etc/some --table-open-cache=2000", "tables-file"),
        ("--socket=/s --table-definition-cache=9 --innodb-page-size=16384", ""),
    ],
)
def test_a_copy_that_files_would_cut_is_refused(programs: Path, words: str, wrong: str) -> None:
    checks = told(programs, "mariadb-backup", words, {"defaults_extra_file": FILE})
    assert [item["detail"].rpartition(": ")[2] for item in checks] == ([wrong] if wrong else [])


@pytest.mark.parametrize("product", products.PRODUCTS.values(), ids=lambda product: product.name)
def test_what_files_may_say_is_said_again(product: products.Product) -> None:
    """The command line counts more than any file."""
    argv = logical.dump_argv(product, {}, ["shop"], [])
    assert {"--default-character-set=utf8mb4", "--routines", "--events", "--triggers", "--single-transaction"} <= set(argv)
    assert "--force=0" in product.client_options, "a client that goes on behind an error would lose data in silence"
