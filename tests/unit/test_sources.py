# SPDX-License-Identifier: GPL-3.0-or-later
"""Source files: their size, their license, and what the Python of protected hosts can run."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults import subjects

ROOT = Path(__file__).resolve().parents[2]
MODULE_UTILS = sorted((ROOT / "plugins" / "module_utils").rglob("*.py"))
_PYTHON = [path for folder in ("plugins", "lab", "tests", "bench", "src") for path in sorted((ROOT / folder).rglob("*.py"))]
_TASKS = [*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("roles/*/handlers/*.yml"), *ROOT.glob("playbooks/*.yml")]


def test_no_python_file_is_longer_than_399_lines() -> None:
    assert len(_PYTHON) > 60
    counted = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in _PYTHON}
    assert {name: count for name, count in counted.items() if count >= 400} == {}


def test_no_task_file_is_longer_than_79_lines() -> None:
    assert len(_TASKS) > 20
    counted = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in _TASKS}
    assert {name: count for name, count in counted.items() if count >= 80} == {}


def test_every_python_file_of_the_collection_names_its_license() -> None:
    for path in (ROOT / "plugins").rglob("*.py"):
        head = path.read_text(encoding="utf-8")[:200]
        assert not head or "SPDX-License-Identifier: GPL-3.0-or-later" in head, path


# Protected hosts: Python 3.8, standard library only

_TARGET = [*MODULE_UTILS, *sorted((ROOT / "plugins" / "modules").glob("*.py"))]
_SINCE_39 = {"removeprefix", "removesuffix", "is_relative_to", "readlink", "with_stem", "hardlink_to", "randbytes", "to_thread"}
_MODULES_SINCE_39 = {"zoneinfo", "graphlib", "tomllib"}
_BACKUP_MACHINES = {"module_utils/executors/ssh.py": {"fabric", "paramiko"}}  # on workers that serve other hosts; imported late
_OF_MODULES = ("ansible.module_utils.", "ansible_collections.backstay.fleet.")
_BUILTIN_GENERICS = {"list", "dict", "set", "frozenset", "tuple", "type"}


def at_run_time(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of ``tree`` that are evaluated: all but annotations, which ``from __future__`` keeps as text."""
    for field, value in ast.iter_fields(tree):
        if field in ("annotation", "returns"):
            continue
        for node in value if isinstance(value, list) else [value]:
            if isinstance(node, ast.AST):
                yield node
                yield from at_run_time(node)


def too_new(source: str) -> list[str]:
    """Return what in ``source`` Python 3.8 does not have, as far as that can be seen without running it."""
    tree = ast.parse(source, feature_version=(3, 8))
    found = []
    for node in at_run_time(tree):
        if isinstance(node, ast.Attribute) and node.attr in _SINCE_39 and ast.unparse(node) != "os.readlink":
            found.append(node.attr)
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and f"{node.value.id}.{node.attr}" == "functools.cache"
        ):
            found.append("functools.cache")
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id in _BUILTIN_GENERICS:
            found.append(f"{node.value.id}[...]")
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr) and isinstance(node.right, (ast.Dict, ast.Constant)):
            found.append("X | Y")
        if isinstance(node, ast.keyword) and node.arg in ("strict", "kw_only", "slots"):
            found.append(f"{node.arg}=")
        if isinstance(node, ast.ImportFrom) and node.module == "functools" and any(name.name == "cache" for name in node.names):
            found.append("functools.cache")
    return found


@pytest.mark.parametrize("path", _TARGET, ids=lambda path: str(path.relative_to(ROOT / "plugins")))
def test_what_runs_on_hosts_is_python_38(path: Path) -> None:
    assert too_new(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "'ab'.removeprefix('a')",
        "x: int = dict[str, int]()",
        "{} | {}",
        "import functools\nfunctools.cache",
        "zip(a, b, strict=True)",
    ],
)
def test_newer_python_is_noticed(source: str) -> None:
    assert too_new(source)


@pytest.mark.parametrize("source", ["match x:\n  case 1: pass", "def f[T](x): pass"])
def test_newer_syntax_is_noticed(source: str) -> None:
    with pytest.raises(SyntaxError):
        too_new(source)


@pytest.mark.parametrize("path", _TARGET, ids=lambda path: str(path.relative_to(ROOT / "plugins")))
def test_what_runs_on_hosts_imports_only_the_standard_library(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    more = _BACKUP_MACHINES.get(str(path.relative_to(ROOT / "plugins")), set())
    allowed = (set(sys.stdlib_module_names) - _MODULES_SINCE_39) | more
    early = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    assert not early & more, "a protected host has none of them"
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [str(node.module)] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
        for name in names:
            ours = path not in MODULE_UTILS and name.startswith(
                ("ansible.module_utils.", "ansible_collections.backstay.fleet.")
            )
            assert ours or name.split(".")[0] in allowed, name
    assert any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in ast.walk(tree)) or not tree.body


def make_says(variable: str) -> list[str]:
    """Return the words that a variable of the Makefile stands for."""
    rule = f"said: ; @echo '$({variable})'"
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "--silent", "--eval", rule, "said"]
    return subprocess.run(command, capture_output=True, check=True, cwd=ROOT, env=alone, text=True).stdout.split()


def test_every_subject_of_faults_has_a_short_run_in_a_lab_of_its_own() -> None:
    assert make_says("FAULT_SUBJECTS") == subjects.names()
    assert set(make_says("FAULTS_SHORT")) == set(subjects.names()) - {"mysql-9", "mysql-9-pitr"}  # see mk/faults.mk
    assert len(subjects.names()) <= 15, "see the ports in mk/faults.mk"


@pytest.mark.parametrize("app", sorted({subjects.load(name).app for name in subjects.names()}))
def test_the_name_of_an_app_means_all_its_subjects_of_faults(app: str) -> None:
    its_own = [name for name in subjects.names() if subjects.load(name).app == app]
    assert sorted(make_says(f"FAULTS_OF_{app}") or [app]) == its_own
