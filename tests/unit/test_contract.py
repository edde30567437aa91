# SPDX-License-Identifier: GPL-3.0-or-later
"""Every role, app and document against the contract; a new app that forgets something fails here."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.backstay.fleet.plugins.module_utils import apps, errors
from ansible_collections.backstay.fleet.plugins.module_utils.job import KINDS, STEP_ARGUMENTS
from ansible_collections.backstay.fleet.plugins.module_utils.worker.steps import STEPS
from unit.support.contract import APP_ENTRY_POINTS, VARIABLES

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
APP_ROLES = [path for path in ROLES if path.name.startswith("app_")]
APPS = [path.name[len("app_") :] for path in APP_ROLES]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
CALLED_ROLES = [ROOT / "roles" / "run", *APP_ROLES]
each_role = pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
each_called_role = pytest.mark.parametrize("role", CALLED_ROLES, ids=lambda path: path.name)
each_app_role = pytest.mark.parametrize("role", APP_ROLES, ids=lambda path: path.name)


def load(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader) if path.exists() else None


def specs(role: Path) -> dict[str, dict[str, Any]]:
    """Return the argument specs of a role by entry point."""
    return (load(role / "meta" / "argument_specs.yml") or {}).get("argument_specs", {})


def options(role: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield entry point, name and description of every option of a role."""
    for entry, spec in specs(role).items():
        for name, option in (spec.get("options") or {}).items():
            yield entry, name, option


def test_there_are_roles_to_hold_against_the_contract() -> None:
    assert "app_mysql" in [path.name for path in APP_ROLES]


# Roles


@each_app_role
def test_an_app_role_has_exactly_the_entry_points(role: Path) -> None:
    assert {path.stem for path in (role / "tasks").iterdir()} == set(APP_ENTRY_POINTS)
    assert set(specs(role)) == set(APP_ENTRY_POINTS)


@pytest.mark.parametrize(
    "role", [path for path in ROLES if path.name == "run" or path in APP_ROLES], ids=lambda path: path.name
)
def test_a_call_without_an_entry_point_is_refused(role: Path) -> None:
    (task,) = load(role / "tasks" / "main.yml")
    assert "ansible.builtin.fail" in task
    assert "when" not in task


@each_role
def test_every_entry_point_that_is_specified_exists(role: Path) -> None:
    assert specs(role), f"{role.name} has no argument specs"
    for entry in specs(role):
        assert (role / "tasks" / f"{entry}.yml").exists(), entry


@each_app_role
def test_an_app_role_declares_the_contract_variables_of_each_entry_point(role: Path) -> None:
    for entry, (required, allowed) in APP_ENTRY_POINTS.items():
        declared = {
            name: option for name, option in (specs(role)[entry].get("options") or {}).items() if name.startswith("backstay_")
        }
        assert required <= set(declared) <= required | allowed, entry
        assert {name for name, option in declared.items() if option.get("required")} == required, entry


@pytest.mark.parametrize(
    "role", [path for path in ROLES if path.name == "run" or path in APP_ROLES], ids=lambda path: path.name
)
def test_a_contract_variable_is_the_same_everywhere(role: Path) -> None:
    for entry, name, option in options(role):
        if name.startswith("backstay_"):
            assert (option["type"], " ".join(option["description"].split())) == VARIABLES[name], f"{entry}: {name}"


def test_a_variable_has_one_type_in_all_roles() -> None:
    types: dict[str, set[str]] = {}
    for role in ROLES:
        for _entry, name, option in options(role):
            types.setdefault(name, set()).add(option["type"])
    assert {name: found for name, found in types.items() if len(found) > 1} == {}


@each_role
def test_every_option_says_what_it_is(role: Path) -> None:
    for entry, name, option in options(role):
        assert option.get("type"), f"{entry}: {name}"
        assert option.get("description"), f"{entry}: {name}"
        assert not (option.get("required") and "default" in option), f"{entry}: {name}"


@each_role
def test_defaults_and_specified_defaults_are_the_same(role: Path) -> None:
    defaults = load(role / "defaults" / "main.yml") or {}
    specified: dict[str, list[Any]] = {}
    for _entry, name, option in options(role):
        if name.startswith(role.name + "_"):
            specified.setdefault(name, []).append(option)
    for name, value in defaults.items():
        assert name.startswith(role.name + "_"), f"{name} does not carry the name of its role"
        assert name in specified, f"{name} is not specified"
        if not (isinstance(value, str) and "{{" in value):
            assert all(option.get("default") == value for option in specified[name]), name
    for name, found in specified.items():
        if any("default" in option for option in found):
            assert name in defaults, f"{name} is specified with a default that it does not have"


@each_app_role
@pytest.mark.parametrize("entry", sorted(APP_ENTRY_POINTS))
def test_an_entry_point_uses_only_what_it_declares(role: Path, entry: str) -> None:
    text = (role / "tasks" / f"{entry}.yml").read_text(encoding="utf-8")
    text = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
    used = set(re.findall(rf"(?<![\w.])(?:backstay_\w+|{role.name}_\w+)", text))
    declared = set(specs(role)[entry].get("options") or {})
    assert used - declared - {f"{role.name}_{name}" for name in ("options", "job", "standby")} == set()


# Apps


@pytest.mark.parametrize("app", APPS)
def test_an_app_has_its_python_module(app: str) -> None:
    module = importlib.import_module(f"{apps.__name__}.{app}")
    for name in apps.EXPORTS:
        assert hasattr(module, name), name
    assert callable(module.preflight)
    assert callable(module.seal)
    assert module.KINDS
    assert set(module.KINDS) <= set(KINDS)
    for kind in module.KINDS:
        assert isinstance(module.consumes(kind), bool)
    assert module.CALLS
    assert all(callable(call) for call in module.CALLS.values())


@pytest.mark.parametrize("app", APPS)
def test_a_misspelt_hook_is_no_hook(app: str) -> None:
    """The engine asks for optional names only where they are there."""
    module = importlib.import_module(f"{apps.__name__}.{app}")
    assert set(module.__all__) <= {*apps.EXPORTS, *apps.OPTIONAL}


def test_the_page_names_all_that_an_app_may_offer() -> None:
    page = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
    assert [name for name in (*apps.EXPORTS, *apps.OPTIONAL) if f"`{name}`" not in page] == []


def test_every_python_module_of_an_app_has_its_role() -> None:
    folder = ROOT / "plugins" / "module_utils" / "apps"
    found = {path.stem for path in folder.iterdir() if not path.name.startswith("__")}
    assert found == set(APPS)


@each_app_role
def test_a_role_calls_only_what_its_app_offers(role: Path) -> None:
    offered = set(importlib.import_module(f"{apps.__name__}.{role.name[len('app_') :]}").CALLS)
    text = "".join(path.read_text(encoding="utf-8") for path in [*role.glob("tasks/*.yml"), *role.glob("vars/**/*.yml")])
    assert set(re.findall(r"^\s+(?:call|argv_from): (\w+)$", text, re.MULTILINE)) == offered


@pytest.mark.parametrize("app", APPS)
def test_an_app_has_its_page(app: str) -> None:
    page = ROOT / "docs" / "systems" / f"{app}.md"
    assert page.exists(), f"docs/systems/{app}.md is missing"
    assert len(page.read_text(encoding="utf-8")) > 500


# The page of the contract


def contract_rows(heading: str) -> list[list[str]]:
    """Return the cells of the first table after ``heading`` in docs/contract.md, without its head."""
    text = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8").split(heading, 1)[1]
    lines = text[text.index("|") :].splitlines()
    table = lines[: next((number for number, line in enumerate(lines) if not line.startswith("|")), len(lines))]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def ticked(text: str) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", text))


def test_each_step_is_one_function_and_one_row() -> None:
    assert set(STEPS) == set(STEP_ARGUMENTS)
    rows = {name: arguments for first, arguments, *_rest in contract_rows("Each step has a `name`") for name in ticked(first)}
    assert set(rows) == set(STEP_ARGUMENTS)
    for name, schema in STEP_ARGUMENTS.items():
        values = {value for item in schema["properties"].values() for value in item.get("enum", [])}
        assert ticked(rows[name]) - values == set(schema["properties"]), name


def test_each_entry_point_and_its_variables_are_described() -> None:
    entries = {name for first, *_rest in contract_rows("## An app role") for name in ticked(first)}
    assert entries == set(APP_ENTRY_POINTS)
    described = {name for first, *_rest in contract_rows("They may read these contract variables") for name in ticked(first)}
    wanted = {name for required, allowed in APP_ENTRY_POINTS.values() for name in required | allowed}
    run = {name for first, *_rest in contract_rows("## Variables of a run") for name in ticked(first)}
    assert wanted <= described | run
    assert {name for _e, name, _o in options(ROOT / "roles" / "run") if name.startswith("backstay_")} <= described | run
    assert all(name.startswith("backstay_") for name in described | run)


def test_each_error_code_is_described() -> None:
    found = [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, errors.BackstayError)]
    text = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
    assert {item.code for item in found} <= ticked(text)


# Documents


def yaml_blocks(text: str) -> list[str]:
    """Return the YAML blocks of a Markdown text."""
    return re.findall(r"^```ya?ml[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


class AnyTag(yaml.SafeLoader):
    """A loader that takes the tags of Ansible for what they stand before."""


AnyTag.add_multi_constructor("!", lambda loader, _tag, node: loader.construct_scalar(node))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_yaml_block_of_a_document_is_yaml(document: Path) -> None:
    for block in yaml_blocks(document.read_text(encoding="utf-8")):
        assert list(yaml.load_all(block, AnyTag)) != [None], block


def test_a_broken_yaml_block_is_noticed() -> None:
    text = "Text\n```yaml\nfine: 1\n```\n\n```yml\na: [1\n```\n```sh\nx: [\n```\n"
    assert yaml_blocks(text) == ["fine: 1\n", "a: [1\n"]
    with pytest.raises(yaml.YAMLError):
        yaml.load(yaml_blocks(text)[1], AnyTag)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_between_documents_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith("mailto:"):
            assert (document.parent / target).exists(), target
